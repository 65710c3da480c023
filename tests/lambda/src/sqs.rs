//! Feeds a function from a queue.
//!
//! One loop per mapping receives; batches run beside each other up to the mapping's concurrency. More loops would gain
//! nothing: moto serves one receive at a time, and that one gets slower as the queue gets longer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};
use tracing::{debug, warn};

use crate::{
    answer::Outcome,
    aws::Aws,
    functions::Functions,
    model::{Mapping, arn_part},
    sqs_batch::{Gather, Message, event, gather, settled},
    task::Task,
};

/// A mapping being served. Dropping it stops the receiving at once; batches that run go on to their end.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) mapping: Mapping,
    stop: watch::Sender<bool>,
    task: Task,
}

impl Poller {
    /// Starts to receive. `in_flight` counts the messages that were received and are not settled.
    pub(crate) fn start(mapping: Mapping, aws: Aws, functions: Arc<Functions>, in_flight: Arc<AtomicUsize>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let feed = Arc::new(Feed { mapping: mapping.clone(), aws, functions, in_flight });
        Self { mapping, stop, task: Task::spawn(feed.run(stopped)) }
    }

    /// Asks it to stop after the receive that it is in: one that is broken off would hide messages from everybody for
    /// their visibility timeout.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.task.is_finished()
    }
}

struct Feed {
    mapping: Mapping,
    aws: Aws,
    functions: Arc<Functions>,
    in_flight: Arc<AtomicUsize>,
}

struct Queue {
    url: String,
    visibility: Duration,
}

/// Messages in flight, counted until this is dropped.
struct Batch {
    messages: Vec<Message>,
    count: Arc<AtomicUsize>,
}

impl Batch {
    fn add(&mut self, messages: Vec<Message>) {
        self.count.fetch_add(messages.len(), Ordering::SeqCst);
        self.messages.extend(messages);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.count.fetch_sub(self.messages.len(), Ordering::SeqCst);
    }
}

