//! The whole of it: what there is, and one step after the other.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use dayfly_control::{
    decide::{jobs::JobState, runners::RunnerState},
    simulation::{
        runtime::Random,
        world::{self, Port},
    },
};

use crate::{
    Setting, Summary,
    checks::Wrong,
    faults::Injected,
    functions::{Functions, Invocation, Message},
    github::{Delivery, Job, Run},
    lives::Instance,
    queue::Queue,
};

/// So many steps are more than any run takes; of those with many jobs for each job.
const MOST_STEPS: u64 = 3_000_000;
const MOST_STEPS_EACH: u64 = 3000;
/// How often what is over is forgotten.
const FORGET_EACH: u64 = 10 * 60_000;

/// GitHub, EC2, the agents and Lambda around the handlers.
pub struct Model {
    /// What the handlers see.
    pub port: Port,
    pub(crate) setting: Setting,
    pub(crate) random: Random,
    pub(crate) functions: Functions,
    pub(crate) beginning: u64,
    /// Jobs at GitHub, by id.
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) runs: BTreeMap<u64, Run>,
    /// Those that wait for a runner.
    pub(crate) queued: BTreeSet<u64>,
    /// What each job that was run again makes up for.
    pub(crate) again: BTreeMap<u64, u64>,
    pub(crate) made: u64,
    pub(crate) runs_made: u64,
    pub(crate) next_run_at: u64,
    pub(crate) done: u64,
    pub(crate) instances: BTreeMap<String, Instance>,
    /// When each instance does something next.
    pub(crate) due: BTreeSet<(u64, String)>,
    /// Those whose runners listen, and whether one of them may get a job.
    pub(crate) idle: BTreeSet<String>,
    pub(crate) assignable: bool,
    /// Jobs whose runners are lost, and when GitHub gives them up.
    pub(crate) lost: Queue<u64>,
    /// Jobs that a person cancels then, unless they run.
    pub(crate) cancels: Queue<u64>,
    /// How many items of each fleet's instances were lost since its count was right.
    pub(crate) skew: BTreeMap<String, u64>,
    pub(crate) deliveries: Queue<Delivery>,
    pub(crate) guids: u64,
    pub(crate) next_delivery: u64,
    /// Deliveries that failed, by their ids.
    pub(crate) failed: BTreeMap<u64, Delivery>,
    /// Those that were made again after the last fault.
    pub(crate) remade: BTreeSet<u64>,
    pub(crate) wakes: Queue<Message>,
    pub(crate) endings: Queue<Message>,
    pub(crate) running: Vec<Invocation>,
    pub(crate) started: u64,
    /// When reconcile runs next.
    pub(crate) look_at: u64,
    /// When the last job had ended, and the faults were over.
    pub(crate) over_at: Option<u64>,
    /// Instances that were launched for a pool, and those that a job was given.
    pub(crate) pooled: BTreeSet<String>,
    pub(crate) claimed: BTreeSet<String>,
    /// What the ledger said of each job last.
    pub(crate) known_jobs: BTreeMap<u64, JobState>,
    forget_at: u64,
    /// Whether the wake-up queue was emptied.
    emptied: bool,
    /// Steps of invocations so far.
    pub(crate) steps: u64,
    /// Changes of the ledger that were looked at.
    pub(crate) checked: Cell<u64>,
    pub(crate) injected: Injected,
    pub(crate) launches: u64,
    /// How long each job waited for its runner.
    pub(crate) waits: Vec<u32>,
    /// Whether something was found wrong between two steps.
    pub(crate) found: Option<String>,
}

