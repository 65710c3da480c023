//! How long to wait before the next try: doubling up to a cap, with jitter so that instances that boot together
//! do not ask together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A growing wait. [`Backoff::next`] takes a random number, so that tests choose it.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    cap: Duration,
}

impl Backoff {
    /// Waits from `first`, doubling, up to `cap`.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { next: first, cap }
    }

    /// The next wait: between half and all of the step, by `random` in 0.0..1.0.
    pub fn next(&mut self, random: f64) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// Lets later waits grow to `cap`, if that is longer than before.
    pub fn slow_down(&mut self, cap: Duration) {
        self.cap = self.cap.max(cap);
    }
}

/// A random number in 0.0..1.0, good enough to spread retries: std's hasher is seeded by the system.
#[must_use]
pub fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_its_cap_and_is_spread() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(300));
        let waits: Vec<u128> = (0..5).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 300, 300]);
        assert_eq!(backoff.next(0.0).as_millis(), 150);
        backoff.slow_down(Duration::from_secs(1));
        assert_eq!([backoff.next(1.0).as_millis(), backoff.next(1.0).as_millis()], [300, 600]);
    }

    #[test]
    fn random_numbers_differ_and_stay_in_range() {
        let numbers: Vec<f64> = (0..50).map(|_| random()).collect();
        assert!(numbers.iter().all(|n| (0.0..1.0).contains(n)), "{numbers:?}");
        assert!(numbers.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }
}
