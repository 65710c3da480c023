//! Each minute: what nobody told of is found and put right.
//!
//! A [`Step`] after the other, each of bounded work, each from where its own note in the ledger says that it stopped.
//! Where the time is out the next run begins with the step that this one did not come to. What is decided is in
//! [`crate::decide::reconcile`]; here it is asked for and done:
//!
//! - [`fleets`]: each fleet's level. Runners whose agents are silent ([`deaths`]), those that are stopped ([`asleep`]), the
//!   count, a wake-up where instances are missing. The plan itself stays scale-up's. What a fleet that is in no document any
//!   more has left ([`removed`]).
//! - [`jobs`]: what GitHub says of jobs that have been in one state for long.
//! - [`strays`]: instances that the ledger does not know.
//! - [`deliveries`]: webhooks that failed.
//! - [`gaps`]: webhooks that GitHub does not even know to have failed.
//! - [`leftovers`]: registrations without an instance, and runners at GitHub without one.
//!
//! Every step may be killed between any two calls and made again. The order within each sees to that: the ledger gives
//! an instance up before it is ended, so that who is killed in between leaves a stray.

mod asleep;
mod deaths;
mod deliveries;
mod drained;
mod fleets;
mod gaps;
mod gauges;
mod jobs;
mod leftovers;
mod memory;
mod removed;
mod strays;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;
use tracing::{error, info, warn};

use crate::{
    clock::{Clock, Millis, seconds},
    compute::{
        Compute,
        instances::{Instances, Seen},
    },
    fleets::Fleets,
    github::{
        runs::Runs,
        watch::{Hook, Watch},
    },
    handlers::ending,
    handover::{Handover, leftovers::Leftovers},
    ledger::{Census, Heard, Ledger, LedgerError, Notes, Reruns, View},
    metrics::{Metric, Metrics},
    report::{BoxError, Chain},
    wake::Wake,
};

/// Nothing is begun when less time is left: what is begun is a call or a few, and hardly ever takes longer.
const TIME_NEEDED: Millis = 8000;
/// What is at work is dropped when no more is left ([`super::ending`]), and how far it got is noted.
const TO_NOTE: Millis = 3000;
/// That, too, when no more is left. What was told to others and what was measured is still to be written.
const TO_END: Millis = 1500;
/// How long a note of ours is kept after it was last written.
const KEPT_SECONDS: u64 = 7 * 24 * 3600;
/// The most pages of our instances that are read: 1,000 each.
const MOST_PAGES: u32 = 20;

/// The key of the note, below reconcile's own, that says when a run last came to its end.
pub const RAN: &str = "ran";

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// Where jobs and runners are kept.
    type Ledger: Ledger + Heard + Census + Notes + Reruns;
    /// Where instances are.
    type Compute: Compute + Instances;
    /// Where runners and jobs are.
    type GitHub: Watch + Runs;
    /// Where registrations wait.
    type Handover: Handover + Leftovers;
    /// The queue that wakes scale-up.
    type Wake: Wake;
    /// Time and chance.
    type Clock: Clock;
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<P: Ports> {
    /// Name of this installation of Dayfly.
    pub deployment: String,
    /// The fleets.
    pub fleets: Fleets,
    /// Hooks of organizations and repositories that tell us of jobs, beside those of the Apps.
    pub hooks: Vec<Hook>,
    /// For so long an agent may be silent.
    pub silence: Duration,
    /// The ledger.
    pub ledger: P::Ledger,
    /// Where instances are.
    pub compute: P::Compute,
    /// GitHub.
    pub github: P::GitHub,
    /// Where registrations wait.
    pub handover: P::Handover,
    /// The queue.
    pub wake: P::Wake,
    /// What is measured.
    pub metrics: Metrics,
    /// Time and chance.
    pub clock: P::Clock,
}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fleets,
    Jobs,
    Strays,
    Deliveries,
    Gaps,
    Registrations,
    Runners,
}

impl Step {
    const ALL: [Self; 7] =
        [Self::Fleets, Self::Jobs, Self::Strays, Self::Deliveries, Self::Gaps, Self::Registrations, Self::Runners];

