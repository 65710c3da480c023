//! Notices that the machine stood still: that it was suspended or hibernated and woken again. What the runner knows of
//! GitHub is then old, and the deadlines here, which count only the time the machine ran, are too late.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};
use tracing::warn;

/// A pause as short as this one is nobody's concern.
const STILL: Duration = Duration::from_secs(30);
/// How far the time of day may be set without a word.
const STEP: Duration = Duration::from_mins(1);

/// What the clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readings {
    /// Since boot, standing still included (`CLOCK_BOOTTIME`).
    pub since_boot: Duration,
    /// The time the machine ran, from any moment on (`CLOCK_MONOTONIC`).
    pub running: Duration,
    /// Since 1970 (`CLOCK_REALTIME`).
    pub time_of_day: Duration,
}

/// Reads this machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clocks(Instant);

impl Clocks {
    /// Clocks whose [`Readings::running`] counts from now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// What they show; none where `/proc` can't be read.
    #[must_use]
    pub fn read(&self) -> Option<Readings> {
        // The kernel's own uptime counts suspended time, as CLOCK_BOOTTIME does; std's Instant is CLOCK_MONOTONIC.
        let text = std::fs::read_to_string("/proc/uptime").ok()?;
        Some(Readings {
            since_boot: Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()?,
            running: self.0.elapsed(),
            time_of_day: SystemTime::now().duration_since(UNIX_EPOCH).ok()?,
        })
    }
}

impl Default for Clocks {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the clocks each time `every` has passed, for ever. Tells how long the machine stood still, where that was more
/// than half a minute since the last look; a time of day that was set is logged and no more.
pub async fn watch_stillness(every: Duration, read: impl Fn() -> Option<Readings>, tell: impl Fn(Duration)) {
    let mut before = read();
    loop {
        sleep(every).await;
        let now = read();
        if let (Some(before), Some(now)) = (before, now) {
            let seen = compare(before, now);
            if let Some(stood) = seen.stood {
                warn!(seconds = stood.as_secs(), "The machine stood still for {} s", stood.as_secs());
                tell(stood);
            }
            if let Some(step) = seen.step_seconds {
                warn!(seconds = step, "The time of day was set by {step} s");
            }
        }
        before = now.or(before);
    }
}

/// What has happened between two looks at the clocks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    stood: Option<Duration>,
    step_seconds: Option<i64>,
}

fn compare(before: Readings, now: Readings) -> Seen {
    let passed = now.since_boot.saturating_sub(before.since_boot);
    let ran = now.running.saturating_sub(before.running);
    let stood = passed.saturating_sub(ran);
    let should_be = before.time_of_day + passed;
    let step = now.time_of_day.abs_diff(should_be);
    let seconds = i64::try_from(step.as_secs()).unwrap_or(i64::MAX);
    Seen {
        stood: (stood > STILL).then_some(stood),
        step_seconds: (step > STEP).then_some(if now.time_of_day < should_be { -seconds } else { seconds }),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn at(since_boot: u64, running: u64, time_of_day: u64) -> Readings {
        let [since_boot, running, time_of_day] = [since_boot, running, time_of_day].map(Duration::from_secs);
        Readings { since_boot, running, time_of_day }
    }

    #[test]
    fn what_has_happened_is_told_apart() {
        let before = at(1000, 900, 50_000);
        let seen = |stood: Option<u64>, step_seconds| Seen { stood: stood.map(Duration::from_secs), step_seconds };
        let cases = [
            ("nothing", at(1010, 910, 50_010), seen(None, None)),
            ("a busy machine that looks late", at(1200, 1100, 50_200), seen(None, None)),
            ("a short pause", at(1040, 910, 50_040), seen(None, None)),
            ("suspended for an hour", at(4610, 910, 53_610), seen(Some(3600), None)),
            ("the time of day set on", at(1010, 910, 50_210), seen(None, Some(200))),
            ("the time of day set back", at(1010, 910, 40_010), seen(None, Some(-10_000))),
            ("the time of day put right a little", at(1010, 910, 50_050), seen(None, None)),
            ("suspended, and the time of day stood still too", at(4610, 910, 50_010), seen(Some(3600), Some(-3600))),
        ];
        for (name, now, expected) in cases {
            assert_eq!(compare(before, now), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn it_is_told_once_and_a_clock_that_fails_is_survived() {
        let readings = [
            Some(at(0, 0, 0)),
            Some(at(1, 1, 1)),
            None,
            Some(at(102, 2, 102)),
            Some(at(103, 3, 103)),
            Some(at(203, 4, 203)),
            Some(at(204, 5, 204)),
        ];
        let (next, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let read = || {
            let reading = readings.get(next.get()).copied();
            next.set(next.get() + 1);
            reading.flatten()
        };
        let watching = watch_stillness(Duration::from_millis(1), read, |stood| told.borrow_mut().push(stood.as_secs()));
        let enough = async {
            while next.get() <= readings.len() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = watching => unreachable!("it never ends"),
            () = enough => {}
            () = sleep(Duration::from_secs(20)) => panic!("only {} looks", next.get()),
        }
        assert_eq!(*told.borrow(), [100, 99]);
    }

    #[test]
    fn this_machines_clocks_agree() {
        let clocks = Clocks::new();
        let before = clocks.read().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let now = clocks.read().unwrap();
        assert!(now.since_boot > before.since_boot && now.running > before.running, "{before:?} {now:?}");
        assert_eq!(compare(before, now), Seen::default());
    }
}
