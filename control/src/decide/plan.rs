//! How many instances are missing.
//!
//! ```text
//! demand = jobs queued, past the fleet's delay
//! supply = unresolved reservations + runners within their boot deadline + spent runners
//! launch = clamp(demand - supply, 0, max - alive)
//! ```
//!
//! A runner can only take jobs of the owner it is registered for, so demand and supply are counted for each owner
//! (scope) apart. Where `max` leaves too little for all, those whose job has waited longest come first.

use crate::{
    clock::{Millis, seconds},
    decide::runners::RunnerState,
    fleets::{Fleet, Scope, Target},
    ledger::{Marker, Reservation, Runner, View},
};

/// The most instances of one reservation. Its resolution puts an item for each in one transaction, and DynamoDB takes
/// 100 in one; a fourth of that also keeps what one crash leaves behind small.
pub const LARGEST_RESERVATION: u32 = 25;

/// The wake-up of a delayed job may run by a clock that is a little behind the one that wrote its time.
const CLOCK_TOLERANCE: Millis = 1000;

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to launch: each a reservation of its own.
    pub launches: Vec<Wanted>,
    /// Jobs past the fleet's delay.
    pub demand: u64,
    /// Runners that will take one.
    pub supply: u64,
    /// What is missing but does not fit under the fleet's `max`.
    pub held_back: u64,
}

/// Instances for one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who the runners are for.
    pub target: Target,
    /// How many, at most [`LARGEST_RESERVATION`].
    pub count: u32,
}

/// Plans for `fleet`, whose level is `view`.
#[must_use]
pub fn plan(fleet: &Fleet, view: &View, now: Millis) -> Plan {
    let needs = needs(fleet, view, now);
    let mut room = fleet.max.saturating_sub(view.meta.alive);
    let mut plan = Plan::default();
    for need in needs {
        plan.demand += need.demand;
        plan.supply += need.supply;
        let missing = need.demand.saturating_sub(need.supply);
        let launch = missing.min(room);
        room -= launch;
        plan.held_back += missing - launch;
        plan.launches.extend(split(launch).map(|count| Wanted { target: need.target.clone(), count }));
    }
    plan
}

/// One owner's part of the level.
struct Need {
    target: Target,
    demand: u64,
    supply: u64,
}

/// The needs of all owners, those with the oldest job first.
fn needs(fleet: &Fleet, view: &View, now: Millis) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut queued: Vec<&Marker> = view.queued.iter().filter(|it| is_due(fleet, it, now)).collect();
    queued.sort_by_key(|it| (it.queued_at, it.job));
    for marker in queued {
        let need = need_of(&mut needs, fleet, &fleet.scope_for(&marker.repository));
        need.demand += 1;
        // The latest webhook knows best.
        need.target = fleet.target(need.target.scope.clone(), marker.installation.or(need.target.installation));
    }
    for reservation in &view.reservations {
        need_of(&mut needs, fleet, &reservation.scope).supply += u64::from(reservation.count);
    }
    for runner in &view.runners {
        // The query may have met a reservation and then the runners it was resolved to meanwhile.
        let counted = view.reservations.iter().any(|it| it.id == runner.reservation);
        if let (false, true, Some(scope)) = (counted, is_supply(runner, now), &runner.scope) {
            need_of(&mut needs, fleet, scope).supply += 1;
        }
    }
    needs
}

fn need_of<'a>(needs: &'a mut Vec<Need>, fleet: &Fleet, scope: &Scope) -> &'a mut Need {
    let at = needs.iter().position(|need| need.target.scope == *scope).unwrap_or_else(|| {
        let target = fleet.target(scope.clone(), None);
        needs.push(Need { target, demand: 0, supply: 0 });
        needs.len() - 1
    });
    &mut needs[at]
}

fn is_due(fleet: &Fleet, marker: &Marker, now: Millis) -> bool {
    let due = marker.queued_at + fleet.delay_seconds * 1000;
    due <= now + CLOCK_TOLERANCE && marker.expires > seconds(now)
}

fn is_supply(runner: &Runner, now: Millis) -> bool {
    match runner.state {
        RunnerState::Launched | RunnerState::Registered => runner.boot_deadline > now,
        RunnerState::Spent => runner.expires.is_none_or(|expires| expires > seconds(now)),
        RunnerState::Busy | RunnerState::Gone => false,
    }
}

/// `count` in parts of at most [`LARGEST_RESERVATION`].
fn split(count: u64) -> impl Iterator<Item = u32> {
    let largest = u64::from(LARGEST_RESERVATION);
    let parts = count.div_ceil(largest);
    // Each part is at most 25.
    (0..parts).map(move |i| u32::try_from((count - i * largest).min(largest)).unwrap_or(LARGEST_RESERVATION))
}

/// Reservations that a dead invocation left unresolved.
#[must_use]
pub fn left_reservations(view: &View, now: Millis) -> Vec<Reservation> {
    view.reservations.iter().filter(|it| it.lease_until <= now).cloned().collect()
}

/// Runners whose registration a dead invocation left undone and whose instance may still be waiting for it.
#[must_use]
pub fn left_runners(view: &View, now: Millis) -> Vec<Runner> {
    let left = |it: &&Runner| it.state == RunnerState::Launched && it.lease_until <= now && it.boot_deadline > now;
    view.runners.iter().filter(left).cloned().collect()
}

#[cfg(test)]
mod tests;
