//! Calls at the pace that their service allows, shared by all invocations through the ledger.

use std::time::Duration;

use tracing::{info, warn};

use super::{Deps, Ports, look::Task};
use crate::{
    clock::{Clock, Millis},
    decide::bucket::{Bucket, Taken},
    ledger::Ledger,
    report::Chain,
};

/// So long an invocation waits for its turn; what would take longer is left to a later one.
const LONGEST: Duration = Duration::from_secs(10);
/// Nothing is begun when less time is left: what tokens are taken for is a call or two.
pub(super) const TIME_NEEDED: Millis = 3000;

/// Takes `n` tokens out of `bucket` and waits until they are there. Where that takes too long, or `task` has no time left for
/// what they are for, nothing is taken, and the answer is how long to stay away.
///
/// One call to the ledger, or two where others ask too: take for a whole batch. Without the ledger there is no limit; it
/// keeps a burst from starving the account, and nothing else depends on it.
pub(super) async fn take<P: Ports>(deps: &Deps<P>, task: &Task<'_>, bucket: Bucket, n: u32) -> Result<(), Duration> {
    let Some(rate) = deps.limits.rate(bucket) else { return Ok(()) };
    if n == 0 {
        return Ok(());
    }
    let now = deps.clock.now();
    let left = Duration::from_millis(task.deadline.saturating_sub(now + TIME_NEEDED));
    let take = rate.take(n, now, LONGEST.min(left));
    let wait = match deps.ledger.take(bucket, take).await {
        Ok(Taken::Yes(full)) => rate.wait(full, now),
        Ok(Taken::No(full)) => {
            let wait = Duration::from_micros(full.saturating_sub(take.latest));
            info!(bucket.name = bucket.name(), wait_ms = millis(wait), "No room in bucket {}", bucket.name());
            return Err(wait);
        }
        Err(error) => {
            warn!(bucket.name = bucket.name(), error = %Chain(&error), "Going on without bucket {}", bucket.name());
            return Ok(());
        }
    };
    if !wait.is_zero() {
        info!(bucket.name = bucket.name(), wait_ms = millis(wait), "Waiting for bucket {}", bucket.name());
        deps.clock.sleep(wait).await;
    }
    Ok(())
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
