//! GitHub, set up when it is first asked: webhook and lifecycle hardly ever ask, and their start does not wait for the
//! Apps' keys. And set up anew where a key or the token was changed: a warm process would be refused until its end.

use std::sync::Arc;

use futures::future::try_join_all;
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::{
    Deletion, Found, GitHub, GitHubError, Jit, Job, NewRunner, Run,
    client::{Client, Identity},
    jwt::AppKey,
    several::Several,
    urls,
};
use crate::{
    aws,
    clock::{Clock, Millis, SystemClock},
    config::GitHubConfig,
    fleets::{Scope, Target},
    ledger::dynamo::DynamoLedger,
    report::{Chain, Failure},
};

type Apps = Several<SystemClock, DynamoLedger>;

/// How long keys that GitHub does not know are not read again: they may be wrong in the store as well.
const READ_AGAIN: Millis = 60 * 1000;

/// The Apps whose keys are in parameters of SSM, or the token that is.
#[derive(Debug)]
pub struct LazyApp {
    ssm: aws_sdk_ssm::Client,
    config: GitHubConfig,
    notes: DynamoLedger,
    /// The lock is held while the secrets are read, so that others wait for that.
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    apps: Arc<Apps>,
    /// By which it is seen whether a secret has changed.
    digests: Vec<Vec<u8>>,
    read_at: Millis,
}

impl LazyApp {
    /// The Apps that `config` tells of. What they learn of installations is noted in `notes`.
    #[must_use]
    pub fn new(ssm: aws_sdk_ssm::Client, config: GitHubConfig, notes: DynamoLedger) -> Self {
        Self { ssm, config, notes, held: Mutex::default() }
    }

    /// The Apps, set up now if they are not yet.
    pub async fn get(&self) -> Result<Arc<Apps>, GitHubError> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref() {
            return Ok(Arc::clone(&held.apps));
        }
        let new = self.set_up(&self.secrets().await?)?;
        Ok(Arc::clone(&held.insert(new).apps))
    }

    /// What comes of `call`. Where GitHub does not know who asks, the secrets are read again, and it is asked once more
    /// if they have changed.
    pub(super) async fn ask<T>(&self, call: impl AsyncFn(&Apps) -> Result<T, GitHubError>) -> Result<T, GitHubError> {
        let apps = self.get().await?;
        let answer = call(&apps).await;
        if !apps.is_disowned() {
            return answer;
        }
        // One of several Apps may have answered for another.
        match (self.renewed(&apps).await, answer) {
            (Some(newer), Err(_)) => call(&newer).await,
            (_, answer) => answer,
        }
    }

    /// What has taken the place of `old`, if anything has by now.
    async fn renewed(&self, old: &Arc<Apps>) -> Option<Arc<Apps>> {
        let mut held = self.held.lock().await;
        let there = held.as_mut()?;
        if !Arc::ptr_eq(&there.apps, old) {
            return Some(Arc::clone(&there.apps));
        }
        let now = SystemClock.now();
        if now < there.read_at.saturating_add(READ_AGAIN) {
            return None;
        }
        there.read_at = now;
        let read = async {
            let secrets = self.secrets().await?;
            if digests(&secrets) == there.digests { Ok(None) } else { self.set_up(&secrets).map(Some) }
        };
        match read.await {
            Ok(Some(new)) => {
                info!("GitHub did not know the key or token, which has changed: going on with the new one");
                *there = new;
                Some(Arc::clone(&there.apps))
            }
            Ok(None) => {
                warn!("GitHub does not know the key or token, and there is no other in its parameter");
                None
            }
            Err(error) => {
                warn!(error = %Chain(&error), "GitHub does not know the key or token, and it can't be read again");
                None
            }
        }
    }

    /// The token, or the Apps' keys in their order.
    async fn secrets(&self) -> Result<Vec<SecretString>, GitHubError> {
        if let Some(parameter) = &self.config.token_parameter {
            return Ok(vec![self.secret("taking GitHub's token", parameter).await?]);
        }
        let keys = self.config.apps.iter().map(async |app| {
            let doing = format!("taking the private key of App {}", app.id);
            self.secret(&doing, &app.key_parameter).await
        });
        try_join_all(keys).await
    }

    async fn secret(&self, doing: &str, parameter: &str) -> Result<SecretString, GitHubError> {
        let secret = aws::secret(&self.ssm, parameter).await;
        secret.map_err(|error| GitHubError::Transient(Failure::new(doing, error)))
    }

    fn set_up(&self, secrets: &[SecretString]) -> Result<Held, GitHubError> {
        let identities = if self.config.token_parameter.is_some() {
            secrets.iter().map(|secret| Identity::Token(trimmed(secret))).collect()
        } else {
            let apps = self.config.apps.iter().zip(secrets);
            apps.map(|(app, key)| identity(&app.id, key)).collect::<Result<Vec<_>, _>>()?
        };
        if identities.is_empty() {
            let why = "neither DAYFLY_GITHUB_APPS nor DAYFLY_GITHUB_TOKEN_PARAMETER is set";
            return Err(GitHubError::Permanent(Failure::new("asking GitHub", why)));
        }
        let GitHubConfig { url, authorities, .. } = &self.config;
        let clients = identities
            .into_iter()
            .map(|identity| Client::new(url, authorities, identity, SystemClock, self.notes.clone()));
        let apps = Arc::new(Several::new(clients.collect::<Result<_, _>>()?));
        Ok(Held { apps, digests: digests(secrets), read_at: SystemClock.now() })
    }
}

fn identity(app: &str, pem: &SecretString) -> Result<Identity, GitHubError> {
    let doing = || format!("taking the private key of App {app}");
    let key = AppKey::from_pem(app, pem);
    key.map(|key| Identity::App(Box::new(key))).map_err(|error| GitHubError::Permanent(Failure::new(doing(), error)))
}

/// As files and forms are, a secret may end with a line's end; in a header it may not.
fn trimmed(secret: &SecretString) -> SecretString {
    SecretString::from(secret.expose_secret().trim())
}

fn digests(secrets: &[SecretString]) -> Vec<Vec<u8>> {
    secrets.iter().map(|secret| digest(&SHA256, secret.expose_secret().as_bytes()).as_ref().to_vec()).collect()
}

impl GitHub for LazyApp {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        self.ask(async |apps| apps.authorize(target).await).await
    }

    async fn jit_config(&self, target: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        self.ask(async |apps| apps.jit_config(target, runner).await).await
    }

    async fn registration_token(&self, target: &Target) -> Result<SecretString, GitHubError> {
        self.ask(async |apps| apps.registration_token(target).await).await
    }

    fn runner_url(&self, scope: &Scope) -> String {
        urls::runner_url(&self.config.url, scope)
    }

    async fn group(&self, target: &Target, name: &str) -> Result<u64, GitHubError> {
        self.ask(async |apps| apps.group(target, name).await).await
    }

    async fn job(&self, target: &Target, repository: &str, id: u64) -> Result<Job, GitHubError> {
        self.ask(async |apps| apps.job(target, repository, id).await).await
    }

    async fn run(&self, target: &Target, repository: &str, id: u64) -> Result<Run, GitHubError> {
        self.ask(async |apps| apps.run(target, repository, id).await).await
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        self.ask(async |apps| apps.find_runner(target, name).await).await
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        self.ask(async |apps| apps.delete_runner(target, id).await).await
    }

    fn remaining(&self) -> Option<u64> {
        // Nobody holds the lock when an invocation counts up what it did.
        self.held.try_lock().ok()?.as_ref().and_then(|held| held.apps.remaining())
    }
}

#[cfg(test)]
mod tests;
