//! Whether a fleet's count of instances (`alive`) is what its reservations and runners come to.
//!
//! The two change in one transaction each time, so a difference is a defect: somebody wrote by hand, a table was
//! restored, or a version of ours was wrong. A count that is too high keeps the fleet from launching; one that is too
//! low breaks `max`.
//!
//! A view is no snapshot. Each change of the count is seen by the write's condition; a reservation that becomes runners
//! while the query runs is counted by [`counted`] once; and what is left is seen at the next look, a minute later, as
//! the same difference or not at all. Only the same twice is mended.
//!
//! An item that is not understood may be a runner's or a reservation's, whose instances `alive` counts as well: as long as
//! there is one nothing is mended, or `max` would be exceeded.

use serde::{Deserialize, Serialize};

use crate::ledger::View;

/// A count that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// `alive` as read.
    pub alive: u64,
    /// `rev` as read.
    pub rev: u64,
    /// What there is.
    pub counted: u64,
}

/// What `alive` should be by the reservations and runners of `view`.
#[must_use]
pub fn counted(view: &View) -> u64 {
    let reserved: u64 = view.reservations.iter().map(|it| u64::from(it.count)).sum();
    // The query met the reservation, and then the runners it was resolved to meanwhile.
    let is_reserved = |token: &str| view.reservations.iter().any(|it| it.token() == token);
    let alive = view.runners.iter().filter(|it| it.state.is_alive() && !is_reserved(&it.reservation)).count();
    reserved + u64::try_from(alive).unwrap_or(u64::MAX)
}

/// The mismatch of `view`, if there is one.
#[must_use]
pub fn mismatch(view: &View) -> Option<Mismatch> {
    let (alive, rev, counted) = (view.meta.alive, view.meta.rev, counted(view));
    (alive != counted && view.unread.is_empty()).then_some(Mismatch { alive, rev, counted })
}

/// What is to be mended: what was seen `before` as it is `now`.
#[must_use]
pub fn mend<'a>(before: Option<&Mismatch>, now: Option<&'a Mismatch>) -> Option<&'a Mismatch> {
    now.filter(|now| before == Some(*now))
}

#[cfg(test)]
mod tests {
    use super::{Mismatch, counted, mend, mismatch};
    use crate::{
        decide::runners::RunnerState::{self, Busy, Gone, Launched, Registered, Spent},
        ledger::{
            Meta, Reservation, Runner, Unread, View,
            tests::{reservation, runner},
        },
    };

    fn view(alive: u64, reservations: Vec<Reservation>, states: &[RunnerState]) -> View {
        let runners = states.iter().zip(1..).map(|(state, n)| {
            let it = runner("linux-x64", n);
            Runner { state: *state, reservation: format!("old-{n}"), ..it }
        });
        View {
            meta: Meta { rev: 3, alive, ..Meta::default() },
            reservations,
            runners: runners.collect(),
            ..View::default()
        }
    }

    #[test]
    fn live_runners_and_reservations_are_counted_once() {
        let cases: [(Vec<Reservation>, &[RunnerState], u64); 4] = [
            (vec![], &[], 0),
            (vec![], &[Launched, Registered, Busy, Spent, Gone], 3),
            (vec![reservation("linux-x64", "r1", 4)], &[Busy], 5),
            (vec![reservation("linux-x64", "r1", 4), reservation("linux-x64", "r2", 1)], &[], 5),
        ];
        for (reservations, states, expected) in cases {
            assert_eq!(counted(&view(0, reservations, states)), expected, "{states:?}");
        }
        let mut resolved = view(0, vec![reservation("linux-x64", "r1", 2)], &[Launched, Launched, Busy]);
        for runner in &mut resolved.runners[..2] {
            runner.reservation = "r1".into();
        }
        assert_eq!(counted(&resolved), 3, "the query met both");
    }

    #[test]
    fn the_same_mismatch_twice_is_mended() {
        let right = view(1, vec![], &[Busy]);
        assert_eq!(mismatch(&right), None);
        let wrong = mismatch(&view(2, vec![], &[Busy])).unwrap();
        assert_eq!(wrong, Mismatch { alive: 2, rev: 3, counted: 1 });
        assert_eq!(mend(None, Some(&wrong)), None);
        assert_eq!(mend(Some(&wrong), None), None);
        assert_eq!(mend(Some(&wrong), Some(&wrong)), Some(&wrong));
        for other in [
            Mismatch { alive: 3, ..wrong.clone() },
            Mismatch { rev: 4, ..wrong.clone() },
            Mismatch { counted: 0, ..wrong.clone() },
        ] {
            assert_eq!(mend(Some(&other), Some(&wrong)), None, "something moved in between");
        }
        let unread = vec![Unread { why: "a runner of a newer version".into(), supply: None }];
        assert_eq!(mismatch(&View { unread, ..view(2, vec![], &[Busy]) }), None, "it is counted, and not seen");
    }
}
