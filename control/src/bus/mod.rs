//! GitHub's events for the user's own rules: an EventBridge bus ([`event_bridge`]), where one is configured. What goes
//! there is cut to what fits ([`detail`]).

pub mod detail;
pub mod event_bridge;

use crate::report::BoxError;

/// `source` of the events.
pub const SOURCE: &str = "dayfly";

/// An event could not be put on the bus.
#[derive(Debug, thiserror::Error)]
#[error("putting a {detail_type} event on the bus")]
pub struct BusError {
    /// What kind of event.
    pub detail_type: String,
    /// Why it failed.
    #[source]
    pub source: BoxError,
}

/// The most events of one call, by EventBridge's quota.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const BATCH: usize = 10;

/// What the handlers need of the bus.
pub trait Bus {
    /// Puts at most [`BATCH`] events on it, each by its detail type and detail; answers how many of them the bus refused.
    fn put_all(&self, events: &[(String, String)]) -> impl Future<Output = Result<usize, BusError>>;
    /// Puts one event on it. `detail` is a JSON object as text.
    fn put(&self, detail_type: &str, detail: String) -> impl Future<Output = Result<(), BusError>>;
}
