//! What a webhook, a launch or a lifecycle message changes in the ledger.

use dayfly_contract::Lifecycle;

use super::{
    jobs::{self, JobState, Marking},
    runners::{self, RunnerEvent, RunnerNext, RunnerState},
};
use crate::{
    clock::{Millis, seconds},
    ledger::{Job, Marker, Reservation, Runner, Write},
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
    /// `owner/repo`.
    pub repository: String,
    /// The workflow run.
    pub run_id: u64,
    /// The run's attempt.
    pub run_attempt: u64,
    /// The App's installation that sent it, where the event names one.
    pub installation: Option<u64>,
    /// The runner that has the job, where the event names one.
    pub runner_name: Option<String>,
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
        changes.writes.push(Write::PutJob(job.clone()));
    }
    if let Some(runner) = runner.filter(|_| matches!(event.state, JobState::Running | JobState::Done)) {
        let met = step.marker == Marking::Take && job.fleet == runner.fleet;
        // Also of a repeated event, which heals a crash between the ledger and the wake-up.
        let never_counted = job.fleet != runner.fleet || job.queued_at.is_none();
        let fleet = runner.fleet.clone();
        let (write, step) = change_runner(runner, RunnerEvent::Job, now);
        if never_counted || (step.used_up && !met) {
            changes.wake.push(fleet);
        }
        changes.writes.extend(write);
    }
    changes
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
        expires: 0,
        version: 0,
    }
}

/// The write that `event` makes of `runner`, if any, and the step that was taken.
fn change_runner(mut runner: Runner, event: RunnerEvent, now: Millis) -> (Option<Write>, runners::RunnerStep) {
    let step = runners::step(Some(runner.state), event);
    let write = match step.next {
        RunnerNext::Keep => None,
        RunnerNext::Delete => Some(Write::DropRunner(runner)),
        RunnerNext::Be(state) => {
            runner.state = state;
            if state == RunnerState::Spent {
                runner.expires = Some(seconds(now) + SPENT_SECONDS);
            }
            Some(Write::PutRunner(runner))
        }
    };
    (write, step)
}

/// What handing `runner` its registration changes: it has `runner_id` now.
#[must_use]
pub fn registered(mut runner: Runner, runner_id: u64) -> Option<Write> {
    runner.runner_id = Some(runner_id);
    // No state that this event leads to has a time.
    change_runner(runner, RunnerEvent::Registered, 0).0
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
    let (write, step) = change_runner(runner, event, now);
    let ran_job = event == RunnerEvent::EndedAfterJob;
    let free = step.frees.then_some(Write::Free { fleet, count: 1, ran_job });
    write.into_iter().chain(free).collect()
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
        scope: None,
        installation: None,
        runner_id: None,
        launched_at: now,
        boot_deadline: now,
        lease_until: now,
        expires: Some(seconds(now) + GONE_SECONDS),
        version: 0,
    }
}

/// What the launch of `instances` under `reservation` changes: a runner for each, save those that were heard to be
/// gone already (`gone`), and what was reserved and did not come is counted no longer.
///
/// Answers the transaction and the runners as the ledger will have them.
#[must_use]
pub fn resolved(
    reservation: &Reservation,
    instances: &[String],
    gone: &[Runner],
    boot_seconds: u64,
    lease_until: Millis,
) -> (Vec<Write>, Vec<Runner>) {
    let is_gone = |instance: &String| gone.iter().any(|runner| runner.instance == *instance);
    let runners: Vec<Runner> = instances
        .iter()
        .filter(|instance| !is_gone(instance))
        .map(|instance| Runner {
            fleet: reservation.fleet.clone(),
            instance: instance.clone(),
            state: RunnerState::Launched,
            reservation: reservation.id.clone(),
            scope: Some(reservation.scope.clone()),
            installation: reservation.installation,
            runner_id: None,
            launched_at: reservation.created_at,
            boot_deadline: reservation.created_at + boot_seconds * 1000,
            lease_until,
            expires: None,
            version: 0,
        })
        .collect();
    let mut writes = vec![Write::DropReservation(reservation.clone())];
    writes.extend(runners.iter().cloned().map(Write::PutRunner));
    writes.extend(gone.iter().filter(|it| instances.contains(&it.instance)).cloned().map(Write::DropRunner));
    // EC2 gives no more than was asked for; the count fits.
    let came = u32::try_from(runners.len()).unwrap_or(reservation.count);
    let count = reservation.count.saturating_sub(came);
    if count > 0 {
        writes.push(Write::Free { fleet: reservation.fleet.clone(), count, ran_job: false });
    }
    let runners = runners.into_iter().map(|runner| Runner { version: 1, ..runner }).collect();
    (writes, runners)
}

#[cfg(test)]
mod tests;
