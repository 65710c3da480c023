//! Which webhooks are sent again.
//!
//! GitHub sends each delivery once. Those that failed are listed, the newest first, and can be sent again for three
//! days. [`Memory`] has how far the list was read, and each GUID whose latest delivery failed: a delivery that is sent
//! again keeps its GUID, and is in the list again if it fails again. So each GUID is sent again once for each failure
//! that is seen, the later the more seldom, until one has succeeded or [`MOST_ATTEMPTS`] have not.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::MOST_REMEMBERED;
use crate::clock::Millis;

/// So often one is sent again. With the waits below that is two days of trying.
pub const MOST_ATTEMPTS: u32 = 12;
/// How long after a failure it is sent again, at first; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(8);
/// GitHub forgets deliveries after three days.
const KEPT: Duration = Duration::from_hours(72);
/// The list is read so far beyond what was read before: a delivery is listed when it has ended, and its time is when
/// it began.
const OVERLAP: Duration = Duration::from_mins(10);
/// What was sent again and is not in a list that was read so long after that has succeeded. Twice the overlap, for a GitHub
/// whose clock is ahead: forgotten earlier, the old failure would be heard of as a new one. No longer: there is
/// room for so many.
const SETTLED: Duration = Duration::from_mins(20);
/// What has failed for the last time is told of as lost after this time without a word.
const GIVEN_UP: Duration = Duration::from_hours(9);

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// GitHub's id of it.
    pub id: u64,
    /// The event's id, the same in each delivery of it.
    pub guid: String,
    /// When it was made.
    pub at: Millis,
    /// The event's name: `workflow_job`.
    pub event: String,
    /// What was answered; 0 for nothing.
    pub status: u16,
}

impl Failed {
    /// Whether another try may do better. What was understood and refused would be refused again; events that are none
    /// of ours are lost on us.
    #[must_use]
    pub fn is_worth_it(&self) -> bool {
        matches!(self.event.as_str(), "workflow_job" | "check_run") && !matches!(self.status, 400 | 413)
    }
}

/// A GUID whose latest delivery failed, or that was sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The delivery to send again.
    pub id: u64,
    /// When that failed.
    pub at: Millis,
    /// How often it was sent again.
    pub attempts: u32,
    /// When it is to be sent again; none while nothing is known of the last time.
    pub due: Option<Millis>,
    /// When it was sent again, while nothing is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Millis>,
    /// Whether its last attempt has failed, too.
    #[serde(default)]
    pub lost: bool,
}

/// Where the reading of the list stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// GitHub's cursor of the next page; none for the first.
    pub cursor: Option<String>,
    /// When it began: the list is known up to then once it is over.
    pub began_at: Millis,
}

/// What is remembered of one hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Up to when all that failed is known.
    pub known_until: Millis,
    /// A reading of the list that is not over.
    pub walk: Option<Walk>,
    /// What failed, by GUID.
    pub waiting: BTreeMap<String, Waiting>,
    /// How many have failed that there was no room for, and of which nobody was told yet. Those that are listed still are
    /// counted by each look.
    #[serde(default)]
    pub left_out: usize,
}

impl Memory {
    /// The page to read next.
    pub fn next_page(&mut self, now: Millis) -> Option<String> {
        // A first look goes back over what GitHub has, no further.
        self.known_until = self.known_until.max(now.saturating_sub(millis(KEPT)));
        self.walk.get_or_insert(Walk { cursor: None, began_at: now }).cursor.clone()
    }

    /// Takes a page of the list in; `next` is the cursor of the following one. Answers whether the reading is to go on, which
    /// it does until the end is reached. It does not stop where there is no more room: what was sent again makes room once
    /// the list was read to its end.
    pub fn read(&mut self, page: &[Failed], next: Option<String>) -> bool {
        let floor = self.known_until.saturating_sub(millis(OVERLAP));
        // A page of a short list goes back for days. What was read before may have succeeded and be forgotten: heard of
        // again, it would be sent again each minute for as long as GitHub lists it.
        for failed in page.iter().filter(|it| it.is_worth_it() && it.at >= floor) {
            self.hear(failed);
        }
        let reached = next.is_none() || page.iter().any(|it| it.at < floor);
        match self.walk.take() {
            Some(walk) if reached => self.known_until = self.known_until.max(walk.began_at),
            Some(walk) => self.walk = Some(Walk { cursor: next, ..walk }),
            None => {}
        }
        self.walk.is_some()
    }

    fn hear(&mut self, failed: &Failed) {
        let attempts = match self.waiting.get(&failed.guid) {
            // Known, or an older one of the same event.
            Some(known) if failed.at <= known.at || failed.id == known.id => return,
            Some(known) => known.attempts,
            None if self.waiting.len() >= MOST_REMEMBERED => {
                self.left_out += 1;
                return;
            }
            None => 0,
        };
        let due = (attempts < MOST_ATTEMPTS).then(|| failed.at.saturating_add(wait(attempts)));
        let it = Waiting { id: failed.id, at: failed.at, attempts, due, sent_at: None, lost: due.is_none() };
        self.waiting.insert(failed.guid.clone(), it);
    }

    /// What is to be sent again now, at most `limit`, the earliest first: a job's events in their order.
    #[must_use]
    pub fn due(&self, now: Millis, limit: usize) -> Vec<(String, u64)> {
        let mut due: Vec<(&String, &Waiting)> =
            self.waiting.iter().filter(|(_, it)| it.due.is_some_and(|due| due <= now)).collect();
        due.sort_by_key(|(_, it)| it.at);
        due.into_iter().take(limit).map(|(guid, it)| (guid.clone(), it.id)).collect()
    }

    /// Notes that `guid` was sent again. What comes of it is in the list, if it fails.
    pub fn sent(&mut self, guid: &str, now: Millis) {
        if let Some(it) = self.waiting.get_mut(guid) {
            (it.due, it.sent_at, it.attempts) = (None, Some(now), it.attempts + 1);
        }
    }

    /// Forgets `guid`: GitHub has it no more.
    pub fn forget(&mut self, guid: &str) {
        self.waiting.remove(guid);
    }

    /// Forgets what has succeeded, or is past all hope; answers how many of the latter. Not at once: the list is read
    /// again for a while, and what is forgotten would be new.
    pub fn tidy(&mut self, now: Millis) -> usize {
        let (given_up, old) = (now.saturating_sub(millis(GIVEN_UP)), now.saturating_sub(millis(KEPT)));
        let settled = self.known_until.saturating_sub(millis(SETTLED));
        let mut lost = 0;
        self.waiting.retain(|_, it| {
            let is_over = match (it.due, it.sent_at) {
                (Some(_), _) => it.at < old,
                (None, Some(sent_at)) => sent_at <= settled || it.at < old,
                (None, None) if it.lost => it.at.saturating_add(wait(it.attempts)) < given_up,
                // As it was noted before it was noted when.
                (None, None) => it.at.saturating_add(wait(it.attempts)) <= settled || it.at < old,
            };
            lost += usize::from(is_over && (it.lost || it.due.is_some()));
            !is_over
        });
        lost
    }
}

/// How long after a failure that has so many attempts before it.
fn wait(attempts: u32) -> Millis {
    let times = 1_u32 << attempts.min(10);
    if attempts == 0 { 0 } else { millis((FIRST_WAIT * times).min(LONGEST_WAIT)) }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
