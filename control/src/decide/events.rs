//! What a webhook, a launch ([`resolved`]) or a lifecycle message changes in the ledger.

mod launched;

use dayfly_contract::{Lifecycle, names};
pub use launched::{Terms, resolved, resolved_in_part};

use super::{
    jobs::{self, JobState, Marking},
    reusable,
    runners::{self, RunnerEvent, RunnerNext, RunnerState},
};
use crate::{
    clock::{Millis, seconds},
    ledger::{
        Failure, Job, Marker, Runner, Stops, Write,
        history::{Entry, History},
    },
};

/// How long a job is remembered after it was last heard of.
const JOB_SECONDS: u64 = 7 * 24 * 3600;
/// GitHub fails a job that has been queued for a day.
const QUEUED_SECONDS: u64 = 24 * 3600;
/// How long a spent runner stands in for the webhook that has not come. GitHub's webhooks are seconds late, at times
/// minutes.
const SPENT_SECONDS: u64 = 10 * 60;
/// How long a runner that was never written down is remembered; a reservation is resolved long before.
const GONE_SECONDS: u64 = 24 * 3600;

/// A `workflow_job` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    /// What it tells.
    pub state: JobState,
    /// The job's id.
    pub id: u64,
    /// What the job asks for.
    pub labels: Vec<String>,
    /// What of that its fleet's runners do not carry by themselves, once it has a fleet.
    pub asks: Vec<String>,
    /// `owner/repo`.
    pub repository: String,
    /// Whether it is a public repository's, and runs what a fork of it has.
    pub public_fork: bool,
    /// The workflow run.
    pub run_id: u64,
    /// The run's attempt.
    pub run_attempt: u64,
    /// The App's installation that sent it, where the event names one.
    pub installation: Option<u64>,
    /// The runner that has the job, where the event names one.
    pub runner_name: Option<String>,
    /// GitHub's id of that runner.
    pub runner_id: Option<u64>,
    /// How it ended in GitHub's word, where an event tells.
    pub conclusion: Option<String>,
    /// How long it was queued by GitHub's own times in milliseconds, where an event tells both that it runs and since
    /// when.
    pub waited_ms: Option<u64>,
}

/// What follows from something heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// One transaction; empty if nothing changes.
    pub writes: Vec<Write>,
    /// Fleets to wake once it is made.
    pub wake: Vec<String>,
}

/// What `event` changes, where the ledger has `job` for it (a new one is routed to `fleet`) and `runner` for the
/// runner it names.
///
/// Job, marker and runner change in one transaction: a look at the fleet must see the demand and the supply that met
/// go together. Where a runner took a job that was not counted in its own fleet (another fleet's, or one whose
/// `queued` is late), its fleet has lost supply and is woken.
#[must_use]
pub fn job_event(event: &JobEvent, job: Option<Job>, fleet: &str, runner: Option<Runner>, now: Millis) -> Changes {
    let mut changes = Changes::default();
    let step = jobs::step(job.as_ref().map(|job| job.state), event.state);
    let mut job = job.unwrap_or_else(|| new_job(event, fleet));
    if step.wake {
        changes.wake.push(job.fleet.clone());
    }
    match step.marker {
        Marking::Keep => {}
        Marking::Put => changes.writes.push(Write::PutMarker(Marker {
            fleet: job.fleet.clone(),
            job: job.id,
            queued_at: now,
            installation: event.installation,
            repository: job.repository.clone(),
            asks: event.asks.clone(),
            on_demand: false,
            expires: seconds(now) + QUEUED_SECONDS,
        })),
        Marking::Take => changes.writes.push(Write::TakeMarker { fleet: job.fleet.clone(), job: job.id }),
    }
    if let Some(state) = step.next {
        job.state = state;
        job.expires = seconds(now) + JOB_SECONDS;
        job.installation = event.installation.or(job.installation);
        match state {
            JobState::Waiting => {}
            JobState::Queued => job.queued_at = Some(now),
            JobState::Running => job.running_at = Some(now),
            JobState::Done => job.done_at = Some(now),
        }
        if matches!(state, JobState::Running | JobState::Done) {
            job.runner_name = event.runner_name.clone().or(job.runner_name);
        }
        tell(&mut job, state, event, runner.as_ref(), now);
        changes.writes.push(Write::PutJob(job.clone()));
    }
    // A crash may have come between the ledger and the wake-up, and the runner that was used up is gone since.
    if let (None, None, Some(fleet)) = (&runner, step.next, event.runner_name.as_deref().and_then(fleet_of))
        && matches!(event.state, JobState::Running | JobState::Done)
        && (job.fleet != fleet || job.queued_at.is_none())
    {
        changes.wake.push(fleet.to_owned());
    }
    if let Some(runner) = runner.filter(|_| matches!(event.state, JobState::Running | JobState::Done)) {
        let met = step.marker == Marking::Take && job.fleet == runner.fleet && event.asks == runner.asks;
        // Also of a repeated event, which heals a crash between the ledger and the wake-up.
        let never_counted = job.fleet != runner.fleet || job.queued_at.is_none();
        let fleet = runner.fleet.clone();
        let (write, step) = if runner.reuse.is_some() {
            reusable::job_told(runner, event, step.next.is_some(), now)
        } else {
            change_runner(runner, RunnerEvent::Job, now, || format!("job {}", event.id))
        };
        if never_counted || (step.used_up && !met) {
            changes.wake.push(fleet);
        }
        changes.writes.extend(write);
    }
    changes
}

