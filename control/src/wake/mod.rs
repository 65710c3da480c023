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
}

impl WakeUp {
    /// A wake-up for `fleet`, by whatever [`trace::current`] is.
    #[must_use]
    pub fn new(fleet: &str) -> Self {
        let trace = trace::current().map(|trace| trace.to_string());
        Self { version: VERSION, fleet: fleet.to_owned(), trace }
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

/// What the handlers need of the queue.
pub trait Wake {
    /// Wakes `fleet` after `delay`, or after [`LONGEST_DELAY`] if that is shorter.
    fn wake(&self, fleet: &str, delay: Duration) -> impl Future<Output = Result<(), WakeError>>;
    /// Lets a message that is given back be seen again after `delay` rather than after the queue's visibility timeout.
    fn see_again(&self, receipt: &str, delay: Duration) -> impl Future<Output = Result<(), WakeError>>;
}
