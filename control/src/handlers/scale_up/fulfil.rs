//! A reservation becomes instances, and these are written down.

use std::time::Duration;

use futures::future::join_all;
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::{Task, pause},
    register::register,
};
use crate::{
    clock::Clock,
    compute::{Compute, LaunchError, Launched},
    decide::{
        errors::{Class, TOKEN_MISMATCH},
        events, launch,
        runners::RunnerState,
    },
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Reservation, Runner, Write},
    report::Chain,
};

/// How long a fleet is left alone when EC2 has no capacity for it.
const CAPACITY_WAIT: Duration = Duration::from_secs(15);

/// Launches what was reserved, writes it down and registers it.
pub(super) async fn fulfil<P: Ports>(deps: &Deps<P>, task: &Task<'_>, reservation: Reservation) -> Outcome {
    let worked: Result<Outcome, LedgerError> = async {
        let launched = match launch(deps, task, &reservation).await {
            Ok(launched) => launched,
            Err(error) => return refused(deps, task, reservation.clone(), &error).await,
        };
        let missing = shortfall(deps, task, &reservation, &launched).await?;
        let Some(runners) = resolve(deps, task, &reservation, &launched.instances).await? else {
            return Ok(Outcome::Done);
        };
        let missing = if runners.len() < launched.instances.len() { Outcome::Later(Duration::ZERO) } else { missing };
        let outcomes = join_all(runners.into_iter().map(|runner| register(deps, task, runner))).await;
        Ok(outcomes.into_iter().chain([missing]).max().unwrap_or(Outcome::Done))
    }
    .await;
    match worked {
        Ok(outcome) => outcome,
        Err(error) => {
            error!(fleet.name = task.fleet.name, reservation.id = reservation.id, error = %Chain(&error),
                "Reservation {} is left to the next look", reservation.id);
            // Where this fails too, or its instances were written down after all, the lease runs out.
            let _: Result<Committed, LedgerError> = free(deps, reservation.clone()).await;
            Outcome::Again
        }
    }
}

/// The reservation's instances. Asking with the same token again after a crash gives those of the first time. Once
/// their boot deadline is past they are only looked for: they have given up or will, and new ones are for a new plan.
async fn launch<P: Ports>(deps: &Deps<P>, task: &Task<'_>, reservation: &Reservation) -> Result<Launched, LaunchError> {
    let found = |instances| Launched { instances, shortfalls: Vec::new() };
    if deps.clock.now() >= reservation.created_at + task.fleet.boot_seconds * 1000 {
        return deps.compute.find(&reservation.id).await.map(found);
    }
    let request = launch::request(&deps.deployment, task.fleet, reservation);
    let started = deps.clock.now();
    match deps.compute.launch(&request).await {
        // The fleet has changed since a first request was sent under this token.
        Err(error) if error.code.as_deref() == Some(TOKEN_MISMATCH) => {
            deps.compute.find(&reservation.id).await.map(found)
        }
        Ok(launched) => {
            info!(
                fleet.name = task.fleet.name,
                reservation.id = reservation.id,
                launch.asked = reservation.count,
                launch.came = launched.instances.len(),
                duration_ms = deps.clock.now().saturating_sub(started),
                "Launched {} of {} instances",
                launched.instances.len(),
                reservation.count
            );
            Ok(launched)
        }
        Err(error) => Err(error),
    }
}

/// Gives up the lease of `reservation`.
async fn free<P: Ports>(deps: &Deps<P>, reservation: Reservation) -> Result<Committed, LedgerError> {
    deps.ledger.commit(vec![Write::PutReservation(Reservation { lease_until: 0, ..reservation })]).await
}

/// A launch that was refused as a whole.
async fn refused<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: Reservation,
    error: &LaunchError,
) -> Result<Outcome, LedgerError> {
    let fleet = task.fleet;
    match error.class {
        Class::Transient => {
            // Perhaps it was carried out: the reservation stands, free for the next look to ask again.
            warn!(fleet.name = fleet.name, reservation.id = reservation.id, "{}", Chain(error));
            // Where it changed meanwhile, somebody else has it.
            let _: Committed = free(deps, reservation).await?;
            Ok(Outcome::Again)
        }
        Class::Capacity => {
            warn!(fleet.name = fleet.name, reservation.id = reservation.id, "{}", Chain(error));
            resolve(deps, task, &reservation, &[]).await?;
            pause(deps, fleet, CAPACITY_WAIT).await
        }
        Class::Permanent => {
            error!(fleet.name = fleet.name, reservation.id = reservation.id, "{}", Chain(error));
            resolve(deps, task, &reservation, &[]).await?;
            Ok(Outcome::Done)
        }
    }
}

/// What follows from fewer instances than were reserved: the best hope among the reasons counts.
async fn shortfall<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    launched: &Launched,
) -> Result<Outcome, LedgerError> {
    let missing = usize::try_from(reservation.count).unwrap_or(0).saturating_sub(launched.instances.len());
    if missing == 0 {
        return Ok(Outcome::Done);
    }
    let reasons: Vec<&str> = launched.shortfalls.iter().map(|it| it.reason.as_str()).collect();
    let reasons = reasons.join("; ");
    let fleet = task.fleet;
    match launched.shortfalls.iter().map(|it| it.class).min() {
        // They were looked for, and some are gone.
        None => Ok(Outcome::Later(Duration::ZERO)),
        Some(Class::Permanent) => {
            error!(
                fleet.name = fleet.name,
                reservation.id = reservation.id,
                reasons,
                "{missing} instances did not come"
            );
            Ok(Outcome::Done)
        }
        Some(Class::Transient | Class::Capacity) => {
            warn!(
                fleet.name = fleet.name,
                reservation.id = reservation.id,
                reasons,
                "{missing} instances did not come"
            );
            pause(deps, fleet, CAPACITY_WAIT).await
        }
    }
}

/// Writes the reservation's instances down as runners. None where another invocation has done so.
async fn resolve<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    instances: &[String],
) -> Result<Option<Vec<Runner>>, LedgerError> {
    let mut gone = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let boot = task.fleet.boot_seconds;
        let (writes, runners) = events::resolved(reservation, instances, &gone, boot, task.lease_until);
        if deps.ledger.commit(writes).await? == Committed::Yes {
            return Ok(Some(runners));
        }
        let view = deps.ledger.view(&reservation.fleet).await?;
        let ours = |it: &&Reservation| it.id == reservation.id && it.version == reservation.version;
        if !view.reservations.iter().any(|it| ours(&it)) {
            return Ok(None);
        }
        gone = view.runners.into_iter().filter(|it| it.state == RunnerState::Gone).collect();
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    Err(LedgerError::new(
        format!("writing down the instances of reservation {}", reservation.id),
        format!("the ledger changed under {ATTEMPTS} attempts"),
    ))
}
