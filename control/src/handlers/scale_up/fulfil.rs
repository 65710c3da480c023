//! A reservation becomes instances, and these are written down.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::{AFTER_PAUSE, Task},
    pace::{self, Turn},
    refusals::{pause, refuse},
    register::register,
};
use crate::{
    clock::{Clock, Millis},
    compute::{Compute, LaunchError, Launched, Shortfall},
    decide::{
        answer::{self, Answer},
        breaker::{Breakers, Heard},
        errors::{Class, TOKEN_MISMATCH},
        events::{self, Terms},
        launch::{self, LaunchRequest},
        lives,
        offers::{self, Choice, choose},
        runners::RunnerState,
        wishes::Wishes,
    },
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Offers, Reservation, Runner, Write},
    metrics::Metric,
    report::Chain,
    told,
};

/// How long a fleet is left alone when EC2 gives less than was asked for and the reason may pass by itself.
const SHORT_WAIT: Duration = Duration::from_secs(15);

/// Launches what was reserved when its turn comes, writes it down and registers it. What one market does not have stays reserved and is
/// asked for in the next, under a token of its own.
pub(super) async fn fulfil<P: Ports>(deps: &Deps<P>, task: &Task<'_>, reservation: Reservation, turn: Turn) -> Outcome {
    match answered(deps, task, &reservation, turn).await {
        Ok(outcome) => outcome,
        Err(error) => {
            error!(fleet.name = task.fleet.name, reservation.id = reservation.id, error = %Chain(&error),
                "Reservation {} is left to the next look", reservation.id);
            // Where this fails too, or its instances were written down after all, the lease runs out.
            let _: Result<Committed, LedgerError> = free(deps, reservation).await;
            Outcome::AGAIN
        }
    }
}

async fn answered<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    turn: Turn,
) -> Result<Outcome, LedgerError> {
    let fleet = task.fleet;
    // Where the fleet no longer allows what it was reserved for, nothing is launched: it is looked for.
    let wishes = Wishes::read(reservation.asks.iter().map(String::as_str), &fleet.steering);
    let request = wishes.as_ref().ok().map(|wishes| launch::request(&deps.deployment, fleet, wishes, reservation));
    let request = request.filter(|_| deps.clock.now() < reservation.created_at + fleet.boot_seconds * 1000);
    let launched = match launch(deps, task, reservation, request.as_ref(), turn).await {
        Ok(launched) => launched,
        Err(Unlaunched::Paced(until)) => {
            let _: Committed = free(deps, reservation.clone()).await?;
            return Ok(Outcome::at(until));
        }
        Err(Unlaunched::Transient(error)) => {
            // Perhaps it was carried out: the reservation stands, free for the next look to ask again.
            warn!(fleet.name = fleet.name, reservation.id = reservation.id, "{}", Chain(&error));
            // Where it changed meanwhile, somebody else has it.
            let _: Committed = free(deps, reservation.clone()).await?;
            return Ok(Outcome::AGAIN);
        }
    };
    let (launched, found) = launched;
    let mut rest = None;
    let mut outcome = Outcome::DONE;
    if let (Some(request), Ok(wishes), false) = (&request, &wishes, found) {
        let answer = answer::read(request, &launched);
        let breakers = note(deps, task, reservation, &answer, &launched).await?;
        rest = next_group(deps, task, reservation, wishes, &answer, &breakers);
        if rest.is_none() {
            outcome = shortfall(deps, task, reservation, wishes, &answer, &launched, &breakers).await?;
        }
    } else if launched.instances.len() < reservation.count as usize {
        // They were looked for, and some are gone: what is missing is planned anew.
        outcome = Outcome::at(deps.clock.now());
    }
    let Some(runners) = resolve(deps, task, reservation, &launched, rest.as_ref()).await? else {
        return Ok(Outcome::DONE);
    };
    if runners.len() < launched.instances.len() {
        outcome = outcome.and(Outcome::at(deps.clock.now()));
    }
    // What stands by is registered when a job comes.
    let runners: Vec<Runner> = runners.into_iter().filter(|it| it.state == RunnerState::Launched).collect();
    let turns = pace::registrations(deps, task, runners.len()).await;
    let registered = join_all(runners.into_iter().zip(turns).map(|(runner, turn)| register(deps, task, runner, turn)));
    let rest = async {
        let Some(rest) = rest else { return Outcome::DONE };
        let granted = pace::launches(deps, task, &[rest.count]).await;
        let turn = granted.launches.first().map_or(Turn::NotBefore(granted.later), |at| Turn::At(*at));
        Box::pin(fulfil(deps, task, Reservation { version: rest.version + 1, ..rest }, turn)).await
    };
    let (registered, rest) = futures::join!(registered, rest);
    Ok(registered.into_iter().chain([rest, outcome]).fold(Outcome::DONE, Outcome::and))
}

