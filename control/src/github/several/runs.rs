//! What is asked about runs, by whichever App has most left.

use super::Several;
use crate::{
    clock::Clock,
    fleets::Target,
    github::{
        GitHubError,
        runs::{Again, Asked, OpenRun, RunJob, RunState, Runs},
    },
    ledger::Notes,
};

impl<C: Clock, N: Notes> Runs for Several<C, N> {
    async fn run_state(&self, target: &Target, repository: &str, id: u64) -> Result<RunState, GitHubError> {
        self.first(target, async |client| client.run_state(target, repository, id).await).await
    }

    async fn run_jobs(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        page: u32,
    ) -> Result<(Vec<RunJob>, bool), GitHubError> {
        self.first(target, async |client| client.run_jobs(target, repository, id, page).await).await
    }

    async fn run_again(&self, target: &Target, repository: &str, id: u64, what: Again) -> Result<Asked, GitHubError> {
        self.first(target, async |client| client.run_again(target, repository, id, what).await).await
    }

    async fn open_runs(
        &self,
        target: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> Result<(Vec<OpenRun>, bool), GitHubError> {
        self.first(target, async |client| client.open_runs(target, repository, status, page).await).await
    }
}
