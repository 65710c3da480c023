//! Deliveries twice, out of order, late or never: GitHub promises none of the contrary.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// More can't be on their way at a time: each is a connection.
const MOST_AT_ONCE: usize = 10_000;

/// How webhooks go astray. The default is: they don't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chaos {
    /// How many times each is delivered, with the same GUID. At least 1.
    pub copies: u32,
    /// Collects webhooks for so many milliseconds and sends them in random order; 0 sends each at once.
    pub shuffle_ms: u64,
    /// Seed of that order.
    pub seed: u64,
    /// Milliseconds that each waits before it is sent.
    pub delay_ms: u64,
    /// So many of the next webhooks are never sent, nor recorded.
    pub drop_first: u32,
    /// Of a hundred webhooks so many get lost on their way, all copies of them: recorded as failed deliveries, which can
    /// be asked for again.
    pub lost_percent: u32,
    /// So many are on their way at a time, and the others wait for one of them to end; 0 sends all that there are.
    pub at_once: usize,
}

impl Default for Chaos {
    fn default() -> Self {
        Self { copies: 1, shuffle_ms: 0, seed: 1, delay_ms: 0, drop_first: 0, lost_percent: 0, at_once: 0 }
    }
}

impl Chaos {
    /// Why it can't be used.
    pub(crate) fn problem(&self) -> Option<String> {
        if !(1..=100).contains(&self.copies) {
            return Some(format!("copies: found {}, expected 1 to 100", self.copies));
        }
        if self.at_once > MOST_AT_ONCE {
            return Some(format!("at_once: found {}, expected 0 to {MOST_AT_ONCE}", self.at_once));
        }
        (self.lost_percent > 100).then(|| format!("lost_percent: found {}, expected 0 to 100", self.lost_percent))
    }

    /// Whether the webhook with this GUID gets lost; a seed loses the same ones each time.
    pub(crate) fn loses(&self, guid: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, guid).hash(&mut hasher);
        hasher.finish() % 100 < u64::from(self.lost_percent)
    }

    /// What is sent for a batch, in the order it is sent.
    pub(crate) fn order<T: Clone>(&self, batch: &[T], rng: &mut StdRng) -> Vec<T> {
        let mut all: Vec<T> = batch.iter().flat_map(|one| (0..self.copies.max(1)).map(|_| one.clone())).collect();
        if self.shuffle_ms > 0 {
            all.shuffle(rng);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn without_chaos_each_is_sent_once_and_in_order() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(Chaos::default().order(&[1, 2, 3], &mut rng), [1, 2, 3]);
    }

    #[test]
    fn copies_and_shuffle_lose_nothing_and_a_seed_gives_one_order() {
        let chaos = Chaos { copies: 3, shuffle_ms: 100, ..Chaos::default() };
        let batch: Vec<u32> = (0..20).collect();
        let run = |seed| chaos.order(&batch, &mut StdRng::seed_from_u64(seed));
        let mut sorted = run(7);
        sorted.sort_unstable();
        let thrice: Vec<u32> = (0..20).flat_map(|n| [n, n, n]).collect();
        assert_eq!(sorted, thrice);
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_ne!(run(7), thrice);
    }

    #[test]
    fn about_as_many_are_lost_as_is_asked_for() {
        let lost = |lost_percent, seed| {
            let chaos = Chaos { seed, lost_percent, ..Chaos::default() };
            (0..1000).filter(|n| chaos.loses(&format!("guid-{n}"))).collect::<Vec<u32>>()
        };
        assert_eq!((lost(0, 1).len(), lost(100, 1).len()), (0, 1000));
        assert!((20..100).contains(&lost(5, 1).len()), "{}", lost(5, 1).len());
        assert_eq!(lost(5, 1), lost(5, 1));
        assert_ne!(lost(5, 1), lost(5, 2));
    }

    #[test]
    fn no_copies_or_too_many_are_a_mistake() {
        for copies in [0, 101] {
            let text = Chaos { copies, ..Chaos::default() }.problem().unwrap_or_default();
            assert_eq!(text, format!("copies: found {copies}, expected 1 to 100"));
        }
        let text = Chaos { at_once: 10_001, ..Chaos::default() }.problem().unwrap_or_default();
        assert_eq!(text, "at_once: found 10001, expected 0 to 10000");
        let text = Chaos { lost_percent: 101, ..Chaos::default() }.problem().unwrap_or_default();
        assert_eq!(text, "lost_percent: found 101, expected 0 to 100");
    }
}
