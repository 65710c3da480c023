//! A job's states. They only move forward, so late and repeated webhooks change nothing.

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// It waits for an approval or a concurrency group; no runner is wanted yet.
    Waiting,
    /// It waits for a runner.
    Queued,
    /// A runner has it.
    Running,
    /// It has ended, or was cancelled before it began.
    Done,
}

impl JobState {
    /// All states, in order.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Queued, Self::Running, Self::Done];

    /// The state's name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
        }
    }

    /// The state called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The state that a `workflow_job` event's `action` tells of; none for an action of a later GitHub.
    #[must_use]
    pub fn of_action(action: &str) -> Option<Self> {
        match action {
            "waiting" => Some(Self::Waiting),
            "queued" => Some(Self::Queued),
            "in_progress" => Some(Self::Running),
            "completed" => Some(Self::Done),
            _ => None,
        }
    }
}

/// What an event does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobStep {
    /// Its state after the event, where that is another one.
    pub next: Option<JobState>,
    /// What becomes of its marker among the fleet's queued jobs.
    pub marker: Marking,
    /// Whether the fleet is to be woken: the job waits for a runner. True for a repeated `queued` too, so that a
    /// redelivery heals a crash between the ledger and the wake-up; also where the job has come further meanwhile, as it may
    /// have taken another's runner.
    pub wake: bool,
}

/// What becomes of a job's marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// It stays as it is.
    Keep,
    /// It is put: the job is queued now.
    Put,
    /// It is taken away: the job no longer needs a runner.
    Take,
}

/// What hearing `told` does to a job that was `now` (none: unheard of).
#[must_use]
pub fn step(now: Option<JobState>, told: JobState) -> JobStep {
    let next = if now.is_none_or(|now| told > now) { Some(told) } else { None };
    let marker = match (now, next) {
        (_, Some(JobState::Queued)) => Marking::Put,
        (Some(JobState::Queued), Some(JobState::Running | JobState::Done)) => Marking::Take,
        _ => Marking::Keep,
    };
    JobStep { next, marker, wake: told == JobState::Queued }
}

#[cfg(test)]
mod tests {
    use super::{JobState::*, JobStep, Marking, step};

    #[test]
    fn every_pair_of_state_and_event() {
        use Marking::{Keep, Put, Take};
        let table = [
            // (now, told) -> next, marker, wake
            (None, Waiting, Some(Waiting), Keep, false),
            (None, Queued, Some(Queued), Put, true),
            (None, Running, Some(Running), Keep, false), // `queued` was lost or is late
            (None, Done, Some(Done), Keep, false),
            (Some(Waiting), Waiting, None, Keep, false),
            (Some(Waiting), Queued, Some(Queued), Put, true),
            (Some(Waiting), Running, Some(Running), Keep, false),
            (Some(Waiting), Done, Some(Done), Keep, false),
            (Some(Queued), Waiting, None, Keep, false),
            (Some(Queued), Queued, None, Keep, true), // heals a lost wake-up
            (Some(Queued), Running, Some(Running), Take, false),
            (Some(Queued), Done, Some(Done), Take, false), // cancelled, or `in_progress` is late
            (Some(Running), Waiting, None, Keep, false),
            (Some(Running), Queued, None, Keep, true), // perhaps by another's runner
            (Some(Running), Running, None, Keep, false),
            (Some(Running), Done, Some(Done), Keep, false),
            (Some(Done), Waiting, None, Keep, false),
            (Some(Done), Queued, None, Keep, true),
            (Some(Done), Running, None, Keep, false),
            (Some(Done), Done, None, Keep, false),
        ];
        for (now, told, next, marker, wake) in table {
            assert_eq!(step(now, told), JobStep { next, marker, wake }, "{now:?} told {told:?}");
        }
        let pairs: std::collections::BTreeSet<_> = table.iter().map(|(now, told, ..)| (*now, *told)).collect();
        assert_eq!(pairs.len(), 5 * 4, "the table has every pair");
    }

    #[test]
    fn names_are_read_back() {
        for state in super::JobState::ALL {
            assert_eq!(super::JobState::named(state.name()), Some(state));
        }
    }
}
