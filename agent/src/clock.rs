//! Time: since the kernel started, which orders and limits everything here, and of day, for people and other machines.
//!
//! Only the shell reads a clock; `core` is handed an [`Uptime`].

use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Milliseconds since the kernel started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uptime(pub u64);

impl Add<Duration> for Uptime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Tells the uptime: what it was when the clock was made, and what has passed since.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    at_origin: Uptime,
}

impl Clock {
    /// A clock that stands at `uptime` now.
    #[must_use]
    pub fn starting_at(uptime: Uptime) -> Self {
        Self { origin: Instant::now(), at_origin: uptime }
    }

    /// A clock set by the kernel's own `/proc/uptime`; from 0 where that can't be read.
    #[must_use]
    pub fn of_kernel() -> Self {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        Self::starting_at(parse_uptime(&text).unwrap_or_default())
    }

    /// The uptime when the clock was made.
    #[must_use]
    pub fn origin(&self) -> Uptime {
        self.at_origin
    }

    /// The uptime now.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        self.at_origin + self.origin.elapsed()
    }

    /// The instant at which the uptime will be `uptime`.
    #[must_use]
    pub fn instant(&self, uptime: Uptime) -> Instant {
        self.origin + Duration::from_millis(uptime.0.saturating_sub(self.at_origin.0))
    }

    /// The uptime at a time of day, in milliseconds since 1970; 0 where that was before the kernel started.
    #[must_use]
    pub fn uptime_at(&self, millis: u64) -> Uptime {
        Uptime(millis.saturating_sub(self.kernel_start()))
    }

    /// When the kernel started, in milliseconds since 1970. Computed anew each time: the time of day may have been
    /// stepped since boot, the uptime never is.
    #[must_use]
    pub fn kernel_start(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(self.uptime().0)
    }
}

/// The first field of `/proc/uptime`: seconds with two decimals (proc(5)).
fn parse_uptime(text: &str) -> Option<Uptime> {
    let (seconds, rest) = text.split_once('.')?;
    let hundredths = rest.get(..2)?;
    Some(Uptime(seconds.parse::<u64>().ok()? * 1000 + hundredths.parse::<u64>().ok()? * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_read_from_proc() {
        assert_eq!(parse_uptime("12.34 20.00\n"), Some(Uptime(12_340)));
        assert_eq!(parse_uptime("0.00 0.00\n"), Some(Uptime(0)));
        assert_eq!(parse_uptime(""), None);
        assert_eq!(parse_uptime("x.y"), None);
    }

    #[test]
    fn a_clock_goes_on_from_where_it_was_set() {
        let clock = Clock::starting_at(Uptime(5_000));
        std::thread::sleep(Duration::from_millis(20));
        let uptime = clock.uptime();
        assert!((5_020..10_000).contains(&uptime.0), "{uptime:?}");
        assert!(clock.instant(uptime) <= Instant::now());
        assert_eq!(clock.instant(Uptime(8_000)) - clock.instant(Uptime(7_000)), Duration::from_secs(1));
    }

    #[test]
    fn the_kernel_started_before_now() {
        let hour_ago = Clock::starting_at(Uptime(3_600_000)).kernel_start();
        let now = Clock::starting_at(Uptime(0)).kernel_start();
        assert!((3_590_000..3_610_000).contains(&(now - hour_ago)), "{hour_ago} {now}");
    }
}
