//! Jobs of which GitHub has to be asked again, since no event will tell when they are to be launched for.
//!
//! Such a job is noted as waiting, with a [`Why`] beside it in its fleet's partition. Each look of scale-up asks about
//! those that are due ([`ask_at`]): seldom about one that is held for long, as an approval may take days.

use crate::clock::{Millis, seconds};

/// Why nothing is launched for a job yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// GitHub holds it for an approval or a concurrency group. `workflow_job` tells of its release; `check_run`, which
    /// is all that was heard of this one, has no event for that.
    Held,
    /// GitHub could not be asked whose code it runs.
    Fork {
        /// The fleet that takes it if it is a fork's; its own takes it if it is not.
        otherwise: Option<String>,
    },
}

/// Moments at which GitHub is asked are multiples of this, so that one look asks about many jobs.
const GRID: Millis = 5000;
/// GitHub ends a run after 35 days, and lets an approval wait for 30.
const HELD_SECONDS: u64 = 35 * 24 * 3600;
/// GitHub gives up a job that was queued for a day.
const QUEUED_SECONDS: u64 = 24 * 3600;

impl Why {
    /// Its name in the ledger, the log and the history.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Fork { .. } => FORK,
        }
    }

    /// When nobody asks any more, in seconds.
    #[must_use]
    pub fn expires(&self, since: Millis) -> u64 {
        seconds(since)
            + match self {
                Self::Held => HELD_SECONDS,
                Self::Fork { .. } => QUEUED_SECONDS,
            }
    }

    /// The shortest and the longest wait between two questions.
    const fn waits(&self) -> (Millis, Millis) {
        match self {
            Self::Held => (30 * 1000, 10 * 60 * 1000),
            // It waits for us, and not for a person.
            Self::Fork { .. } => (5 * 1000, 2 * 60 * 1000),
        }
    }
}

/// The name of [`Why::Fork`]. A job that has it in its history was queued at GitHub all the time.
pub const FORK: &str = "fork?";

/// What stands in the history of a job that no fleet takes by what GitHub has told.
pub const NO_FLEET: &str = "no fleet";

/// When GitHub is asked next about a job of which it has been asked since `since`: after a quarter of the time that it
/// has waited, within limits.
#[must_use]
pub fn ask_at(why: &Why, since: Millis, now: Millis) -> Millis {
    let (shortest, longest) = why.waits();
    let wait = (now.saturating_sub(since) / 4).clamp(shortest, longest);
    (now + wait).div_ceil(GRID) * GRID
}

#[cfg(test)]
mod tests {
    use super::{Why, ask_at};

    #[test]
    fn what_is_held_for_long_is_asked_about_seldom() {
        let (held, fork) = (Why::Held, Why::Fork { otherwise: None });
        let minutes = |n: u64| n * 60 * 1000;
        let cases = [
            (&held, 0, 30_000),
            (&held, minutes(1), 30_000),
            (&held, minutes(20), minutes(5)),
            (&held, minutes(24 * 60), minutes(10)),
            (&fork, 0, 5_000),
            (&fork, minutes(4), minutes(1)),
            (&fork, minutes(24 * 60), minutes(2)),
        ];
        for (why, waited, wait) in cases {
            let since = 1_795_000_000_000;
            assert_eq!(ask_at(why, since, since + waited), since + waited + wait, "{why:?} {waited}");
        }
        assert_eq!(ask_at(&held, 1, 1), 35_000, "never sooner, and many at a time");
        // About 150 questions a day.
        assert!(held.expires(0) > fork.expires(0));
    }
}
