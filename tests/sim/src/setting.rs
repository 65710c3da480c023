//! What a run is like.

use dayfly_control::{decide::bucket::Limits, fleets::Fleets, simulation::runtime::Random};
use serde_json::{Value, json};

use crate::{
    Faults,
    documents::{fleet, fleets, forks_allowed, idle_pool, pooled, spot, stopped, with},
};

const MINUTE: u64 = 60_000;

/// What a run is like. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The fleets.
    pub fleets: Fleets,
    /// Labels to choose from for each job.
    pub labels: Vec<Vec<&'static str>>,
    /// How many jobs are queued; some in one run.
    pub jobs: u64,
    /// From the beginning until then.
    pub spread: u64,
    /// The longest that a webhook is late.
    pub lateness: u64,
    /// The longest that a job runs.
    pub longest_job: u64,
    /// How long a runner listens before it goes, or asks to.
    pub idle: u64,
    /// The longest that GitHub takes to give a runner its first job.
    pub hesitates: u64,
    /// Jobs that a person cancels, if they wait for some minutes; in percent.
    pub cancelled: u64,
    /// Jobs that GitHub holds for a moment before they are queued; in percent.
    pub held: u64,
    /// Runs of forks, in percent: then the repository is public. And the labels of their jobs, in place of the others.
    pub forks: u64,
    /// See [`Setting::forks`].
    pub of_forks: Vec<Vec<&'static str>>,
    /// Whether no webhook tells that a job has begun.
    pub quiet: bool,
    /// The step at which an invocation is killed.
    pub kill_at: Option<u64>,
    /// How fast EC2, SSM and GitHub may be called.
    pub limits: Limits,
    /// Offers that EC2 has none of, and for how long from the beginning.
    pub dry: Vec<(String, u64)>,
    /// What goes wrong.
    pub faults: Faults,
    /// The longest that one call to a port takes.
    pub call: u64,
    /// The most invocations at a time.
    pub concurrency: usize,
    /// What is over is forgotten after so long.
    pub kept: u64,
    /// Whether each job costs exactly one launch.
    pub exact: bool,
    /// Whether reconcile does not run, and a person makes the failed webhooks again: the other functions leave nothing
    /// behind by themselves.
    pub alone: bool,
}

impl Setting {
    /// A calm world with one fleet of `max`.
    #[must_use]
    pub fn calm(max: u64, jobs: u64, lateness: u64) -> Self {
        Self {
            fleets: fleets(&[fleet("linux-x64", max)]),
            labels: vec![vec!["self-hosted", "linux"]],
            jobs,
            spread: 0,
            lateness,
            longest_job: 60_000,
            idle: 10 * MINUTE,
            hesitates: 0,
            cancelled: 0,
            held: 0,
            forks: 0,
            of_forks: vec![],
            quiet: false,
            kill_at: None,
            limits: Limits::NONE,
            dry: vec![],
            faults: Faults::default(),
            call: 20,
            concurrency: 6,
            kept: 24 * 60 * MINUTE,
            exact: false,
            alone: false,
        }
    }

