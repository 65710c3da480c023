//! Does something again and again until it works or its time is over.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::aws::CallError;
use crate::backoff::{Backoff, random};

/// Why it never worked.
#[derive(Debug, thiserror::Error)]
pub(super) enum GaveUp {
    /// Each try failed.
    #[error("gave up after {tries} tries: {last}")]
    Failed { tries: u32, last: CallError },
    /// Not even the first try came to an end.
    #[error("gave up after {} s without an answer", limit.as_secs())]
    Silent { limit: Duration },
}

/// How long refusals are tried against: IAM may lag a little behind a change, what it refuses for longer it refuses for
/// good.
const REFUSED_LIMIT: Duration = Duration::from_secs(5);

/// Tries `attempt` for up to `limit`, or until it was refused for a while.
pub(super) async fn on<'a>(
    limit: Duration,
    attempt: impl Fn() -> BoxFuture<'a, Result<(), CallError>>,
) -> Result<(), GaveUp> {
    let deadline = Instant::now() + limit;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let (mut tries, mut last) = (0, None);
    let mut refused_until: Option<Instant> = None;
    loop {
        match timeout_at(deadline, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                tries += 1;
                warn!(%error, tries, "Trying again");
                let until = refused_until.unwrap_or_else(|| Instant::now() + REFUSED_LIMIT);
                refused_until = error.fault.is_final().then_some(until);
                last = Some(error);
            }
            Err(_elapsed) => break,
        }
        let pause = backoff.next(random());
        let end = refused_until.map_or(deadline, |until| until.min(deadline));
        if Instant::now() + pause >= end {
            break;
        }
        sleep(pause).await;
    }
    Err(match last {
        Some(last) => GaveUp::Failed { tries, last },
        None => GaveUp::Silent { limit },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::aws::Fault;

    fn failed(fault: Fault) -> CallError {
        CallError { doing: "sending".to_owned(), why: "refused".to_owned(), fault }
    }

    fn refused() -> CallError {
        failed(Fault::Passing)
    }

    #[tokio::test]
    async fn it_tries_until_it_works() {
        let tries = AtomicU32::new(0);
        let result = on(Duration::from_secs(20), || {
            let fails = tries.fetch_add(1, Ordering::Relaxed) < 2;
            Box::pin(async move { if fails { Err(refused()) } else { Ok(()) } })
        });
        result.await.unwrap();
        assert_eq!(tries.into_inner(), 3);
    }

    #[tokio::test]
    async fn what_is_refused_for_good_is_given_up_sooner() {
        for fault in [Fault::Denied, Fault::Refused] {
            let began = Instant::now();
            let result = on(Duration::from_mins(1), || Box::pin(async move { Err(failed(fault)) })).await;
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
            assert!(matches!(result, Err(GaveUp::Failed { tries: 3.., .. })), "{result:?}");
        }
    }

    #[tokio::test]
    async fn refusals_with_other_failures_between_are_not_for_good() {
        let (began, tries) = (Instant::now(), AtomicU32::new(0));
        let result = on(Duration::from_mins(1), || {
            let fault = if tries.fetch_add(1, Ordering::Relaxed) % 2 == 0 { Fault::Denied } else { Fault::Passing };
            let over = began.elapsed() > REFUSED_LIMIT;
            Box::pin(async move { if over { Ok(()) } else { Err(failed(fault)) } })
        });
        result.await.unwrap();
    }

    #[tokio::test]
    async fn it_gives_up_at_its_limit() {
        let error = on(Duration::from_millis(300), || Box::pin(async { Err(refused()) })).await.unwrap_err();
        assert!(error.to_string().ends_with("tries: sending: refused"), "{error}");
        let error = on(Duration::from_millis(100), || Box::pin(std::future::pending())).await.unwrap_err();
        assert!(matches!(error, GaveUp::Silent { .. }), "{error}");
    }
}
