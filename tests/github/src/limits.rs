//! The primary rate limit: so many requests an hour, counted from the first one.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Who a request is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// An installation, by id.
    Installation(u64),
    /// The App itself, by its JWT.
    App,
    /// Anyone else. GitHub counts by address; here it is one.
    Anonymous,
}

/// What an answer's rate-limit headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    /// Seconds since 1970 when the count starts anew.
    pub(crate) reset: i64,
    /// Whether the request is one too many.
    pub(crate) exceeded: bool,
}

impl Standing {
    pub(crate) const fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    used: u64,
    reset: i64,
}

/// Requests without a token, an hour, as GitHub documents it.
const ANONYMOUS: u64 = 60;

/// All counts.
#[derive(Debug)]
pub(crate) struct Limits {
    authenticated: u64,
    windows: HashMap<Payer, Window>,
}

impl Limits {
    pub(crate) fn new(authenticated: u64) -> Self {
        Self { authenticated, windows: HashMap::new() }
    }

    /// Changes the limit of everyone who shows who they are.
    pub(crate) fn set(&mut self, authenticated: u64) {
        self.authenticated = authenticated;
    }

    /// Counts one request. One that is too many isn't counted: GitHub's `used` stops at the limit.
    pub(crate) fn take(&mut self, payer: &Payer, now: Timestamp) -> Standing {
        let before = self.look(payer, now);
        if before.remaining() == 0 {
            return Standing { exceeded: true, ..before };
        }
        let used = before.used + 1;
        self.windows.insert(payer.clone(), Window { used, reset: before.reset });
        Standing { used, ..before }
    }

    /// Where `payer` stands, without counting.
    pub(crate) fn look(&self, payer: &Payer, now: Timestamp) -> Standing {
        let limit = if *payer == Payer::Anonymous { ANONYMOUS } else { self.authenticated };
        let fresh = Window { used: 0, reset: (now + SignedDuration::from_hours(1)).as_second() };
        let window = self.windows.get(payer).copied().filter(|window| now.as_second() < window.reset).unwrap_or(fresh);
        Standing { limit, used: window.used, reset: window.reset, exceeded: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn counts_up_to_the_limit_and_starts_anew_after_an_hour() {
        let mut limits = Limits::new(2);
        let payer = Payer::Installation(1);
        assert_eq!(limits.take(&payer, at(0)).remaining(), 1);
        assert_eq!(limits.take(&payer, at(10)).remaining(), 0);
        let third = limits.take(&payer, at(20));
        assert!(third.exceeded);
        assert_eq!((third.used, third.reset), (2, at(3600).as_second()));
        assert!(limits.take(&payer, at(3599)).exceeded);
        let next = limits.take(&payer, at(3600));
        assert_eq!((next.exceeded, next.used, next.reset), (false, 1, at(7200).as_second()));
    }

    #[test]
    fn each_payer_has_a_count_of_its_own() {
        let mut limits = Limits::new(1);
        assert!(!limits.take(&Payer::Installation(1), at(0)).exceeded);
        assert!(!limits.take(&Payer::Installation(2), at(0)).exceeded);
        assert!(!limits.take(&Payer::App, at(0)).exceeded);
        assert_eq!(limits.take(&Payer::Anonymous, at(0)).limit, 60);
        assert!(limits.take(&Payer::Installation(1), at(0)).exceeded);
    }
}
