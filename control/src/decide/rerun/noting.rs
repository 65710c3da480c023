//! What an agent's `interrupted` message says, and what a job that makes up for an interrupted one is launched on.

use dayfly_contract::{Lifecycle, Reason, names};

use super::{AGAIN, Fate, INTERRUPTED, Interrupted, NOT_AGAIN, Note, Place};
use crate::{
    clock::Millis,
    decide::reconcile::deaths::jobs_of,
    fleets::{Fleet, Market, Scope},
    ledger::{Job, Runner, Write},
};

/// The job that `runner` has, as far as webhooks have told.
#[must_use]
pub fn job_of(runner: &Runner) -> Option<u64> {
    jobs_of(runner).into_iter().max()
}

/// Whether it is the instance's end that `message` tells a job's interruption of: EC2 takes it, or it goes down. What has
/// used up its own time, or the disk, would do so again.
#[must_use]
pub fn is_taken_away(message: &Lifecycle) -> bool {
    use Reason::{Maintenance, Rebalance, SpotInterruption, Stopped};
    matches!(message.reason, None | Some(SpotInterruption | Rebalance | Maintenance | Stopped))
}

/// What `message`, sent at `at`, tells of an interrupted job; `job` is the one that `runner` has by the ledger. None where
/// nobody has told yet of what run it is.
///
/// What the message says of its job is the job's own word. It is believed where the ledger has none, for a repository that
/// the runner serves, or its `fleet` where its end was told of first; and a job of that run is run again only where GitHub
/// names this runner for it.
#[must_use]
pub fn interruption(
    message: &Lifecycle,
    runner: Option<&Runner>,
    fleet: Option<&Fleet>,
    job: Option<&Job>,
    at: Millis,
) -> Option<(Place, Interrupted)> {
    let told = message.job.as_ref();
    let facts = told.map(|told| &told.facts);
    let by_itself = || {
        let repository = facts?.repository.clone()?;
        let scope = match runner {
            Some(runner) => runner.scope.clone(),
            None => fleet.map(|fleet| fleet.scope_for(&repository)),
        };
        let serves = scope.is_some_and(|scope| covers(&scope, &repository));
        let place = Place { run: facts?.run_id?, repository, installation: runner.and_then(|it| it.installation) };
        Some(place).filter(|_| serves)
    };
    let place = job
        .map(|job| Place { run: job.run_id, repository: job.repository.clone(), installation: job.installation })
        .or_else(by_itself)?;
    let reason = message.reason.and_then(|reason| serde_json::to_value(reason).ok());
    let interrupted = Interrupted {
        fleet: message.fleet.clone(),
        runner: names::runner_name(&message.fleet, &message.instance_id),
        name: told.map(|told| told.name.chars().take(300).collect()).unwrap_or_default(),
        id: job.map(|job| job.id),
        reason: reason.as_ref().and_then(|it| it.as_str()).unwrap_or("unknown").to_owned(),
        at,
        fate: Fate::Waiting,
    };
    Some((place, interrupted))
}

/// Whether runners of `scope` are given jobs of `repository`, which is a name and nothing else.
fn covers(scope: &Scope, repository: &str) -> bool {
    let named = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part != "."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let Some((owner, _)) = repository.split_once('/').filter(|(owner, name)| named(owner) && named(name)) else {
        return false;
    };
    match scope {
        Scope::Organization(login) => owner.eq_ignore_ascii_case(login),
        Scope::Repository(name) => repository.eq_ignore_ascii_case(name),
        Scope::Enterprise(_) => true,
    }
}

/// `job` with the interruption in its history; none where it is there already.
#[must_use]
pub fn told(mut job: Job, it: &Interrupted) -> Option<Job> {
    let before = job.history.clone();
    job.history.add(it.at, INTERRUPTED, format!("{}: {}", it.runner, it.reason));
    (job.history != before).then_some(job)
}

/// Has the queued job among `writes`, which is of this `attempt` of the run that `note` is about, launched for on-demand,
/// where the attempt makes up for an interruption and `fleet` allows that.
pub fn raise(writes: &mut [Write], note: &Note, fleet: Option<&Fleet>, attempt: u64, now: Millis) {
    if !note.made(attempt) || !writes.iter().any(|it| matches!(it, Write::PutMarker(_))) {
        return;
    }
    let raises = fleet.is_some_and(|it| it.interrupted.on_demand && it.launch.market == Market::Spot);
    for write in writes {
        match write {
            Write::PutMarker(marker) => marker.on_demand = raises,
            Write::PutJob(job) => {
                let how = if raises { ", on-demand" } else { "" };
                job.history.add(now, AGAIN, format!("attempt {attempt}, for an interrupted one{how}"));
            }
            _ => {}
        }
    }
}

/// `job` with what became of it in its history; none where it is there already.
#[must_use]
pub fn fated(job: Job, it: &Interrupted, note: &Note) -> Option<Job> {
    let before = job.history.clone();
    let mut job = told(job.clone(), it).unwrap_or(job);
    let (what, detail) = match it.fate {
        Fate::Waiting => return None,
        Fate::Again(attempt) => (AGAIN, format!("as attempt {attempt} of run {}", note.run)),
        Fate::Left(why) => (NOT_AGAIN, why.says().to_owned()),
    };
    if !job.history.entries().iter().any(|entry| entry.what == what && entry.detail == detail) {
        job.history.add(note.looked_at, what, detail);
    }
    (job.history != before).then_some(job)
}