impl Feed {
    async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let width = self.mapping.max_concurrency.unwrap_or(self.functions.speed.mapping_concurrency).max(1);
        let slots = Arc::new(Semaphore::new(width));
        let mut queue = None;
        let mut failures = 0;
        while !*stopped.borrow() {
            let slot = tokio::select! {
                changed = stopped.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            // The semaphore is never closed.
            let Ok(slot) = slot else { return };
            match self.receive(&mut queue, &stopped).await {
                Ok(None) => failures = 0,
                Ok(Some((queue, batch))) => {
                    failures = 0;
                    tokio::spawn(Arc::clone(&self).handle(queue, batch, slot));
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let error = format!("{error:#}");
                        warn!(queue.arn = self.mapping.queue_arn, error, "Could not receive from a queue; trying on");
                    }
                    sleep(backoff(self.functions.speed.backoff, failures)).await;
                }
            }
        }
    }

    /// Gathers one batch; none where nothing came.
    async fn receive(
        &self,
        known: &mut Option<Arc<Queue>>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Option<(Arc<Queue>, Batch)>> {
        let queue = match known {
            Some(queue) => Arc::clone(queue),
            None => Arc::clone(known.insert(Arc::new(self.find_queue().await?))),
        };
        let mut batch = Batch { messages: Vec::new(), count: Arc::clone(&self.in_flight) };
        let mut first = Instant::now();
        loop {
            match gather(&self.mapping, &batch.messages, first.elapsed(), self.functions.speed.poll_wait) {
                Gather::Invoke => return Ok(Some((queue, batch))),
                Gather::Receive(count, wait) => {
                    let messages = match self.receive_some(&queue, count, wait).await {
                        Ok(messages) => messages,
                        // What is gathered already must not wait for the queue to come back.
                        Err(_) if !batch.messages.is_empty() => return Ok(Some((queue, batch))),
                        Err(error) => {
                            // It may have been deleted and made again.
                            *known = None;
                            return Err(error);
                        }
                    };
                    if batch.messages.is_empty() {
                        if messages.is_empty() {
                            return Ok(None);
                        }
                        first = Instant::now();
                    }
                    if messages.is_empty() && wait < Duration::from_secs(1) {
                        // SQS waits whole seconds only; the rest of a window is waited here.
                        sleep(wait.min(Duration::from_millis(100))).await;
                    }
                    batch.add(messages);
                    if *stopped.borrow() {
                        return Ok(Some((queue, batch)));
                    }
                }
            }
        }
    }

    async fn find_queue(&self) -> Result<Queue> {
        let arn = &self.mapping.queue_arn;
        let name = json!({"QueueName": arn_part(arn, 5), "QueueOwnerAWSAccountId": arn_part(arn, 4)});
        let answer = self.call("GetQueueUrl", &name).await?;
        let url = answer.get("QueueUrl").and_then(Value::as_str).context("GetQueueUrl answered no QueueUrl")?;
        let wanted = json!({"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]});
        let answer = self.call("GetQueueAttributes", &wanted).await?;
        let seconds = answer.pointer("/Attributes/VisibilityTimeout").and_then(Value::as_str);
        let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
        Ok(Queue { url: url.to_owned(), visibility: Duration::from_secs(seconds) })
    }

    async fn receive_some(&self, queue: &Queue, count: usize, wait: Duration) -> Result<Vec<Message>> {
        let body = json!({
            "QueueUrl": queue.url,
            "MaxNumberOfMessages": count,
            "WaitTimeSeconds": wait.as_secs().min(20),
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut answer = self.call("ReceiveMessage", &body).await?;
        match answer.get_mut("Messages").map(Value::take) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(messages) => serde_json::from_value(messages).context("reading messages"),
        }
    }

    async fn handle(self: Arc<Self>, queue: Arc<Queue>, batch: Batch, slot: OwnedSemaphorePermit) {
        let messages = &batch.messages;
        let (function, arn) = (&self.mapping.function, &self.mapping.queue_arn);
        match self.invoke(&queue, messages).await {
            Ok(done) => {
                let left = messages.len() - done.len();
                debug!(function.name = function, queue.arn = arn, done = done.len(), left, "A batch is through");
                if let Err(error) = self.delete(&queue, &done).await {
                    let error = format!("{error:#}");
                    warn!(queue.arn = arn, error, "Could not delete messages that are done; they will come again");
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                warn!(function.name = function, queue.arn = arn, messages = messages.len(), error, "A batch failed");
            }
        }
        drop((batch, slot));
    }

    /// Invokes the function, again while it is throttled and the messages are still hidden from others.
    async fn invoke<'a>(&self, queue: &Queue, messages: &'a [Message]) -> Result<Vec<&'a Message>> {
        let event = event(&self.mapping, messages).to_string().into_bytes();
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let answer = self.functions.invoke(&self.mapping.function, event.clone()).await?;
            match answer.outcome {
                Outcome::Success => return Ok(settled(&self.mapping, messages, &answer.payload)),
                Outcome::FunctionError => bail!("request {} failed, see the function's log", answer.request),
                Outcome::TooLarge => bail!("its event is larger than Lambda takes"),
                Outcome::Throttled => {
                    tries += 1;
                    let wait = backoff(self.functions.speed.backoff, tries);
                    if begun.elapsed() + wait >= queue.visibility {
                        bail!("it was throttled until the messages' visibility timeout");
                    }
                    sleep(wait).await;
                }
            }
        }
    }

    async fn delete(&self, queue: &Queue, messages: &[&Message]) -> Result<()> {
        for some in messages.chunks(10) {
            let entries: Vec<Value> = some
                .iter()
                .enumerate()
                .map(|(id, message)| json!({"Id": id.to_string(), "ReceiptHandle": message.receipt_handle}))
                .collect();
            let answer = self.call("DeleteMessageBatch", &json!({"QueueUrl": queue.url, "Entries": entries})).await?;
            if let Some(failed) = answer.get("Failed").and_then(Value::as_array).filter(|failed| !failed.is_empty()) {
                bail!("{} of {} were refused: {}", failed.len(), some.len(), json!(failed));
            }
        }
        Ok(())
    }

    async fn call(&self, target: &str, body: &Value) -> Result<Value> {
        self.aws.call("sqs", &format!("AmazonSQS.{target}"), body).await
    }
}

/// The wait after so many failures in a row: doubling, up to 20 times the first.
fn backoff(first: Duration, failures: u32) -> Duration {
    first * 2_u32.saturating_pow(failures.saturating_sub(1)).min(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let waits: Vec<u128> =
            [1, 2, 3, 6, 99].map(|n| backoff(Duration::from_millis(100), n).as_millis()).into_iter().collect();
        assert_eq!(waits, [100, 200, 400, 2000, 2000]);
    }
}
