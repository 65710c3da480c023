//! Batches of messages: when one is full, the event made of it, and which messages an answer settles.
//!
//! Source: Lambda developer guide, "Using Lambda with Amazon SQS" and its "Reporting batch item failures".

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::{Mapping, arn_part};

/// A batch ends before its event would be larger than Lambda takes.
const BYTES_LIMIT: usize = 6 * 1024 * 1024;

/// A message as received.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Message {
    #[serde(rename = "MessageId")]
    pub(crate) id: String,
    pub(crate) receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    pub(crate) body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(rename = "MD5OfMessageAttributes")]
    md5_of_message_attributes: Option<String>,
    #[serde(default, rename = "MessageAttributes")]
    typed_attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// What to do about a batch that is being gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gather {
    /// Receive up to so many more, waiting so long.
    Receive(usize, Duration),
    /// Invoke with what is there.
    Invoke,
}

/// Whether to go on gathering: until the batch is full, its window is over (`since` is the age of its first message),
/// or it is as large as an event may be. Without a window, what one receive brings is the batch.
pub(crate) fn gather(mapping: &Mapping, batch: &[Message], since: Duration, poll: Duration) -> Gather {
    let room = mapping.batch_size.saturating_sub(batch.len());
    // SQS gives 10 at most.
    let receive = room.min(10);
    if batch.is_empty() {
        return Gather::Receive(receive, poll);
    }
    let bytes: usize = batch.iter().map(|message| message.body.len()).sum();
    let left = mapping.window.saturating_sub(since);
    if room == 0 || left.is_zero() || bytes >= BYTES_LIMIT {
        return Gather::Invoke;
    }
    Gather::Receive(receive, left.min(poll))
}

/// The event for the function.
pub(crate) fn event(mapping: &Mapping, batch: &[Message]) -> Value {
    let records: Vec<Value> = batch.iter().map(|message| record(mapping, message)).collect();
    json!({ "Records": records })
}

fn record(mapping: &Mapping, message: &Message) -> Value {
    let attributes: Map<String, Value> = message
        .typed_attributes
        .iter()
        .map(|(name, attribute)| {
            let mut value = json!({
                "dataType": attribute.data_type, "stringListValues": [], "binaryListValues": []
            });
            for (key, given) in [("stringValue", &attribute.string_value), ("binaryValue", &attribute.binary_value)] {
                if let Some(given) = given {
                    value[key] = json!(given);
                }
            }
            (name.clone(), value)
        })
        .collect();
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.queue_arn,
        "awsRegion": arn_part(&mapping.queue_arn, 3),
    });
    if let Some(md5) = &message.md5_of_message_attributes {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

/// The messages that a successful answer settles, to be deleted; the others come back after their visibility timeout.
/// With failure reports, an answer that is none, or names no message of the batch, fails the whole batch.
pub(crate) fn settled<'a>(mapping: &Mapping, batch: &'a [Message], answer: &[u8]) -> Vec<&'a Message> {
    if !mapping.reports_failures {
        return batch.iter().collect();
    }
    let Some(failed) = failures(answer) else { return Vec::new() };
    if failed.iter().any(|id| !batch.iter().any(|message| message.id == *id)) {
        return Vec::new();
    }
    batch.iter().filter(|message| !failed.contains(&message.id)).collect()
}

/// The ids that an answer names; none where it is not a report. Nothing at all is a report of no failures.
fn failures(answer: &[u8]) -> Option<Vec<String>> {
    // Lambda's own runtimes send `null`, others an empty body, for "nothing to say".
    if answer.is_empty() {
        return Some(Vec::new());
    }
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.is_null() {
        return Some(Vec::new());
    }
    match answer.as_object()?.get("batchItemFailures") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(list) => list
            .as_array()?
            .iter()
            .map(|item| item.get("itemIdentifier")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned))
            .collect(),
    }
}

#[cfg(test)]
#[path = "sqs_batch/tests.rs"]
mod tests;
