//! The states of a job and what moves it between them: a table, walked pair by pair in the tests.

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Held back, for an approval for example.
    Waiting,
    /// Waits for a runner.
    #[default]
    Queued,
    /// A runner has it.
    InProgress,
    /// A runner has it and is to stop. GitHub's API calls this `in_progress`.
    Cancelling,
    /// Over.
    Completed,
}

impl JobState {
    /// Whether nothing more can happen to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed)
    }

    /// As GitHub's API and webhooks call it.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress | Self::Cancelling => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// How a job ended, the worst last: the worst of its jobs is how a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// All steps went well.
    Success,
    /// Someone cancelled it.
    Cancelled,
    /// A step failed, or the runner was lost.
    Failure,
}

impl Conclusion {
    /// As GitHub's API and webhooks call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
        }
    }
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEvent {
    /// What held it back is gone.
    Approve,
    /// A runner takes it.
    HandOut,
    /// Someone cancels it.
    Cancel,
    /// Its runner says how it ended.
    Report(Conclusion),
    /// Its runner is gone, or silent for too long.
    Vanish,
}

/// What a transition leads to: the new state, and the conclusion where it ends the job.
pub(crate) type Moved = (JobState, Option<Conclusion>);

/// The transition, or nothing where the event doesn't fit the state.
pub(crate) const fn step(state: JobState, event: JobEvent) -> Option<Moved> {
    use {JobEvent as E, JobState as S};
    match (state, event) {
        (S::Waiting, E::Approve) => Some((S::Queued, None)),
        (S::Queued, E::HandOut) => Some((S::InProgress, None)),
        // A runner that goes away while it should stop has stopped.
        (S::Waiting | S::Queued, E::Cancel) | (S::Cancelling, E::Vanish) => {
            Some((S::Completed, Some(Conclusion::Cancelled)))
        }
        // Asking again is fine: people click twice.
        (S::InProgress | S::Cancelling, E::Cancel) => Some((S::Cancelling, None)),
        // The runner has the last word: a job may end well just as it is being cancelled.
        (S::InProgress | S::Cancelling, E::Report(conclusion)) => Some((S::Completed, Some(conclusion))),
        (S::InProgress, E::Vanish) => Some((S::Completed, Some(Conclusion::Failure))),
        // The test below has every pair.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [JobState; 5] =
        [JobState::Waiting, JobState::Queued, JobState::InProgress, JobState::Cancelling, JobState::Completed];
    const EVENTS: [JobEvent; 7] = [
        JobEvent::Approve,
        JobEvent::HandOut,
        JobEvent::Cancel,
        JobEvent::Report(Conclusion::Success),
        JobEvent::Report(Conclusion::Failure),
        JobEvent::Report(Conclusion::Cancelled),
        JobEvent::Vanish,
    ];

    #[test]
    fn every_pair_of_state_and_event() {
        let mut seen = String::new();
        for state in STATES {
            for event in EVENTS {
                let moved = match step(state, event) {
                    None => "-".to_owned(),
                    Some((to, None)) => format!("{to:?}"),
                    Some((to, Some(conclusion))) => format!("{to:?} {}", conclusion.name()),
                };
                seen.extend([format!("{state:?} {event:?}: {moved}\n")]);
            }
        }
        let expected = "\
Waiting Approve: Queued
Waiting HandOut: -
Waiting Cancel: Completed cancelled
Waiting Report(Success): -
Waiting Report(Failure): -
Waiting Report(Cancelled): -
Waiting Vanish: -
Queued Approve: -
Queued HandOut: InProgress
Queued Cancel: Completed cancelled
Queued Report(Success): -
Queued Report(Failure): -
Queued Report(Cancelled): -
Queued Vanish: -
InProgress Approve: -
InProgress HandOut: -
InProgress Cancel: Cancelling
InProgress Report(Success): Completed success
InProgress Report(Failure): Completed failure
InProgress Report(Cancelled): Completed cancelled
InProgress Vanish: Completed failure
Cancelling Approve: -
Cancelling HandOut: -
Cancelling Cancel: Cancelling
Cancelling Report(Success): Completed success
Cancelling Report(Failure): Completed failure
Cancelling Report(Cancelled): Completed cancelled
Cancelling Vanish: Completed cancelled
Completed Approve: -
Completed HandOut: -
Completed Cancel: -
Completed Report(Success): -
Completed Report(Failure): -
Completed Report(Cancelled): -
Completed Vanish: -
";
        assert_eq!(seen, expected);
    }

    #[test]
    fn states_only_move_forward_and_only_the_last_has_a_conclusion() {
        for state in STATES {
            for event in EVENTS {
                let Some((to, conclusion)) = step(state, event) else { continue };
                assert!(to >= state, "{state:?} {event:?} goes back to {to:?}");
                assert_eq!(conclusion.is_some(), to == JobState::Completed, "{state:?} {event:?}");
            }
        }
    }
}
