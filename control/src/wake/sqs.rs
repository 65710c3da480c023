//! Wake-ups through SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;

use super::{LONGEST_DELAY, Wake, WakeError, WakeUp};

/// The queue that feeds scale-up.
#[derive(Clone, Debug)]
pub struct SqsWake {
    client: Client,
    queue_url: String,
}

impl SqsWake {
    /// The queue at `queue_url`.
    #[must_use]
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into() }
    }
}

impl Wake for SqsWake {
    async fn wake(&self, fleet: &str, delay: Duration) -> Result<(), WakeError> {
        let failed = |source| WakeError { doing: format!("waking fleet {fleet}"), source };
        let body = serde_json::to_string(&WakeUp::new(fleet)).map_err(|error| failed(error.into()))?;
        self.client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(body)
            .delay_seconds(whole_seconds(delay))
            .send()
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }

    async fn see_again(&self, receipt: &str, delay: Duration) -> Result<(), WakeError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(receipt)
            .visibility_timeout(whole_seconds(delay))
            .send()
            .await
            .map_err(|error| WakeError { doing: "giving a message back".to_owned(), source: error.into() })?;
        Ok(())
    }
}

/// Rounded up, so that a look is never early.
fn whole_seconds(delay: Duration) -> i32 {
    let delay = delay.min(LONGEST_DELAY);
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    // At most 900.
    i32::try_from(seconds).unwrap_or(900)
}

#[cfg(test)]
mod tests {
    use super::{Duration, whole_seconds};

    #[test]
    fn delays_are_rounded_up_and_kept_within_what_sqs_takes() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (900_000, 900), (5_000_000, 900)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
    }
}