/// The fleet of a runner of ours, by its name.
fn fleet_of(runner_name: &str) -> Option<&str> {
    let instance = names::instance_of_runner(runner_name)?;
    runner_name.strip_suffix(instance)?.strip_suffix('-')
}

/// Adds to the job's history that it is `state` now. What its runner went through comes with it: the runner's item will
/// be gone before anybody asks why the job had one.
fn tell(job: &mut Job, state: JobState, event: &JobEvent, runner: Option<&Runner>, now: Millis) {
    let detail = match (state, &event.runner_name) {
        (JobState::Waiting, _) => format!("no runner is wanted yet; fleet {}", job.fleet),
        (JobState::Queued, _) => format!("routed to fleet {}", job.fleet),
        (JobState::Running, Some(name)) => format!("on {name}"),
        (JobState::Running, None) => String::new(),
        (JobState::Done, _) => match (job.running_at, &job.runner_name) {
            (None, None) => "without a runner".to_owned(),
            _ => String::new(),
        },
    };
    if let Some(runner) = runner.filter(|_| matches!(state, JobState::Running | JobState::Done)) {
        let named = |entry: &Entry| Entry { detail: format!("{} {}", runner.instance, entry.detail), ..entry.clone() };
        job.history.merge(runner.history.entries().iter().filter(|it| it.what != RunnerState::Busy.name()).map(named));
    }
    job.history.add(now, state.name(), detail);
}

fn new_job(event: &JobEvent, fleet: &str) -> Job {
    Job {
        id: event.id,
        state: event.state,
        fleet: fleet.to_owned(),
        labels: event.labels.clone(),
        repository: event.repository.clone(),
        run_id: event.run_id,
        run_attempt: event.run_attempt,
        installation: event.installation,
        runner_name: None,
        queued_at: None,
        running_at: None,
        done_at: None,
        history: History::default(),
        expires: 0,
        version: 0,
    }
}

/// The write that `event` makes of `runner`, if any, and the step that was taken. `detail` is for its history.
fn change_runner(
    mut runner: Runner,
    event: RunnerEvent,
    now: Millis,
    detail: impl FnOnce() -> String,
) -> (Option<Write>, runners::RunnerStep) {
    let step = runners::step(Some(runner.state), event);
    let write = match step.next {
        RunnerNext::Keep => None,
        RunnerNext::Delete => Some(Write::DropRunner(runner)),
        RunnerNext::Be(state) => {
            runner.state = state;
            runner.history.add(now, state.name(), detail());
            if state == RunnerState::Spent {
                runner.expires = Some(seconds(now) + SPENT_SECONDS);
            }
            Some(Write::PutRunner(runner))
        }
    };
    (write, step)
}

/// What handing `runner` its registration changes: it has `runner_id` now, and one that was stopped has been started. A
/// reusable one has none before it registers itself.
#[must_use]
pub fn registered(mut runner: Runner, runner_id: Option<u64>, now: Millis) -> Option<Write> {
    runner.runner_id = runner_id.or(runner.runner_id);
    runner.stops = runner.stops.over(now);
    let how = || runner_id.map_or_else(|| "by a token".to_owned(), |id| format!("as runner {id}"));
    change_runner(runner, RunnerEvent::Registered, now, how).0
}

