//! What EC2 has none of is not asked for again at once. Each offer (market, subnet, instance type) has a breaker:
//!
//! ```text
//! closed ──failed──▶ open ──its pause is over──▶ due ──worked──▶ closed
//!                     ▲                           │
//!                     └───failed, a longer pause──┘
//! ```
//!
//! Closed is the absence of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Millis, seconds};

/// The first pause; each that follows is twice as long.
const FIRST: Millis = 15_000;
/// The longest pause before chance is added; a wake-up can be put off for 15 minutes at most.
const LONGEST: Millis = 600_000;
/// An offer that was due for so long and not asked for is as good as never heard of.
const FORGET: Millis = 3_600_000;

/// A breaker that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// How often in a row it has failed.
    pub failures: u64,
    /// Until then it is not asked for.
    pub until: Millis,
}

/// What EC2 says of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// There is none.
    Failed,
    /// It gave instances.
    Worked,
}

/// What hearing this at `now` makes of a breaker. `chance` keeps those of many fleets from coming back together.
#[must_use]
pub fn step(breaker: Option<Breaker>, heard: Heard, now: Millis, chance: u64) -> Option<Breaker> {
    match (breaker, heard) {
        (_, Heard::Worked) => None,
        // Of a request that was on its way when it opened: the same news.
        (Some(open), Heard::Failed) if open.until > now => Some(open),
        (before, Heard::Failed) => {
            let failures = before.map_or(0, |it| it.failures) + 1;
            let pause = (FIRST << (failures - 1).min(8)).min(LONGEST);
            Some(Breaker { failures, until: now + pause + chance % (pause / 4) })
        }
    }
}

/// The breakers of a fleet, by offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakers(pub BTreeMap<String, Breaker>);

impl Breakers {
    /// Until when `offer` is not to be asked for; none where it may be.
    #[must_use]
    pub fn open(&self, offer: &str, now: Millis) -> Option<Millis> {
        self.0.get(offer).map(|it| it.until).filter(|until| *until > now)
    }

    /// Takes in what was heard; answers whether that changed anything.
    pub fn hear(&mut self, worked: &BTreeSet<String>, failed: &BTreeSet<String>, now: Millis, chance: u64) -> bool {
        let before = self.clone();
        // What gave some and then no more has none now.
        let worked = worked.difference(failed).map(|offer| (offer, Heard::Worked));
        for (offer, heard) in worked.chain(failed.iter().map(|offer| (offer, Heard::Failed))) {
            match step(self.0.get(offer).copied(), heard, now, chance) {
                Some(breaker) => drop(self.0.insert(offer.clone(), breaker)),
                None => drop(self.0.remove(offer)),
            }
        }
        if *self != before {
            self.0.retain(|_, it| it.until + FORGET > now);
        }
        *self != before
    }

    /// When DynamoDB may delete them, in seconds.
    #[must_use]
    pub fn expires(&self) -> u64 {
        seconds(self.0.values().map(|it| it.until).max().unwrap_or(0) + FORGET)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Breaker, Breakers, Heard, step};

    const NOW: u64 = 1_000_000_000;

    #[test]
    fn every_pair_of_state_and_news() {
        use Heard::{Failed, Worked};
        let open = Some(Breaker { failures: 3, until: NOW + 1 });
        let due = Some(Breaker { failures: 3, until: NOW });
        let table = [
            // (closed, open, due) x (failed, worked)
            (None, Failed, Some(Breaker { failures: 1, until: NOW + 15_000 })),
            (None, Worked, None),
            (open, Failed, open),
            (open, Worked, None),
            (due, Failed, Some(Breaker { failures: 4, until: NOW + 120_000 })),
            (due, Worked, None),
        ];
        for (before, heard, after) in table {
            assert_eq!(step(before, heard, NOW, 0), after, "{before:?} hears {heard:?}");
        }
        let pairs: BTreeSet<_> = table.iter().map(|(before, heard, _)| format!("{before:?} {heard:?}")).collect();
        assert_eq!(pairs.len(), 3 * 2, "the table has every pair");
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut breaker = None;
        let mut pauses = Vec::new();
        for _ in 0..80 {
            let now = breaker.map_or(NOW, |it: Breaker| it.until);
            breaker = step(breaker, Heard::Failed, now, 0);
            pauses.push((breaker.unwrap().until - now) / 1000);
        }
        assert_eq!(pauses[..7], [15, 30, 60, 120, 240, 480, 600]);
        assert!(pauses[7..].iter().all(|it| *it == 600));
        for chance in 0..20_000 {
            let pause = step(None, Heard::Failed, NOW, chance).unwrap().until - NOW;
            assert!((15_000..18_750).contains(&pause));
            assert_eq!(pause, 15_000 + chance % 3750);
        }
    }

    #[test]
    fn what_gave_some_and_no_more_is_open() {
        let set = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<BTreeSet<_>>();
        let mut breakers = Breakers::default();
        assert!(!breakers.hear(&set(&["a"]), &set(&[]), NOW, 0), "nothing new");
        assert!(breakers.hear(&set(&["a", "b"]), &set(&["b"]), NOW, 0));
        assert_eq!((breakers.open("a", NOW), breakers.open("b", NOW)), (None, Some(NOW + 15_000)));
        assert_eq!(breakers.open("b", NOW + 15_000), None, "due");
        assert_eq!(breakers.expires(), (NOW + 15_000) / 1000 + 3600);
        assert!(breakers.hear(&set(&[]), &set(&["c"]), NOW + 4_000_000, 0));
        assert_eq!(breakers.0.keys().collect::<Vec<_>>(), ["c"], "b is forgotten");
    }
}
