//! The control channel of moto's wrapper, as far as this host uses it.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::Facts;

/// A client of the control channel.
#[derive(Clone, Debug)]
pub(super) struct Moto {
    url: String,
    http: reqwest::Client,
}

impl Moto {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .context("building an HTTP client")?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// All instances there ever were.
    pub(super) async fn instances(&self) -> anyhow::Result<Vec<Facts>> {
        let response = self.http.get(format!("{}/_laptop/instances", self.url)).send().await;
        let response = response.and_then(reqwest::Response::error_for_status).context("listing moto's instances")?;
        response.json().await.context("reading moto's list of instances")
    }

    /// `state` is `running`, `stopped` or `terminated`.
    pub(super) async fn tell_state(&self, id: &str, state: &str, reason: &str) -> anyhow::Result<()> {
        self.post(&format!("{id}/state"), &json!({"state": state, "reason": reason}))
            .await
            .with_context(|| format!("telling moto that {id} is {state}"))
    }

    /// The instance powered itself off.
    pub(super) async fn tell_shutdown(&self, id: &str, reason: &str) -> anyhow::Result<()> {
        self.post(&format!("{id}/shutdown"), &json!({"reason": reason}))
            .await
            .with_context(|| format!("telling moto that {id} powered itself off"))
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/_laptop/instances/{path}", self.url)).json(body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
