//! State changes for others: events on the user's bus, of a published shape (`docs/events.v1.schema.json`).
//!
//! What is told is collected while an invocation works, ambient as its [`crate::trace`] is: most of what changes a state
//! has no use for a bus, and where none is configured nothing is collected. [`publish`] puts it on the bus once the work is
//! done and within a limit; what does not get there is a log line and a metric, and nothing else suffers. So an event may
//! be lost, and one of a repeated change comes twice.

mod event;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dayfly_contract::{Lifecycle, names};
use tracing::error;

pub use event::{Event, JobFacts, Kind, RunnerFacts, VERSION};

use crate::{
    bus::{BATCH, Bus},
    clock::{Clock, Millis},
    decide::{
        events::JobEvent,
        jobs::JobState,
        rerun::{Fate, Interrupted, Note, Place},
    },
    handlers::asking::within as at_most,
    ledger::Runner,
    metrics::Metrics,
    report::Chain,
    trace,
};

/// The most events of one invocation. A launch of many instances is some hundreds.
const MOST: usize = 2000;
/// The user's rules can wait; whoever invoked us can't for long.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long before its invocation is killed it is given up: what was measured is written after it.
const TO_END: Millis = 300;

type Collected = Arc<Mutex<Vec<Event>>>;

tokio::task_local! {
    static TOLD: Collected;
}

/// Does `work`, and answers what was told in it.
pub async fn collect<F: Future>(work: F) -> (F::Output, Vec<Event>) {
    let collected = Collected::default();
    let done = TOLD.scope(Arc::clone(&collected), work).await;
    let events = std::mem::take(&mut *collected.lock().unwrap_or_else(PoisonError::into_inner));
    (done, events)
}

/// Tells of a change, where anybody collects.
fn tell(kind: Kind, fleet: &str, at: Millis, rest: impl FnOnce(&mut Event)) {
    // Nobody collects where there is no bus.
    let _ = TOLD.try_with(|collected| {
        let mut events = collected.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == MOST {
            error!(events.count = MOST, "An event did not get to the bus: there are too many at a time");
        }
        if events.len() <= MOST {
            let mut event = Event::new(kind, fleet, at);
            event.trace = trace::current().map(|trace| trace.to_string());
            rest(&mut event);
            events.push(event);
        }
    });
}

/// Tells that a job is queued, runs or has ended: `event` changed it.
pub fn job(event: &JobEvent, fleet: &str, waited: Option<u64>, now: Millis) {
    let kind = match event.state {
        JobState::Waiting => return,
        JobState::Queued => Kind::JobQueued,
        JobState::Running => Kind::JobStarted,
        JobState::Done => Kind::JobFinished,
    };
    tell(kind, fleet, now, |it| {
        it.job = Some(JobFacts {
            id: Some(event.id),
            name: None,
            repository: Some(event.repository.clone()),
            run_id: Some(event.run_id),
            run_attempt: Some(event.run_attempt),
            labels: event.labels.clone(),
            queue_ms: waited,
            conclusion: event.conclusion.clone().filter(|_| event.state == JobState::Done),
        });
        it.runner = event.runner_name.as_deref().filter(|_| event.state != JobState::Queued).map(|name| RunnerFacts {
            name: name.to_owned(),
            instance_id: names::instance_of_runner(name).map(str::to_owned),
            id: event.runner_id,
            market: None,
        });
    });
}

/// Tells of the instances that `runners` were launched as.
pub fn launched(runners: &[Runner], now: Millis) {
    for runner in runners {
        tell(Kind::RunnerLaunched, &runner.fleet, now, |it| {
            it.trace = runner.trace.clone().or(it.trace.take());
            it.runner = Some(facts_of(runner));
        });
    }
}

