//! GitHub, as its App: JIT configs for runners ([`client`], by octocrab; [`jwt`] and [`tokens`] for being the App).
//!
//! One runner costs one call, `generate-jitconfig`, beyond an installation token that is kept across invocations.

pub mod client;
pub mod jwt;
pub mod lazy;
pub mod limits;
pub mod tokens;

use std::time::Duration;

use secrecy::SecretString;

use crate::{fleets::Target, report::Failure};

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
}

/// What came of deleting a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, or was before.
    Gone,
    /// It has a job: GitHub refuses.
    Busy,
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
    /// The runner called `name`.
    fn find_runner(&self, target: &Target, name: &str) -> impl Future<Output = Result<Option<Found>, GitHubError>>;
    /// Deletes a runner.
    fn delete_runner(&self, target: &Target, id: u64) -> impl Future<Output = Result<Deletion, GitHubError>>;
}
