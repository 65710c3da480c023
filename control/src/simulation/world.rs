//! A world in memory and its ports: ledger, EC2, GitHub, SSM, SQS and a clock.

pub mod census;
mod ec2;
mod github;
pub mod runs;
mod words;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use dayfly_contract::Registration;

use super::runtime::{Random, turn};
use crate::{
    clock::{Clock, Millis},
    compute::Launched,
    decide::{
        bucket::{Taken, Takes},
        errors::Class,
        launch::LaunchRequest,
    },
    fleets,
    handlers::scale_up,
    handover::{Handover, HandoverError},
    ledger::{
        Committed, Job, LastError, LastPlan, Ledger, LedgerError, Marker, Meta, Offers, Runner, View, Write,
        memory::MemoryLedger,
    },
    report::Failure,
    trace::{self, TraceId},
    wake::{self, Wake, WakeError, WakeUp},
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
    pub run: Option<wake::Look>,
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
    /// Offers that were asked for though their breakers were open.
    pub asked_open: RefCell<Vec<String>>,
    /// Instances that were launched and no one has played yet: (id, fleet).
    pub born: RefCell<Vec<(String, String)>>,
    pub dead: RefCell<BTreeSet<String>>,
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
    /// Whether EC2 and the ledger's scan answer with what was a little before.
    pub stale: Cell<bool>,
    /// How many are in a page of anything.
    pub page: Cell<usize>,
    /// Instances that control has ended, and runners that it has deleted at GitHub, in order.
    pub terminated: RefCell<Vec<String>>,
    pub deleted: RefCell<Vec<String>>,
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
        asked_open: RefCell::default(),
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
        handed_over_by: RefCell::default(),
        sent: RefCell::default(),
        aside: RefCell::new(Some(Vec::new())),
        given_back: RefCell::default(),
        calls: RefCell::default(),
        log: RefCell::default(),
        telling: Cell::new(true),
        weather: RefCell::default(),
        stale: Cell::default(),
        page: Cell::new(2),
        terminated: RefCell::default(),
        deleted: RefCell::default(),
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
}

impl Ledger for Port {
    async fn job(&self, id: u64) -> Result<Option<Job>, LedgerError> {
        ledger_fault(self.0.call("ledger.job").await)?;
        Ok(self.0.ledger.borrow().jobs.get(&id).cloned())
    }

    async fn runner(&self, fleet: &str, instance: &str) -> Result<Option<Runner>, LedgerError> {
        ledger_fault(self.0.call("ledger.runner").await)?;
        Ok(self.0.ledger.borrow().runner(fleet, instance))
    }

    async fn view(&self, fleet: &str) -> Result<View, LedgerError> {
        ledger_fault(self.0.call("ledger.view").await)?;
        // A query is no snapshot: pages may end between any two kinds of items.
        let first = self.0.ledger.borrow().head(fleet);
        self.0.answered().await;
        let reservations = self.0.ledger.borrow().reservations(fleet);
        self.0.answered().await;
        let runners = self.0.ledger.borrow().runners(fleet);
        Ok(View { reservations, runners, ..first })
    }

    async fn queued(&self, fleet: &str, limit: u32) -> Result<Vec<Marker>, LedgerError> {
        ledger_fault(self.0.call("ledger.queued").await)?;
        Ok(self.0.ledger.borrow().queued(fleet).into_iter().take(limit as usize).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Committed, LedgerError> {
        let fault = self.0.call("ledger.commit").await;
        if !Fault::is_done(fault.as_ref()) {
            ledger_fault(fault.clone())?;
        }
        assert!((1..=100).contains(&writes.len()), "a transaction of {} writes", writes.len());
        self.0.keep_previous(&writes);
        let committed = self.0.ledger.borrow_mut().commit(&writes);
        if committed == Committed::Yes {
            for write in &writes {
                self.0.note_opened(write);
            }
        }
        if self.0.telling.get() {
            let what = writes.iter().map(words::of).collect::<Vec<_>>().join(", ");
            let refused = if committed == Committed::Conflict { " is refused, since it has changed" } else { "" };
            self.0.note(format_args!("ledger: {what}{refused}"));
        }
        self.0.answered().await;
        ledger_fault(fault)?;
        Ok(committed)
    }

    async fn pause(&self, fleet: &str, until: u64) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.pause").await)?;
        self.0.ledger.borrow_mut().pause(fleet, until);
        Ok(())
    }

    async fn tell(&self, fleet: &str, plan: LastPlan) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.tell").await)?;
        self.0.ledger.borrow_mut().tell(fleet, plan);
        Ok(())
    }

    async fn meta(&self, fleet: &str) -> Result<Meta, LedgerError> {
        ledger_fault(self.0.call("ledger.meta").await)?;
        Ok(self.0.ledger.borrow().metas.get(fleet).cloned().unwrap_or_default())
    }

