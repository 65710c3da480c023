//! What becomes of an instance with our tags that the ledger does not know.
//!
//! | known for | reservation | agent | GitHub | verdict |
//! |---|---|---|---|---|
//! | any time | in the ledger | any | any | adopt: scale-up asks EC2 with its token again and writes it down |
//! | less than [`GRACE`] | unknown | any | any | wait: scale-up may be about to write it down, or it is ending itself |
//! | longer | unknown | heard within its time | any | keep: it ends itself |
//! | longer | unknown | silent | online, busy, or not asked | keep: it may have a job |
//! | longer | unknown | silent | offline or absent, but not so for [`DARK`] | keep |
//! | longer | unknown | silent | offline or absent for [`DARK`] | end |

use std::time::Duration;

use super::deaths::AtGitHub;
#[cfg(doc)]
use super::deaths::DARK;
use crate::clock::Millis;

/// For so long an instance is only watched.
pub const GRACE: Duration = Duration::from_mins(10);

/// What is seen of one.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the table")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Whether its reservation is in the ledger.
    pub reserved: bool,
    /// Whether it has been a stray for [`GRACE`].
    pub grace_over: bool,
    /// Whether its agent has not been heard of within its time.
    pub silent: bool,
    /// What GitHub says of a runner of its name.
    pub github: AtGitHub,
    /// Whether GitHub has not seen it for [`DARK`], at every look.
    pub dark: bool,
}

/// What becomes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Scale-up is woken for its fleet, and writes it down.
    Adopt,
    /// It is looked at again.
    Wait,
    /// It is left to itself, and told of.
    Keep,
    /// It is ended.
    End,
}

/// Judges by the table above.
#[must_use]
pub fn fate(it: Stray) -> Fate {
    if it.reserved {
        return Fate::Adopt;
    }
    if !it.grace_over {
        return Fate::Wait;
    }
    let unseen = matches!(it.github, AtGitHub::Offline | AtGitHub::Absent);
    if it.silent && unseen && it.dark { Fate::End } else { Fate::Keep }
}

/// Whether a stray's grace is over, where it was launched and first seen as one then.
#[must_use]
pub fn is_grace_over(launched_at: Millis, since: Millis, now: Millis) -> bool {
    let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    since.max(launched_at).saturating_add(grace) <= now
}

#[cfg(test)]
mod tests {
    use super::{AtGitHub, Fate, Stray, fate, is_grace_over};

    const GITHUB: [AtGitHub; 5] =
        [AtGitHub::Online, AtGitHub::Busy, AtGitHub::Offline, AtGitHub::Absent, AtGitHub::Unasked];

    fn all() -> impl Iterator<Item = Stray> {
        (0..16_u8).flat_map(|bits| {
            GITHUB.into_iter().map(move |github| Stray {
                reserved: bits & 1 > 0,
                grace_over: bits & 2 > 0,
                silent: bits & 4 > 0,
                dark: bits & 8 > 0,
                github,
            })
        })
    }

    #[test]
    fn every_combination_is_judged_by_the_table() {
        let expected = |it: Stray| match (it.reserved, it.grace_over, it.silent, it.github, it.dark) {
            (true, ..) => Fate::Adopt,
            (false, false, ..) => Fate::Wait,
            (false, true, true, AtGitHub::Offline | AtGitHub::Absent, true) => Fate::End,
            (false, true, ..) => Fate::Keep,
        };
        for it in all() {
            assert_eq!(fate(it), expected(it), "{it:?}");
        }
    }

    #[test]
    fn without_any_one_of_the_safety_rules_none_is_ended() {
        let mut judged = 0;
        for it in all().filter(|it| fate(*it) == Fate::End) {
            let twins = [
                Stray { reserved: true, ..it },
                Stray { grace_over: false, ..it },
                Stray { silent: false, ..it },
                Stray { dark: false, ..it },
                Stray { github: AtGitHub::Online, ..it },
                Stray { github: AtGitHub::Busy, ..it },
                Stray { github: AtGitHub::Unasked, ..it },
            ];
            for twin in twins {
                assert_ne!(fate(twin), Fate::End, "{twin:?}");
                judged += 1;
            }
        }
        assert_eq!(judged, 14);
    }

    #[test]
    fn the_grace_begins_when_it_is_first_seen_or_launched() {
        let minute = 60_000;
        for (launched, since, now, over) in [
            (0, 0, 10 * minute - 1, false),
            (0, 0, 10 * minute, true),
            // It ran a job for an hour and has just been settled.
            (0, 60 * minute, 69 * minute, false),
            (60 * minute, 0, 69 * minute, false),
        ] {
            assert_eq!(is_grace_over(launched, since, now), over, "{launched} {since} {now}");
        }
    }
}
