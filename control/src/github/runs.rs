//! What is asked of GitHub about workflow runs: how they stand, which are open, and that they are run again.

use super::{GitHub, GitHubError, lazy::LazyApp};
use crate::{clock::Millis, fleets::Target};

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunState {
    /// `queued`, `in_progress`, `completed`, …
    pub status: String,
    /// How it ended: `success`, `failure`, `cancelled`, …
    pub conclusion: Option<String>,
    /// Which attempt it is at, from 1.
    pub attempt: u64,
}

/// The latest execution of a job of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunJob {
    /// GitHub's id of it.
    pub id: u64,
    /// Its display name.
    pub name: String,
    /// `queued`, `in_progress`, `completed`, `waiting`, `requested` or `pending`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// The run's attempt that it was made in.
    pub attempt: u64,
    /// What it asks for.
    pub labels: Vec<String>,
    /// The runner that has or had it.
    pub runner_name: Option<String>,
    /// When it ended.
    pub completed_at: Option<Millis>,
    /// Its steps, as far as they are known.
    pub steps: Vec<Step>,
}

impl RunJob {
    /// Whether it ended otherwise than it should.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        !matches!(self.conclusion.as_deref(), None | Some("success" | "skipped" | "neutral"))
    }
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How it ended.
    pub conclusion: Option<String>,
    /// When it ended, by the clock of the runner's machine.
    pub completed_at: Option<Millis>,
}

/// What of a run is run again. What depends on it is, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The job of this id.
    Job(u64),
    /// All jobs that failed or were cancelled.
    Failed,
}

/// What came of asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new attempt has begun.
    Accepted,
    /// The run is running: somebody was faster.
    Running,
}

/// A run that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// GitHub's id of it.
    pub id: u64,
    /// Whether its repository can be seen by anybody.
    pub public: bool,
    /// Whether its repository is a person's.
    pub of_person: bool,
    /// The repository whose commit it runs; none where that is deleted.
    pub head_repository: Option<String>,
}

/// What the handlers need of GitHub about runs. `target` has the token for `repository` (`owner/repo`).
pub trait Runs: GitHub {
    /// How the run `id` stands.
    fn run_state(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
    ) -> impl Future<Output = Result<RunState, GitHubError>>;
    /// A page (from 1) of the latest executions of the run's jobs, and whether there is another.
    fn run_jobs(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        page: u32,
    ) -> impl Future<Output = Result<(Vec<RunJob>, bool), GitHubError>>;
    /// Has part of a completed run made again. The App needs `actions: write`.
    fn run_again(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        what: Again,
    ) -> impl Future<Output = Result<Asked, GitHubError>>;
    /// A page (from 1) of the runs of this `status`, the newest first, and whether there is another.
    fn open_runs(
        &self,
        target: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> impl Future<Output = Result<(Vec<OpenRun>, bool), GitHubError>>;
}

impl Runs for LazyApp {
    async fn run_state(&self, target: &Target, repository: &str, id: u64) -> Result<RunState, GitHubError> {
        self.get().await?.run_state(target, repository, id).await
    }

    async fn run_jobs(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        page: u32,
    ) -> Result<(Vec<RunJob>, bool), GitHubError> {
        self.get().await?.run_jobs(target, repository, id, page).await
    }

    async fn run_again(&self, target: &Target, repository: &str, id: u64, what: Again) -> Result<Asked, GitHubError> {
        self.get().await?.run_again(target, repository, id, what).await
    }

    async fn open_runs(
        &self,
        target: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> Result<(Vec<OpenRun>, bool), GitHubError> {
        self.get().await?.open_runs(target, repository, status, page).await
    }
}
