//! What an instance tells on its way: that it lives, that it has a job, that it wants to retire.

use std::time::Duration;

use dayfly_contract::Lifecycle;
use tracing::{error, info, warn};

use super::{Deps, cleaning::registered};
use crate::{
    clock::{Clock, Millis},
    decide::{runners::RunnerState, words},
    fleets::Target,
    github::{Deletion, GitHub, GitHubError},
    ledger::{ATTEMPTS, Committed, Ledger},
    report::{BoxError, Chain},
};

/// So long an agent waits for control to retire its runner (its `retire_seconds`, unless the fleet says otherwise). Then
/// it decides alone, and may have a job by the time that an older message is read.
const RETIRE_PATIENCE: Duration = Duration::from_mins(1);

/// What the agent tells on the way.
pub(super) async fn on_the_way<L: Ledger, G, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
) -> Result<(), BoxError> {
    if !words::may_change(it) {
        return Ok(());
    }
    for attempt in 1..=ATTEMPTS {
        let Some(runner) = deps.ledger.runner(&it.fleet, &it.instance_id).await? else { return Ok(()) };
        let before = runner.state.name();
        let Some(write) = words::word(it, runner, deps.clock.now()) else { return Ok(()) };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            info!(fleet.name = it.fleet, instance.id = it.instance_id, runner.before = before, kind = ?it.kind,
                "{} counts by its agent's word", it.instance_id);
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    // The next heartbeat says the same.
    Ok(())
}

/// Deletes a runner that has no job at GitHub, so that it gets none any more: its listener is told, and exits. One that
/// got a job in between is refused by GitHub (422) and goes on; its agent sees the job. A message `sent_at` a time that is
/// past the agent's patience is none any more.
pub(super) async fn retire<L: Ledger, G: GitHub, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    sent_at: Option<Millis>,
) -> Result<(), BoxError> {
    let age = Duration::from_millis(sent_at.map_or(0, |at| deps.clock.now().saturating_sub(at)));
    if age > RETIRE_PATIENCE {
        deps.metrics.refused("retire_late");
        let age_s = age.as_secs();
        warn!(instance.id = it.instance_id, fleet.name = it.fleet, age_s, "{} has decided alone", it.instance_id);
        return Ok(());
    }
    let Some(runner) = deps.ledger.runner(&it.fleet, &it.instance_id).await? else {
        deps.metrics.refused("retire_unknown");
        info!(
            instance.id = it.instance_id,
            fleet.name = it.fleet,
            "{} is not in the ledger; it retires alone",
            it.instance_id
        );
        return Ok(());
    };
    // GitHub's DELETE has been seen to succeed on a busy runner. A message that comes late must not be believed more
    // than what GitHub, or the agent itself, has told of the runner's job.
    if !matches!(runner.state, RunnerState::Launched | RunnerState::Registered) || words::is_working(&runner) {
        info!(instance.id = it.instance_id, state = runner.state.name(), "{} has a job and goes on", it.instance_id);
        return Ok(());
    }
    let Some(scope) = runner.scope.clone() else { return Ok(()) };
    let target = Target { scope, installation: runner.installation };
    let Some(id) = registered(deps, it, &runner, &target).await? else { return Ok(()) };
    let deleted = match deps.github.delete_runner(&target, id).await {
        // It would be refused again. The agent stops its runner itself after a while.
        Err(error @ GitHubError::Permanent(_)) => {
            deps.metrics.refused("retire_refused");
            error!(instance.id = it.instance_id, error = %Chain(&error), "{} can't be retired", it.instance_id);
            return Ok(());
        }
        other => other?,
    };
    match deleted {
        Deletion::Gone => info!(instance.id = it.instance_id, runner.id = id, "Runner {id} is retired"),
        Deletion::Busy => info!(instance.id = it.instance_id, runner.id = id, "Runner {id} has got a job and goes on"),
    }
    Ok(())
}
