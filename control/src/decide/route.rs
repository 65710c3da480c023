//! Which fleet a job belongs to.

use std::cmp::Reverse;

use crate::fleets::Fleet;

/// The fleet for a job with these `labels` in `repository` (`owner/repo`): of those that carry every label and admit
/// the repository, the one with the highest priority, then the fewest labels, then the first in the document.
///
/// A job without labels belongs to nobody: an empty list would match every fleet by accident.
#[must_use]
pub fn route<'a>(fleets: &'a [Fleet], labels: &[String], repository: &str) -> Option<&'a Fleet> {
    if labels.is_empty() {
        return None;
    }
    let fits = |fleet: &&Fleet| fleet.admits(repository) && labels.iter().all(|label| carries(fleet, label));
    // `min_by_key` keeps the first of equals.
    fleets.iter().filter(fits).min_by_key(|fleet| (Reverse(fleet.priority), fleet.labels.len()))
}

/// GitHub compares labels without regard to case.
fn carries(fleet: &Fleet, label: &str) -> bool {
    fleet.labels.iter().any(|it| it.to_lowercase() == label.to_lowercase())
}

#[cfg(test)]
mod tests;