/// Why nothing is known of a launch.
enum Unlaunched {
    /// It is not its turn before then.
    Paced(Millis),
    /// It failed on the way.
    Transient(LaunchError),
}

/// The reservation's instances, and whether they were only looked for. Asking with the same token again after a crash gives
/// those of the first time. Without a request they are looked for: once their boot deadline is past they have given up or
/// will, and new ones are for a new plan.
async fn launch<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    request: Option<&LaunchRequest>,
    turn: Turn,
) -> Result<(Launched, bool), Unlaunched> {
    let token = reservation.token();
    let find = async || {
        let found = deps.compute.find(&token).await.map_err(Unlaunched::Transient)?;
        Ok((Launched { instances: found, ..Launched::default() }, true))
    };
    let Some(request) = request else { return find().await };
    match turn {
        Turn::At(at) => pace::wait(deps, at).await,
        Turn::NotBefore(until) => return Err(Unlaunched::Paced(until)),
    }
    let started = deps.clock.now();
    match deps.compute.launch(request).await {
        // The fleet has changed since a first request was sent under this token.
        Err(error) if error.code.as_deref() == Some(TOKEN_MISMATCH) => find().await,
        Err(error) => {
            let code = error.code.clone().unwrap_or_else(|| "unknown".to_owned());
            measure_error(deps, task, &code);
            if error.class == Class::Transient {
                return Err(Unlaunched::Transient(error));
            }
            let reason = Chain(&error).to_string();
            let whole = Shortfall { class: error.class, code, reason, pool: None, zone: None };
            Ok((Launched { shortfalls: vec![whole], ..Launched::default() }, false))
        }
        Ok(launched) => {
            measure(deps, task, reservation, &launched);
            info!(
                fleet.name = task.fleet.name,
                reservation.id = reservation.id,
                launch.market = request.market.name(),
                launch.asked = reservation.count,
                launch.came = launched.instances.len(),
                duration_ms = deps.clock.now().saturating_sub(started),
                "Launched {} of {} instances",
                launched.instances.len(),
                reservation.count
            );
            Ok((launched, false))
        }
    }
}

/// Counts what came of a launch, and what did not.
fn measure<P: Ports>(deps: &Deps<P>, task: &Task<'_>, reservation: &Reservation, launched: &Launched) {
    let fleet = [("Fleet", task.fleet.name.as_str())];
    let came = u64::try_from(launched.instances.len()).unwrap_or_default();
    deps.metrics.add(Metric::InstancesAsked, u64::from(reservation.count), &fleet);
    deps.metrics.add(Metric::InstancesLaunched, came, &fleet);
    for it in &launched.shortfalls {
        match &it.pool {
            Some(pool) if it.class == Class::Capacity => {
                let zone = it.zone.as_deref().unwrap_or(&pool.subnet);
                let offer = [("InstanceType", pool.instance_type.as_deref().unwrap_or_default()), ("Zone", zone)];
                deps.metrics.add(Metric::CapacityErrors, 1, &offer);
            }
            _ => measure_error(deps, task, &it.code),
        }
    }
}

/// Counts what EC2 refused, by its code.
fn measure_error<P: Ports>(deps: &Deps<P>, task: &Task<'_>, code: &str) {
    deps.metrics.add(Metric::LaunchErrors, 1, &[("Fleet", &task.fleet.name), ("Reason", code)]);
}

