//! Wake-ups through SQS.

use std::time::Duration;

use aws_sdk_sqs::{Client, types::MessageAttributeValue};

use super::{LONGEST_DELAY, Wake, WakeError, WakeUp};

/// The message attribute that says why a message is in a dead-letter queue.
const REASON: &str = "reason";

/// The queue that feeds scale-up, and where the handler's own messages go that it can't act upon.
#[derive(Clone, Debug)]
pub struct SqsWake {
    client: Client,
    queue_url: String,
    dead_letters: Option<String>,
}

impl SqsWake {
    /// The queue at `queue_url`.
    #[must_use]
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, queue_url: queue_url.into(), dead_letters: None }
    }

    /// The same, where the handler's own queue has its dead-letter queue at `url`.
    #[must_use]
    pub fn with_dead_letters(self, url: Option<String>) -> Self {
        Self { dead_letters: url, ..self }
    }
}

impl Wake for SqsWake {
    async fn send(&self, wake_up: &WakeUp, delay: Duration) -> Result<(), WakeError> {
        let failed = |source| WakeError { doing: format!("waking fleet {}", wake_up.fleet), source };
        let body = serde_json::to_string(wake_up).map_err(|error| failed(error.into()))?;
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

    async fn put_aside(&self, body: &str, reason: &str) -> Result<bool, WakeError> {
        let Some(url) = &self.dead_letters else { return Ok(false) };
        let failed = |source| WakeError { doing: "putting a message into the dead-letter queue".to_owned(), source };
        // SQS takes no empty body.
        let body = if body.is_empty() { "(empty)" } else { body };
        let reason = attribute(reason).map_err(|error| failed(error.into()))?;
        let sent = self.client.send_message().queue_url(url).message_body(body).message_attributes(REASON, reason);
        sent.send().await.map_err(|error| failed(error.into()))?;
        Ok(true)
    }
}

/// `text` as a message attribute. SQS takes no empty one, and no control characters but the white ones.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn attribute(text: &str) -> Result<MessageAttributeValue, aws_smithy_types::error::operation::BuildError> {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().take(1000).map(plain).collect();
    let text = if text.is_empty() { "unknown".to_owned() } else { text };
    MessageAttributeValue::builder().data_type("String").string_value(text).build()
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
    use super::{Duration, attribute, whole_seconds};

    #[test]
    fn delays_are_rounded_up_and_kept_within_what_sqs_takes() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (900_000, 900), (5_000_000, 900)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
    }

    #[test]
    fn a_reason_is_what_sqs_takes() {
        let cases = [("a\u{1b}[31mb\n", "a [31mb "), ("", "unknown"), ("schön", "schön")];
        for (given, expected) in cases {
            assert_eq!(attribute(given).unwrap().string_value(), Some(expected));
        }
        assert_eq!(attribute(&"x".repeat(9000)).unwrap().string_value().map(str::len), Some(1000));
    }
}
