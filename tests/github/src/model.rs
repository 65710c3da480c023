//! The things GitHub keeps: jobs, runs, runners and who owns them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job_state::{Conclusion, JobState};

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// What bash runs.
    pub run: String,
}

/// A job to be queued. Labels (or a group) are needed; all else has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSpec {
    /// Repository as `owner/name`; default: the first of the config.
    pub repository: Option<String>,
    /// Run to add the job to; default: a new one.
    pub run_id: Option<u64>,
    /// Name of the workflow; default `CI`.
    pub workflow: Option<String>,
    /// Key of the job in the workflow; default: from the name.
    pub job_key: Option<String>,
    /// Display name; default `build`.
    pub name: Option<String>,
    /// Who started it; default `octocat`.
    pub actor: Option<String>,
    /// Branch; default `main`.
    pub head_branch: Option<String>,
    /// `runs-on`: all of these the runner must have.
    pub labels: Vec<String>,
    /// `runs-on.group`: name of the group that the runner must be in.
    pub group: Option<String>,
    /// The steps; default: one that says hello.
    pub steps: Vec<Step>,
    /// Environment of the steps.
    pub env: BTreeMap<String, String>,
    /// Starts as `waiting` until it is approved.
    pub waiting: bool,
}

/// A job, with its history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// GitHub's id of this attempt at the job.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: u64,
    /// Which attempt at the run it belongs to.
    pub run_attempt: u32,
    /// Display name.
    pub name: String,
    /// Key of the job in the workflow.
    pub job_key: String,
    /// Repository as `owner/name`.
    pub repository: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Who started it.
    pub actor: String,
    /// Branch.
    pub head_branch: String,
    /// Labels that a runner must have.
    pub labels: Vec<String>,
    /// Name of the group that a runner must be in.
    pub group: Option<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Environment of the steps.
    pub env: BTreeMap<String, String>,
    /// Where it stands.
    pub state: JobState,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// What its runner reported: `Succeeded`, `Failed`, `Canceled`.
    pub result: Option<String>,
    /// Who has or had it.
    pub runner: Option<TakenBy>,
    /// How many times it was handed to a runner. Never more than once.
    pub handed_out: u32,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What happened to it, in order.
    pub history: Vec<Happening>,
    /// What the runner sent as its log.
    pub log: String,
}

/// The runner that took a job, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBy {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Id of its group.
    pub group_id: u64,
    /// Name of its group.
    pub group_name: String,
}

/// One line of a job's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// The state it led to.
    pub state: JobState,
    /// What happened, for people.
    pub what: String,
}

/// A workflow run. Its status is that of its jobs.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) repository: String,
    pub(crate) workflow: String,
    pub(crate) actor: String,
    pub(crate) head_branch: String,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Timestamp,
}

/// Who a runner belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// An organization, by login.
    Org(String),
    /// A repository, as `owner/name`.
    Repo(String),
    /// An enterprise, by slug.
    Enterprise(String),
}

impl Owner {
    /// Whether it may run jobs of `repository`. There is one enterprise, and it owns the organization.
    pub(crate) fn covers(&self, repository: &str) -> bool {
        match self {
            Self::Org(org) => repository.split('/').next().is_some_and(|owner| owner.eq_ignore_ascii_case(org)),
            Self::Repo(name) => name.eq_ignore_ascii_case(repository),
            Self::Enterprise(_) => true,
        }
    }

    /// Login that stands in the runner's `gitHubUrl`.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Org(org) => org.clone(),
            Self::Repo(repository) => repository.clone(),
            Self::Enterprise(slug) => format!("enterprises/{slug}"),
        }
    }
}

/// A runner's open session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) last_seen: Timestamp,
}

/// A registered runner.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) group_id: u64,
    pub(crate) labels: Vec<String>,
    pub(crate) ephemeral: bool,
    /// Told by the runner when it opens a session.
    pub(crate) version: Option<String>,
    pub(crate) session: Option<Session>,
    /// The job it has.
    pub(crate) job: Option<u64>,
    /// When it took that job.
    pub(crate) busy_since: Option<Timestamp>,
    /// Whether the runner has said anything about that job.
    pub(crate) job_known: bool,
    pub(crate) created_at: Timestamp,
}

/// A runner, as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Who it belongs to.
    pub owner: Owner,
    /// Id of its group.
    pub group_id: u64,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether it takes one job only.
    pub ephemeral: bool,
    /// Whether it has a session and was heard of lately.
    pub online: bool,
    /// The job it has.
    pub job: Option<u64>,
    /// Version of its program, once it told.
    pub version: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
}
