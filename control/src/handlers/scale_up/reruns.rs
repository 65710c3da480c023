//! Runs with interrupted jobs: looked at until they have completed, and then run again once.
//!
//! One message at a time counts for a run: the one that brings the time that its note has for the next look. A message
//! that brings none hastens the look. So doubled ones come to nothing, and one that was killed is sent for again by the
//! message that is seen again.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use tracing::{error, info, warn};

use super::{After, Deps, Ports};
use crate::{
    clock::{Clock, Millis},
    decide::rerun::{self, Fate, Note, Why, judge},
    fleets::{Scope, Target},
    github::{
        GitHubError,
        runs::{Again, Asked, RunJob, RunState, Runs},
    },
    handlers::batch::{backoff, receive_count},
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Reruns, Write},
    metrics::Metric,
    report::Chain,
    told,
    wake::{Look, Wake, WakeUp},
};

/// The most pages of a run's jobs that are read: 100 each. GitHub makes no more than 256 of one matrix.
const MOST_PAGES: u32 = 10;
/// Whoever has asked GitHub is left this much longer than its invocation lives.
const LEASE_MARGIN: Millis = 2000;

/// Looks at the run that `look` is about; answers what becomes of the message.
pub(super) async fn look<P: Ports>(
    deps: &Deps<P>,
    message: &SqsMessage,
    fleet: &str,
    look: Look,
    deadline: Millis,
) -> After {
    let received = receive_count(message);
    let done = async {
        let Some(note) = deps.ledger.rerun(look.id).await?.filter(Note::is_open) else { return Ok(None) };
        if look.at != 0 && look.at != note.look_at {
            // Another message counts; perhaps it was never sent.
            return Ok(if received > 1 { Some(note.look_at) } else { None });
        }
        one(deps, note, deadline).await
    };
    let next: Result<Option<Millis>, LedgerError> = done.await;
    let sent = match next {
        Ok(None) => return After::Done,
        Ok(Some(at)) => {
            let wait = Duration::from_millis(at.saturating_sub(deps.clock.now()));
            let wake_up = WakeUp { run: Some(Look { id: look.id, at }), ..WakeUp::new(fleet) };
            deps.wake.send(&wake_up, wait).await.map_err(|error| Chain(&error).to_string())
        }
        Err(error) => Err(Chain(&error).to_string()),
    };
    match sent {
        Ok(()) => After::Done,
        Err(why) => {
            error!(run.id = look.id, received, error = why, "Run {} is looked at again", look.id);
            After::GiveBack(backoff(received))
        }
    }
}

/// One look at a run; answers when the next one is, if there is one.
async fn one<P: Ports>(deps: &Deps<P>, note: Note, deadline: Millis) -> Result<Option<Millis>, LedgerError> {
    let now = deps.clock.now();
    let mut note = note.looked_at(now);
    if note.is_late(now) {
        let left = note.leave_all(Why::Late);
        return close(deps, note, &left).await;
    }
    // Of several looks the one that notes the time of the next goes on.
    let Some(mut note) = put(deps, note).await? else { return Ok(None) };
    let next = Some(note.look_at);
    if note.is_held(now) {
        return Ok(next);
    }
    let target = Target { scope: Scope::Repository(note.repository.clone()), installation: note.installation };
    let run = match deps.github.run_state(&target, &note.repository, note.run).await {
        Ok(run) => run,
        Err(error) => return refused(deps, note, &error).await,
    };
    if let Some(claimed) = note.claimed().cloned()
        && run.attempt > claimed.attempt
    {
        // Whoever asked was killed before it could note what came of it.
        return finish(deps, note).await;
    }
    if run.status != "completed" {
        info!(run.id = note.run, run.status = run.status, "Run {} has not completed", note.run);
        return Ok(next);
    }
    let jobs = match jobs_of(deps, &target, &note).await {
        Ok(jobs) => jobs,
        Err(error) => return refused(deps, note, &error).await,
    };
    let limit = |fleet: &str| deps.fleets.get(fleet).map_or(0, |fleet| fleet.interrupted.rerun);
    let verdict = judge(&note, &run, &jobs, limit);
    for (at, id) in verdict.ids.iter().enumerate() {
        note.jobs[at].id = note.jobs[at].id.or(*id);
    }
    for (at, why) in &verdict.left {
        note.jobs[*at].fate = Fate::Left(*why);
    }
    let left: Vec<usize> = verdict.left.iter().map(|(at, _)| *at).collect();
    let Some(what) = verdict.ask else { return close(deps, note, &left).await };
    if !note.claim(run.attempt, &verdict.again, verdict.names, now, deadline + LEASE_MARGIN) {
        return close(deps, note, &[left, verdict.again].concat()).await;
    }
    tell(deps, &note, &left).await?;
    let Some(note) = put(deps, note).await? else { return Ok(next) };
    count(deps, &note, &left);
    ask(deps, note, &target, &run, what).await
}

