//! The shape of an event. What is in it is only added to; anything else is another [`VERSION`], and another schema.

use serde::Serialize;

use crate::clock::Millis;

/// Version of the events' shape.
pub const VERSION: u32 = 1;

/// What happened: the event's `detail-type` at EventBridge, and its `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A job waits for a runner.
    JobQueued,
    /// A runner has it.
    JobStarted,
    /// It has ended, or was cancelled before it began.
    JobFinished,
    /// Its instance is taken away with the job in it.
    JobInterrupted,
    /// An interrupted job is run again.
    JobRerun,
    /// An interrupted job is not run again.
    JobNotRerun,
    /// An instance was launched.
    RunnerLaunched,
    /// An instance could not run a job, and ends.
    RunnerFailed,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::JobQueued,
        Self::JobStarted,
        Self::JobFinished,
        Self::JobInterrupted,
        Self::JobRerun,
        Self::JobNotRerun,
        Self::RunnerLaunched,
        Self::RunnerFailed,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JobQueued => "job_queued",
            Self::JobStarted => "job_started",
            Self::JobFinished => "job_finished",
            Self::JobInterrupted => "job_interrupted",
            Self::JobRerun => "job_rerun",
            Self::JobNotRerun => "job_not_rerun",
            Self::RunnerLaunched => "runner_launched",
            Self::RunnerFailed => "runner_failed",
        }
    }
}

/// A state change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    version: u32,
    /// What happened.
    pub kind: Kind,
    /// When, by control's clock.
    #[serde(skip)]
    pub at: Millis,
    /// The fleet.
    pub fleet: String,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobFacts>,
    /// The runner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerFacts>,
    /// Why, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is told of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JobFacts {
    /// GitHub's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `owner/repo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The workflow run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<u64>,
    /// The run's attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_attempt: Option<u64>,
    /// What it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How long it was queued, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// How it ended, in GitHub's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
}

/// What is told of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerFacts {
    /// Its name at GitHub.
    pub name: String,
    /// Its instance, where it is one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// GitHub's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// How its instance was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market: Option<String>,
}

impl Event {
    pub(super) fn new(kind: Kind, fleet: &str, at: Millis) -> Self {
        let fleet = fleet.to_owned();
        Self { version: VERSION, kind, at, fleet, trace: None, job: None, runner: None, reason: None, detail: None }
    }

    /// The event's detail: a JSON object as text.
    #[must_use]
    pub fn detail(&self, deployment: &str) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            event: &'a Event,
            deployment: &'a str,
            at: String,
        }
        let at = jiff::Timestamp::from_millisecond(i64::try_from(self.at).unwrap_or(i64::MAX)).unwrap_or_default();
        let whole = Whole { event: self, deployment, at: at.to_string() };
        // Nothing in it can fail: names are text, and so are the keys.
        serde_json::to_string(&whole).unwrap_or_default()
    }
}
