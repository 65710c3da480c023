//! What reconcile asks of GitHub, by whichever App has most left.

use super::Several;
use crate::{
    clock::Clock,
    decide::reconcile::{deaths::AtGitHub, gaps::Delivered, leftovers::Listed},
    fleets::Target,
    github::{
        GitHubError, Job,
        client::Client,
        watch::{FailedPage, Hook, Redelivery, Watch},
    },
    ledger::Notes,
    report::Failure,
};

impl<C: Clock, N: Notes> Several<C, N> {
    /// Asks about `hook`: the App whose it is, or whoever may.
    async fn about<T>(
        &self,
        hook: &Hook,
        call: impl AsyncFn(&Client<C, N>) -> Result<T, GitHubError>,
    ) -> Result<T, GitHubError> {
        match hook {
            Hook::Own { scope, .. } => self.first(&Target { scope: scope.clone(), installation: None }, call).await,
            Hook::App(id) => match self.clients.iter().find(|client| client.app_id() == Some(id)) {
                Some(client) => call(client).await,
                None => Err(GitHubError::Permanent(Failure::new(format!("asking about {hook}"), "we are no such App"))),
            },
        }
    }
}

impl<C: Clock, N: Notes> Watch for Several<C, N> {
    async fn standing(&self, target: &Target, name: &str) -> Result<AtGitHub, GitHubError> {
        self.first(target, async |client| client.standing(target, name).await).await
    }

    async fn known_job(&self, target: &Target, repository: &str, id: u64) -> Result<Option<Job>, GitHubError> {
        self.first(target, async |client| client.known_job(target, repository, id).await).await
    }

    async fn runners(&self, target: &Target, page: u32) -> Result<(Vec<Listed>, bool), GitHubError> {
        self.first(target, async |client| client.runners(target, page).await).await
    }

    async fn app_hooks(&self) -> Result<Vec<Hook>, GitHubError> {
        Ok(self.clients.iter().filter_map(|client| Some(Hook::App(client.app_id()?.to_owned()))).collect())
    }

    async fn failed(&self, hook: &Hook, cursor: Option<&str>) -> Result<FailedPage, GitHubError> {
        self.about(hook, async |client| client.failed(hook, cursor).await).await
    }

    async fn delivered(&self, hook: &Hook) -> Result<Delivered, GitHubError> {
        self.about(hook, async |client| client.delivered(hook).await).await
    }

    async fn redeliver(&self, hook: &Hook, id: u64) -> Result<Redelivery, GitHubError> {
        self.about(hook, async |client| client.redeliver(hook, id).await).await
    }
}
