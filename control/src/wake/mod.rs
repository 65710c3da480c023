//! Wake-ups: messages that say "look at this fleet" and nothing else. They may be lost, late, doubled or out of order
//! without harm, since whoever is woken reads the whole level.

pub mod sqs;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{report::BoxError, trace};

/// Version of the wake-up that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// The longest that SQS delays a message.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// A wake-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeUp {
    /// Version of this document.
    pub version: u32,
    /// The fleet to look at.
    pub fleet: String,
    /// The trace of whoever sends it, for logs and tags alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The run that is to be looked at in place of the fleet: one with an interrupted job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Look>,
    /// How often it was received in vain before, as other messages: their queue takes only so many receives of each.
    #[serde(default, skip_serializing_if = "is_first")]
    pub attempts: u32,
}

/// A look at a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The run.
    pub id: u64,
    /// The time that its note has for the look, in milliseconds since 1970; 0 for one that is due whatever the note says.
    #[serde(default)]
    pub at: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if gives a reference")]
fn is_first(attempts: &u32) -> bool {
    *attempts == 0
}

impl WakeUp {
    /// A wake-up for `fleet`, by whatever [`trace::current`] is.
    #[must_use]
    pub fn new(fleet: &str) -> Self {
        let trace = trace::current().map(|trace| trace.to_string());
        Self { version: VERSION, fleet: fleet.to_owned(), trace, run: None, attempts: 0 }
    }

    /// The same after so many receives in vain.
    #[must_use]
    pub fn after(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }
}

/// A wake-up could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct WakeError {
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: BoxError,
}

/// What the handlers need of the queues.
pub trait Wake {
    /// Sends `wake_up` after `delay`, or after [`LONGEST_DELAY`] if that is shorter.
    fn send(&self, wake_up: &WakeUp, delay: Duration) -> impl Future<Output = Result<(), WakeError>>;

    /// Wakes `fleet` after `delay`, or after [`LONGEST_DELAY`] if that is shorter.
    fn wake(&self, fleet: &str, delay: Duration) -> impl Future<Output = Result<(), WakeError>> {
        async move { self.send(&WakeUp::new(fleet), delay).await }
    }

    /// Lets a message that is given back be seen again after `delay` rather than after the queue's visibility timeout.
    fn see_again(&self, receipt: &str, delay: Duration) -> impl Future<Output = Result<(), WakeError>>;

    /// Puts what nobody can act upon into the dead-letter queue of the handler's own queue, for a person, with the
    /// `reason`. Answers whether there is such a queue.
    fn put_aside(&self, body: &str, reason: &str) -> impl Future<Output = Result<bool, WakeError>>;
}
