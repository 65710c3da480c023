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
//! In a pool of stopped instances:
//!
//! ```text
//! standby ──▶ stopping ──EC2 says so──▶ stopped ◀─▶ launched, and is started once its registration is there
//!                                          └──▶ withdrawn ──▶ control ends it
//! ```
//!
//! What is claimed there and can't be registered goes back: until it is written down that it is about to be started
//! ([`starting`]), nobody has started it.
//!
//! Every step is a write on condition of the version that was read, and those that look at the whole level
//! ([`claimed`], [`withdrawn`] by the plan) move the fleet's `rev` as well: of two planners that saw the same instance,
//! one gets it, and of two that saw the same job, one claims for it.
//!
//! Jobs go before the pool: they are given what is ready, then launched for, and only what `max` leaves is the pool's.
//! Where that leaves too little for the jobs, since some ask for what no instance of the pool is, the pool makes room.

use dayfly_contract::{Kind, Lifecycle};

mod ready;

pub(super) use ready::Ready;

use super::{
    offers,
    plan::plan,
    reusable::LISTENING,
    runners::{self, RunnerEvent, RunnerNext, RunnerState},
};
use crate::{
    clock::Millis,
    fleets::{Eviction, Fleet, PoolKind, Target},
    ledger::{Runner, Stops, View, Write},
};

/// The most instances that are claimed or withdrawn in one transaction. With a check for each job it is half of the 100
/// writes that DynamoDB takes.
pub const MOST_AT_ONCE: usize = 25;

/// What the breaker of a fleet is called whose stopped instances EC2 can't start, for want of capacity or of a permission.
pub const START: &str = "start";
/// So long EC2 has to stop an instance before it counts as one that can't be stopped: minutes, where it has to be forced.
const STOP_TIME: Millis = 15 * 60_000;
/// So long after whoever was to ask EC2 to stop an instance is gone somebody else does. reconcile comes first, each minute: to
/// ask again keeps it from noting that EC2 has stopped it.
const ASK_AGAIN: Millis = 90_000;
/// When an instance that EC2 refuses to stop is tried again.
const STOP_AGAIN: Millis = 5 * 60_000;

/// What its history calls an instance that was given to a job.
const CLAIMED: &str = "claimed";

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

/// `runner`, which was stopped and given to a job, as one that is about to be started. Whoever starts it has written this
/// first: so what is without it still stands still, wherever its invocation was killed.
#[must_use]
pub fn starting(runner: Runner, now: Millis) -> Runner {
    Runner { stops: Stops { started_at: Some(now), ..runner.stops }, ..runner }
}

/// Whether `runner` was given to a job and nobody has begun to start its instance, which is stopped.
#[must_use]
pub fn is_unstarted(runner: &Runner) -> bool {
    runner.state == RunnerState::Launched && runner.stops.is_asleep()
}

/// `runner`, which [`is_unstarted`], given back to its pool: its job is planned again.
#[must_use]
pub fn given_back(mut runner: Runner, why: &str, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Stopped.name(), why);
    Runner {
        state: RunnerState::Stopped,
        asks: Vec::new(),
        runner_id: None,
        lease_until: 0,
        untouched: false,
        ..runner
    }
}

/// Those that were given to jobs and not started, and whoever was to do that is gone.
#[must_use]
pub fn unstarted(view: &View, now: Millis) -> Vec<Runner> {
    let is_left = |it: &&Runner| is_unstarted(it) && it.lease_until <= now;
    view.runners.iter().filter(is_left).cloned().collect()
}

/// `runner`, which stands by, as one whose instance EC2 is asked to stop. Until `lease_until` whoever wrote it down does that.
#[must_use]
pub fn stopping(mut runner: Runner, lease_until: Millis, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Stopping.name(), "");
    let stops = runner.stops.again(now);
    Runner { state: RunnerState::Stopping, lease_until, boot_deadline: now + STOP_TIME, stops, ..runner }
}

/// `runner`, which EC2 was asked to stop and says to be so.
#[must_use]
pub fn stopped(mut runner: Runner, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Stopped.name(), "");
    Runner { state: RunnerState::Stopped, ..runner }
}

/// `runner`, which EC2 refuses to stop: it stands by as it did, and EC2 is asked again later. Its agent ends it at its
/// lifetime.
#[must_use]
pub fn not_stopped(mut runner: Runner, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Standby.name(), "EC2 does not stop it");
    let stops = Stops { at: None, ..runner.stops };
    let boot_deadline = now + LISTENING;
    Runner { state: RunnerState::Standby, lease_until: now + STOP_AGAIN, boot_deadline, stops, ..runner }
}

/// Those that were to be stopped, and whoever was to ask EC2 may be gone.
#[must_use]
pub fn unstopped(view: &View, now: Millis) -> Vec<Runner> {
    let is_due = |it: &Runner| it.lease_until.saturating_add(ASK_AGAIN) <= now && it.boot_deadline > now;
    let is_left = |it: &&Runner| it.state == RunnerState::Stopping && is_due(it);
    view.runners.iter().filter(is_left).cloned().collect()
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
    if !is_own(fleet, runner) {
        return None;
    }
    let listens = |it: &&Runner| {
        let heard = it.boot_deadline > now || it.instance == runner.instance;
        it.state == RunnerState::Registered && heard && is_own(fleet, it)
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

/// Whether a silent `runner` is of its fleet's pool, so that its death counts as a failure of the pool's.
#[must_use]
pub fn is_of_pool(fleet: &Fleet, runner: &Runner) -> bool {
    let Some(pool) = &fleet.pool else { return false };
    match runner.state {
        RunnerState::Warming | RunnerState::Standby => pool.kind.stands_by(),
        RunnerState::Launched | RunnerState::Registered => pool.kind == PoolKind::Idle && is_own(fleet, runner),
        _ => false,
    }
}

/// Whether `runner` is as those of the idle pool of `fleet`.
fn is_own(fleet: &Fleet, runner: &Runner) -> bool {
    let scope = fleet.pool.as_ref().map(|pool| fleet.pool_scope(pool));
    runner.scope == scope && scope.is_some() && runner.asks.is_empty() && runner.reuse.is_some()
}

/// `runner`, which listens, as one that is to get no further job: it is deleted at GitHub next.
#[must_use]
pub fn retiring(mut runner: Runner, now: Millis) -> Runner {
    runner.history.add(now, RunnerState::Retiring.name(), "the pool has no use for it");
    Runner { state: RunnerState::Retiring, ..runner }
}

#[cfg(test)]
mod tests;
