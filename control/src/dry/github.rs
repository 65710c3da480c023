//! GitHub, asked alone.

use secrecy::SecretString;

use super::{Dry, Kind};
use crate::{
    decide::reconcile::{deaths::AtGitHub, gaps::Delivered, leftovers::Listed},
    fleets::{Scope, Target},
    github::{
        Deletion, Found, GitHub, GitHubError, Jit, Job, NewRunner, Run,
        watch::{FailedPage, Hook, Redelivery, Watch},
    },
    report::Failure,
};

/// What has an answer that can't be made up is refused.
fn refused(doing: &str) -> GitHubError {
    GitHubError::Permanent(Failure::new(doing, "this run changes nothing"))
}

impl<G: GitHub> GitHub for Dry<G> {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        self.port.authorize(target).await
    }

    async fn jit_config(&self, _: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        self.journal.note(Kind::GitHub, format!("register {}", runner.name));
        Err(refused("registering a runner"))
    }

    async fn registration_token(&self, target: &Target) -> Result<SecretString, GitHubError> {
        self.journal.note(Kind::GitHub, format!("make a registration token for {}", target.scope));
        Err(refused("making a registration token"))
    }

    fn runner_url(&self, scope: &Scope) -> String {
        self.port.runner_url(scope)
    }

    async fn group(&self, target: &Target, name: &str) -> Result<u64, GitHubError> {
        self.port.group(target, name).await
    }

    async fn job(&self, target: &Target, repository: &str, id: u64) -> Result<Job, GitHubError> {
        self.port.job(target, repository, id).await
    }

    async fn run(&self, target: &Target, repository: &str, id: u64) -> Result<Run, GitHubError> {
        self.port.run(target, repository, id).await
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        self.port.find_runner(target, name).await
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        self.journal.note(Kind::GitHub, format!("delete runner {id} of {}", target.scope));
        Ok(Deletion::Gone)
    }

    fn remaining(&self) -> Option<u64> {
        self.port.remaining()
    }
}

impl<G: Watch> Watch for Dry<G> {
    async fn standing(&self, target: &Target, name: &str) -> Result<AtGitHub, GitHubError> {
        self.port.standing(target, name).await
    }

    async fn known_job(&self, target: &Target, repository: &str, id: u64) -> Result<Option<Job>, GitHubError> {
        self.port.known_job(target, repository, id).await
    }

    async fn runners(&self, target: &Target, page: u32) -> Result<(Vec<Listed>, bool), GitHubError> {
        self.port.runners(target, page).await
    }

    async fn app_hooks(&self) -> Result<Vec<Hook>, GitHubError> {
        self.port.app_hooks().await
    }

    async fn failed(&self, hook: &Hook, cursor: Option<&str>) -> Result<FailedPage, GitHubError> {
        self.port.failed(hook, cursor).await
    }

    async fn delivered(&self, hook: &Hook) -> Result<Delivered, GitHubError> {
        self.port.delivered(hook).await
    }

    async fn redeliver(&self, hook: &Hook, id: u64) -> Result<Redelivery, GitHubError> {
        self.journal.note(Kind::GitHub, format!("have delivery {id} of {hook} sent again"));
        Ok(Redelivery::Accepted)
    }
}
