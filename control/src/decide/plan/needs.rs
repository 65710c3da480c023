//! What each owner's jobs need, and what there is for them.

use crate::{
    clock::{Millis, seconds},
    decide::runners::RunnerState,
    fleets::{Fleet, Market, PoolKind, Scope, Target},
    ledger::{Manual, Marker, Runner, View},
};

/// The wake-up of a delayed job may run by a clock that is a little behind the one that wrote its time.
const CLOCK_TOLERANCE: Millis = 1000;

/// One owner's part of the level, for jobs that ask for the same.
pub(super) struct Need {
    pub(super) target: Target,
    pub(super) asks: Vec<String>,
    /// The jobs of the demand.
    pub(super) jobs: Vec<u64>,
    pub(super) demand: u64,
    pub(super) supply: u64,
    /// Whether some of the supply is not registered yet.
    pub(super) on_the_way: bool,
    /// Of the demand, jobs that make up for interrupted ones; and what of the supply is on-demand.
    raised: (u64, u64),
    /// What is to be ready, where it is for no job.
    pub(super) pool: Option<PoolKind>,
}

impl Need {
    /// How many of what is missing are to be on-demand, for jobs that make up for interrupted ones.
    pub(super) fn on_demand(&self) -> u64 {
        let (raised, there) = self.raised;
        raised.saturating_sub(there)
    }

    /// Counts what of its supply is on-demand.
    fn met_by(&mut self, market: Option<Market>, count: u64) {
        self.raised.1 += if market == Some(Market::OnDemand) { count } else { 0 };
    }
}

/// All needs, those with the oldest job first.
pub(super) fn needs(fleet: &Fleet, view: &View, now: Millis) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut queued: Vec<&Marker> = view.queued.iter().filter(|it| is_due(fleet, it, now)).collect();
    queued.sort_by_key(|it| (it.queued_at, it.job));
    for marker in queued {
        let need = need_of(&mut needs, fleet, &fleet.scope_for(&marker.repository), &marker.asks);
        need.demand += 1;
        need.raised.0 += u64::from(marker.on_demand);
        need.jobs.push(marker.job);
        // The latest webhook knows best.
        need.target = fleet.target(need.target.scope.clone(), marker.installation.or(need.target.installation));
    }
    // After the jobs, which wait. A runner that has listened for longer than a boot takes is not relied upon for a job,
    // but it is what a person asked for; else a long wish would launch again and again.
    let mut spare: Vec<&Runner> = view.runners.iter().filter(|it| is_idle(it, now)).collect();
    for manual in view.manual.iter().filter(|it| is_wanted(it, now)) {
        let scope = fleet.scope_for(&manual.repository);
        let mut missing = manual.count;
        spare.retain(|runner| {
            let meets = missing > 0 && runner.asks.is_empty() && runner.scope.as_ref() == Some(&scope);
            missing -= u32::from(meets);
            !meets
        });
        let need = need_of(&mut needs, fleet, &scope, &[]);
        need.demand += u64::from(missing);
        need.target = fleet.target(need.target.scope.clone(), need.target.installation.or(manual.installation));
    }
    // What is launched for the pool may be claimed once it is there; no job relies upon it before.
    for reservation in view.reservations.iter().filter(|it| !it.standby) {
        let need = need_of(&mut needs, fleet, &reservation.scope, &reservation.asks);
        (need.supply, need.on_the_way) = (need.supply + u64::from(reservation.count), true);
        need.met_by(reservation.market, u64::from(reservation.count));
    }
    for runner in &view.runners {
        if let (false, true, Some(scope)) = (is_reserved(view, runner), is_supply(runner, now), &runner.scope) {
            let need = need_of(&mut needs, fleet, scope, &runner.asks);
            (need.supply, need.on_the_way) =
                (need.supply + 1, need.on_the_way || runner.state == RunnerState::Launched);
            need.met_by(runner.market, 1);
        }
    }
    // What is not understood may be about to take a job all the same.
    for unread in view.unread.iter().filter_map(|it| it.supply.as_ref()).filter(|it| it.until > now) {
        need_of(&mut needs, fleet, &unread.scope, &unread.asks).supply += u64::from(unread.count);
    }
    needs
}

fn need_of<'a>(needs: &'a mut Vec<Need>, fleet: &Fleet, scope: &Scope, asks: &[String]) -> &'a mut Need {
    let at = needs.iter().position(|need| need.target.scope == *scope && need.asks == asks).unwrap_or_else(|| {
        let target = fleet.target(scope.clone(), None);
        let (asks, jobs) = (asks.to_vec(), Vec::new());
        needs.push(Need { target, asks, jobs, demand: 0, supply: 0, on_the_way: false, raised: (0, 0), pool: None });
        needs.len() - 1
    });
    &mut needs[at]
}

/// Idle runners, or such as are on the way, of the pool's owner beyond what its jobs need.
pub(super) fn spare(fleet: &Fleet, needs: &[Need]) -> u64 {
    let scope = fleet.pool.as_ref().map(|pool| fleet.pool_scope(pool));
    let own = needs.iter().filter(|need| need.asks.is_empty() && Some(&need.target.scope) == scope.as_ref());
    own.map(|need| need.supply.saturating_sub(need.demand)).sum()
}

/// The pool's own, for what no job needs. Without a pool there may be instances of one that was.
pub(super) fn pool_need(fleet: &Fleet) -> Need {
    let (scope, kind) = match &fleet.pool {
        Some(pool) => (fleet.pool_scope(pool), pool.kind),
        None => (fleet.scope_for(""), PoolKind::Standby),
    };
    let target = fleet.target(scope, None);
    let (asks, jobs) = (vec![], vec![]);
    Need { target, asks, jobs, demand: 0, supply: 0, on_the_way: false, raised: (0, 0), pool: Some(kind) }
}

fn is_due(fleet: &Fleet, marker: &Marker, now: Millis) -> bool {
    let due = marker.queued_at + fleet.delay_seconds * 1000;
    due <= now + CLOCK_TOLERANCE && marker.expires > seconds(now)
}

/// Whether it listens still, and counts as supply no longer. A reusable one that does not count has not been heard of
/// for too long.
fn is_idle(runner: &Runner, now: Millis) -> bool {
    runner.state == RunnerState::Registered && runner.boot_deadline <= now && runner.reuse.is_none()
}

/// DynamoDB takes its time with what has expired.
fn is_wanted(manual: &Manual, now: Millis) -> bool {
    manual.expires > seconds(now)
}

fn is_supply(runner: &Runner, now: Millis) -> bool {
    match runner.state {
        RunnerState::Launched | RunnerState::Registered => runner.boot_deadline > now,
        RunnerState::Spent => runner.expires.is_none_or(|expires| expires > seconds(now)),
        RunnerState::Busy
        | RunnerState::Gone
        | RunnerState::Warming
        | RunnerState::Standby
        | RunnerState::Stopping
        | RunnerState::Stopped
        | RunnerState::Withdrawn
        | RunnerState::Retiring => false,
    }
}

/// Whether a runner is counted by its reservation: the query may have met that and then the runners it was resolved to
/// meanwhile.
pub(in crate::decide) fn is_reserved(view: &View, runner: &Runner) -> bool {
    view.reservations.iter().any(|it| it.token() == runner.reservation)
}
