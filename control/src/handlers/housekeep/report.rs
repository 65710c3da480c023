//! What was done, and why the rest was not.

use serde::Serialize;

use crate::{clock::Millis, decide::housekeeping::Kind};

/// What came of something that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is gone.
    Gone,
    /// It would be, if this were no dry run.
    WouldGo,
    /// It is not, and an error says why.
    Failed,
    /// There was no time left.
    Later,
    /// It stays, for a reason.
    Stays,
}

impl Outcome {
    /// Its name among the metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::WouldGo => "would_go",
            Self::Failed => "failed",
            Self::Later => "later",
            Self::Stays => "stays",
        }
    }
}

/// An image that is looked after.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ImageEntry {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created_at: Millis,
    pub(super) outcome: Outcome,
    /// Why it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A snapshot of an image that is gone, or would be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SnapshotEntry {
    pub(super) id: String,
    pub(super) outcome: Outcome,
}

/// Something that an instance left.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) since: Millis,
    pub(super) outcome: Outcome,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    at: Millis,
    dry_run: bool,
    pub(super) images: Vec<ImageEntry>,
    pub(super) snapshots: Vec<SnapshotEntry>,
    pub(super) leftovers: Vec<Entry>,
    /// What could not be seen or done.
    pub(super) errors: Vec<String>,
}

impl Report {
    pub(super) fn new(dry_run: bool, at: Millis) -> Self {
        Self { version: 1, at, dry_run, images: vec![], snapshots: vec![], leftovers: vec![], errors: vec![] }
    }

    pub(super) fn text(&self) -> String {
        // Texts, numbers and lists have no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        let outcome = if self.dry_run { Outcome::WouldGo } else { Outcome::Gone };
        let images = self.images.iter().filter(|it| it.outcome == outcome).count();
        let snapshots = self.snapshots.iter().filter(|it| it.outcome == outcome).count();
        let leftovers = self.leftovers.iter().filter(|it| it.outcome == outcome).count();
        format!(
            "{images} of {} images, {snapshots} snapshots and {leftovers} leftovers {}, {} errors",
            self.images.len(),
            if self.dry_run { "would go (dry run)" } else { "are gone" },
            self.errors.len()
        )
    }
}
