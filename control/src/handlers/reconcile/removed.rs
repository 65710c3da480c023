//! A fleet that is in no document any more: its queued jobs go to whoever takes them now, and what stood by for its pool is
//! ended. Scale-up does not know such a fleet, so nobody else would. What has a job, or may get one, goes on.

use dayfly_contract::names;
use tracing::{error, info, warn};

use super::{Done, Ports, Run, deaths, jobs};
use crate::{
    clock::Millis,
    compute::Compute,
    decide::{
        events::{self, JobEvent},
        jobs::JobState,
        lives, pool,
        reconcile::deaths::AtGitHub,
        runners::RunnerState,
    },
    fleets::{Owner, Target},
    handlers::webhook::take::{Door, Taken, take},
    handover::Handover,
    ledger::{Committed, Ledger, Runner, View, Write},
    report::Chain,
};

/// The most jobs that are routed anew, and instances that are looked after, in one run.
const MOST: usize = 20;
/// An instance whose registration was taken away may have claimed it just before, and registers within this time.
const AFTER_TAKING: Millis = 120_000;

/// Looks after what `view` has of the removed fleet `fleet`.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>, fleet: &str, view: &View) {
    for marker in view.queued.iter().take(MOST) {
        if !run.has_time() {
            return;
        }
        if let Err(failed) = route_anew(run, fleet, marker.job).await {
            run.deps.metrics.refused("reconcile");
            error!(job.id = marker.job, fleet.name = fleet, error = %Chain(failed.as_ref()),
                "Job {} of a fleet that is gone is routed in the next run", marker.job);
        }
    }
    for runner in view.runners.iter().filter(|it| it.state.is_unregistered()).take(MOST) {
        if !run.has_time() {
            return;
        }
        if let Err(failed) = dismiss(run, runner.clone()).await {
            run.deps.metrics.refused("reconcile");
            error!(fleet.name = fleet, instance.id = runner.instance, error = %Chain(failed.as_ref()),
                "{} stands by for nobody, and is looked after in the next run", runner.instance);
        }
    }
}

/// Takes a queued job in again, as its webhook would be: by the fleets that there are now.
async fn route_anew<P: Ports>(run: &Run<'_, P>, fleet: &str, id: u64) -> Done {
    let deps = run.deps;
    let Some(job) = deps.ledger.job(id).await?.filter(|it| it.state == JobState::Queued && it.fleet == fleet) else {
        return Ok(());
    };
    let target = jobs::target(run, &job);
    let Some((_, public_fork)) = jobs::routed(run, &job, &target).await? else {
        return Ok(jobs::refuse(run, job).await?);
    };
    let event = JobEvent {
        state: JobState::Queued,
        id,
        labels: job.labels.clone(),
        asks: Vec::new(),
        repository: job.repository.clone(),
        public_fork,
        run_id: job.run_id,
        run_attempt: job.run_attempt,
        installation: job.installation,
        runner_name: None,
        runner_id: None,
        conclusion: None,
        waited_ms: None,
    };
    let door = Door {
        fleets: &deps.fleets,
        ledger: &deps.ledger,
        wake: &deps.wake,
        metrics: &deps.metrics,
        clock: &deps.clock,
    };
    if matches!(take(&door, "", &event, &Owner::default(), None).await?, Taken::Noted) {
        deps.metrics.mended("removed_fleet");
        warn!(job.id = id, fleet.name = fleet, "Job {id} waited for fleet {fleet}, which is gone, and was routed anew");
    }
    Ok(())
}

/// Takes an instance that stands by out of the pool, and ends it once it is certain that it has no registration: the
/// ledger gives it to nobody from the first write on, what may wait for it in the store is deleted, and two minutes later
/// GitHub knows no runner of its name. Its agent would wait for the end of its lifetime, and can't be told: where it
/// looks was its fleet's to say.
async fn dismiss<P: Ports>(run: &Run<'_, P>, runner: Runner) -> Done {
    let (deps, instance) = (run.deps, runner.instance.clone());
    if runner.state != RunnerState::Withdrawn {
        let withdrawn = pool::withdrawn(runner, run.now() + AFTER_TAKING, run.now());
        let fleet = withdrawn.fleet.clone();
        if deps.ledger.commit(vec![Write::PutRunner(withdrawn)]).await? == Committed::Yes {
            info!(fleet.name = fleet, instance.id = instance, "{instance} leaves the pool of a fleet that is gone");
            deps.handover.delete(&instance).await?;
        }
        return Ok(());
    }
    // Whoever withdrew it may have been killed before it could take the registration away.
    deps.handover.delete(&instance).await?;
    let Some(scope) = runner.scope.clone().filter(|_| runner.lease_until <= run.now()) else { return Ok(()) };
    let target = Target { scope, installation: runner.installation };
    let name = names::runner_name(&runner.fleet, &instance);
    if deaths::standing(run, std::slice::from_ref(&target), &name).await != AtGitHub::Absent {
        return Ok(());
    }
    let fleet = runner.fleet.clone();
    let writes = lives::kept(events::given_up(runner.clone()), Some(&runner), run.now());
    // Where it has moved, it is another matter. Who is killed after this leaves a stray.
    if deps.ledger.commit(writes).await? == Committed::Yes {
        deps.metrics.mended("removed_fleet");
        warn!(fleet.name = fleet, instance.id = instance, "Ended {instance}, which stood by for a fleet that is gone");
        deps.compute.terminate(std::slice::from_ref(&instance)).await?;
    }
    Ok(())
}
