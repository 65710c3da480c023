//! SQS batches: each message succeeds or fails alone.

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use tracing::{error, warn};

use crate::{clock::Millis, report::Chain, wake::Wake};

/// How often a message was received, this time included.
#[must_use]
pub fn receive_count(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// When a message was sent, where SQS tells.
#[must_use]
pub fn sent_at(message: &SqsMessage) -> Option<Millis> {
    message.attributes.get("SentTimestamp").and_then(|at| at.parse().ok())
}

/// How long a message that is given back waits: longer each time.
#[must_use]
pub fn backoff(receive_count: u32) -> Duration {
    Duration::from_secs(2 << receive_count.saturating_sub(1).min(6))
}

/// Messages to be given back to their queue.
#[derive(Debug, Default)]
pub struct GivenBack(Vec<BatchItemFailure>);

impl GivenBack {
    /// Gives `message` back, to be seen again after `wait`. Where the queue can't be told, its visibility timeout
    /// decides.
    pub async fn add(&mut self, message: &SqsMessage, wait: Duration, queue: &impl Wake) {
        if let Some(receipt) = &message.receipt_handle
            && let Err(error) = queue.see_again(receipt, wait).await
        {
            warn!(error = %Chain(&error), "The message comes back after the queue's own time");
        }
        self.leave(message);
    }

    /// Puts `message` into its queue's dead-letter queue, with the reason. Where that can't be done it is given back, and
    /// its queue puts it there after all the times that it may be received.
    pub async fn put_aside(&mut self, message: &SqsMessage, reason: &str, queue: &impl Wake) {
        match queue.put_aside(message.body.as_deref().unwrap_or_default(), reason).await {
            Ok(true) => {}
            Ok(false) => self.leave(message),
            Err(error) => {
                error!(message.id = message.message_id, error = %Chain(&error), "It stays in its queue");
                self.leave(message);
            }
        }
    }

    /// Gives `message` back, to be seen again after the queue's visibility timeout.
    pub fn leave(&mut self, message: &SqsMessage) {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        self.0.push(failure);
    }

    /// The answer to Lambda.
    #[must_use]
    pub fn into_response(self) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self.0;
        response
    }
}
