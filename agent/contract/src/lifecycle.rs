//! What an agent reports to control, through SQS.

use serde::{Deserialize, Serialize};

use crate::{Timeline, VERSION};

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
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// One sentence for a person, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The reservation, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// The runner's id at GitHub, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_id: Option<u64>,
    /// The runner's name at GitHub, once the registration was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_name: Option<String>,
    /// The job it ran, if it ran one.
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
    /// The instance did what it was launched for, or was told to end, and ends now.
    Finished,
    /// The instance could not run a job and ends now.
    Failed,
    /// A kind of a newer agent.
    #[serde(other)]
    Unknown,
}

/// Why an instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The runner ran its job.
    JobDone,
    /// The runner exited by itself without a job: GitHub no longer knows it, or it was stopped.
    RunnerExited,
    /// The agent was told to stop (SIGTERM).
    Stopped,
    /// The registration did not come in time.
    RegistrationMissing,
    /// The registration can't be read, or is newer than the agent.
    RegistrationUnreadable,
    /// The image has no runner, or it could not be started.
    RunnerUnusable,
    /// The runner exited with an error before it had a job.
    RunnerFailed,
    /// A reason of a newer agent.
    #[serde(other)]
    Unknown,
}

/// The job that ran, as far as the runner's output tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its display name.
    pub name: String,
    /// Its result in the runner's words (`Succeeded`, `Failed`, `Canceled`, …); none if the runner died first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
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
            reservation: None,
            runner_id: None,
            runner_name: None,
            job: None,
            exit_code: None,
            timeline: Timeline::default(),
        }
    }
}
