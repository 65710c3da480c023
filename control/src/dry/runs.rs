//! Runs and what is noted of them, read alone.

use super::{Dry, Kind};
use crate::{
    clock::Millis,
    decide::rerun::Note,
    fleets::Target,
    github::{
        GitHubError,
        runs::{Again, Asked, OpenRun, RunJob, RunState, Runs},
    },
    ledger::{Committed, LedgerError, Notes, Reruns},
};

impl<L: Notes> Notes for Dry<L> {
    async fn recall(&self, key: &str) -> Result<Option<u64>, LedgerError> {
        self.port.recall(key).await
    }

    async fn remember(&self, key: &str, _: u64, _: u64) -> Result<(), LedgerError> {
        self.journal.note(Kind::Note, key);
        Ok(())
    }

    async fn claim(&self, key: &str, _: u64, _: u64) -> Result<bool, LedgerError> {
        self.journal.note(Kind::Note, key);
        Ok(true)
    }
}

impl<L: Reruns> Reruns for Dry<L> {
    async fn rerun(&self, id: u64) -> Result<Option<Note>, LedgerError> {
        self.port.rerun(id).await
    }

    async fn put_rerun(&self, note: &Note, _: Millis) -> Result<Committed, LedgerError> {
        self.journal.note(Kind::Note, format!("what becomes of run {}", note.run));
        Ok(Committed::Yes)
    }
}

impl<G: Runs> Runs for Dry<G> {
    async fn run_state(&self, target: &Target, repository: &str, id: u64) -> Result<RunState, GitHubError> {
        self.port.run_state(target, repository, id).await
    }

    async fn run_jobs(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        page: u32,
    ) -> Result<(Vec<RunJob>, bool), GitHubError> {
        self.port.run_jobs(target, repository, id, page).await
    }

    async fn run_again(&self, _: &Target, repository: &str, id: u64, what: Again) -> Result<Asked, GitHubError> {
        let what = match what {
            Again::Job(job) => format!("job {job}"),
            Again::Failed => "all failed jobs".to_owned(),
        };
        self.journal.note(Kind::GitHub, format!("have {what} of run {id} of {repository} made again"));
        Ok(Asked::Accepted)
    }

    async fn open_runs(
        &self,
        target: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> Result<(Vec<OpenRun>, bool), GitHubError> {
        self.port.open_runs(target, repository, status, page).await
    }
}
