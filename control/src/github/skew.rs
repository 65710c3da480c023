//! How far GitHub's clock is from ours.
//!
//! The App's token tells when it was made, and GitHub refuses one from its future, or that has expired by its own clock:
//! a GitHub Enterprise Server may be minutes off. Its answers tell its time, so where it refuses the App, the token is
//! made for that time and tried once more.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, header};

/// Less than this is no reason for a refusal: the token is backdated by more, and an answer tells whole seconds.
const NO_REASON_SECONDS: u64 = 20;

/// Seconds by which GitHub's clock is ahead of ours, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// GitHub's time where ours is `now`, both in seconds since 1970.
    pub(super) fn their_time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.0.load(Ordering::Relaxed))
    }

    /// Learns from an answer of GitHub's time `theirs` that came where ours was `now`. Whether that may be why it refused
    /// what was made for [`Self::their_time`].
    pub(super) fn learn(&self, theirs: u64, now: u64) -> bool {
        let (Ok(theirs), Ok(now)) = (i64::try_from(theirs), i64::try_from(now)) else { return false };
        let ahead = theirs - now;
        let before = self.0.load(Ordering::Relaxed);
        let is_reason = ahead.abs_diff(before) >= NO_REASON_SECONDS;
        if is_reason {
            self.0.store(ahead, Ordering::Relaxed);
        }
        is_reason
    }
}

/// The time that an answer's headers tell, in seconds since 1970.
pub(super) fn date(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(at.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Skew, date, header};

    #[test]
    fn a_clock_that_is_far_off_is_a_reason_once() {
        let skew = Skew::default();
        assert_eq!(skew.their_time(1000), 1000);
        for (theirs, reason, their_time) in [
            // Close enough.
            (1019, false, 1000),
            (981, false, 1000),
            // Behind, and still so: that is no new reason.
            (700, true, 700),
            (705, false, 700),
            // Put right.
            (1000, true, 1000),
            (1300, true, 1300),
            (u64::MAX, false, 1300),
        ] {
            assert_eq!((skew.learn(theirs, 1000), skew.their_time(1000)), (reason, their_time), "{theirs}");
        }
        skew.learn(0, 1000);
        assert_eq!(skew.their_time(5), 0, "nothing is before 1970");
    }

    #[test]
    fn an_answer_tells_its_time() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, text.parse().unwrap());
            date(&headers)
        };
        assert_eq!(of("Sat, 21 Nov 2026 01:00:00 GMT"), Some(1_795_222_800));
        assert_eq!(of("yesterday"), None);
        assert_eq!(of("Sat, 21 Nov 1926 01:00:00 GMT"), None);
        assert_eq!(date(&HeaderMap::new()), None);
    }
}
