//! What `dayfly doctor` asks of GitHub, by each identity: what the App may do, where it is installed, and how its webhook
//! does. All of it only reads.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{GitHubError, lazy::LazyApp, rest::Rest};
use crate::{
    clock::{Millis, SystemClock},
    config::GitHubConfig,
};

/// An App, or what kept GitHub from telling.
#[derive(Debug)]
pub struct Inspected {
    /// Its id or client id, as it is configured.
    pub id: String,
    /// The App itself.
    pub app: Result<App, GitHubError>,
    /// Where it is installed.
    pub installations: Result<Vec<Installation>, GitHubError>,
    /// Its webhook.
    pub hook: Result<HookConfig, GitHubError>,
    /// The last deliveries of its webhook, the newest first.
    pub deliveries: Result<Vec<Delivered>, GitHubError>,
}

/// What an App is. <https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app>
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct App {
    /// Its name.
    pub name: String,
    /// What it may do, by permission: `read` or `write`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// Which events its webhook sends.
    #[serde(default)]
    pub events: Vec<String>,
}

/// An installation of an App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// GitHub's id of it.
    pub id: u64,
    /// The organization, person or enterprise.
    pub account: String,
    /// What the App may do there: less than the App asks for, until the owner has agreed.
    pub permissions: BTreeMap<String, String>,
    /// Which events of there it is sent.
    pub events: Vec<String>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it is for some repositories only.
    pub selected: bool,
}

/// How an App's webhook is set up. <https://docs.github.com/en/rest/apps/webhooks#get-a-webhook-configuration-for-an-app>
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct HookConfig {
    /// Where it sends to.
    pub url: Option<String>,
    /// `json` or `form`.
    pub content_type: Option<String>,
    /// Whether it does without a check of the certificate: 1, or "1".
    #[serde(default)]
    pub insecure_ssl: serde_json::Value,
}

/// A delivery of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// When.
    pub at: Millis,
    /// The event's name.
    pub event: String,
    /// What was answered; 0 for nothing.
    pub status: u16,
}

/// GitHub's time, by what it answers to nobody; none where the answer does not tell it.
pub async fn time(config: &GitHubConfig) -> Result<Option<Millis>, GitHubError> {
    let time = Rest::new(&config.url, &config.authorities, SystemClock)?.time().await;
    let time = time.map_err(|failed| failed.into_error("asking for the time".to_owned()))?;
    Ok(time.map(|seconds| seconds * 1000))
}

impl LazyApp {
    /// What each App is; empty where a token is used in place of Apps.
    pub async fn inspect(&self) -> Result<Vec<Inspected>, GitHubError> {
        Ok(self.get().await?.inspect().await)
    }
}
