//! How long a fleet is left alone whose instances fail.

use std::time::Duration;

use crate::{
    clock::Millis,
    ledger::{Failure, Meta},
};

/// How long a fleet is left alone after its first failed instance, and by how much longer after each that follows:
/// where none can work, as with a broken image, launching on at once costs money without end.
const FAILURE_WAIT: Duration = Duration::from_secs(5);
/// The longest that a fleet is left alone after failures.
const LONGEST_FAILURE_WAIT: Duration = Duration::from_mins(5);

/// How long the fleet is left alone after a failed instance, and what is counted of that. Instances of one launch fail
/// together: those that fail within a pause count no more.
#[must_use]
pub fn failed(meta: &Meta, ran_job: bool, now: Millis) -> (Duration, Option<Failure>) {
    let pause = meta.paused_until.saturating_sub(now);
    if pause > 0 {
        return (Duration::from_millis(pause), None);
    }
    let before = if ran_job { 0 } else { meta.failures };
    let wait = failure_wait(before);
    let until = now + u64::try_from(wait.as_millis()).unwrap_or_default();
    (wait, Some(Failure { seen: meta.failures, count: before + 1, at: now, until }))
}

/// The wait after a failure that has so many before it.
fn failure_wait(before: u64) -> Duration {
    let times = 1_u32 << before.min(6);
    (FAILURE_WAIT * times).min(LONGEST_FAILURE_WAIT)
}
