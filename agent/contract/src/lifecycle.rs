//! What an agent reports to control, through SQS.

use serde::{Deserialize, Serialize};

use crate::{Phase, Timeline, VERSION};

/// One lifecycle message. Control trusts it for the instance that SQS names as its sender (`SenderId` of an instance
/// profile is `<role id>:<instance id>`), for no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Version of this document.
    pub version: u32,
    /// What happened.
    pub kind: Kind,
    /// The instance it happened to.
    pub instance_id: String,
    /// Its fleet, from the agent's config.
    pub fleet: String,
    /// Why it ended, or is about to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// One sentence for a person, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The phase in which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The last lines of the runner's output, where it failed; what may be a secret is struck out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The reservation, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// The runner's id at GitHub, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_id: Option<u64>,
    /// The runner's name at GitHub, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_name: Option<String>,
    /// The job it runs, or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Exit code of the runner, where it exited by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When each phase began.
    #[serde(default)]
    pub timeline: Timeline,
}

/// The kinds of lifecycle messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The instance has booted, its runner is ready, and it waits for a registration.
    Standby,
    /// The runner listens for jobs.
    Listening,
    /// A job began.
    JobStarted,
    /// A job ended; the runner of a reusable instance goes on.
    JobCompleted,
    /// The instance lives. Without a word for long it is looked after.
    Heartbeat,
    /// The runner has no job and shall get no other: control deletes it at GitHub, which ends it.
    Retire,
    /// The instance is taken away with its job in it, which is stopped. It may be run again elsewhere.
    Interrupted,
    /// The instance did what it was launched for, or was told to end, and ends now.
    Finished,
    /// The instance could not run a job and ends now.
    Failed,
    /// A kind of a newer agent.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// Whether nothing comes after a message of this kind.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Self::Finished | Self::Failed)
    }
}

/// Why an instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The runner ran its job.
    JobDone,
    /// The runner exited by itself without a job: GitHub no longer knows it, or it was stopped.
    RunnerExited,
    /// The agent was told to stop (SIGTERM or SIGINT).
    Stopped,
    /// There was no job for the runner.
    Idle,
    /// The runner has lived for as long as it may.
    MaxLifetime,
    /// EC2 takes the spot instance back.
    SpotInterruption,
    /// EC2 expects to take the spot instance back.
    Rebalance,
    /// EC2 has scheduled something for the instance: a stop, a retirement, a reboot.
    Maintenance,
    /// The disk has too little room for a further job.
    DiskFull,
    /// The machine stood still for a while (suspended, hibernated), and what it knows of GitHub is old.
    ClockJump,
    /// The registration did not come in time.
    RegistrationMissing,
    /// The registration can't be read, or is newer than the agent.
    RegistrationUnreadable,
    /// The runner could not be installed.
    InstallFailed,
    /// The image has no runner, or it could not be started.
    RunnerUnusable,
    /// The runner exited with an error.
    RunnerFailed,
    /// GitHub refuses the runner's version.
    VersionRefused,
    /// The agent itself crashed again and again.
    AgentFailed,
    /// A reason of a newer agent.
    #[serde(other)]
    Unknown,
}

/// A job, as far as the runner's output and its hooks tell. What a hook tells is the job's own word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its display name.
    pub name: String,
    /// Its result in the runner's words (`Succeeded`, `Failed`, `Canceled`, …); none if the runner died first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What it is of.
    #[serde(flatten)]
    pub facts: JobFacts,
}

/// What a job is of: the variables `GITHUB_*` of its hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Id of the workflow run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<u64>,
    /// Which attempt of it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_attempt: Option<u64>,
    /// The job's key in the workflow file (`GITHUB_JOB`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The workflow's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Lifecycle {
    /// A message without details, in the version this crate writes.
    #[must_use]
    pub fn new(kind: Kind, instance_id: &str, fleet: &str) -> Self {
        Self {
            version: VERSION,
            kind,
            instance_id: instance_id.to_owned(),
            fleet: fleet.to_owned(),
            reason: None,
            detail: None,
            phase: None,
            log: Vec::new(),
            reservation: None,
            runner_id: None,
            runner_name: None,
            job: None,
            exit_code: None,
            timeline: Timeline::default(),
        }
    }
}
