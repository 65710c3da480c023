//! A job whose instance is taken away: it is noted under its run, which is looked at until it has completed
//! ([`crate::handlers::scale_up`] does that, since it has the fleets).

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use dayfly_contract::Lifecycle;
use tracing::{info, warn};

use super::{Deps, sent_at};
use crate::{
    clock::Clock,
    decide::{
        jobs::JobState,
        rerun::{self, FIRST_LOOK, Interrupted, Note},
    },
    handlers::batch::receive_count,
    ledger::{ATTEMPTS, Committed, Job, Ledger, LedgerError, Reruns, Write},
    report::BoxError,
    told,
    wake::{Look, Wake, WakeUp},
};

/// So often it is asked what run a job is of that nobody has told of: GitHub's `in_progress` may be on its way.
const MOST_RECEIVES: u32 = 6;

/// Notes the job that `it` tells of, and has its run looked at.
pub(super) async fn note<L: Ledger + Reruns, G, H, W: Wake, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    message: &SqsMessage,
) -> Result<(), BoxError> {
    if !rerun::is_taken_away(it) {
        info!(instance.id = it.instance_id, fleet.name = it.fleet, life.reason = ?it.reason,
            "The job of {} was cut short, and would be again", it.instance_id);
        return Ok(());
    }
    let now = deps.clock.now();
    let runner = deps.ledger.runner(&it.fleet, &it.instance_id).await?;
    let job = match runner.as_ref().and_then(rerun::job_of) {
        Some(id) => deps.ledger.job(id).await?,
        None => None,
    };
    let at = sent_at(message).unwrap_or(now).min(now);
    let Some((place, interrupted)) =
        rerun::interruption(it, runner.as_ref(), deps.fleets.get(&it.fleet), job.as_ref(), at)
    else {
        if receive_count(message) < MOST_RECEIVES {
            return Err(format!("nobody has told yet of what run the job of {} is", it.instance_id).into());
        }
        deps.metrics.refused("interrupted_unknown");
        warn!(
            instance.id = it.instance_id,
            fleet.name = it.fleet,
            "The job of {} was interrupted, and nobody has told of what run it is",
            it.instance_id
        );
        return Ok(());
    };
    let run = place.run;
    for attempt in 1..=ATTEMPTS {
        let before = deps.ledger.rerun(run).await?;
        // A repeated message: whoever noted it may have been killed before it sent for the look.
        let Some(note) = Note::with(before, place.clone(), interrupted.clone()) else { break };
        if deps.ledger.put_rerun(&note, now).await? == Committed::Yes {
            told::interrupted(&interrupted, &place, it, now);
            warn!(
                instance.id = it.instance_id,
                fleet.name = it.fleet,
                run.id = run,
                run.repository = place.repository,
                job.id = interrupted.id,
                job.name = interrupted.name,
                life.reason = interrupted.reason,
                "A job of run {run} was interrupted; the run is waited for"
            );
            break;
        }
        if attempt == ATTEMPTS {
            return Err(format!("what is noted of run {run} changed under {ATTEMPTS} attempts").into());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    // Its `completed` may have come before this.
    let is_over = job.as_ref().is_some_and(|job| job.state == JobState::Done);
    let wait = if is_over { rerun::AFTER_JOB } else { FIRST_LOOK };
    if let Some(job) = job {
        remember(deps, job, &interrupted).await?;
    }
    let look = WakeUp { run: Some(Look { id: run, at: 0 }), ..WakeUp::new(&it.fleet) };
    deps.wake.send(&look, Duration::from_millis(wait)).await?;
    Ok(())
}

/// Adds the interruption to the job's history: its `completed` has the run looked at, then.
async fn remember<L: Ledger, G, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    job: Job,
    it: &Interrupted,
) -> Result<(), LedgerError> {
    let (id, mut found) = (job.id, Some(job));
    for attempt in 1..=ATTEMPTS {
        let Some(changed) = found.and_then(|job| rerun::told(job, it)) else { return Ok(()) };
        if deps.ledger.commit(vec![Write::PutJob(changed)]).await? == Committed::Yes {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        found = deps.ledger.job(id).await?;
    }
    // Nobody waits for a history; it only hastens the look.
    info!(job.id = id, "The history of job {id} changed under {ATTEMPTS} attempts, and has no interruption in it");
    Ok(())
}