    const fn name(self) -> &'static str {
        match self {
            Self::Fleets => "fleets",
            Self::Jobs => "jobs",
            Self::Strays => "strays",
            Self::Deliveries => "deliveries",
            Self::Gaps => "gaps",
            Self::Registrations => "registrations",
            Self::Runners => "runners",
        }
    }

    /// The one after it; after the last the first.
    fn next(self) -> Self {
        Self::ALL.into_iter().cycle().skip_while(|it| *it != self).nth(1).unwrap_or(Self::Fleets)
    }
}

/// One run, and what its steps have in common.
struct Run<'a, P: Ports> {
    deps: &'a Deps<P>,
    deadline: Millis,
    /// The level of each fleet, once it has been read, and when its agents were heard of.
    levels: RefCell<BTreeMap<String, Level>>,
    /// All our instances; none where EC2 did not list them to the end.
    instances: OnceCell<Option<BTreeMap<String, Seen>>>,
    /// Repositories of jobs that were met.
    met: gaps::Met,
}

/// A fleet's level, as it was read in this run.
struct Level {
    view: View,
    heard: BTreeMap<String, Millis>,
}

/// What a step came to.
type Done = Result<(), BoxError>;

/// Looks after everything, until it is done or the invocation is near its `deadline`.
pub async fn handle<P: Ports>(deps: &Deps<P>, deadline: Millis) {
    let run = Run { deps, deadline, levels: RefCell::default(), instances: OnceCell::new(), met: RefCell::default() };
    let at = Cell::new(Step::ALL[0]);
    let steps = Box::pin(steps(&run, &at));
    let next = ending::by(&deps.clock, deadline.saturating_sub(TO_NOTE), steps).await.unwrap_or_else(|| {
        // It would be cut off again, and keep the others from their turn.
        let next = at.get().next();
        let (step, next_step) = (at.get().name(), next.name());
        warn!(step.name = step, "Time is up amid {step}; the next run begins with {next_step}");
        Some(next)
    });
    let noted = async {
        if let Some(next) = next {
            run.remember("next", &next.name().to_owned()).await;
        }
        // For whoever asks whether the schedule lives.
        run.remember(RAN, &run.now()).await;
    };
    if ending::by(&deps.clock, deadline.saturating_sub(TO_END), Box::pin(noted)).await.is_none() {
        warn!("How far this run got is not noted: the ledger takes its time");
    }
    if let Some(remaining) = crate::github::GitHub::remaining(&deps.github) {
        deps.metrics.add(Metric::GitHubRemaining, remaining, &[]);
    }
}

/// Goes through the steps; answers with which one the next run begins, where that is to be noted. `at`: the one that is at
/// work.
async fn steps<P: Ports>(run: &Run<'_, P>, at: &Cell<Step>) -> Option<Step> {
    let first: String = run.recall("next").await.unwrap_or_else(|error| {
        warn!("{}", Chain(&error));
        String::new()
    });
    let first = Step::ALL.iter().position(|step| step.name() == first).unwrap_or(0);
    let mut next = Step::ALL[0];
    for step in Step::ALL.into_iter().cycle().skip(first).take(Step::ALL.len()) {
        if !run.has_time() {
            next = step;
            info!(step.name = step.name(), "No time is left; the next run begins with {}", step.name());
            break;
        }
        at.set(step);
        let done = match step {
            Step::Fleets => fleets::all(run).await,
            Step::Jobs => jobs::ask(run).await,
            Step::Strays => strays::look(run).await,
            Step::Deliveries => deliveries::heal(run).await,
            Step::Gaps => gaps::look(run).await,
            Step::Registrations => leftovers::registrations(run).await,
            Step::Runners => leftovers::runners(run).await,
        };
        if let Err(failed) = done {
            run.deps.metrics.refused("reconcile");
            error!(step.name = step.name(), error = %Chain(failed.as_ref()), "The next run looks at {} again", step.name());
        }
    }
    (first != 0 || next != Step::ALL[0]).then_some(next)
}

