//! How long a failing download is tried again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::aws::{CallError, Fault};
use crate::backoff::{Backoff, random};

/// Limits of one installation's calls to S3.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A connection that brings no byte for this long is given up, and another one made.
    pub(super) stall: Duration,
    /// For this long it is tried again without one more byte.
    pub(super) silent: Duration,
    /// For this long it is tried again where the service refuses: credentials and policies may still be on their way.
    pub(super) refused: Duration,
    /// For this long in all.
    pub(super) total: Duration,
    /// The waits between tries, from the first on.
    pub(super) waits: (Duration, Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(20),
            silent: Duration::from_mins(1),
            refused: Duration::from_secs(3),
            total: Duration::from_mins(5),
            waits: (Duration::from_millis(100), Duration::from_secs(5)),
        }
    }
}

/// Tries of one thing.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    backoff: Backoff,
    since: Instant,
}

/// There will be no other try.
#[derive(Debug)]
pub(super) struct GaveUp {
    /// After this long without progress.
    pub(super) after: Duration,
    /// The last failure.
    pub(super) error: CallError,
}

impl Tries {
    pub(super) fn new(patience: Patience) -> Self {
        let (first, cap) = patience.waits;
        Self { patience, backoff: Backoff::new(first, cap), since: Instant::now() }
    }

    /// Something went right: what fails from here on fails anew.
    pub(super) fn progress(&mut self) {
        *self = Self::new(self.patience);
    }

    /// Waits before the next try, if there is to be one after `error`.
    pub(super) async fn pause(&mut self, error: CallError) -> Result<(), GaveUp> {
        let after = self.since.elapsed();
        match self.wait(error.fault, after, random()) {
            Some(wait) => {
                sleep(wait).await;
                Ok(())
            }
            None => Err(GaveUp { after, error }),
        }
    }

    /// How long to wait `after` so long without progress, by `random` in 0.0..1.0; `None` to give up.
    fn wait(&mut self, fault: Fault, after: Duration, random: f64) -> Option<Duration> {
        let limit = if fault.is_final() { self.patience.refused } else { self.patience.silent };
        let wait = self.backoff.next(random);
        (after + wait < limit).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_sooner_than_silence() {
        let tries = || Tries::new(Patience::default());
        let seconds = Duration::from_secs;
        for fault in [Fault::Denied, Fault::Refused] {
            assert_eq!(tries().wait(fault, seconds(1), 1.0), Some(Duration::from_millis(100)));
            assert_eq!(tries().wait(fault, seconds(3), 1.0), None);
        }
        for fault in [Fault::Passing, Fault::Throttled] {
            assert!(tries().wait(fault, seconds(59), 1.0).is_some());
            assert_eq!(tries().wait(fault, seconds(60), 1.0), None);
        }
    }

    #[tokio::test]
    async fn progress_begins_anew() {
        let mut tries = Tries::new(Patience::default());
        let first = tries.wait(Fault::Passing, Duration::ZERO, 1.0);
        assert!(tries.wait(Fault::Passing, Duration::ZERO, 1.0) > first);
        let before = tries.since;
        tries.progress();
        assert!(tries.since >= before);
        assert_eq!(tries.wait(Fault::Passing, Duration::ZERO, 1.0), first);
    }
}
