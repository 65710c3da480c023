//! Which jobs GitHub is asked about, and what follows.
//!
//! Webhooks get lost for good. A job that has been in one state for long is asked about: one call each, those that are
//! due for longest first, and each the more seldom the older it is. What GitHub answers is taken as a webhook of that
//! state would be, so it moves a job forward or not at all.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::MOST_REMEMBERED;
use crate::{
    clock::Millis,
    decide::jobs::JobState,
    github,
    ledger::{Job, Marker},
};

/// How long a job is in a state before GitHub is asked about it for the first time. One that waits for a runner costs
/// somebody's time; one that runs costs nothing but a wrong report.
const FIRST_QUEUED: Duration = Duration::from_mins(10);
const FIRST_OTHERS: Duration = Duration::from_mins(30);
/// The longest from one time to the next.
const LONGEST: Duration = Duration::from_hours(6);

/// A job that is not done, as far as is needed to ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// GitHub's id of it.
    pub id: u64,
    /// What the ledger takes it for.
    pub state: JobState,
    /// Since when.
    pub since: Millis,
}

impl Open {
    /// Of a queued job's marker.
    #[must_use]
    pub fn of_marker(marker: &Marker) -> Self {
        Self { id: marker.job, state: JobState::Queued, since: marker.queued_at }
    }

    /// Of a job; none where it is done.
    #[must_use]
    pub fn of_job(job: &Job) -> Option<Self> {
        let told = job.history.entries().last().map_or(0, |entry| entry.at);
        let since = match job.state {
            JobState::Waiting => Some(told),
            JobState::Queued => job.queued_at,
            JobState::Running => job.running_at,
            JobState::Done => return None,
        };
        Some(Self { id: job.id, state: job.state, since: since.unwrap_or(told) })
    }

    fn first(&self) -> Millis {
        let first = if self.state == JobState::Queued { FIRST_QUEUED } else { FIRST_OTHERS };
        millis(first)
    }

    /// When it is to be asked about, where it was asked about as `asked` says.
    fn due(&self, asked: Option<&Asked>) -> Millis {
        asked.map_or(0, |it| it.next).max(self.since.saturating_add(self.first()))
    }
}

/// What is remembered of a job that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When it may be asked about again.
    pub next: Millis,
    /// Whether GitHub did not know it.
    pub missing: bool,
}

/// What is remembered of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(pub BTreeMap<u64, Asked>);

impl Memory {
    /// The jobs to ask about now, at most `limit`, those that are due for longest first.
    #[must_use]
    pub fn due(&self, open: &[Open], now: Millis, limit: usize) -> Vec<Open> {
        let mut due: Vec<(Millis, &Open)> = open.iter().map(|it| (it.due(self.0.get(&it.id)), it)).collect();
        due.retain(|(at, _)| *at <= now);
        due.sort_by_key(|(at, it)| (*at, it.id));
        due.dedup_by_key(|(_, it)| it.id);
        due.into_iter().take(limit).map(|(_, it)| it.clone()).collect()
    }

    /// Notes that `open` is being asked about: the next time comes after half its age more, within limits.
    pub fn ask(&mut self, open: &Open, now: Millis) {
        let age = now.saturating_sub(open.since);
        let wait = (age / 2).clamp(open.first(), millis(LONGEST));
        let missing = self.0.get(&open.id).is_some_and(|it| it.missing);
        self.0.insert(open.id, Asked { next: now + wait, missing });
    }

    /// What GitHub's `answer` about `id` tells; none for nothing new. GitHub answers 404 for a while after it has made
    /// a job, or to one who has lost his rights for a moment, so a job is gone only where it is missing twice.
    pub fn hear(&mut self, id: u64, answer: Option<&github::Job>) -> Option<JobState> {
        let asked = self.0.get_mut(&id)?;
        let was_missing = std::mem::replace(&mut asked.missing, answer.is_none());
        match answer {
            Some(job) => job.state(),
            None => was_missing.then_some(JobState::Done),
        }
    }

    /// Forgets what nobody will ask for again, and more where it is too much: what may be asked about soonest. That is
    /// asked about too early at worst.
    pub fn tidy(&mut self, now: Millis) {
        let old = now.saturating_sub(millis(LONGEST));
        self.0.retain(|_, it| it.next > old);
        while self.0.len() > MOST_REMEMBERED {
            let soonest = self.0.iter().min_by_key(|(_, it)| it.next).map(|(id, _)| *id);
            let Some(id) = soonest else { return };
            self.0.remove(&id);
        }
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Asked, LONGEST, MOST_REMEMBERED, Memory, Open, millis};
    use crate::{
        decide::jobs::JobState::{self, Done, Queued, Running, Waiting},
        github,
        ledger::{Job, tests::job},
    };

