//! What a pool has ready, and what becomes of that.
//!
//! ```text
//! launched for the pool ──▶ warming ──▶ standby ──▶ launched (for a job), as if it had just come from EC2
//!                              │           │
//!                              └─────┬─────┘
//!                                    ▼
//!                                withdrawn ──▶ its agent ends it
//! ```
//!
//! Every step is a write on condition of the version that was read, and those that look at the whole level
//! ([`claimed`], [`withdrawn`] by the plan) move the fleet's `rev` as well: of two planners that saw the same instance,
//! one gets it, and of two that saw the same job, one claims for it.
//!
//! Jobs go before the pool: they are given what is ready, then launched for, and only what `max` leaves is the pool's.
//! Where that leaves too little for the jobs, since some ask for what no instance of the pool is, the pool makes room.

use dayfly_contract::{Kind, Lifecycle};

use super::{
    offers,
    plan::{is_reserved, plan},
    reusable::LISTENING,
    runners::{self, RunnerEvent, RunnerNext, RunnerState},
};
use crate::{
    clock::Millis,
    fleets::{Eviction, Fleet, PoolKind, Target},
    ledger::{Runner, View, Write},
};

/// The most instances that are claimed or withdrawn in one transaction. With a check for each job it is half of the 100
/// writes that DynamoDB takes.
pub const MOST_AT_ONCE: usize = 25;

/// What its history calls an instance that was given to a job.
const CLAIMED: &str = "claimed";

/// The instances that stand by, without those that are being written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Ready<'a> {
    /// Those that wait first, then those that boot; each the oldest first, which end the soonest.
    free: Vec<&'a Runner>,
    /// Those that are reserved.
    reserved: u64,
}

impl<'a> Ready<'a> {
    /// Those of `view`. One that was not heard of in its time is not counted: it may be dead.
    pub(super) fn of(view: &'a View, now: Millis) -> Self {
        let is_free = |it: &&Runner| {
            matches!(it.state, RunnerState::Warming | RunnerState::Standby)
                && it.boot_deadline > now
                && !is_reserved(view, it)
        };
        let mut free: Vec<&Runner> = view.runners.iter().filter(is_free).collect();
        free.sort_by_key(|it| (it.state != RunnerState::Standby, it.launched_at, it.instance.clone()));
        let reserved = view.reservations.iter().filter(|it| it.standby).map(|it| u64::from(it.count)).sum();
        Self { free, reserved }
    }

    /// Gives up to `count` of them away, to jobs with these `asks`.
    pub(super) fn take(&mut self, count: u64, asks: &[String]) -> Vec<Runner> {
        // What EC2 would have to be asked for is not here.
        if offers::asks_key(asks).is_some() {
            return Vec::new();
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.free.len());
        self.free.drain(..count).cloned().collect()
    }

    /// What is missing in the pool of `fleet`, or else what is too much: those of its instances that are to go.
    /// `held_back`: jobs for which `max` leaves no room. `spare`: idle runners of the pool's owner beyond its jobs.
    pub(super) fn compare(&self, fleet: &Fleet, held_back: u64, spare: u64, now: Millis) -> (u64, Vec<Runner>) {
        let size = |kind| match &fleet.pool {
            Some(pool) if pool.kind == kind => pool.size(now).saturating_sub(held_back),
            _ => 0,
        };
        let standby = size(PoolKind::Standby);
        let have = self.free.len() as u64 + self.reserved;
        let missing = standby.saturating_sub(have) + size(PoolKind::Idle).saturating_sub(spare);
        let surplus = usize::try_from(have.saturating_sub(standby)).unwrap_or(usize::MAX).min(self.free.len());
        let eviction = fleet.pool.as_ref().map_or(Eviction::Oldest, |pool| pool.eviction);
        let mut all = self.free.clone();
        all.sort_by_key(|it| (it.launched_at, it.instance.clone()));
        if eviction == Eviction::Newest {
            all.reverse();
        }
        (missing, all.into_iter().take(surplus).cloned().collect())
    }
}

/// `runner`, which stands by, given to a job of `target` that asks for `asks`: it is to be registered as one that has just
/// been launched, within `boot_seconds`.
#[must_use]
pub fn claimed(
    mut runner: Runner,
    target: &Target,
    asks: &[String],
    trace: Option<String>,
    boot_seconds: u64,
    lease_until: Millis,
    now: Millis,
) -> Runner {
    runner.history.add(now, CLAIMED, format!("for {}", target.scope));
    Runner {
        state: RunnerState::Launched,
        scope: Some(target.scope.clone()),
        installation: target.installation,
        runner_id: None,
        asks: asks.to_vec(),
        trace: trace.or(runner.trace),
        boot_deadline: now + boot_seconds * 1000,
        lease_until,
        untouched: false,
        ..runner
    }
}

