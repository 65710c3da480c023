//! A world in memory: what is in it, what its calls are made to do, and its clock. Its other ports are one file each.

pub mod census;
mod ec2;
mod github;
mod handover;
mod ledger;
pub mod runs;
mod wake;
mod words;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use dayfly_contract::Registration;

use super::runtime::{Random, step, turn};
use crate::{
    clock::{Clock, Millis},
    compute::Launched,
    decide::{errors::Class, launch::LaunchRequest},
    fleets,
    handlers::scale_up,
    ledger::memory::MemoryLedger,
    trace::TraceId,
    wake::Look,
};

/// When every run begins.
const BEGINNING: Millis = 1_795_000_000_000;

/// A runner at GitHub.
#[derive(Clone, Debug)]
pub struct Registered {
    pub id: u64,
    pub online: bool,
    pub busy: bool,
    pub labels: Vec<String>,
}

/// A message in the wake-up queue.
#[derive(Clone, Debug)]
pub struct Sent {
    pub fleet: String,
    pub trace: Option<TraceId>,
    pub attempts: u32,
    pub run: Option<Look>,
    pub visible_at: Millis,
}

#[derive(Debug)]
pub struct World {
    pub now: Cell<Millis>,
    pub random: RefCell<Random>,
    /// Whether calls to ports are points where others run.
    pub concurrent: Cell<bool>,
    pub ledger: RefCell<MemoryLedger>,
    /// Instances by the tag of their reservation.
    pub launched: RefCell<BTreeMap<String, Vec<String>>>,
    /// The first request of each client token, and EC2's answer to it.
    pub answers: RefCell<BTreeMap<String, (LaunchRequest, Launched)>>,
    /// Offers, by the names of their breakers, that EC2 has none of until then.
    pub dry: RefCell<BTreeMap<String, Millis>>,
    /// When breakers were opened, and until when.
    opened: RefCell<BTreeMap<(String, String), (Millis, Millis)>>,
    /// Instances that were launched and no one has played yet: (id, fleet).
    pub born: RefCell<Vec<(String, String)>>,
    pub dead: RefCell<BTreeSet<String>>,
    /// What was asked for that must not be, in words.
    pub forbidden: RefCell<Vec<String>>,
    /// Instances that EC2 was asked to stop, and when each has come to that.
    pub asleep: RefCell<BTreeMap<String, Millis>>,
    /// Instances that EC2 stops (`false`) or starts, in order.
    pub switched: RefCell<Vec<(String, bool)>>,
    pub runners: RefCell<BTreeMap<String, Registered>>,
    /// Jobs at GitHub, by id, and the repository whose commit each run runs.
    pub github_jobs: RefCell<BTreeMap<u64, crate::github::Job>>,
    pub heads: RefCell<BTreeMap<u64, String>>,
    pub notes: RefCell<BTreeMap<String, u64>>,
    /// Until when notes are claimed, in seconds.
    pub claims: RefCell<BTreeMap<String, u64>>,
    /// What was put on the bus: (detail type, detail).
    pub published: RefCell<Vec<(String, String)>>,
    pub parameters: RefCell<BTreeMap<String, Registration>>,
    /// Instances whose registration control has taken away again.
    pub taken_away: RefCell<BTreeSet<String>>,
    /// By which store each registration went.
    pub handed_over_by: RefCell<BTreeMap<String, fleets::Handover>>,
    pub sent: RefCell<Vec<Sent>>,
    /// What is in the dead-letter queue: (body, reason). None where there is no such queue.
    pub aside: RefCell<Option<Vec<(String, String)>>>,
    /// Receipts and the seconds after which they are seen again.
    pub given_back: RefCell<Vec<(String, Duration)>>,
    /// Calls by name.
    pub calls: RefCell<BTreeMap<&'static str, u64>>,
    /// What happened, for whoever reads a failure; where it is written down at all.
    pub log: RefCell<Vec<String>>,
    pub telling: Cell<bool>,
    /// What goes wrong by itself, beside the `faults` to come.
    pub weather: RefCell<Option<Weather>>,
    /// Whether GitHub deletes runners that have a job, as it has been seen to.
    pub deletes_busy: Cell<bool>,
    /// Whether EC2 and the ledger's scan answer with what was a little before.
    pub stale: Cell<bool>,
    /// How many are in a page of anything.
    pub page: Cell<usize>,
    /// Instances that control has ended, and runners that it has deleted at GitHub, in order.
    pub terminated: RefCell<Vec<String>>,
    pub deleted: RefCell<Vec<String>>,
    /// These calls are not answered, as long as they are here.
    pub hangs: RefCell<Vec<&'static str>>,
    /// So many calls that a fault awaits go well before it comes.
    pub skip: Cell<u32>,
    /// Faults to come, by call: each is used once.
    pub faults: RefCell<Vec<(&'static str, Fault)>>,
    /// What reconcile sees.
    pub census: census::Known,
    /// Runs at GitHub.
    pub known_runs: runs::Known,
}

/// What goes wrong by itself: asked of each call, by its name and the time.
pub struct Weather(pub Box<dyn FnMut(&'static str, Millis) -> Option<Fault>>);

impl std::fmt::Debug for Weather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Weather")
    }
}

/// So long after a change EC2, and a scan of the table, may answer as if it had not been, where they are stale.
pub const STALE: Millis = 3000;

/// What a call is made to do.
#[derive(Clone, Debug)]
pub enum Fault {
    /// EC2 or GitHub says this.
    Ec2(Class, &'static str),
    /// EC2 gives so many, and this error beside them.
    Short(usize, Class),
    /// EC2 gives so many, and does not say why.
    Fewer(usize),
    GitHubTransient,
    GitHubPermanent,
    GitHubLimited(u64),
    HandoverTransient,
    HandoverPermanent,
    Ledger,
    Wake,
    /// It is done, and the answer gets lost.
    Lost,
}

impl Fault {
    /// Whether what was asked for is done all the same.
    fn is_done(fault: Option<&Self>) -> bool {
        matches!(fault, None | Some(Self::Lost))
    }
}

#[derive(Clone, Debug)]
pub struct Port(pub Rc<World>);

impl scale_up::Ports for Port {
    type Ledger = Self;
    type Compute = Self;
    type GitHub = Self;
    type Handover = Self;
    type Wake = Self;
    type Clock = Self;
}

/// A world, by its ports.
pub fn world(seed: u64) -> Port {
    Port(Rc::new(World {
        now: Cell::new(BEGINNING),
        random: RefCell::new(Random::new(seed)),
        concurrent: Cell::new(false),
        ledger: RefCell::default(),
        launched: RefCell::default(),
        answers: RefCell::default(),
        dry: RefCell::default(),
        opened: RefCell::default(),
        forbidden: RefCell::default(),
        born: RefCell::default(),
        dead: RefCell::default(),
        asleep: RefCell::default(),
        switched: RefCell::default(),
        runners: RefCell::default(),
        github_jobs: RefCell::default(),
        heads: RefCell::default(),
        notes: RefCell::default(),
        claims: RefCell::default(),
        published: RefCell::default(),
        parameters: RefCell::default(),
        taken_away: RefCell::default(),
        handed_over_by: RefCell::default(),
        sent: RefCell::default(),
        aside: RefCell::new(Some(Vec::new())),
        given_back: RefCell::default(),
        calls: RefCell::default(),
        log: RefCell::default(),
        telling: Cell::new(true),
        weather: RefCell::default(),
        deletes_busy: Cell::default(),
        stale: Cell::default(),
        page: Cell::new(2),
        terminated: RefCell::default(),
        deleted: RefCell::default(),
        hangs: RefCell::default(),
        skip: Cell::default(),
        faults: RefCell::default(),
        census: census::Known::default(),
        known_runs: runs::Known::default(),
    }))
}

impl World {
    pub fn called(&self, call: &str) -> u64 {
        self.calls.borrow().get(call).copied().unwrap_or(0)
    }

