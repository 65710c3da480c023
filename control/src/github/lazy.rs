//! GitHub, set up when it is first asked: webhook and lifecycle hardly ever ask, and their start does not wait for the
//! Apps' keys.

use futures::future::try_join_all;
use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::{
    Deletion, Found, GitHub, GitHubError, Jit, Job, NewRunner, Run,
    client::{Client, Identity},
    jwt::AppKey,
    several::Several,
    urls,
};
use crate::{
    aws,
    clock::SystemClock,
    config::{AppConfig, GitHubConfig},
    fleets::{Scope, Target},
    ledger::dynamo::DynamoLedger,
    report::Failure,
};

type Apps = Several<SystemClock, DynamoLedger>;

/// The Apps whose keys are in parameters of SSM, or the token that is.
#[derive(Debug)]
pub struct LazyApp {
    ssm: aws_sdk_ssm::Client,
    config: GitHubConfig,
    notes: DynamoLedger,
    apps: OnceCell<Apps>,
}

impl LazyApp {
    /// The Apps that `config` tells of. What they learn of installations is noted in `notes`.
    #[must_use]
    pub fn new(ssm: aws_sdk_ssm::Client, config: GitHubConfig, notes: DynamoLedger) -> Self {
        Self { ssm, config, notes, apps: OnceCell::new() }
    }

    /// The Apps, set up now if they are not yet.
    pub async fn get(&self) -> Result<&Apps, GitHubError> {
        self.apps.get_or_try_init(|| self.set_up()).await
    }

    async fn set_up(&self) -> Result<Apps, GitHubError> {
        let identities = if let Some(parameter) = &self.config.token_parameter {
            vec![Identity::Token(trimmed(&self.secret("taking GitHub's token", parameter).await?))]
        } else {
            try_join_all(self.config.apps.iter().map(|app| self.app(app))).await?
        };
        if identities.is_empty() {
            let why = "neither DAYFLY_GITHUB_APPS nor DAYFLY_GITHUB_TOKEN_PARAMETER is set";
            return Err(GitHubError::Permanent(Failure::new("asking GitHub", why)));
        }
        let clients = identities
            .into_iter()
            .map(|identity| Client::new(&self.config.url, identity, SystemClock, self.notes.clone()));
        Ok(Several::new(clients.collect::<Result<_, _>>()?))
    }

    async fn app(&self, app: &AppConfig) -> Result<Identity, GitHubError> {
        let doing = || format!("taking the private key of App {}", app.id);
        let pem = self.secret(&doing(), &app.key_parameter).await?;
        let key = AppKey::from_pem(&app.id, &pem);
        key.map(|key| Identity::App(Box::new(key)))
            .map_err(|error| GitHubError::Permanent(Failure::new(doing(), error)))
    }

    async fn secret(&self, doing: &str, parameter: &str) -> Result<SecretString, GitHubError> {
        let secret = aws::secret(&self.ssm, parameter).await;
        secret.map_err(|error| GitHubError::Transient(Failure::new(doing, error)))
    }
}

/// As files and forms are, a secret may end with a line's end; in a header it may not.
fn trimmed(secret: &SecretString) -> SecretString {
    use secrecy::ExposeSecret;
    SecretString::from(secret.expose_secret().trim())
}

impl GitHub for LazyApp {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        self.get().await?.authorize(target).await
    }

    async fn jit_config(&self, target: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        self.get().await?.jit_config(target, runner).await
    }

    async fn registration_token(&self, target: &Target) -> Result<SecretString, GitHubError> {
        self.get().await?.registration_token(target).await
    }

    fn runner_url(&self, scope: &Scope) -> String {
        urls::runner_url(&self.config.url, scope)
    }

    async fn group(&self, target: &Target, name: &str) -> Result<u64, GitHubError> {
        self.get().await?.group(target, name).await
    }

    async fn job(&self, target: &Target, repository: &str, id: u64) -> Result<Job, GitHubError> {
        self.get().await?.job(target, repository, id).await
    }

    async fn run(&self, target: &Target, repository: &str, id: u64) -> Result<Run, GitHubError> {
        self.get().await?.run(target, repository, id).await
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        self.get().await?.find_runner(target, name).await
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        self.get().await?.delete_runner(target, id).await
    }

    fn remaining(&self) -> Option<u64> {
        self.apps.get().and_then(GitHub::remaining)
    }
}
