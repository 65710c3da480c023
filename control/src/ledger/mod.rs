//! The ledger: what is known of each job and each runner. One DynamoDB table ([`dynamo`]).
//!
//! A fleet's whole level lies in one partition, so that one strongly consistent query sees it: its meta item, a marker
//! for each queued job, the reservations, the runners. Their sort keys make the query meet them in this order, which
//! matters where a page ends between two of them:
//!
//! - meta first: a reservation made after it was read has moved `rev`, and ours is refused;
//! - the breakers, which nothing else depends on, second; jobs in doubt, which nothing is launched for, after them;
//! - reservations before runners: one resolved in between is counted once or twice, never not at all.
//!
//! Jobs, reservations and runners carry a version. Every change is a transaction on the versions that were read: it is
//! made whole, or refused as [`Committed::Conflict`] and decided anew. So the decisions stay pure, and nothing is lost
//! to a duplicate, a late message or a crash.

mod buckets;
mod census;
pub mod dynamo;
mod heard;
pub mod history;
mod items;
mod life;
#[cfg(any(test, feature = "simulation"))]
pub mod memory;
mod notes;
mod records;
mod reruns;
mod stops;
pub mod survey;
mod transactions;
mod writes;

pub use census::{Census, JobPage};
pub use heard::Heard;
pub use life::Life;
pub use notes::Notes;
pub use records::{
    Doubt, Failure, Job, LastError, LastPlan, Manual, Marker, Meta, Offers, Reservation, Reuse, Runner, Unread,
    UnreadSupply, View,
};
pub use reruns::Reruns;
pub use stops::Stops;
pub use writes::Write;

use crate::{
    clock::Millis,
    decide::bucket::{Taken, Takes},
    report::BoxError,
};

/// Whether a transaction was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// It was, whole.
    Yes,
    /// Something had changed since it was read: read again, decide again.
    Conflict,
}

/// The ledger could not be reached or understood.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct LedgerError {
    /// What was being done.
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: BoxError,
}

impl LedgerError {
    /// A failure while `doing` something.
    pub fn new(doing: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// What the handlers need of the ledger. All reads are strongly consistent.
pub trait Ledger {
    /// The job `id`.
    fn job(&self, id: u64) -> impl Future<Output = Result<Option<Job>, LedgerError>>;
    /// The runner on `instance`.
    fn runner(&self, fleet: &str, instance: &str) -> impl Future<Output = Result<Option<Runner>, LedgerError>>;
    /// The whole level of `fleet`.
    fn view(&self, fleet: &str) -> impl Future<Output = Result<View, LedgerError>>;
    /// The queued jobs of `fleet` alone, no more than `limit`; those that can't be read are left out.
    fn queued(&self, fleet: &str, limit: u32) -> impl Future<Output = Result<Vec<Marker>, LedgerError>>;
    /// Makes all of `writes` or none.
    fn commit(&self, writes: Vec<Write>) -> impl Future<Output = Result<Committed, LedgerError>>;
    /// Notes that `fleet` is to be left alone until `until` (milliseconds since 1970).
    fn pause(&self, fleet: &str, until: u64) -> impl Future<Output = Result<(), LedgerError>>;
    /// Notes what the plan for `fleet` came to, where it launched nothing; else [`Write::Reserve`] does.
    fn tell(&self, fleet: &str, plan: LastPlan) -> impl Future<Output = Result<(), LedgerError>>;
    /// What is counted of `fleet` as a whole.
    fn meta(&self, fleet: &str) -> impl Future<Output = Result<Meta, LedgerError>>;
    /// Whether anything is wanted of `fleet` at `now`: a job is queued, or a person wants runners to be ready.
    fn is_wanted(&self, fleet: &str, now: Millis) -> impl Future<Output = Result<bool, LedgerError>>;
    /// Notes why `fleet` can't launch, and leaves it alone from `error.at` until `until`, unless somebody has done so
    /// meanwhile.
    fn refuse(&self, fleet: &str, error: &LastError, until: u64) -> impl Future<Output = Result<(), LedgerError>>;
    /// The breakers of `fleet` alone.
    fn offers(&self, fleet: &str) -> impl Future<Output = Result<Offers, LedgerError>>;
    /// Takes tokens out of buckets, all or none.
    fn take(&self, takes: &Takes) -> impl Future<Output = Result<Taken, LedgerError>>;
}

/// How often a decision is made anew after conflicts before the message goes back to its queue.
pub const ATTEMPTS: u32 = 10;

#[cfg(test)]
pub(crate) mod tests;