impl Model {
    /// A world that is as `setting` says, in which `seed` decides the rest.
    #[must_use]
    pub fn new(setting: Setting, seed: u64) -> Self {
        let port = world::world(seed);
        let beginning = port.0.now.get();
        port.0.concurrent.set(true);
        port.0.stale.set(setting.faults.stale);
        port.0.deletes_busy.set(setting.faults.deletes_busy);
        let until = |(offer, lasts): &(String, u64)| (offer.clone(), beginning + lasts);
        *port.0.dry.borrow_mut() = setting.dry.iter().map(until).collect();
        let injected = Injected::default();
        let weather = setting.faults.weather(beginning + setting.faults.until, seed, &injected);
        *port.0.weather.borrow_mut() = Some(weather);
        let mut random = Random::new(seed ^ 0xDA7F);
        if setting.jobs > 1000 || random.chance(50) {
            port.0.page.set(100);
        }
        Self {
            functions: Functions::new(&setting, &port),
            beginning,
            jobs: BTreeMap::new(),
            runs: BTreeMap::new(),
            queued: BTreeSet::new(),
            again: BTreeMap::new(),
            made: 0,
            runs_made: 0,
            next_run_at: beginning,
            done: 0,
            instances: BTreeMap::new(),
            due: BTreeSet::new(),
            idle: BTreeSet::new(),
            assignable: false,
            lost: Queue::default(),
            cancels: Queue::default(),
            skew: BTreeMap::new(),
            deliveries: Queue::default(),
            guids: 0,
            next_delivery: 0,
            failed: BTreeMap::new(),
            remade: BTreeSet::new(),
            wakes: Queue::default(),
            endings: Queue::default(),
            running: Vec::new(),
            started: 0,
            look_at: beginning + random.below(60_000),
            over_at: None,
            pooled: BTreeSet::new(),
            claimed: BTreeSet::new(),
            known_jobs: BTreeMap::new(),
            forget_at: beginning + FORGET_EACH,
            emptied: false,
            steps: 0,
            checked: Cell::default(),
            injected,
            launches: 0,
            waits: Vec::new(),
            found: None,
            random,
            port,
            setting,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.port.0.now.get()
    }

    /// Milliseconds since the beginning.
    pub(crate) fn since(&self) -> u64 {
        self.now() - self.beginning
    }

    /// Whether things still go wrong.
    pub(crate) fn has_faults(&self) -> bool {
        self.since() < self.setting.faults.until
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.port.0.telling.get() {
            self.port.0.note(what());
        }
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.injected.borrow_mut().entry(what).or_default() += 1;
    }

    /// What happened, in order.
    #[must_use]
    pub fn story(&self) -> String {
        self.port.0.log.borrow().join("\n")
    }

    /// Plays to the end.
    ///
    /// # Errors
    ///
    /// What was wrong.
    pub fn play(&mut self) -> Result<(), String> {
        for _ in 0..MOST_STEPS + MOST_STEPS_EACH * self.setting.jobs {
            self.take_in()?;
            let moved = self.start_something()
                || self.queue_jobs()
                || self.give_up_jobs()
                || self.cancel_jobs()
                || self.play_instance()
                || self.assign();
            if !self.running.is_empty() && (!moved || self.random.chance(70)) {
                self.poll_one();
            } else if !moved {
                if self.is_over() {
                    return self.check_end();
                }
                // Whatever is due waits for the dice of `start_something`.
                let next = self.next_event();
                if next > self.now() {
                    self.port.0.now.set(next);
                }
            }
            self.check()?;
        }
        Err(self.wrong("it does not end"))
    }

    fn take_in(&mut self) -> Wrong {
        self.take_wakes();
        self.take_instances()?;
        self.redeliver()?;
        self.run_again()?;
        self.take_deletions()?;
        if !self.emptied && self.setting.faults.emptied.is_some_and(|at| at <= self.since()) {
            self.emptied = true;
            self.count("wake-up queues emptied");
            self.note(|| "SQS: all wake-ups are lost".to_owned());
            self.wakes = Queue::default();
        }
        if self.forget_at <= self.now() {
            self.forget_at = self.now() + FORGET_EACH;
            self.forget();
        }
        Ok(())
    }

    /// When something happens next.
    fn next_event(&self) -> u64 {
        let arrival = (self.made < self.setting.jobs).then_some(self.next_run_at);
        let instance = self.due.first().map(|(at, _)| *at);
        let queues = [self.deliveries.next_due(), self.wakes.next_due(), self.endings.next_due()];
        let persons = [self.lost.next_due(), self.cancels.next_due()];
        let all = queues.into_iter().chain(persons).chain([arrival, instance, Some(self.look_at)]);
        all.flatten().min().unwrap_or(self.look_at)
    }

    /// Forgets what is over: the ledger by its own times or after [`Setting::kept`], the world what nobody asks for.
    pub(crate) fn forget(&mut self) {
        let (now, kept) = (self.now(), self.setting.kept);
        self.functions.forget();
        let old = now.saturating_sub(kept);
        let is_old = |job: &Job| job.done_at > 0 && job.done_at < old;
        let world = &self.port.0;
        let over: Vec<u64> = self
            .runs
            .iter()
            .filter(|(_, run)| run.jobs.iter().all(|id| is_old(&self.jobs[id])))
            .map(|(id, _)| *id)
            .collect();
        for run in over {
            self.runs.remove(&run);
            world.known_runs.runs.borrow_mut().remove(&run);
            world.known_runs.notes.borrow_mut().remove(&run);
            world.heads.borrow_mut().remove(&run);
        }
        let gone: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| !self.runs.contains_key(&job.run)).map(|(id, _)| *id).collect();
        for id in gone {
            self.jobs.remove(&id);
            self.again.remove(&id);
            world.github_jobs.borrow_mut().remove(&id);
        }
        let mut ledger = world.ledger.borrow_mut();
        ledger.jobs.retain(|_, job| job.done_at.is_none_or(|at| at >= old));
        // DynamoDB deletes what has expired.
        ledger.runners.retain(|_, it| it.expires.is_none_or(|expires| expires * 1000 > now));
        // It would keep what stands for an end that was told of early for a day; each look reads all of it.
        ledger.runners.retain(|_, it| it.state != RunnerState::Gone || it.boot_deadline >= old);
        ledger.markers.retain(|_, it| it.expires * 1000 > now);
        ledger.lives.clear();
        let tokens: BTreeSet<String> =
            ledger.reservations.values().map(dayfly_control::ledger::Reservation::token).collect();
        drop(ledger);
        let lately = now.saturating_sub(60 * 60_000);
        world.census.heard.borrow_mut().retain(|_, at| *at > lately);
        let gone: Vec<String> =
            world.census.ended_at.borrow().iter().filter(|(_, at)| **at < lately).map(|(id, _)| id.clone()).collect();
        for id in gone {
            world.census.ended_at.borrow_mut().remove(&id);
            world.census.instances.borrow_mut().remove(&id);
            world.handed_over_by.borrow_mut().remove(&id);
            world.taken_away.borrow_mut().remove(&id);
            world.census.put_at.borrow_mut().remove(&id);
            world.dead.borrow_mut().remove(&id);
        }
        let instances = world.census.instances.borrow();
        let is_wanted =
            |token: &str, ids: &[String]| tokens.contains(token) || ids.iter().any(|id| instances.contains_key(id));
        world.launched.borrow_mut().retain(|token, ids| is_wanted(token, ids));
        world.answers.borrow_mut().retain(|token, (_, answer)| is_wanted(token, &answer.instances));
        let forgotten = now.saturating_sub(72 * 60 * 60_000);
        world.census.failed.borrow_mut().retain(|(at, _), _| *at > forgotten);
        let listed: BTreeSet<u64> = world.census.failed.borrow().keys().map(|(_, id)| *id).collect();
        self.failed.retain(|id, _| listed.contains(id));
        world.claims.borrow_mut().retain(|_, until| *until * 1000 > now);
    }

    /// What came of it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            jobs: self.done,
            launches: self.launches,
            waits: self.waits.clone(),
            steps: self.steps,
            lasted: self.since(),
            injected: self.injected.borrow().clone(),
        }
    }
}
