//! GitHub, which knows its runners by name and does what it is told.

use std::time::Duration;

use secrecy::SecretString;

use super::{Fault, Port, Registered};
use crate::{
    fleets::{Scope, Target},
    github::{self, Deletion, Found, GitHub, GitHubError, Jit, NewRunner, urls},
    report::Failure,
};

pub(super) fn github_fault(fault: Option<&Fault>) -> Result<(), GitHubError> {
    let failure = Failure::new("asking GitHub", "a fault");
    match fault {
        Some(Fault::GitHubLimited(seconds)) => {
            Err(GitHubError::Limited { doing: "asking GitHub".into(), wait: Duration::from_secs(*seconds) })
        }
        Some(Fault::GitHubPermanent) => Err(GitHubError::Permanent(failure)),
        Some(_) => Err(GitHubError::Transient(failure)),
        None => Ok(()),
    }
}

impl GitHub for Port {
    async fn authorize(&self, _: &Target) -> Result<(), GitHubError> {
        github_fault(self.0.call("github.authorize").await.as_ref())
    }

    async fn jit_config(&self, _: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        let fault = self.0.call("github.jit_config").await;
        if !Fault::is_done(fault.as_ref()) {
            github_fault(fault.as_ref())?;
        }
        if self.0.runners.borrow().contains_key(&runner.name) {
            return Err(GitHubError::NameTaken { name: runner.name.clone() });
        }
        let id = self.0.below(1 << 40) + 1;
        let labels = runner.labels.clone();
        let registered = Registered { id, online: false, busy: false, labels };
        self.0.note(format_args!("GitHub: {} is registered as runner {id}", runner.name));
        self.0.runners.borrow_mut().insert(runner.name.clone(), registered);
        self.0.answered().await;
        github_fault(fault.as_ref())?;
        Ok(Jit { runner_id: id, config: SecretString::from("a JIT config") })
    }

    async fn registration_token(&self, _: &Target) -> Result<SecretString, GitHubError> {
        github_fault(self.0.call("github.registration_token").await.as_ref())?;
        self.0.answered().await;
        Ok(SecretString::from("a registration token"))
    }

    fn runner_url(&self, scope: &Scope) -> String {
        urls::runner_url("https://api.github.com", scope)
    }

    async fn group(&self, _: &Target, _: &str) -> Result<u64, GitHubError> {
        github_fault(self.0.call("github.group").await.as_ref())?;
        Ok(4)
    }

    async fn job(&self, _: &Target, _: &str, id: u64) -> Result<github::Job, GitHubError> {
        github_fault(self.0.call("github.job").await.as_ref())?;
        let found = self.0.github_jobs.borrow().get(&id).cloned();
        found.ok_or_else(|| GitHubError::Permanent(Failure::new("looking up a job", "404")))
    }

    async fn run(&self, _: &Target, _: &str, id: u64) -> Result<github::Run, GitHubError> {
        github_fault(self.0.call("github.run").await.as_ref())?;
        let head_repository = self.0.heads.borrow().get(&id).cloned();
        Ok(github::Run { event: "pull_request".into(), head_repository, private: false })
    }

    fn remaining(&self) -> Option<u64> {
        None
    }

    async fn find_runner(&self, _: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        github_fault(self.0.call("github.find_runner").await.as_ref())?;
        Ok(self.0.runners.borrow().get(name).map(|it| Found { id: it.id, online: it.online, busy: it.busy }))
    }

    async fn delete_runner(&self, _: &Target, id: u64) -> Result<Deletion, GitHubError> {
        github_fault(self.0.call("github.delete_runner").await.as_ref())?;
        let mut runners = self.0.runners.borrow_mut();
        if !self.0.deletes_busy.get() && runners.values().any(|it| it.id == id && it.busy) {
            return Ok(Deletion::Busy);
        }
        if let Some(name) = runners.iter().find(|(_, it)| it.id == id).map(|(name, _)| name.clone()) {
            self.0.note(format_args!("GitHub: {name}, runner {id}, is deleted, as control asks"));
            runners.remove(&name);
            self.0.deleted.borrow_mut().push(name);
        }
        Ok(Deletion::Gone)
    }
}
