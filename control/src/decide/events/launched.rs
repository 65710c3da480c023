//! What EC2's answer to a launch changes in the ledger.

use super::free;
use crate::{
    clock::Millis,
    decide::runners::RunnerState,
    ledger::{Reservation, Reuse, Runner, Stops, Write, history::History},
};

/// What the runners of a reservation begin with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long an instance has to boot, in seconds.
    pub boot_seconds: u64,
    /// Until when they are the invocation's own.
    pub lease_until: Millis,
    /// Whether they take several jobs.
    pub reusable: bool,
    /// Now.
    pub now: Millis,
}

/// What the launch of `instances` under `reservation` changes: a runner for each, save those that were heard to be
/// gone already (`gone`), and what was reserved and did not come is counted no longer.
///
/// Answers the transaction and the runners as the ledger will have them.
#[must_use]
pub fn resolved(
    reservation: &Reservation,
    instances: &[String],
    gone: &[Runner],
    terms: Terms,
) -> (Vec<Write>, Vec<Runner>) {
    resolved_in_part(reservation, instances, gone, terms, None)
}

/// The same, where `rest` is the reservation of what did not come: it stays reserved, and another request is made for
/// it.
#[must_use]
pub fn resolved_in_part(
    reservation: &Reservation,
    instances: &[String],
    gone: &[Runner],
    terms: Terms,
    rest: Option<&Reservation>,
) -> (Vec<Write>, Vec<Runner>) {
    let is_gone = |instance: &String| gone.iter().any(|runner| runner.instance == *instance);
    let runners: Vec<Runner> = instances
        .iter()
        .filter(|instance| !is_gone(instance))
        .map(|instance| Runner {
            fleet: reservation.fleet.clone(),
            instance: instance.clone(),
            state: if reservation.standby { RunnerState::Warming } else { RunnerState::Launched },
            reservation: reservation.token(),
            market: reservation.market,
            instance_type: None,
            asks: reservation.asks.clone(),
            scope: Some(reservation.scope.clone()),
            installation: reservation.installation,
            runner_id: None,
            reuse: terms.reusable.then(Reuse::default),
            trace: reservation.trace.clone(),
            history: launched(reservation, terms.now),
            launched_at: reservation.created_at,
            // It boots from its launch, for which its reservation may have waited.
            boot_deadline: terms.now + terms.boot_seconds * 1000,
            lease_until: terms.lease_until,
            stops: Stops::default(),
            untouched: false,
            expires: None,
            version: 0,
        })
        .collect();
    let mut writes = vec![match rest {
        Some(rest) => Write::PutReservation(rest.clone()),
        None => Write::DropReservation(reservation.clone()),
    }];
    writes.extend(runners.iter().cloned().map(Write::PutRunner));
    writes.extend(gone.iter().filter(|it| instances.contains(&it.instance)).cloned().map(Write::DropRunner));
    // EC2 gives no more than was asked for; the count fits.
    let came = u32::try_from(runners.len()).unwrap_or(reservation.count);
    let count = reservation.count.saturating_sub(came).saturating_sub(rest.map_or(0, |rest| rest.count));
    if count > 0 {
        writes.push(free(reservation.fleet.clone(), count, false));
    }
    let runners = runners.into_iter().map(|runner| Runner { version: 1, ..runner }).collect();
    (writes, runners)
}

/// How the life of a runner of `reservation` begins.
fn launched(reservation: &Reservation, now: Millis) -> History {
    let mut history = History::default();
    history.add(reservation.created_at, "reserved", format!("for {}", reservation.scope));
    history.add(now, RunnerState::Launched.name(), format!("under reservation {}", reservation.id));
    history
}
