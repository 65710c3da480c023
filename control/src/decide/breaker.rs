//! What EC2 has none of is not asked for again at once, and neither is what EC2 or GitHub refuses for good. Each such
//! thing has a breaker: an offer (market, subnet, instance type), what a job's labels ask of EC2, an owner at GitHub.
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
/// The most that the breakers of a fleet may take, in bytes: they are one item, of which DynamoDB takes 400 KB.
const MOST_BYTES: usize = 200_000;
/// What one takes beside its key and reason.
const OWN_BYTES: usize = 64;
/// The most that is kept of a reason, in characters.
const LONGEST_WHY: usize = 500;

/// A breaker that is not closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// How often in a row it has failed; 0 for what is only limited, for a time that was named.
    pub failures: u64,
    /// Until then it is not asked for.
    pub until: Millis,
    /// Why, where a person should know: what was refused for good.
    pub why: String,
}

/// What is heard of that which a breaker stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// There is none, or it was refused.
    Failed,
    /// It was given.
    Worked,
    /// It is to be left alone until then.
    Limited(Millis),
}

/// What hearing this at `now` makes of a breaker. `chance` keeps those of many fleets from coming back together.
#[must_use]
pub fn step(breaker: Option<&Breaker>, heard: Heard, now: Millis, chance: u64) -> Option<Breaker> {
    match (breaker, heard) {
        (_, Heard::Worked) => None,
        // Of a request that was on its way when it opened: the same news.
        (Some(open), Heard::Failed) if open.until > now => Some(open.clone()),
        (before, Heard::Failed) => {
            let failures = before.map_or(0, |it| it.failures) + 1;
            let pause = (FIRST << (failures - 1).min(8)).min(LONGEST);
            Some(Breaker { failures, until: now + pause + chance % (pause / 4), why: String::new() })
        }
        // The longer of two waits is the one that is kept.
        (before, Heard::Limited(until)) => {
            let before = before.cloned().unwrap_or_default();
            Some(Breaker { until: before.until.max(until), ..before })
        }
    }
}

/// The breakers of a fleet, by what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakers(pub BTreeMap<String, Breaker>);

impl Breakers {
    /// Until when `key` is not to be asked for; none where it may be.
    #[must_use]
    pub fn open(&self, key: &str, now: Millis) -> Option<Millis> {
        self.0.get(key).map(|it| it.until).filter(|until| *until > now)
    }

    /// Whether `key` has failed before and may be tried again: one is enough to find out.
    #[must_use]
    pub fn is_due(&self, key: &str, now: Millis) -> bool {
        self.0.get(key).is_some_and(|it| it.failures > 0 && it.until <= now)
    }

    /// Takes in what was heard of offers; answers whether that changed anything.
    pub fn hear(&mut self, worked: &BTreeSet<String>, failed: &BTreeSet<String>, now: Millis, chance: u64) -> bool {
        // What gave some and then no more has none now.
        let worked = worked.difference(failed).map(|key| (key.clone(), Heard::Worked, String::new()));
        let failed = failed.iter().map(|key| (key.clone(), Heard::Failed, String::new()));
        let news: Vec<_> = worked.chain(failed).collect();
        self.take_in(&news, now, chance)
    }

    /// Takes in what was heard of each key, and why; answers whether that changed anything.
    pub fn take_in(&mut self, news: &[(String, Heard, String)], now: Millis, chance: u64) -> bool {
        let before = self.clone();
        for (key, heard, why) in news {
            match step(self.0.get(key), *heard, now, chance) {
                Some(breaker) => {
                    let is_new = self.0.get(key) != Some(&breaker);
                    let why = if is_new { why.chars().take(LONGEST_WHY).collect() } else { breaker.why };
                    self.0.insert(key.clone(), Breaker { why, ..breaker });
                }
                None => drop(self.0.remove(key)),
            }
        }
        if *self != before {
            self.0.retain(|_, it| it.until + FORGET > now);
            self.shrink();
        }
        *self != before
    }

