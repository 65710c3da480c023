//! GitHub, set up when it is first asked: lifecycle hardly ever asks, and its start does not wait for the App's key.

use tokio::sync::OnceCell;

use super::{Deletion, Found, GitHub, GitHubError, Jit, NewRunner, client::GitHubApp, jwt::AppKey};
use crate::{aws, clock::SystemClock, config::GitHubConfig, fleets::Target, report::Failure};

/// The App whose key is in a parameter of SSM.
#[derive(Debug)]
pub struct LazyApp {
    ssm: aws_sdk_ssm::Client,
    config: GitHubConfig,
    app: OnceCell<GitHubApp<SystemClock>>,
}

impl LazyApp {
    /// The App that `config` tells of.
    #[must_use]
    pub fn new(ssm: aws_sdk_ssm::Client, config: GitHubConfig) -> Self {
        Self { ssm, config, app: OnceCell::new() }
    }

    /// The App, set up now if it is not yet.
    pub async fn get(&self) -> Result<&GitHubApp<SystemClock>, GitHubError> {
        self.app.get_or_try_init(|| self.set_up()).await
    }

    async fn set_up(&self) -> Result<GitHubApp<SystemClock>, GitHubError> {
        let doing = "taking the App's private key";
        let pem = aws::secret(&self.ssm, &self.config.key_parameter)
            .await
            .map_err(|error| GitHubError::Transient(Failure::new(doing, error)))?;
        let key = AppKey::from_pem(&self.config.app_id, &pem)
            .map_err(|error| GitHubError::Permanent(Failure::new(doing, error)))?;
        GitHubApp::new(&self.config.url, key, SystemClock)
    }
}

impl GitHub for LazyApp {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        self.get().await?.authorize(target).await
    }

    async fn jit_config(&self, target: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        self.get().await?.jit_config(target, runner).await
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        self.get().await?.find_runner(target, name).await
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        self.get().await?.delete_runner(target, id).await
    }
}