/// Tells of a job whose instance is taken away.
pub fn interrupted(job: &Interrupted, place: &Place, message: &Lifecycle, now: Millis) {
    tell(Kind::JobInterrupted, &job.fleet, now, |it| {
        it.reason = Some(job.reason.clone());
        it.detail.clone_from(&message.detail);
        it.job = Some(of_interrupted(job, place.run, &place.repository));
        it.job.iter_mut().for_each(|it| it.run_attempt = message.job.as_ref().and_then(|job| job.facts.run_attempt));
        it.runner = Some(RunnerFacts {
            name: job.runner.clone(),
            instance_id: Some(message.instance_id.clone()),
            id: message.runner_id,
            market: None,
        });
    });
}

/// Tells what becomes of an interrupted job: that it is run again, or why not.
pub fn rerun(job: &Interrupted, note: &Note, now: Millis) {
    let (kind, attempt, why) = match job.fate {
        Fate::Waiting => return,
        Fate::Again(attempt) => (Kind::JobRerun, Some(attempt), None),
        Fate::Left(why) => (Kind::JobNotRerun, None, Some(why)),
    };
    tell(kind, &job.fleet, now, |it| {
        it.reason = why.map(|why| why.name().to_owned());
        it.job = Some(JobFacts { run_attempt: attempt, ..of_interrupted(job, note.run, &note.repository) });
    });
}

/// Tells of an instance that could not run a job.
pub fn failed(message: &Lifecycle, now: Millis) {
    tell(Kind::RunnerFailed, &message.fleet, now, |it| {
        let reason = message.reason.and_then(|reason| serde_json::to_value(reason).ok());
        it.reason = reason.as_ref().and_then(|reason| reason.as_str()).map(str::to_owned);
        it.detail.clone_from(&message.detail);
        it.runner = Some(RunnerFacts {
            name: names::runner_name(&message.fleet, &message.instance_id),
            instance_id: Some(message.instance_id.clone()),
            id: message.runner_id,
            market: None,
        });
    });
}

fn facts_of(runner: &Runner) -> RunnerFacts {
    RunnerFacts {
        name: names::runner_name(&runner.fleet, &runner.instance),
        instance_id: Some(runner.instance.clone()),
        id: runner.runner_id,
        market: runner.market.map(|market| market.name().to_owned()),
    }
}

fn of_interrupted(job: &Interrupted, run: u64, repository: &str) -> JobFacts {
    JobFacts {
        id: job.id,
        name: Some(job.name.clone()).filter(|name| !name.is_empty()),
        repository: Some(repository.to_owned()),
        run_id: Some(run),
        ..JobFacts::default()
    }
}

/// Puts `events` of `deployment` on the `bus`, as many at a time as it takes, before the invocation is killed at `deadline`.
/// Whatever comes of it, the work is done.
pub async fn publish(
    bus: &impl Bus,
    deployment: &str,
    events: &[Event],
    metrics: &Metrics,
    clock: &impl Clock,
    deadline: Millis,
) {
    let entries: Vec<(String, String)> =
        events.iter().map(|event| (event.kind.name().to_owned(), event.detail(deployment))).collect();
    let mut got = 0;
    let put = async {
        for batch in entries.chunks(BATCH) {
            let refused = bus.put_all(batch).await?;
            got += batch.len() - refused.min(batch.len());
        }
        Ok(())
    };
    let left = Duration::from_millis(deadline.saturating_sub(clock.now() + TO_END));
    let patience = PATIENCE.min(left);
    let why = match at_most(clock, patience, Box::pin(put)).await {
        Some(Ok(())) => None,
        Some(Err::<(), crate::bus::BusError>(error)) => Some(Chain(&error).to_string()),
        None => Some(format!("it was not done within {} ms", patience.as_millis())),
    };
    let lost = entries.len() - got;
    if lost > 0 {
        (0..lost).for_each(|_| metrics.refused("not_published"));
        // A metric counts these lines by their message (terraform/bus.tf).
        error!(
            events.count = lost,
            error = why.unwrap_or_else(|| "the bus refused them".to_owned()),
            "An event did not get to the bus"
        );
    }
}

#[cfg(test)]
mod tests;