/// Asks GitHub to run what was claimed again.
async fn ask<P: Ports>(
    deps: &Deps<P>,
    note: Note,
    target: &Target,
    run: &RunState,
    what: Again,
) -> Result<Option<Millis>, LedgerError> {
    let next = Some(note.look_at);
    match deps.github.run_again(target, &note.repository, note.run, what).await {
        Ok(Asked::Accepted) => finish(deps, note).await,
        Ok(Asked::Running) => {
            // Ours, if its answer was lost; then the run's attempt says so at the next look. Else a person's.
            info!(run.id = note.run, run.attempt = run.attempt, "Run {} is running already", note.run);
            Ok(next)
        }
        Err(error) => refused(deps, note, &error).await,
    }
}

/// GitHub has done what was claimed: its jobs are run again.
async fn finish<P: Ports>(deps: &Deps<P>, mut note: Note) -> Result<Option<Millis>, LedgerError> {
    let again = note.done();
    close(deps, note, &again).await
}

/// Writes down what is known now; `changed` are those of whose fate their histories do not tell yet. Whoever is killed
/// before has the next look find the same.
async fn close<P: Ports>(deps: &Deps<P>, note: Note, changed: &[usize]) -> Result<Option<Millis>, LedgerError> {
    tell(deps, &note, changed).await?;
    let next = note.is_open().then_some(note.look_at);
    // In between another job of the run may have been interrupted: its own message has the run looked at, and finds
    // what was done by the run's attempt. That look counts it, then.
    if let Some(note) = put(deps, note).await? {
        count(deps, &note, changed);
    }
    Ok(next)
}

/// Counts and tells what became of those of `changed` of which that is known, once it is written down: whoever comes to the
/// same and can't write it counts nothing.
fn count<P: Ports>(deps: &Deps<P>, note: &Note, changed: &[usize]) {
    for at in changed {
        let job = &note.jobs[*at];
        if let Fate::Again(_) = job.fate {
            deps.metrics.add(Metric::Reruns, 1, &[("Fleet", &job.fleet), ("Action", "again")]);
            warn!(
                run.id = note.run,
                run.repository = note.repository,
                fleet.name = job.fleet,
                job.id = job.id,
                job.name = job.name,
                runner.name = job.runner,
                "An interrupted job of run {} is run again",
                note.run
            );
        }
        if let Fate::Left(why) = job.fate {
            deps.metrics.add(Metric::Reruns, 1, &[("Fleet", &job.fleet), ("Action", why.name())]);
            info!(
                run.id = note.run,
                run.repository = note.repository,
                fleet.name = job.fleet,
                job.id = job.id,
                job.name = job.name,
                runner.name = job.runner,
                rerun.reason = why.name(),
                "An interrupted job of run {} is not run again: {}",
                note.run,
                why.says()
            );
        }
    }
}

/// GitHub did not answer, or refuses.
async fn refused<P: Ports>(deps: &Deps<P>, mut note: Note, error: &GitHubError) -> Result<Option<Millis>, LedgerError> {
    if !matches!(error, GitHubError::Permanent(_)) {
        warn!(run.id = note.run, error = %Chain(error), "GitHub is asked about run {} again", note.run);
        return Ok(Some(note.look_at));
    }
    deps.metrics.refused("rerun_refused");
    error!(run.id = note.run, run.repository = note.repository, error = %Chain(error),
        "Run {} can't be run again", note.run);
    let left = note.leave_all(Why::Refused);
    close(deps, note, &left).await
}

/// The latest executions of the run's jobs.
async fn jobs_of<P: Ports>(deps: &Deps<P>, target: &Target, note: &Note) -> Result<Vec<RunJob>, GitHubError> {
    let mut all = Vec::new();
    for page in 1..=MOST_PAGES {
        let (jobs, more) = deps.github.run_jobs(target, &note.repository, note.run, page).await?;
        all.extend(jobs);
        if !more {
            return Ok(all);
        }
    }
    deps.metrics.refused("rerun_cut");
    warn!(run.id = note.run, jobs.count = all.len(), "Run {} has more jobs than are looked at", note.run);
    Ok(all)
}

/// Writes the note, if it is as it was read.
async fn put<P: Ports>(deps: &Deps<P>, note: Note) -> Result<Option<Note>, LedgerError> {
    match deps.ledger.put_rerun(&note, deps.clock.now()).await? {
        Committed::Yes => Ok(Some(Note { version: note.version + 1, ..note })),
        Committed::Conflict => Ok(None),
    }
}

/// Adds what became of them to the histories of the jobs `changed`, each once: the times are those of the note.
async fn tell<P: Ports>(deps: &Deps<P>, note: &Note, changed: &[usize]) -> Result<(), LedgerError> {
    for it in changed.iter().map(|at| &note.jobs[*at]) {
        told::rerun(it, note, deps.clock.now());
        let Some(id) = it.id else { continue };
        for attempt in 1..=ATTEMPTS {
            let Some(job) = deps.ledger.job(id).await? else { break };
            let Some(job) = rerun::fated(job, it, note) else { break };
            if deps.ledger.commit(vec![Write::PutJob(job)]).await? == Committed::Yes {
                break;
            }
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