    /// Drops those that come back first until the others fit into their item: what is dropped is tried again, no more.
    fn shrink(&mut self) {
        let size = |(key, it): (&String, &Breaker)| key.len() + it.why.len() + OWN_BYTES;
        let mut bytes: usize = self.0.iter().map(size).sum();
        while bytes > MOST_BYTES {
            let Some(first) = self.0.iter().min_by_key(|(_, it)| it.until).map(|(key, _)| key.clone()) else { return };
            bytes -= self.0.get_key_value(&first).map_or(0, size);
            self.0.remove(&first);
        }
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
        use Heard::{Failed, Limited, Worked};
        let breaker = |failures, until| Some(Breaker { failures, until, why: String::new() });
        let (open, due) = (breaker(3, NOW + 1), breaker(3, NOW));
        let table = [
            // (closed, open, due) x (failed, worked, limited)
            (None, Failed, breaker(1, NOW + 15_000)),
            (None, Worked, None),
            (None, Limited(NOW + 9), breaker(0, NOW + 9)),
            (open.clone(), Failed, open.clone()),
            (open.clone(), Worked, None),
            (open.clone(), Limited(NOW + 9), breaker(3, NOW + 9)),
            (due.clone(), Failed, breaker(4, NOW + 120_000)),
            (due.clone(), Worked, None),
            (due.clone(), Limited(NOW + 9), breaker(3, NOW + 9)),
        ];
        for (before, heard, after) in &table {
            assert_eq!(step(before.as_ref(), *heard, NOW, 0), *after, "{before:?} hears {heard:?}");
        }
        let pairs: BTreeSet<_> = table.iter().map(|(before, heard, _)| format!("{before:?} {heard:?}")).collect();
        assert_eq!(pairs.len(), 3 * 3, "the table has every pair");
        let longer = step(breaker(0, NOW + 60).as_ref(), Limited(NOW + 9), NOW, 0);
        assert_eq!(longer, breaker(0, NOW + 60), "the longer wait is kept");
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut breaker = None;
        let mut pauses = Vec::new();
        for _ in 0..80 {
            let now = breaker.as_ref().map_or(NOW, |it: &Breaker| it.until);
            breaker = step(breaker.as_ref(), Heard::Failed, now, 0);
            pauses.push((breaker.as_ref().unwrap().until - now) / 1000);
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

    #[test]
    fn a_reason_is_kept_until_the_next() {
        let news = |heard, why: &str| vec![("k".to_owned(), heard, why.to_owned())];
        let mut breakers = Breakers::default();
        assert!(breakers.take_in(&news(Heard::Failed, "no such App"), NOW, 0));
        assert!(!breakers.take_in(&news(Heard::Failed, "again"), NOW, 0), "of a request on its way");
        assert_eq!((breakers.0["k"].why.as_str(), breakers.is_due("k", NOW)), ("no such App", false));
        assert!(breakers.is_due("k", NOW + 15_000));
        assert!(breakers.take_in(&news(Heard::Failed, &"x".repeat(9000)), NOW + 15_000, 0));
        assert_eq!(breakers.0["k"].why.len(), 500);
        assert!(breakers.take_in(&news(Heard::Worked, ""), NOW, 0) && breakers.0.is_empty());
        assert!(breakers.take_in(&news(Heard::Limited(NOW + 9), "limit"), NOW, 0));
        assert!(!breakers.is_due("k", NOW + 9), "a limit that is over is none: nothing is tried out");
    }

    #[test]
    fn they_never_outgrow_their_item() {
        let mut breakers = Breakers::default();
        for i in 0..6000_u64 {
            let news = [(format!("asks/dayfly-cpu={i}"), Heard::Failed, "y".repeat(200))];
            breakers.take_in(&news, NOW + i, 0);
        }
        let bytes: usize = breakers.0.iter().map(|(key, it)| key.len() + it.why.len() + 64).sum();
        assert!((150_000..=200_000).contains(&bytes), "{bytes}");
        assert!(breakers.0.contains_key("asks/dayfly-cpu=5999") && !breakers.0.contains_key("asks/dayfly-cpu=0"));
    }
}