    async fn refuse(&self, fleet: &str, error: &LastError, until: u64) -> Result<(), LedgerError> {
        ledger_fault(self.0.call("ledger.refuse").await)?;
        self.0.ledger.borrow_mut().refuse(fleet, error, until);
        self.0.answered().await;
        Ok(())
    }

    async fn offers(&self, fleet: &str) -> Result<Offers, LedgerError> {
        ledger_fault(self.0.call("ledger.offers").await)?;
        Ok(self.0.ledger.borrow().offers(fleet))
    }

    async fn take(&self, takes: &Takes) -> Result<Taken, LedgerError> {
        let fault = self.0.call("ledger.take").await;
        if !Fault::is_done(fault.as_ref()) {
            ledger_fault(fault.clone())?;
        }
        let came = self.0.ledger.borrow_mut().take(takes);
        self.0.answered().await;
        ledger_fault(fault)?;
        Ok(came)
    }

    async fn is_wanted(&self, fleet: &str, now: Millis) -> Result<bool, LedgerError> {
        ledger_fault(self.0.call("ledger.is_wanted").await)?;
        Ok(self.0.ledger.borrow().is_wanted(fleet, now))
    }
}

fn ledger_fault(fault: Option<Fault>) -> Result<(), LedgerError> {
    fault.map_or(Ok(()), |_| Err(LedgerError::new("asking the ledger", "it is not there")))
}

impl Handover for Port {
    async fn put(&self, by: fleets::Handover, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        let failure = Failure::new("handing over", "a fault");
        let fault = self.0.call("handover.put").await;
        match fault {
            Some(Fault::HandoverPermanent) => return Err(HandoverError::Permanent(failure)),
            None | Some(Fault::Lost) => {}
            Some(_) => return Err(HandoverError::Transient(failure)),
        }
        self.0.handed_over_by.borrow_mut().insert(instance.to_owned(), by);
        if self.0.parameters.borrow().contains_key(instance) {
            return Err(HandoverError::Exists { instance: instance.to_owned() });
        }
        self.0.note(format_args!("SSM: the registration of {instance} is put"));
        self.0.parameters.borrow_mut().insert(instance.to_owned(), it.clone());
        self.0.census.put_at.borrow_mut().insert(instance.to_owned(), self.now());
        self.0.answered().await;
        if fault.is_some() { Err(HandoverError::Transient(failure)) } else { Ok(()) }
    }

    async fn exists(&self, by: fleets::Handover, instance: &str) -> Result<bool, HandoverError> {
        assert!(self.0.handed_over_by.borrow().get(instance).is_none_or(|it| *it == by), "asked of the other store");
        if self.0.call("handover.exists").await.is_some() {
            return Err(HandoverError::Transient(Failure::new("looking for a registration", "a fault")));
        }
        Ok(self.0.parameters.borrow().contains_key(instance))
    }

    async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        if self.0.call("handover.delete").await.is_some() {
            return Err(HandoverError::Transient(Failure::new("taking back", "a fault")));
        }
        if self.0.parameters.borrow_mut().remove(instance).is_some() {
            self.0.note(format_args!("SSM: the registration of {instance} is deleted by control"));
        }
        Ok(())
    }
}

impl Wake for Port {
    async fn send(&self, wake_up: &WakeUp, delay: Duration) -> Result<(), WakeError> {
        let failed = || Err(WakeError { doing: "waking".into(), source: "a fault".into() });
        let fault = self.0.call("wake.wake").await;
        if !Fault::is_done(fault.as_ref()) {
            return failed();
        }
        let delay = delay.min(wake::LONGEST_DELAY);
        let visible_at = self.now() + u64::try_from(delay.as_millis()).unwrap();
        let (fleet, attempts) = (wake_up.fleet.clone(), wake_up.attempts);
        self.0.sent.borrow_mut().push(Sent { fleet, trace: trace::current(), attempts, run: wake_up.run, visible_at });
        self.0.answered().await;
        if fault.is_some() { failed() } else { Ok(()) }
    }

    async fn see_again(&self, receipt: &str, delay: Duration) -> Result<(), WakeError> {
        self.0.call("wake.see_again").await;
        self.0.given_back.borrow_mut().push((receipt.to_owned(), delay));
        Ok(())
    }

    async fn put_aside(&self, body: &str, reason: &str) -> Result<bool, WakeError> {
        if self.0.call("wake.put_aside").await.is_some() {
            return Err(WakeError { doing: "putting aside".into(), source: "a fault".into() });
        }
        let Some(aside) = &mut *self.0.aside.borrow_mut() else { return Ok(false) };
        aside.push((body.to_owned(), reason.to_owned()));
        Ok(true)
    }
}
