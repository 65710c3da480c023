//! What an instance claimed.

use dayfly_contract::{Grant, Registration};

/// What an instance claimed.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) reservation: String,
    /// The runner's id at GitHub; 0 before it has one.
    pub(crate) id: u64,
    /// The labels that a reusable runner registers with.
    pub(crate) reusable: Option<Vec<String>>,
    /// The job it ran last.
    pub(crate) last: Option<u64>,
}

impl Claim {
    /// Of a registration; none of one that says to leave.
    pub(crate) fn of(it: Registration) -> Option<Self> {
        let id = it.runner_id().unwrap_or_default();
        let reusable = match it.grant {
            Grant::Jit { .. } => None,
            Grant::Token { labels, .. } => Some(labels),
            Grant::Leave { .. } => return None,
        };
        Some(Self { reservation: it.reservation, id, reusable, last: None })
    }

    /// The same, which runs, or ran last, this job.
    pub(crate) fn with(&self, job: u64) -> Self {
        Self { last: Some(job), ..self.clone() }
    }
}
