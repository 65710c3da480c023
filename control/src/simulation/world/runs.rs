//! Runs at GitHub, and what is noted of those with interrupted jobs.

use std::{cell::RefCell, collections::BTreeMap};

use super::{Fault, Port, github::github_fault, ledger::ledger_fault};
use crate::{
    clock::Millis,
    decide::rerun::Note,
    fleets::Target,
    github::{
        GitHubError,
        runs::{Again, Asked, OpenRun, RunJob, RunState, Runs},
    },
    ledger::{Committed, LedgerError, Reruns},
    report::Failure,
};

#[derive(Debug, Default)]
pub struct Known {
    pub notes: RefCell<BTreeMap<u64, Note>>,
    /// How each run stands, and its jobs' latest executions.
    pub runs: RefCell<BTreeMap<u64, (RunState, Vec<RunJob>)>>,
    /// What was run again: (run, its attempt before, what).
    pub again: RefCell<Vec<(u64, u64, Again)>>,
    /// The runs of each repository that are not over, by their status.
    pub open: RefCell<BTreeMap<(String, String), Vec<OpenRun>>>,
}

impl Reruns for Port {
    async fn rerun(&self, id: u64) -> Result<Option<Note>, LedgerError> {
        ledger_fault(self.0.call("ledger.rerun").await)?;
        Ok(self.0.known_runs.notes.borrow().get(&id).cloned())
    }

    async fn put_rerun(&self, note: &Note, _: Millis) -> Result<Committed, LedgerError> {
        let fault = self.0.call("ledger.put_rerun").await;
        if !Fault::is_done(fault.as_ref()) {
            ledger_fault(fault.clone())?;
        }
        {
            let mut notes = self.0.known_runs.notes.borrow_mut();
            if notes.get(&note.run).map_or(0, |it| it.version) != note.version {
                return Ok(Committed::Conflict);
            }
            // As the table has it: the version is not part of the text.
            let read: Note = serde_json::from_str(&serde_json::to_string(note).unwrap()).unwrap();
            notes.insert(note.run, Note { version: note.version + 1, ..read });
        }
        self.0.answered().await;
        ledger_fault(fault)?;
        Ok(Committed::Yes)
    }
}

fn missing() -> GitHubError {
    GitHubError::Permanent(Failure::new("looking up a run", "404"))
}

impl Runs for Port {
    async fn run_state(&self, _: &Target, _: &str, id: u64) -> Result<RunState, GitHubError> {
        github_fault(self.0.call("github.run_state").await.as_ref())?;
        self.0.known_runs.runs.borrow().get(&id).map(|(run, _)| run.clone()).ok_or_else(missing)
    }

    async fn run_jobs(&self, _: &Target, _: &str, id: u64, page: u32) -> Result<(Vec<RunJob>, bool), GitHubError> {
        github_fault(self.0.call("github.run_jobs").await.as_ref())?;
        let runs = self.0.known_runs.runs.borrow();
        let (_, jobs) = runs.get(&id).ok_or_else(missing)?;
        let from = usize::try_from(page - 1).unwrap() * self.0.page.get();
        let page: Vec<RunJob> = jobs.iter().skip(from).take(self.0.page.get()).cloned().collect();
        let more = page.len() == self.0.page.get();
        Ok((page, more))
    }

    async fn run_again(&self, _: &Target, _: &str, id: u64, what: Again) -> Result<Asked, GitHubError> {
        let fault = self.0.call("github.run_again").await;
        if !Fault::is_done(fault.as_ref()) {
            github_fault(fault.as_ref())?;
        }
        {
            let mut runs = self.0.known_runs.runs.borrow_mut();
            let (run, jobs) = runs.get_mut(&id).ok_or_else(missing)?;
            if run.status != "completed" {
                return Ok(Asked::Running);
            }
            self.0.known_runs.again.borrow_mut().push((id, run.attempt, what));
            (run.attempt, run.status, run.conclusion) = (run.attempt + 1, "queued".into(), None);
            for job in jobs.iter_mut().filter(|job| match what {
                Again::Job(id) => job.id == id,
                Again::Failed => job.is_bad(),
            }) {
                *job = RunJob {
                    id: job.id + 1000,
                    attempt: run.attempt,
                    status: "queued".into(),
                    conclusion: None,
                    runner_name: None,
                    completed_at: None,
                    steps: vec![],
                    ..job.clone()
                };
            }
        }
        self.0.answered().await;
        github_fault(fault.as_ref())?;
        Ok(Asked::Accepted)
    }

    async fn open_runs(
        &self,
        _: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> Result<(Vec<OpenRun>, bool), GitHubError> {
        github_fault(self.0.call("github.open_runs").await.as_ref())?;
        let open = self.0.known_runs.open.borrow();
        let all = open.get(&(repository.to_owned(), status.to_owned())).cloned().unwrap_or_default();
        let from = usize::try_from(page - 1).unwrap() * self.0.page.get();
        let page: Vec<OpenRun> = all.into_iter().skip(from).take(self.0.page.get()).collect();
        let more = page.len() == self.0.page.get();
        Ok((page, more))
    }
}
