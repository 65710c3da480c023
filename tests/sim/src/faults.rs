//! What goes wrong.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use dayfly_control::{
    decide::errors::Class,
    simulation::{
        runtime::Random,
        world::{Fault, Weather},
    },
};

const MINUTE: u64 = 60_000;

/// How often each kind of fault was injected.
pub(crate) type Injected = Rc<RefCell<BTreeMap<&'static str, u64>>>;

/// What goes wrong, and until when. Times are milliseconds since the beginning, shares percent where nothing else is said.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Then all is well for good.
    pub until: u64,
    /// Of a thousand calls to a port, so many fail: throttled, limited, not answered, or done without an answer.
    pub calls: u64,
    /// Of a thousand steps of invocations, so many kill theirs.
    pub kills: u64,
    /// Webhooks that fail, and are in GitHub's list of those.
    pub failed: u64,
    /// Webhooks about jobs that have begun or ended that nobody ever hears of.
    pub vanished: u64,
    /// The webhook can't be reached.
    pub endpoint_down: Option<(u64, u64)>,
    /// GitHub makes no deliveries at all, and lists none.
    pub mute: Option<(u64, u64)>,
    /// The agents' messages are lost.
    pub queue_down: Option<(u64, u64)>,
    /// The agents' messages come when it is over.
    pub stalled: Option<(u64, u64)>,
    /// Messages that come twice, and are a minute late.
    pub shuffled: u64,
    /// Whether EC2, and scans of the table, answer with what was a little before.
    pub stale: bool,
    /// When all that is in the wake-up queue is lost: a person has emptied it.
    pub emptied: Option<u64>,
    /// Instances that die, hang or fail before they have claimed a registration.
    pub boots: u64,
    /// Runners that take up to a minute from their registration to their first connection.
    pub slow: u64,
    /// Jobs whose code tells of another instance that it has ended.
    pub forged: u64,
    /// Whether GitHub deletes runners that have a job, too.
    pub deletes_busy: bool,
    /// Instances that vanish, are interrupted, cut off from the network, or lose their agent, while they have a job.
    pub dooms: u64,
    /// So many of those are interruptions by EC2.
    pub interruptions: u64,
    /// Runners that are told to leave while they listen: EC2 recommends it.
    pub notices: u64,
    /// Runners whose item the ledger loses, and whose place is counted on: a person has deleted it, or restored the table.
    pub forgotten: u64,
    /// Runners with a job that GitHub takes for offline for more than half an hour, though their agents are heard.
    pub unseen: u64,
    /// Of reconcile's steps, so many wait for one of another invocation.
    pub lag: u64,
}

impl Faults {
    /// Faults of a random mix.
    pub(crate) fn random(random: &mut Random) -> Self {
        let until = random.range(5, 60) * MINUTE;
        let mut share = |percent: u64, most: u64| if random.chance(percent) { random.range(1, most) } else { 0 };
        let mut it = Self {
            until,
            calls: share(60, 40),
            kills: share(60, 20),
            failed: share(50, 40),
            vanished: share(50, 40),
            shuffled: share(60, 40),
            boots: share(40, 40),
            slow: share(40, 60),
            forged: share(30, 40),
            dooms: share(50, 50),
            interruptions: share(70, 100),
            notices: share(30, 60),
            lag: share(30, 90),
            ..Self::default()
        };
        it.stale = random.chance(50);
        it.deletes_busy = random.chance(40);
        it.emptied = random.chance(25).then(|| random.below(until));
        let mut window = |percent: u64| {
            let from = random.below(until);
            random.chance(percent).then(|| (from, until.min(from + random.range(1, 30) * MINUTE)))
        };
        (it.endpoint_down, it.mute, it.queue_down) = (window(20), window(10), window(20));
        it.stalled = window(10);
        it
    }

    /// What the ports' calls come to, until the moment `until`.
    pub(crate) fn weather(&self, until: u64, seed: u64, injected: &Injected) -> Weather {
        let (calls, injected) = (self.calls, Rc::clone(injected));
        let mut random = Random::new(seed ^ 0x57AB);
        Weather(Box::new(move |call, now| {
            if now >= until || random.below(1000) >= calls {
                return None;
            }
            let fault = fault(call, &mut random)?;
            *injected.borrow_mut().entry(kind(&fault)).or_default() += 1;
            Some(fault)
        }))
    }
}

/// Whether `now`, since the beginning, is within `window`.
pub(crate) fn is_within(window: Option<(u64, u64)>, now: u64) -> bool {
    window.is_some_and(|(from, until)| (from..until).contains(&now))
}

fn fault(call: &str, random: &mut Random) -> Option<Fault> {
    let loses_answers = matches!(
        call,
        "ledger.commit"
            | "ledger.put_rerun"
            | "ledger.take"
            | "compute.launch"
            | "compute.start"
            | "compute.stop"
            | "github.jit_config"
            | "github.run_again"
            | "handover.put"
            | "wake.wake"
    );
    if loses_answers && random.chance(30) {
        return Some(Fault::Lost);
    }
    Some(match call.split('.').next()? {
        "ledger" | "notes" => Fault::Ledger,
        "compute" => match random.below(3) {
            0 => Fault::Ec2(Class::Capacity, "InsufficientInstanceCapacity"),
            1 if call == "compute.launch" => Fault::Fewer(0),
            _ => Fault::Ec2(Class::Transient, "RequestLimitExceeded"),
        },
        "github" if random.chance(40) => Fault::GitHubLimited(random.range(10, 90)),
        "github" => Fault::GitHubTransient,
        "handover" => Fault::HandoverTransient,
        "wake" => Fault::Wake,
        _ => return None,
    })
}

fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Lost => "answers lost",
        Fault::Ledger => "ledger throttled",
        Fault::Ec2(Class::Capacity, _) | Fault::Fewer(_) => "EC2 out of capacity",
        Fault::Ec2(..) | Fault::Short(..) => "EC2 limits",
        Fault::GitHubLimited(_) => "GitHub limits",
        Fault::GitHubTransient | Fault::GitHubPermanent => "GitHub silent",
        Fault::HandoverTransient | Fault::HandoverPermanent => "SSM limits",
        Fault::Wake => "queue silent",
    }
}
