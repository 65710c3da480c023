//! What is kept of an instance that has ended.

use crate::{clock::Millis, fleets::Market};

/// An instance that has ended, for reports: its runner's item is gone with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The fleet.
    pub fleet: String,
    /// The instance.
    pub instance: String,
    /// Its type, where that was known.
    pub instance_type: Option<String>,
    /// How it was bought, where that was known.
    pub market: Option<Market>,
    /// When its reservation was made.
    pub launched_at: Millis,
    /// When it was heard to have ended.
    pub ended_at: Millis,
    /// For how long of that it was stopped, in milliseconds.
    pub stopped_ms: u64,
    /// When DynamoDB may delete the item.
    pub expires: u64,
}