    /// What `seed` decides: fleets of one of several kinds, and a mix of faults.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x05EE_D000);
        let mut it = Self::calm(1, random.range(1, 16), random.range(0, 60) * 1000);
        let max = if random.chance(50) { random.range(1, 4) } else { 50 };
        let faults = Faults::random(&mut random);
        it.spread = random.below(faults.until);
        match seed % 10 {
            // Nothing goes wrong but that webhooks are late and doubled.
            0 => {
                it.longest_job = 4 * MINUTE;
                it.call = if random.chance(50) { random.range(20, 200) } else { it.call };
                it.spread = if random.chance(50) { random.below(2 * MINUTE) } else { it.spread };
                it.exact = true;
                it.quiet = random.chance(20);
                let size = max.min(random.range(1, 3));
                it.fleets = fleets(&[match random.below(4) {
                    0 => pooled(fleet("linux-x64", max), size),
                    1 => stopped(fleet("linux-x64", max), size),
                    _ => fleet("linux-x64", max),
                }]);
                return it;
            }
            // Functions are killed, or instances fail while their registrations wait for their turns, and nobody makes up for it
            // but they themselves.
            1 => {
                it.longest_job = MINUTE;
                it.alone = true;
                let boots = if random.chance(50) { random.range(10, 60) } else { 0 };
                let late = random.chance(50);
                if late {
                    (it.limits, it.spread) = (Limits { ec2: 1, ssm: 1, github: 40 }, random.below(MINUTE));
                }
                // Who is killed while it takes back what came too late leaves it to reconcile.
                let kills = random.range(1, 30) * u64::from(!late);
                it.faults = Faults { until: faults.until, kills, boots, ..Faults::default() };
                let spot = if random.chance(50) { spot(fleet("linux-x64", max)) } else { fleet("linux-x64", max) };
                it.fleets = fleets(&[with(spot, "ephemeral", json!(random.chance(70)))]);
                it.dry = if random.chance(50) { dry(&mut random, 3 * MINUTE) } else { vec![] };
                return it;
            }
            2 => return it.silent(&mut random, max),
            3 => return it.retiring(&mut random),
            4 => return it.stopping(&mut random, max),
            5 => return it.astray(&mut random, max),
            6 => return it.forked(&mut random, &faults),
            _ => {}
        }
        it.longest_job = if random.chance(70) { random.range(1, 20) } else { 60 } * MINUTE;
        it.fleets = fleets(&[of_kind(&mut random, max)]);
        if random.chance(25) {
            let big = with(of_kind(&mut random, max), "labels", json!(["self-hosted", "linux", "big"]));
            let big = with(big, "name", json!("big"));
            it.fleets = fleets(&[of_kind(&mut random, max), big]);
            it.labels.push(vec!["self-hosted", "linux", "big"]);
        }
        if random.chance(20) {
            it.limits = Limits { ec2: 1, ssm: 2, github: 40 };
        }
        if random.chance(30) {
            it.dry = dry(&mut random, faults.until);
        }
        it.quiet = random.chance(10);
        it.cancelled = if random.chance(20) { random.range(5, 50) } else { 0 };
        it.held = if random.chance(20) { random.range(5, 50) } else { 0 };
        it.call = if random.chance(30) { random.range(20, 200) } else { it.call };
        it.faults = faults;
        it
    }

    /// Agents fall silent while their runners have jobs of which few webhooks tell, and GitHub loses sight of them.
    fn silent(self, random: &mut Random, max: u64) -> Self {
        let fleet = with(fleet("linux-x64", max), "ephemeral", json!(random.chance(50)));
        let until = random.range(30, 90) * MINUTE;
        let (vanished, dooms) = (random.range(20, 80), random.range(30, 90));
        let faults = Faults { until, vanished, dooms, interruptions: 0, ..Faults::default() };
        Self { fleets: fleets(&[fleet]), faults, longest_job: 60 * MINUTE, spread: until, ..self }
    }

    /// Runners have been without a job for long, or are told to leave, when the next comes; what they tell comes late, and
    /// GitHub deletes whom it is asked to.
    fn retiring(self, random: &mut Random) -> Self {
        let fleet = with(fleet("linux-x64", random.range(1, 4)), "ephemeral", json!(false));
        let until = random.range(60, 150) * MINUTE;
        let from = random.below(until - 30 * MINUTE);
        let faults = Faults {
            until,
            shuffled: random.range(10, 80),
            stalled: random.chance(60).then(|| (from, from + random.range(5, 60) * MINUTE)),
            deletes_busy: true,
            vanished: if random.chance(70) { random.range(10, 90) } else { 0 },
            ..Faults::default()
        };
        let it = Self { idle: random.range(1, 10) * MINUTE, longest_job: 8 * MINUTE, spread: until, ..self };
        match random.below(3) {
            // Several at a time want to leave a pool that can spare one.
            0 => {
                let max = random.range(3, 6);
                let pool = idle_pool(with(fleet, "max", json!(max)), random.range(1, max));
                Self { fleets: fleets(&[pool]), faults, jobs: random.range(8, 24), spread: 50 * MINUTE, ..it }
            }
            // For one job each, and EC2 wants them back just as they begin to listen.
            1 => {
                let fleet = with(with(fleet, "ephemeral", json!(true)), "max", json!(6));
                // Then each word of their jobs is noted.
                let fleet = with(fleet, "boot_seconds", json!(60));
                let faults = Faults { notices: random.range(30, 100), ..faults };
                Self { fleets: fleets(&[fleet]), faults, jobs: random.range(8, 24), hesitates: MINUTE, ..it }
            }
            _ => Self { fleets: fleets(&[fleet]), faults, jobs: random.range(8, 40), ..it },
        }
    }

    /// Stopped instances are given to jobs while reconcile, which is slow, looks at them.
    fn stopping(self, random: &mut Random, max: u64) -> Self {
        let fleet = stopped(fleet("linux-x64", max), max.min(random.range(1, 6)));
        let until = 20 * MINUTE;
        let (calls, kills) = (random.below(30), random.below(10));
        let faults = Faults { until, calls, kills, lag: random.below(95), ..Faults::default() };
        let call = random.range(20, 300);
        Self { fleets: fleets(&[fleet]), faults, call, spread: until, longest_job: 5 * MINUTE, ..self }
    }

    /// The ledger loses runners that live, and GitHub does not see them though they are heard.
    fn astray(self, random: &mut Random, max: u64) -> Self {
        let fleet = with(fleet("linux-x64", max), "ephemeral", json!(random.chance(50)));
        let until = random.range(30, 90) * MINUTE;
        let faults = Faults {
            until,
            forgotten: random.range(10, 80),
            unseen: random.range(10, 80),
            dooms: if random.chance(50) { random.range(10, 50) } else { 0 },
            lag: random.below(95),
            ..Faults::default()
        };
        Self { fleets: fleets(&[fleet]), faults, longest_job: 90 * MINUTE, spread: until, ..self }
    }

    /// Runs of a public repository, some of them a fork's, while GitHub does not always tell whose. What forks ask for nobody else
    /// does; of the fleets that have it one may take forks, and another refuses them.
    fn forked(self, random: &mut Random, faults: &Faults) -> Self {
        let asked = |name: &str, max| with(fleet(name, max), "labels", json!(["self-hosted", "linux", "guarded"]));
        let mut all = vec![fleet("linux-x64", 10), with(asked("guarded", 10), "priority", json!(5))];
        if random.chance(60) {
            all.push(with(asked("open", random.range(1, 10)), "public_forks", json!(true)));
        }
        let calls = if random.chance(70) { random.range(20, 300) } else { faults.calls };
        Self {
            fleets: forks_allowed(&all),
            forks: random.range(20, 80),
            of_forks: vec![vec!["self-hosted", "linux", "guarded"]],
            longest_job: 5 * MINUTE,
            faults: Faults { calls, dooms: 0, notices: 0, ..faults.clone() },
            ..self
        }
    }

    /// The same, killed at a step.
    #[must_use]
    pub fn killed_at(self, step: u64) -> Self {
        Self { kill_at: Some(step), ..self }
    }
}

