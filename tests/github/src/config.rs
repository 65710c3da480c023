//! What the emulator is started with, and the ways in which it can be told to be odd.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock};
use crate::webhooks::Webhook;

/// App id of [`Config::default`].
pub const LAPTOP_APP_ID: u64 = 123_456;

/// Private key (PEM, PKCS#1 as GitHub hands them out) of [`Config::default`]'s App. It guards nothing.
pub const LAPTOP_APP_KEY: &str = include_str!("../fixtures/app-key.pem");

/// What a [`crate::Github`] is started with. `Config::default()` suits the laptop cloud.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What stands in URLs that others are to call; default `http://<listen>`.
    pub public_url: Option<String>,
    /// The App's id, expected as `iss` of its JWTs.
    pub app_id: u64,
    /// The App's client id, which GitHub takes as `iss` too.
    pub client_id: String,
    /// Key that the App's JWTs are verified with.
    pub app_key: AppKey,
    /// Id of the App's one installation.
    pub installation_id: u64,
    /// Login of the organization.
    pub org: String,
    /// Repositories as `owner/name`; the first is where a job goes that names none.
    pub repositories: Vec<String>,
    /// Slug of the enterprise.
    pub enterprise: String,
    /// Runner groups; id 1 is the default group.
    pub groups: Vec<Group>,
    /// Where webhooks go. Can be set later.
    pub webhook: Option<Webhook>,
    /// How long GitHub waits for the answer to a webhook.
    pub webhook_timeout: Duration,
    /// How long an installation token lives.
    pub token_lifetime: Duration,
    /// How long a runner may be silent before it is offline and its job has failed.
    pub offline_after: Duration,
    /// How long the runner's request for a message is held open.
    pub poll_wait: Duration,
    /// Requests an hour for each installation.
    pub rate_limit: u64,
    /// The release of actions/runner that is told of.
    pub runner: RunnerRelease,
    /// Source of time.
    pub clock: Arc<dyn Clock>,
    /// Seed of all that is random: tokens, shuffles, faults with a probability.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            app_id: LAPTOP_APP_ID,
            client_id: "Iv23laptopdayfly0001".to_owned(),
            app_key: AppKey::Private(SecretString::from(LAPTOP_APP_KEY)),
            installation_id: 7_654_321,
            org: "octo-org".to_owned(),
            repositories: vec!["octo-org/octo-repo".to_owned()],
            enterprise: "octo-enterprise".to_owned(),
            groups: vec![Group { id: 1, name: "Default".to_owned(), repositories: None }],
            webhook: None,
            webhook_timeout: Duration::from_secs(10),
            token_lifetime: Duration::from_hours(1),
            offline_after: Duration::from_secs(30),
            poll_wait: Duration::from_secs(10),
            rate_limit: 5000,
            runner: RunnerRelease::default(),
            clock: Arc::new(SystemClock),
            seed: 1,
        }
    }
}

/// The App's key, as PEM.
#[derive(Clone, Debug)]
pub enum AppKey {
    /// The private key (PKCS#1 or PKCS#8); the public half is taken from it.
    Private(SecretString),
    /// The public key (`BEGIN PUBLIC KEY`).
    Public(String),
}

/// A runner group of the organization (and of the enterprise: there is one list).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The repositories (`owner/name`) whose jobs it takes; all where absent.
    #[serde(default)]
    pub repositories: Option<Vec<String>>,
}

/// A release of actions/runner.
#[derive(Clone, Debug)]
pub struct RunnerRelease {
    /// Its version, without `v`.
    pub version: String,
    /// Folder that its archives are downloaded from.
    pub download_url: String,
    /// SHA-256 (hex) by architecture (`x64`, `arm64`), where known.
    pub sha256: Vec<(String, String)>,
}

impl Default for RunnerRelease {
    fn default() -> Self {
        let version = "2.336.0".to_owned();
        Self {
            download_url: format!("https://github.com/actions/runner/releases/download/v{version}"),
            version,
            sha256: Vec::new(),
        }
    }
}

/// Oddities of the real GitHub that are off until asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Refuses a JWT that was seen before, byte for byte.
    pub refuse_repeated_jwt: bool,
    /// A runner shows as not busy for so long after it took a job, as GitHub's `busy` lags by up to a minute.
    pub busy_lag_ms: u64,
    /// DELETE removes a busy runner (204), which has been seen; its job fails.
    pub delete_busy: bool,
    /// The installation that webhooks name.
    pub webhook_installation: WebhookInstallation,
}

/// What `installation.id` says in a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookInstallation {
    /// The installation's id.
    #[default]
    Right,
    /// There is no `installation`.
    Missing,
    /// Some other number, 0 for example.
    Wrong(u64),
}
