//! What an instance tells on its way: that it lives, that it has a job, that it wants to retire.

use std::time::Duration;

use dayfly_contract::{Kind, Lifecycle, Reason};
use tracing::{error, info, warn};

use super::{Deps, Settled, cleaning::registered};
use crate::{
    clock::{Clock, Millis},
    decide::{pool, runners::RunnerState, words},
    fleets::{PoolKind, Target},
    github::{Deletion, GitHub, GitHubError},
    ledger::{ATTEMPTS, Committed, Ledger, Runner, Write},
    report::{BoxError, Chain},
};

/// So long an agent waits for control to retire its runner (its `retire_seconds`, unless the fleet says otherwise). Then
/// it decides alone, and may have a job by the time that an older message is read.
const RETIRE_PATIENCE: Duration = Duration::from_mins(1);

/// What the agent told on the way, then (`said_at`). Scale-up is woken where it is to stop the instance.
pub(super) async fn on_the_way<L: Ledger, G, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    said_at: Option<Millis>,
) -> Result<Settled, BoxError> {
    if !words::may_change(it) {
        return Ok(Settled::default());
    }
    for attempt in 1..=ATTEMPTS {
        let Some(runner) = deps.ledger.runner(&it.fleet, &it.instance_id).await? else {
            return Ok(Settled::default());
        };
        let before = runner.state.name();
        let Some(write) = words::word(it, runner, said_at, deps.clock.now()) else {
            return Ok(Settled::default());
        };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            info!(fleet.name = it.fleet, instance.id = it.instance_id, runner.before = before, kind = ?it.kind,
                "{} counts by its agent's word", it.instance_id);
            // Where it is to be stopped now, each minute costs.
            let pool = deps.fleets.get(&it.fleet).and_then(|fleet| fleet.pool.as_ref());
            let stops = it.kind == Kind::Standby && pool.is_some_and(|pool| pool.kind == PoolKind::Stopped);
            return Ok(Settled { wake: stops.then_some(Duration::ZERO), ..Settled::default() });
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    // The next heartbeat says the same.
    Ok(Settled::default())
}

/// Takes an instance that stands by out of the pool, at its agent's wish: no job gets it any more. One that was given to a
/// job in between finds its registration before its patience is out, and goes on.
async fn let_go<L: Ledger, G, H, W, C: Clock>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle) -> Result<(), BoxError> {
    for attempt in 1..=ATTEMPTS {
        let runner = deps.ledger.runner(&it.fleet, &it.instance_id).await?;
        let Some(write) = runner.and_then(|runner| pool::let_go(runner, deps.clock.now())) else {
            info!(instance.id = it.instance_id, fleet.name = it.fleet, "{} is none of the pool's", it.instance_id);
            return Ok(());
        };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            info!(instance.id = it.instance_id, fleet.name = it.fleet, "{} leaves the pool", it.instance_id);
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    // It ends all the same, and its end is told.
    Ok(())
}

/// `runner` if its fleet's pool of idle runners can spare it, noted as one that retires: of several that ask at once, no
/// more go than are too many. None where it is to listen on; then it is told nothing, and asks again later. What retires for
/// another reason than idleness is not kept.
async fn spared<L: Ledger, G, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    mut runner: Runner,
) -> Result<Option<Runner>, BoxError> {
    let fleet = deps.fleets.get(&it.fleet).filter(|_| it.reason == Some(Reason::Idle));
    let Some(fleet) = fleet.filter(|_| runner.state != RunnerState::Retiring) else { return Ok(Some(runner)) };
    if fleet.pool.as_ref().is_none_or(|pool| pool.kind != PoolKind::Idle) {
        return Ok(Some(runner));
    }
    for attempt in 1..=ATTEMPTS {
        let (view, now) = (deps.ledger.view(&it.fleet).await?, deps.clock.now());
        match pool::may_retire(fleet, &view, &runner, now) {
            None => return Ok(Some(runner)),
            Some(false) => {
                info!(instance.id = it.instance_id, fleet.name = it.fleet, "{} is kept by the pool", it.instance_id);
                return Ok(None);
            }
            Some(true) => {}
        }
        let going = pool::retiring(runner, now);
        let advance = Write::Advance { fleet: it.fleet.clone(), rev: view.meta.rev };
        if deps.ledger.commit(vec![advance, Write::PutRunner(going.clone())]).await? == Committed::Yes {
            return Ok(Some(Runner { version: going.next_version(), ..going }));
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        match deps.ledger.runner(&it.fleet, &it.instance_id).await? {
            Some(now) if now.state == RunnerState::Registered => runner = now,
            _ => return Ok(None),
        }
    }
    // It asks again.
    Ok(None)
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
    if it.reservation.is_none() {
        return let_go(deps, it).await;
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
    let idle = matches!(runner.state, RunnerState::Launched | RunnerState::Registered | RunnerState::Retiring);
    if !idle || words::is_working(&runner) {
        info!(instance.id = it.instance_id, state = runner.state.name(), "{} has a job and goes on", it.instance_id);
        return Ok(());
    }
    let Some(runner) = spared(deps, it, runner).await? else { return Ok(()) };
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