/// What changes when control ends the instance of `runner`, since it can't be registered.
#[must_use]
pub fn given_up(runner: Runner) -> Vec<Write> {
    let fleet = runner.fleet.clone();
    let (write, step) = change_runner(runner, RunnerEvent::EndedUnclaimed, 0, String::new);
    let free = step.frees.then_some(free(fleet, 1, false));
    write.into_iter().chain(free).collect()
}

/// The same `writes`, of which no runner is forgotten: GitHub still takes it for busy, and it has to be deleted there.
#[must_use]
pub fn remembered(writes: Vec<Write>, now: Millis) -> Vec<Write> {
    let remember = |write| match write {
        Write::DropRunner(runner) => {
            let expires = Some(seconds(now) + GONE_SECONDS);
            Write::PutRunner(Runner { state: RunnerState::Gone, expires, ..runner })
        }
        other => other,
    };
    writes.into_iter().map(remember).collect()
}

/// What the end of an instance changes. A `failed` message is the end of one, as `finished` is.
#[must_use]
pub fn ended(message: &Lifecycle, runner: Option<Runner>, now: Millis) -> Vec<Write> {
    let event = ending(message);
    let Some(runner) = runner else {
        return match runners::step(None, event).next {
            RunnerNext::Be(state) => vec![Write::PutRunner(unheard_of(message, state, now))],
            RunnerNext::Keep | RunnerNext::Delete => Vec::new(),
        };
    };
    let fleet = runner.fleet.clone();
    let ran_job = event == RunnerEvent::EndedAfterJob;
    // A reusable runner's jobs have been told of, if any was: then none is waited for.
    let told = runner.reuse.as_ref().is_some_and(|reuse| reuse.told_at.is_some());
    let event = if ran_job && told { RunnerEvent::EndedIdle } else { event };
    let (write, step) = change_runner(runner, event, now, String::new);
    let free = step.frees.then_some(free(fleet, 1, ran_job));
    write.into_iter().chain(free).collect()
}

fn free(fleet: String, count: u32, ran_job: bool) -> Write {
    Write::Free { fleet, count, ran_job, failure: None }
}

/// Whether the end that makes these `writes` was that of an instance that ran a job.
#[must_use]
pub fn ran_job(writes: &[Write]) -> bool {
    writes.iter().any(|write| matches!(write, Write::Free { ran_job: true, .. }))
}

/// The same `writes`, and a `failure` of `fleet` counted with them: in the write that changes its meta item, where there
/// is one, since a transaction touches an item once.
#[must_use]
pub fn counted(mut writes: Vec<Write>, fleet: &str, failure: Option<Failure>) -> Vec<Write> {
    if failure.is_none() {
        return writes;
    }
    let frees =
        writes.iter_mut().find_map(|it| if let Write::Free { failure, .. } = it { Some(failure) } else { None });
    match frees {
        Some(counted) => *counted = failure,
        None => writes.push(Write::Free { fleet: fleet.to_owned(), count: 0, ran_job: false, failure }),
    }
    writes
}

/// Which ending a message tells of.
#[must_use]
pub fn ending(message: &Lifecycle) -> RunnerEvent {
    let claimed = message.reservation.is_some() || message.runner_id.is_some();
    match (&message.job, claimed) {
        (Some(_), _) => RunnerEvent::EndedAfterJob,
        (None, true) => RunnerEvent::EndedIdle,
        (None, false) => RunnerEvent::EndedUnclaimed,
    }
}

fn unheard_of(message: &Lifecycle, state: RunnerState, now: Millis) -> Runner {
    Runner {
        fleet: message.fleet.clone(),
        instance: message.instance_id.clone(),
        state,
        reservation: String::new(),
        market: None,
        instance_type: None,
        asks: Vec::new(),
        scope: None,
        installation: None,
        runner_id: None,
        reuse: None,
        trace: None,
        history: History::default(),
        launched_at: now,
        boot_deadline: now,
        lease_until: now,
        stops: Stops::default(),
        untouched: false,
        expires: Some(seconds(now) + GONE_SECONDS),
        version: 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