/// `runner`, which stands by, as one that no job gets any more. Until `lease_until` whoever withdrew it tells it so.
#[must_use]
pub fn withdrawn(mut runner: Runner, lease_until: Millis, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Withdrawn.name(), "the pool has no use for it");
    Runner { state: RunnerState::Withdrawn, lease_until, ..runner }
}

/// Those that were withdrawn and may not have been told so, since whoever was to is gone.
#[must_use]
pub fn untold(view: &View, now: Millis) -> Vec<Runner> {
    let is_untold = |it: &&Runner| it.state == RunnerState::Withdrawn && it.lease_until <= now;
    view.runners.iter().filter(is_untold).cloned().collect()
}

/// Whether `message` says that its instance stands by: it has booted and claimed no registration.
#[must_use]
pub fn stands_by(message: &Lifecycle) -> bool {
    message.reservation.is_none() && message.job.is_none() && matches!(message.kind, Kind::Standby | Kind::Heartbeat)
}

/// What the word of `runner`'s agent, said `now`, that it stands by, changes. Not every heartbeat is a write.
#[must_use]
pub fn heard(mut runner: Runner, now: Millis) -> Option<Write> {
    let heard = match runner.state {
        // As the next one, but of no use to other jobs: it was launched for what one asked.
        RunnerState::Launched | RunnerState::Registered if is_overdue(&runner, now) && !is_plain(&runner) => {
            return Some(Write::PutRunner(withdrawn(runner, 0, now)));
        }
        // It was launched for a job, and nobody registers it any more, or it never found its registration: the pool has a
        // use for it, or else withdraws it. Without this its agent would wait for hours, and others be launched meanwhile.
        RunnerState::Launched | RunnerState::Registered if is_overdue(&runner, now) => {
            runner.asks = Vec::new();
            RunnerNext::Be(RunnerState::Standby)
        }
        state => runners::step(Some(state), RunnerEvent::StandsBy).next,
    };
    let RunnerNext::Be(state) = heard else { return None };
    if runner.state == state && runner.boot_deadline > now + LISTENING / 2 {
        return None;
    }
    if runner.state != state {
        runner.history.add(now, state.name(), "");
    }
    Some(Write::PutRunner(Runner { state, boot_deadline: runner.boot_deadline.max(now + LISTENING), ..runner }))
}

/// Whether it has had its time to be registered and to begin.
fn is_overdue(runner: &Runner, now: Millis) -> bool {
    runner.boot_deadline <= now && runner.lease_until <= now
}

/// Whether it is as any of its fleet.
fn is_plain(runner: &Runner) -> bool {
    offers::asks_key(&runner.asks).is_none()
}

/// `runner`, whose agent stands by and asks whether it may go. None where it may not: it was given to a job, and its
/// registration is on the way.
#[must_use]
pub fn let_go(runner: Runner, now: Millis) -> Option<Write> {
    let stands_by = matches!(runner.state, RunnerState::Warming | RunnerState::Standby);
    // It knows that it goes, and need not be told.
    stands_by.then(|| Write::PutRunner(withdrawn(runner, Millis::MAX / 2, now)))
}

/// Whether `runner`, a reusable one without a job, may retire: whether the idle pool of `fleet`, whose level is `view`, has
/// others enough. None where the fleet has no such pool, is drained, or it is none of the pool's.
#[must_use]
pub fn may_retire(fleet: &Fleet, view: &View, runner: &Runner, now: Millis) -> Option<bool> {
    let pool = fleet.pool.as_ref().filter(|pool| pool.kind == PoolKind::Idle && view.meta.drained_at.is_none())?;
    let scope = fleet.pool_scope(pool);
    let is_own = |it: &Runner| it.scope.as_ref() == Some(&scope) && it.asks.is_empty() && it.reuse.is_some();
    if !is_own(runner) {
        return None;
    }
    let listens = |it: &&Runner| {
        let heard = it.boot_deadline > now || it.instance == runner.instance;
        it.state == RunnerState::Registered && heard && is_own(it)
    };
    let mut idle: Vec<&Runner> = view.runners.iter().filter(listens).collect();
    idle.sort_by_key(|it| (it.launched_at, it.instance.clone()));
    if pool.eviction == Eviction::Newest {
        idle.reverse();
    }
    // Jobs are about to get some of them; and where jobs of others find no room, the pool makes it.
    let jobs = view.queued.iter().filter(|it| fleet.scope_for(&it.repository) == scope).count() as u64;
    let size = pool.size(now).saturating_sub(plan(fleet, view, now).held_back);
    let surplus = (idle.len() as u64).saturating_sub(jobs).saturating_sub(size);
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
    Some(idle.iter().take(surplus).any(|it| it.instance == runner.instance))
}

/// `runner`, which listens, as one that is to get no further job: it is deleted at GitHub next.
#[must_use]
pub fn retiring(mut runner: Runner, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Retiring.name(), "the pool has no use for it");
    Runner { state: RunnerState::Retiring, ..runner }
}

#[cfg(test)]
mod tests;
