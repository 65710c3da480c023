//! The queue that takes lifecycle messages.

use aws_sdk_sqs::Client;
use futures::future::BoxFuture;

use super::CallError;
use crate::effects::Outbox;

/// An SQS queue.
#[derive(Clone, Debug)]
pub struct LifecycleQueue {
    client: Client,
    url: String,
}

impl LifecycleQueue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }
}

impl Outbox for LifecycleQueue {
    fn send(&self, message: String) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async {
            let answer = self.client.send_message().queue_url(&self.url).message_body(message).send().await;
            answer.map(|_| ()).map_err(|error| CallError::new(format!("sending to {}", self.url), &error))
        })
    }
}