/// Notes which offers failed and which worked; answers the breakers as they are then. In the good case that is no call.
async fn note<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    answer: &Answer,
    launched: &Launched,
) -> Result<Breakers, LedgerError> {
    let failed = &answer.failed;
    // Perhaps no other job asks for that: the fleet goes on without these.
    let refused = offers::asks_key(&reservation.asks).filter(|_| answer.class == Some(Class::Permanent));
    let refused: Vec<_> = refused.into_iter().map(|key| (key, Heard::Failed, reasons(launched))).collect();
    let mut offers: Offers = task.offers.clone();
    for attempt in 1..=ATTEMPTS {
        let chance = u64::try_from(deps.clock.random() % u128::from(u64::MAX)).unwrap_or_default();
        let now = deps.clock.now();
        let changed = offers.breakers.hear(&answer.worked, failed, now, chance);
        if !offers.breakers.take_in(&refused, now, chance) && !changed {
            return Ok(offers.breakers);
        }
        if deps.ledger.commit(vec![Write::PutOffers(offers.clone())]).await? == Committed::Yes {
            let names: BTreeSet<&str> = failed.iter().map(String::as_str).collect();
            if !names.is_empty() {
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                warn!(fleet.name = task.fleet.name, offers = names, "EC2 has none of these; they are left out for now");
            }
            return Ok(offers.breakers);
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        offers = deps.ledger.offers(&task.fleet.name).await?;
    }
    Err(LedgerError::new(
        format!("noting the offers of {}", task.fleet.name),
        format!("the ledger changed under {ATTEMPTS} attempts"),
    ))
}

/// The reservation of what did not come for want of capacity, where another market may be asked for it.
fn next_group<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    wishes: &Wishes,
    answer: &Answer,
    breakers: &Breakers,
) -> Option<Reservation> {
    let market = reservation.market.unwrap_or(task.fleet.launch.market);
    let next = offers::next_market(task.fleet, wishes, market).filter(|_| answer.class == Some(Class::Capacity))?;
    let Choice::Ask { market, without } = choose(task.fleet, wishes, next, breakers, deps.clock.now()) else {
        return None;
    };
    Some(Reservation {
        group: reservation.group + 1,
        count: answer.missing,
        market: Some(market),
        without,
        ..reservation.clone()
    })
}

/// Gives up the lease of `reservation`.
async fn free<P: Ports>(deps: &Deps<P>, reservation: Reservation) -> Result<Committed, LedgerError> {
    deps.ledger.commit(vec![Write::PutReservation(Reservation { lease_until: 0, ..reservation })]).await
}

/// What follows from fewer instances than were reserved, where no other market is left to ask.
async fn shortfall<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    wishes: &Wishes,
    answer: &Answer,
    launched: &Launched,
    breakers: &Breakers,
) -> Result<Outcome, LedgerError> {
    let (fleet, missing) = (task.fleet, answer.missing);
    if missing == 0 {
        return Ok(Outcome::DONE);
    }
    let (reasons, id) = (reasons(launched), &reservation.id);
    let now = deps.clock.now();
    match answer.class {
        // Nobody says why. It is no reason to ask again at once, and none to leave it.
        None | Some(Class::Transient) => {
            warn!(fleet.name = fleet.name, reservation.id = id, reasons, "{missing} instances did not come");
            pause(deps, task, SHORT_WAIT).await
        }
        Some(Class::Capacity) => {
            warn!(fleet.name = fleet.name, reservation.id = id, reasons, "{missing} instances did not come");
            match choose(fleet, wishes, offers::first_market(fleet, wishes), breakers, now) {
                Choice::Wait(back) => Ok(Outcome::at(back + AFTER_PAUSE)),
                // Others are left than those that failed, which are left out from now on.
                Choice::Ask { .. } => Ok(Outcome::at(now + AFTER_PAUSE)),
            }
        }
        Some(Class::Permanent) => {
            error!(fleet.name = fleet.name, reservation.id = id, reasons, "{missing} instances did not come");
            let code = launched.shortfalls.first().map_or("unknown", |it| it.code.as_str());
            match offers::asks_key(&reservation.asks) {
                None => refuse(deps, task, code, &reasons).await,
                Some(key) => {
                    Ok(breakers.open(&key, now).map_or(Outcome::DONE, |until| Outcome::at(until + AFTER_PAUSE)))
                }
            }
        }
    }
}

/// Why not all instances came, in EC2's words.
fn reasons(launched: &Launched) -> String {
    let reasons: Vec<&str> = launched.shortfalls.iter().map(|it| it.reason.as_str()).collect();
    reasons.join("; ")
}

/// Writes the reservation's instances down as runners, and `rest` in its place. None where another invocation has done so.
async fn resolve<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    reservation: &Reservation,
    launched: &Launched,
    rest: Option<&Reservation>,
) -> Result<Option<Vec<Runner>>, LedgerError> {
    let mut gone = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let terms = Terms {
            boot_seconds: task.fleet.boot_seconds,
            lease_until: task.lease_until,
            reusable: !task.fleet.ephemeral,
            now: deps.clock.now(),
        };
        let came = events::resolved_in_part(reservation, &launched.instances, &gone, terms, rest);
        let (mut writes, runners) = lives::typed(came, &launched.types);
        // Not where the meta item changes anyway: a transaction touches an item once. The next launch does it then.
        let free = writes.iter().any(|it| matches!(it, Write::Free { .. }));
        if task.refusals.is_some() && !launched.instances.is_empty() && !free {
            writes.push(Write::Recover { fleet: reservation.fleet.clone() });
        }
        if deps.ledger.commit(writes).await? == Committed::Yes {
            told::launched(&runners, deps.clock.now());
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