    pub fn fault(&self, call: &'static str, fault: Fault) {
        self.faults.borrow_mut().push((call, fault));
    }

    /// Does `work` while these `calls` are not answered; it is to end by itself, and before that time.
    pub fn unanswered<T>(&self, calls: &[&'static str], by: Millis, work: impl Future<Output = T>) -> T {
        self.hangs.replace(calls.to_vec());
        self.concurrent.set(true);
        let mut work = Box::pin(work);
        let done = loop {
            if let Poll::Ready(done) = step(work.as_mut()) {
                break done;
            }
            self.now.set(self.now.get() + 10);
            assert!(self.now.get() <= by, "{calls:?}: it does not end by itself");
        };
        self.concurrent.set(false);
        self.hangs.take();
        done
    }

    pub fn note(&self, what: impl std::fmt::Display) {
        if self.telling.get() {
            self.log.borrow_mut().push(format!("{} {what}", self.time()));
        }
    }

    /// The time since the beginning, in hours, minutes and seconds.
    pub fn time(&self) -> String {
        let ms = self.now.get() - BEGINNING;
        format!("{:>3}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }

    /// Counts a call, gives others their turn before it, and answers the fault that awaits it.
    pub(super) async fn call(&self, call: &'static str) -> Option<Fault> {
        if self.concurrent.get() {
            turn().await;
        }
        *self.calls.borrow_mut().entry(call).or_default() += 1;
        while self.hangs.borrow().contains(&call) {
            turn().await;
        }
        let mut faults = self.faults.borrow_mut();
        let Some(at) = faults.iter().position(|(it, _)| *it == call) else {
            let fault = self.weather.borrow_mut().as_mut().and_then(|weather| weather.0(call, self.now.get()));
            if let Some(fault) = &fault {
                self.note(format_args!("{call} fails: {}", fault.says()));
            }
            return fault;
        };
        if self.skip.get() > 0 {
            self.skip.set(self.skip.get() - 1);
            return None;
        }
        Some(faults.remove(at).1)
    }

    /// Gives others their turn after a call took effect: a crash here loses the answer.
    pub(super) async fn answered(&self) {
        if self.concurrent.get() {
            turn().await;
        }
    }

    fn below(&self, limit: u64) -> u64 {
        self.random.borrow_mut().below(limit)
    }
}

impl Clock for Port {
    fn now(&self) -> Millis {
        self.0.now.get()
    }

    fn random(&self) -> u128 {
        let mut random = self.0.random.borrow_mut();
        (u128::from(random.next()) << 64) | u128::from(random.next())
    }

    async fn sleep(&self, wait: Duration) {
        let until = self.now() + u64::try_from(wait.as_millis()).unwrap();
        if !self.0.concurrent.get() {
            self.0.now.set(until);
        }
        while self.now() < until {
            turn().await;
        }
    }

    // Nobody waits for it: it passes no time.
    async fn until(&self, at: Millis) {
        while self.now() < at {
            turn().await;
        }
    }
}
