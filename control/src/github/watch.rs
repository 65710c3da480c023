//! What reconcile asks of GitHub: how runners and jobs stand, and which webhooks failed.

use std::fmt;

use super::{GitHub, GitHubError, Job, lazy::LazyApp};
use crate::{
    decide::reconcile::{deaths::AtGitHub, deliveries::Failed, gaps::Delivered, leftovers::Listed},
    fleets::{Scope, Target},
};

/// A webhook that tells us of jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// The App's own, by the App's id or client id.
    App(String),
    /// One of an organization's or a repository's.
    Own {
        /// Whose.
        scope: Scope,
        /// GitHub's id of it.
        id: u64,
    },
}

impl Hook {
    /// Reads `orgs/<login>/hooks/<id>` or `repos/<owner>/<repo>/hooks/<id>`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (scope, id) = text.rsplit_once("/hooks/")?;
        let scope: Scope = scope.parse().ok()?;
        let is_named =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let good = match &scope {
            Scope::Organization(name) => is_named(name),
            Scope::Repository(name) => {
                name.split_once('/').is_some_and(|(owner, repo)| is_named(owner) && is_named(repo))
            }
            Scope::Enterprise(_) => false,
        };
        Some(Self::Own { scope, id: id.parse().ok()? }).filter(|_| good)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(id) => write!(f, "app/{id}"),
            Self::Own { scope, id } => write!(f, "{scope}/hooks/{id}"),
        }
    }
}

/// A page of what failed, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedPage {
    /// The deliveries.
    pub failed: Vec<Failed>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// What came of sending a delivery again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// GitHub will send it.
    Accepted,
    /// GitHub has it no more, or sends it no more.
    Gone,
}

/// What reconcile needs of GitHub.
pub trait Watch: GitHub {
    /// How the runner called `name` stands.
    fn standing(&self, target: &Target, name: &str) -> impl Future<Output = Result<AtGitHub, GitHubError>>;
    /// The job `id` of `repository`; none where GitHub shows us the repository's runs and has no such job.
    fn known_job(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
    ) -> impl Future<Output = Result<Option<Job>, GitHubError>>;
    /// A page (from 1) of the runners of `target`, and whether there is another.
    fn runners(&self, target: &Target, page: u32) -> impl Future<Output = Result<(Vec<Listed>, bool), GitHubError>>;
    /// The hooks of the Apps that we are.
    fn app_hooks(&self) -> impl Future<Output = Result<Vec<Hook>, GitHubError>>;
    /// A page of the deliveries of `hook` that failed.
    fn failed(&self, hook: &Hook, cursor: Option<&str>) -> impl Future<Output = Result<FailedPage, GitHubError>>;
    /// When `hook` delivered an event about jobs last, among its latest 100 deliveries.
    fn delivered(&self, hook: &Hook) -> impl Future<Output = Result<Delivered, GitHubError>>;
    /// Has the delivery `id` of `hook` sent again.
    fn redeliver(&self, hook: &Hook, id: u64) -> impl Future<Output = Result<Redelivery, GitHubError>>;
}

/// As with all else that is asked: a key that was changed is read again.
impl Watch for LazyApp {
    async fn standing(&self, target: &Target, name: &str) -> Result<AtGitHub, GitHubError> {
        self.ask(async |apps| apps.standing(target, name).await).await
    }

    async fn known_job(&self, target: &Target, repository: &str, id: u64) -> Result<Option<Job>, GitHubError> {
        self.ask(async |apps| apps.known_job(target, repository, id).await).await
    }

    async fn runners(&self, target: &Target, page: u32) -> Result<(Vec<Listed>, bool), GitHubError> {
        self.ask(async |apps| apps.runners(target, page).await).await
    }

    async fn app_hooks(&self) -> Result<Vec<Hook>, GitHubError> {
        self.ask(async |apps| apps.app_hooks().await).await
    }

    async fn failed(&self, hook: &Hook, cursor: Option<&str>) -> Result<FailedPage, GitHubError> {
        self.ask(async |apps| apps.failed(hook, cursor).await).await
    }

    async fn delivered(&self, hook: &Hook) -> Result<Delivered, GitHubError> {
        self.get().await?.delivered(hook).await
    }

    async fn redeliver(&self, hook: &Hook, id: u64) -> Result<Redelivery, GitHubError> {
        self.ask(async |apps| apps.redeliver(hook, id).await).await
    }
}

#[cfg(test)]
mod tests {
    use super::Hook;

    #[test]
    fn a_hook_is_read_and_told() {
        for text in ["orgs/octo-org/hooks/12", "repos/octo-org/octo.repo/hooks/3"] {
            assert_eq!(Hook::read(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "orgs/octo-org",
            "orgs/octo-org/hooks/x",
            "enterprises/e/hooks/1",
            "repos/o/hooks/1",
            "orgs/a?b/hooks/1",
        ] {
            assert_eq!(Hook::read(text), None, "{text}");
        }
        assert_eq!(Hook::App("1001".into()).to_string(), "app/1001");
    }
}