impl<P: Ports> Run<'_, P> {
    fn now(&self) -> Millis {
        self.deps.clock.now()
    }

    fn has_time(&self) -> bool {
        self.now() + TIME_NEEDED <= self.deadline
    }

    /// What was noted under `key`. What is not understood is as nothing: it is seen again. What can't be read is not: it
    /// would be noted anew without all that stands there, and webhooks of three days be sent again.
    async fn recall<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, LedgerError> {
        let Some(text) = self.deps.ledger.text(&format!("reconcile#{key}")).await? else { return Ok(T::default()) };
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| {
            warn!(note.key = key, "Began anew without a note that is not understood");
            T::default()
        }))
    }

    /// Notes `value` under `key`. What is not noted is done again, or a minute later.
    async fn remember<T: Serialize>(&self, key: &str, value: &T) {
        if let Err(error) = self.note(key, value).await {
            warn!(note.key = key, "{}", Chain(&error));
        }
    }

    /// Notes `value` under `key`, for whoever goes on once that is known to be noted.
    async fn note<T: Serialize>(&self, key: &str, value: &T) -> Result<(), LedgerError> {
        let Ok(text) = serde_json::to_string(value) else { return Ok(()) };
        let expires = seconds(self.now()) + KEPT_SECONDS;
        self.deps.ledger.note_text(&format!("reconcile#{key}"), &text, expires).await
    }

    /// Wakes `fleet`. Where that fails, the next run does.
    async fn wake(&self, fleet: &str, why: &str) {
        match self.deps.wake.wake(fleet, Duration::ZERO).await {
            Ok(()) => info!(fleet.name = fleet, wake.reason = why, "Woke fleet {fleet}"),
            Err(error) => error!(fleet.name = fleet, error = %Chain(&error), "Fleet {fleet} can't be woken"),
        }
    }

    /// All our instances, by id; none where EC2 could not list them to the end: then nothing follows from one that is
    /// not among them. Asked for once in a run.
    async fn instances(&self) -> Option<&BTreeMap<String, Seen>> {
        let list = async || {
            let mut all = BTreeMap::new();
            let mut from: Option<String> = None;
            for _ in 0..MOST_PAGES {
                match self.deps.compute.ours(&self.deps.deployment, from.as_deref()).await {
                    Ok((page, next)) => {
                        all.extend(page.into_iter().map(|seen| (seen.id.clone(), seen)));
                        from = next;
                    }
                    Err(error) => {
                        warn!("{}", Chain(&error));
                        return None;
                    }
                }
                if from.is_none() {
                    return Some(all);
                }
                if !self.has_time() {
                    break;
                }
            }
            warn!(instances.count = all.len(), "EC2 has more instances than there is time to list");
            None
        };
        self.instances.get_or_init(list).await.as_ref()
    }

    /// All instances that EC2 or the ledger has as alive; none where EC2 did not list its own to the end.
    async fn alive(&self) -> Result<Option<BTreeSet<String>>, LedgerError> {
        self.read_all().await?;
        let Some(instances) = self.instances().await else { return Ok(None) };
        let mut alive: BTreeSet<String> = instances.keys().cloned().collect();
        for level in self.levels.borrow().values() {
            let runners = level.view.runners.iter().filter(|it| it.state.is_alive());
            alive.extend(runners.map(|it| it.instance.clone()));
        }
        Ok(Some(alive))
    }

    /// Reads the levels that were not read in this run: it may have begun with another step.
    async fn read_all(&self) -> Result<(), LedgerError> {
        for fleet in &self.deps.fleets.fleets {
            if !self.levels.borrow().contains_key(&fleet.name) {
                self.read(&fleet.name).await?;
            }
        }
        Ok(())
    }

    /// Whether an agent that was `heard` then, of an instance launched then, is silent.
    fn is_silent(&self, launched_at: Millis, heard: Option<Millis>) -> bool {
        let silence = u64::try_from(self.deps.silence.as_millis()).unwrap_or(u64::MAX);
        heard.unwrap_or(0).max(launched_at).saturating_add(silence) <= self.now()
    }

    /// Reads the level of `fleet` and who was heard of there.
    async fn read(&self, fleet: &str) -> Result<(), LedgerError> {
        let view = self.deps.ledger.view(fleet).await?;
        let heard = self.deps.ledger.heard(fleet).await?;
        self.levels.borrow_mut().insert(fleet.to_owned(), Level { view, heard });
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