/// A fleet of a kind that the seed decides.
fn of_kind(random: &mut Random, max: u64) -> Value {
    let mut it = fleet("linux-x64", max);
    if random.chance(50) {
        it = spot(it);
    }
    let reusable = random.chance(25);
    if reusable {
        it = with(it, "ephemeral", json!(false));
    }
    match random.below(6) {
        0 if reusable && random.chance(50) => it = idle_pool(it, max.min(random.range(1, 3))),
        0 => {
            let size = max.min(random.range(1, 3));
            it = if random.chance(50) { stopped(it, size) } else { pooled(it, size) };
        }
        1 => it = with(it, "cooldown_seconds", json!(10)),
        2 => it = with(it, "boot_seconds", json!(60)),
        3 => it = with(it, "interrupted", json!({"rerun": random.below(3)})),
        _ => {}
    }
    it
}

/// Some of the offers have nothing for a while.
pub(crate) fn dry(random: &mut Random, longest: u64) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for market in ["spot", "on-demand"] {
        for subnet in ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"] {
            for kind in ["c7i.large", "m7i.large"] {
                all.push(format!("{market}/{subnet}/{kind}"));
            }
        }
    }
    all.retain(|_| random.chance(60));
    all.into_iter().map(|offer| (offer, random.range(20_000, longest.max(20_000)))).collect()
}