    const MINUTE: u64 = 60_000;

    fn open(id: u64, state: JobState, since: u64) -> Open {
        Open { id, state, since }
    }

    fn told(status: &str) -> github::Job {
        github::Job {
            run_id: 5,
            run_attempt: 1,
            status: status.to_owned(),
            labels: vec![],
            runner_name: None,
            runner_id: None,
        }
    }

    #[test]
    fn the_intervals_grow_with_the_age() {
        let mut memory = Memory::default();
        let it = open(7, Queued, 0);
        let mut asked = Vec::new();
        for minute in 0..24 * 60 {
            if !memory.due(std::slice::from_ref(&it), minute * MINUTE, 9).is_empty() {
                memory.ask(&it, minute * MINUTE);
                asked.push(minute);
            }
        }
        assert_eq!(asked, [10, 20, 30, 45, 68, 102, 153, 230, 345, 518, 777, 1137]);
        let mut slow = Memory::default();
        slow.ask(&open(8, Running, 0), 30 * MINUTE);
        assert_eq!(slow.0[&8].next, 60 * MINUTE);
        slow.ask(&open(8, Running, 0), 6000 * MINUTE);
        assert_eq!(slow.0[&8].next, 6000 * MINUTE + millis(LONGEST));
    }

    #[test]
    fn those_due_for_longest_come_first_and_no_more_than_the_limit() {
        let mut memory = Memory::default();
        let all = [
            open(1, Queued, 5 * MINUTE),
            open(2, Queued, 0),
            open(3, Running, 0),
            open(4, Waiting, 0),
            open(5, Queued, 95 * MINUTE),
            // By its marker and by a scan.
            open(2, Queued, 0),
        ];
        let due = |memory: &Memory, limit| -> Vec<u64> {
            memory.due(&all, 100 * MINUTE, limit).iter().map(|it| it.id).collect()
        };
        assert_eq!(due(&memory, 9), [2, 1, 3, 4]);
        assert_eq!(due(&memory, 2), [2, 1]);
        memory.ask(&all[1], 100 * MINUTE);
        memory.ask(&all[0], 100 * MINUTE);
        assert_eq!(due(&memory, 2), [3, 4], "everybody gets a turn");
    }

    #[test]
    fn an_answer_is_a_state_and_missing_twice_is_the_end() {
        let mut memory = Memory::default();
        let it = open(7, Queued, 0);
        assert_eq!(memory.hear(7, Some(&told("completed"))), None, "nobody asked");
        memory.ask(&it, MINUTE);
        for (status, state) in
            [("queued", Some(Queued)), ("in_progress", Some(Running)), ("completed", Some(Done)), ("odd", None)]
        {
            assert_eq!(memory.hear(7, Some(&told(status))), state, "{status}");
        }
        assert_eq!(memory.hear(7, None), None);
        memory.ask(&it, 9 * MINUTE);
        assert_eq!(memory.hear(7, Some(&told("queued"))), Some(Queued), "it is there after all");
        memory.ask(&it, 10 * MINUTE);
        assert_eq!(memory.hear(7, None), None);
        memory.ask(&it, 20 * MINUTE);
        assert_eq!(memory.hear(7, None), Some(Done));
    }

    #[test]
    fn the_memory_has_an_end() {
        let mut memory = Memory::default();
        let many = u64::try_from(MOST_REMEMBERED).unwrap() + 5;
        memory.0.extend((0..many).map(|id| (id, Asked { next: 2 * millis(LONGEST) + id, missing: false })));
        memory.0.insert(many, Asked { next: 1, missing: true });
        memory.tidy(2 * millis(LONGEST));
        assert_eq!(memory.0.keys().next(), Some(&5), "the soonest goes");
        assert_eq!(memory.0.len(), MOST_REMEMBERED);
        let text = serde_json::to_string(&memory).unwrap();
        assert!(text.len() < 380_000, "{}", text.len());
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }

    #[test]
    fn an_open_job_knows_since_when() {
        let mut it = Job { queued_at: Some(3), running_at: Some(9), ..job(7, "linux-x64") };
        it.history.add(2, "waiting", "");
        let cases = [(Waiting, Some(2)), (Queued, Some(3)), (Running, Some(9)), (Done, None)];
        for (state, since) in cases {
            let open = Open::of_job(&Job { state, ..it.clone() });
            assert_eq!(open.map(|it| it.since), since, "{state:?}");
        }
        let bare = Job { queued_at: None, ..it };
        assert_eq!(Open::of_job(&bare).map(|it| it.since), Some(2));
    }
}
