//! GitHub, as one App, several or the owner of a token.
//!
//! [`lazy`] takes the keys and sets up a [`client`] for each App; [`several`] picks the one that has most left of its
//! limit. A client speaks by octocrab (`rest`) with whom [`authorities`] vouch for, with [`jwt`] and [`tokens`] for being
//! the App and [`usage`] and [`limits`] for what GitHub allows; [`groups`] knows the runner groups.
//!
//! One runner costs one call, `generate-jitconfig`, beyond an installation token that is kept across invocations.

pub mod authorities;
pub mod client;
pub mod groups;
pub mod inspect;
pub mod jwt;
pub mod lazy;
pub mod limits;
mod rest;
pub mod runs;
pub mod several;
mod skew;
pub mod tokens;
pub mod urls;
pub mod usage;
pub mod watch;

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    decide::jobs::JobState,
    fleets::{Scope, Target},
    report::Failure,
};

/// A runner to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRunner {
    /// Its name.
    pub name: String,
    /// The labels of its fleet.
    pub labels: Vec<String>,
    /// The runner group it joins.
    pub group: u64,
}

/// A registered runner's secret. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Jit {
    /// GitHub's id of the runner.
    pub runner_id: u64,
    /// `encoded_jit_config`.
    pub config: SecretString,
}

/// A runner that GitHub has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// GitHub's id of it.
    pub id: u64,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it has a job. GitHub's word lags by a minute.
    pub busy: bool,
}

/// What came of deleting a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, or was before.
    Gone,
    /// It has a job: GitHub refuses.
    Busy,
}

/// A job, as GitHub tells of it when asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// The workflow run.
    pub run_id: u64,
    /// The run's attempt; older GHES has none.
    #[serde(default = "first")]
    pub run_attempt: u64,
    /// `queued`, `in_progress`, `completed`, `waiting`, `requested` or `pending`.
    pub status: String,
    /// What it asks for.
    pub labels: Vec<String>,
    /// The runner that has or had it.
    pub runner_name: Option<String>,
    /// GitHub's id of that runner.
    pub runner_id: Option<u64>,
}

fn first() -> u64 {
    1
}

impl Job {
    /// The state that its status tells of; none for a status of a later GitHub.
    #[must_use]
    pub fn state(&self) -> Option<JobState> {
        match self.status.as_str() {
            "waiting" | "requested" | "pending" => Some(JobState::Waiting),
            other => JobState::of_action(other),
        }
    }
}

/// A workflow run, as GitHub tells of it when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What began it: `push`, `pull_request`, …
    pub event: String,
    /// The repository whose commit it runs; none where that is deleted.
    pub head_repository: Option<String>,
    /// Whether its own repository is one that not everybody can fork; false where GitHub does not say.
    pub private: bool,
}

impl Run {
    /// Whether it runs for a commit of another repository than its own, `repository`: a fork.
    #[must_use]
    pub fn is_of_fork(&self, repository: &str) -> bool {
        // A fork that is deleted has left its commits.
        self.head_repository.as_ref().is_none_or(|head| !head.eq_ignore_ascii_case(repository))
    }

    /// Whether anybody at all may have written what it runs: its own repository, `repository`, is public, and the commit
    /// a fork's.
    #[must_use]
    pub fn is_of_public_fork(&self, repository: &str) -> bool {
        !self.private && self.is_of_fork(repository)
    }
}

/// A call to GitHub failed. Never quotes a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// The runner's name is taken.
    #[error("GitHub has a runner named {name} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A rate limit, primary or secondary: nothing may be asked until then.
    #[error("GitHub asks to wait {} s ({doing})", wait.as_secs())]
    Limited {
        /// What was being done.
        doing: String,
        /// How long to wait.
        wait: Duration,
    },
    /// GitHub failed or could not be reached.
    #[error(transparent)]
    Transient(Failure),
    /// GitHub refuses; a person has to change something.
    #[error(transparent)]
    Permanent(Failure),
}

/// What the handlers need of GitHub.
pub trait GitHub {
    /// Makes sure that there is a token for `target`: a free call with a cached one, and otherwise the cheapest way to
    /// learn that the App may not register runners there, before anything is launched.
    fn authorize(&self, target: &Target) -> impl Future<Output = Result<(), GitHubError>>;
    /// Registers `runner`.
    fn jit_config(&self, target: &Target, runner: &NewRunner) -> impl Future<Output = Result<Jit, GitHubError>>;
    /// A token with which `config.sh` registers runners for `target`; for those that take more than one job. It lives
    /// for 10 minutes more at least.
    fn registration_token(&self, target: &Target) -> impl Future<Output = Result<SecretString, GitHubError>>;
    /// The address that `config.sh` wants for runners of `scope`.
    fn runner_url(&self, scope: &Scope) -> String;
    /// The id of the runner group called `name`. One that is not there is a permanent error, which names those that are.
    fn group(&self, target: &Target, name: &str) -> impl Future<Output = Result<u64, GitHubError>>;
    /// The job `id` of `repository` (`owner/repo`), which `target` has the token for.
    fn job(&self, target: &Target, repository: &str, id: u64) -> impl Future<Output = Result<Job, GitHubError>>;
    /// The workflow run `id` of `repository` (`owner/repo`), which `target` has the token for.
    fn run(&self, target: &Target, repository: &str, id: u64) -> impl Future<Output = Result<Run, GitHubError>>;
    /// The runner called `name`.
    fn find_runner(&self, target: &Target, name: &str) -> impl Future<Output = Result<Option<Found>, GitHubError>>;
    /// Deletes a runner.
    fn delete_runner(&self, target: &Target, id: u64) -> impl Future<Output = Result<Deletion, GitHubError>>;
    /// The fewest requests that are left of any limit that was met, as the last answers told; none where none did.
    fn remaining(&self) -> Option<u64>;
}

#[cfg(test)]
mod tests {
    use super::{Job, JobState, Run};

    #[test]
    fn statuses_are_states() {
        let job = |status: &str| Job {
            run_id: 5,
            run_attempt: 1,
            status: status.to_owned(),
            labels: vec![],
            runner_name: None,
            runner_id: None,
        };
        let cases = [
            ("queued", Some(JobState::Queued)),
            ("in_progress", Some(JobState::Running)),
            ("completed", Some(JobState::Done)),
            ("waiting", Some(JobState::Waiting)),
            ("requested", Some(JobState::Waiting)),
            ("pending", Some(JobState::Waiting)),
            ("paused", None),
        ];
        for (status, expected) in cases {
            assert_eq!(job(status).state(), expected, "{status}");
        }
    }

    #[test]
    fn a_fork_is_told_by_its_head() {
        let cases = [
            (Some("octo-org/octo-repo"), false),
            (Some("Octo-Org/octo-repo"), false),
            (Some("mallory/octo-repo"), true),
            // Deleted.
            (None, true),
        ];
        for (head, expected) in cases {
            let run =
                |private| Run { event: "pull_request".to_owned(), head_repository: head.map(str::to_owned), private };
            let own = "octo-org/octo-repo";
            assert_eq!(run(false).is_of_fork(own), expected, "{head:?}");
            assert_eq!(run(true).is_of_fork(own), expected, "{head:?}");
            assert_eq!((run(false).is_of_public_fork(own), run(true).is_of_public_fork(own)), (expected, false));
        }
    }
}
