//! Which fleets have to be looked at.
//!
//! The plan stays scale-up's; here it is only asked whether there would be one. A fleet for which EC2 has nothing at
//! present, that is paused, cools down or is full is not woken: scale-up wakes itself for that, and each wake-up of its
//! own would beget another.

use crate::{
    clock::Millis,
    decide::{
        plan::{left_reservations, left_runners, plan},
        pool::{unstarted, unstopped, untold},
    },
    fleets::Fleet,
    ledger::View,
};

/// Why a fleet is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody was killed over a reservation or a registration.
    LeftBehind,
    /// Instances are missing.
    Missing,
    /// The pool has too many.
    Surplus,
    /// Instances of the pool stand by, and are to be stopped.
    Awake,
}

impl Why {
    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftBehind => "left behind",
            Self::Missing => "missing",
            Self::Surplus => "surplus",
            Self::Awake => "awake",
        }
    }
}

/// Whether `fleet`, whose level is `view`, is to be woken.
#[must_use]
pub fn wake(fleet: &Fleet, view: &View, now: Millis) -> Option<Why> {
    if view.meta.paused_until > now {
        return None;
    }
    let left = !left_reservations(view, now).is_empty() || !left_runners(view, now).is_empty();
    let of_pool = !untold(view, now).is_empty() || !unstopped(view, now).is_empty() || !unstarted(view, now).is_empty();
    if left || of_pool {
        return Some(Why::LeftBehind);
    }
    let plan = plan(fleet, view, now);
    match (plan.launches.is_empty() && plan.claims.is_empty(), plan.surplus.is_empty()) {
        (false, _) => Some(Why::Missing),
        (true, false) => Some(Why::Surplus),
        (true, true) => (!plan.stops.is_empty()).then_some(Why::Awake),
    }
}

#[cfg(test)]
mod tests {
    use super::{Why, wake};
    use crate::{
        decide::runners::RunnerState,
        fleets::{Eviction, Fleet, Market, Pool, PoolKind, tests::fleet},
        ledger::{
            Meta, Reservation, Runner, Stops, View,
            tests::{marker, reservation, runner},
        },
    };

    const NOW: u64 = 1_100_000;

    #[test]
    fn a_fleet_is_woken_when_scale_up_would_do_something() {
        let queued = || View { queued: vec![marker("linux-x64", 7)], ..View::default() };
        let launched = |lease_until| Runner { lease_until, ..runner("linux-x64", 1) };
        let reserved = |lease_until| Reservation { lease_until, ..reservation("linux-x64", "r1", 1) };
        let meta = |alive, paused_until| Meta { alive, paused_until, ..Meta::default() };
        let cases = [
            ("nothing", View::default(), None),
            ("a job", queued(), Some(Why::Missing)),
            ("a job and its runner", View { runners: vec![launched(NOW + 1)], ..queued() }, None),
            ("a paused fleet", View { meta: meta(0, NOW + 1), ..queued() }, None),
            ("a pause that is over", View { meta: meta(0, NOW), ..queued() }, Some(Why::Missing)),
            ("a full fleet", View { meta: meta(50, 0), ..queued() }, None),
            ("a reservation at work", View { reservations: vec![reserved(NOW + 1)], ..View::default() }, None),
            (
                "a reservation left",
                View { reservations: vec![reserved(NOW)], ..View::default() },
                Some(Why::LeftBehind),
            ),
            ("a runner left", View { runners: vec![launched(NOW)], ..View::default() }, Some(Why::LeftBehind)),
            (
                "left in a paused fleet",
                View { meta: meta(0, NOW + 1), runners: vec![launched(NOW)], ..View::default() },
                None,
            ),
        ];
        let stands_by = |state, lease_until| {
            let it = Runner { state, lease_until, ..runner("linux-x64", 1) };
            View { runners: vec![it], meta: meta(1, 0), ..View::default() }
        };
        let cases = cases.into_iter().chain([
            ("one of the pool that nobody wants", stands_by(RunnerState::Standby, 0), Some(Why::Surplus)),
            ("and a job", View { queued: queued().queued, ..stands_by(RunnerState::Standby, 0) }, Some(Why::Missing)),
            ("one that was not told to leave", stands_by(RunnerState::Withdrawn, NOW), Some(Why::LeftBehind)),
            ("one that was just told", stands_by(RunnerState::Withdrawn, NOW + 1), None),
        ]);
        for (what, view, expected) in cases {
            assert_eq!(wake(&fleet("linux-x64"), &view, NOW), expected, "{what}");
        }
    }

    #[test]
    fn a_fleet_is_woken_for_what_is_to_be_stopped() {
        let pool = Pool {
            kind: PoolKind::Stopped,
            size: 1,
            schedules: vec![],
            eviction: Eviction::Oldest,
            lifetime_seconds: 86_400,
            repository: Some("octo-org/octo-repo".into()),
        };
        let fleet = Fleet { pool: Some(pool), ..fleet("linux-x64") };
        for (state, lease_until, expected) in [
            (RunnerState::Standby, 0, Some(Why::Awake)),
            (RunnerState::Stopping, NOW - 90_000, Some(Why::LeftBehind)),
            (RunnerState::Stopping, NOW - 89_999, None),
            (RunnerState::Stopped, 0, None),
        ] {
            let (market, boot_deadline) = (Some(Market::OnDemand), NOW + 60_000);
            let it = Runner { state, market, boot_deadline, lease_until, ..runner("linux-x64", 1) };
            let view = View { runners: vec![it], meta: Meta { alive: 1, ..Meta::default() }, ..View::default() };
            assert_eq!(wake(&fleet, &view, NOW), expected, "{state:?} {lease_until}");
        }
        // Its boot deadline is over: it is to go back to the pool, and to boot later.
        for (started_at, expected) in [(None, Some(Why::LeftBehind)), (Some(NOW), None)] {
            let stops = Stops { at: Some(1), started_at, before: 0 };
            let it = Runner {
                state: RunnerState::Launched,
                stops,
                boot_deadline: NOW,
                lease_until: NOW,
                ..runner("linux-x64", 1)
            };
            let (market, meta) = (Some(Market::OnDemand), Meta { alive: 1, ..Meta::default() });
            let other = Runner { state: RunnerState::Stopped, market, ..runner("linux-x64", 2) };
            let view = View { runners: vec![Runner { market, ..it }, other], meta, ..View::default() };
            assert_eq!(wake(&fleet, &view, NOW), expected, "{started_at:?}");
        }
    }
}
