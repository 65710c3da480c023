//! The private protocol between this stand-in and the GitHub emulator. Nothing else knows it.

use std::{collections::BTreeMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::{Agent, Body, http::Response};

use crate::{
    VERSION,
    job::{Job, JobResult},
};

/// A message is held back by the server for up to 10 s.
const LONG_POLL: Duration = Duration::from_secs(30);
const CALL: Duration = Duration::from_secs(10);

/// Why a call did not work.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// 404: the runner, session or job no longer exists.
    #[error("the server does not know it (404)")]
    Gone,
    /// 401: the token is not, or no longer, good.
    #[error("the server refused the token (401)")]
    Refused,
    /// 409: another session of this runner is open.
    #[error("another session of this runner is open (409)")]
    Conflict,
    /// 426: this version of the runner is too old.
    #[error("the server refused this version (426)")]
    VersionRefused,
    /// No connection, no answer in time, 429 or 5xx: worth another try.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that the protocol does not have.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

/// What waiting for a message brings.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// A job for this runner, which is now in progress.
    Job {
        /// The job.
        job: Box<Job>,
    },
    /// A newer version is to be installed.
    Update,
    /// The configuration was refreshed.
    RefreshConfig,
}

#[derive(Deserialize)]
struct Session {
    #[serde(rename = "sessionId", deserialize_with = "crate::job::text")]
    id: String,
}

#[derive(Deserialize)]
struct JobState {
    cancelled: bool,
}

/// A client with one runner's token.
#[derive(Clone, Debug)]
pub struct Server {
    agent: Agent,
    base: String,
    token: SecretString,
}

impl Server {
    /// A client for the server at `base`, which ends in `/_runner/`.
    #[must_use]
    pub fn new(base: &str, token: SecretString) -> Self {
        let base = format!("{}/", base.trim_end_matches('/'));
        Self { agent: agent(), base, token }
    }

    /// Opens a session: the runner is online from here on.
    pub fn open_session(&self, agent_id: &str) -> Result<String, ServerError> {
        // The id goes back as it came: as a number where it is one.
        let id = agent_id.parse::<u64>().map_or_else(|_| json!(agent_id), |id| json!(id));
        let session: Session = body(self.post("session", CALL, &json!({"agentId": id, "version": VERSION}))?)?;
        Ok(session.id)
    }

    /// Waits for a message, for as long as the server holds the call.
    pub fn next_message(&self, session: &str) -> Result<Option<Message>, ServerError> {
        let request = self.agent.get(self.url("message")).query("session", session);
        let answer = checked(
            request.header("Authorization", self.bearer()).config().timeout_global(Some(LONG_POLL)).build().call(),
        )?;
        if answer.status() == 202 { Ok(None) } else { body(answer).map(Some) }
    }

    /// Whether the job was cancelled at the server.
    pub fn is_cancelled(&self, job: &str) -> Result<bool, ServerError> {
        let request = self.agent.get(self.url(&format!("jobs/{job}/state"))).header("Authorization", self.bearer());
        let state: JobState = body(checked(request.call())?)?;
        Ok(state.cancelled)
    }

    /// Reports a job's end.
    pub fn complete(&self, job: &str, result: JobResult) -> Result<(), ServerError> {
        self.post(&format!("jobs/{job}/completed"), CALL, &json!({"result": result.word()})).map(drop)
    }

    /// Appends to a job's log.
    pub fn append_log(&self, job: &str, text: &str) -> Result<(), ServerError> {
        let request = self.agent.post(self.url(&format!("jobs/{job}/log"))).header("Authorization", self.bearer());
        checked(request.content_type("text/plain; charset=utf-8").send(text)).map(drop)
    }

    /// Closes the session: the runner is offline. Tried once, quickly: whoever stops a runner waits for this.
    pub fn close_session(&self, session: &str) -> Result<(), ServerError> {
        let request = self.agent.delete(self.url("session")).query("session", session);
        let limit = Some(Duration::from_secs(3));
        checked(request.header("Authorization", self.bearer()).config().timeout_global(limit).build().call()).map(drop)
    }

    fn post(&self, path: &str, limit: Duration, json: &Value) -> Result<Response<Body>, ServerError> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        checked(request.config().timeout_global(Some(limit)).build().send_json(json))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.expose_secret())
    }
}

/// What `config.sh` asks for.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The organization's or repository's address.
    pub url: &'a str,
    /// A registration token.
    pub token: &'a SecretString,
    /// The runner's name.
    pub name: &'a str,
    /// All labels.
    pub labels: &'a [String],
    /// The runner group.
    pub group: Option<&'a str>,
    /// One job only.
    pub ephemeral: bool,
    /// In place of a runner of the same name.
    pub replace: bool,
}

/// Registers a runner; the answer is the configuration's files, in base64.
pub fn register(base: &str, ask: &Registration<'_>) -> Result<BTreeMap<String, SecretString>, ServerError> {
    let json = json!({
        "url": ask.url, "token": ask.token.expose_secret(), "name": ask.name, "labels": ask.labels,
        "group": ask.group, "ephemeral": ask.ephemeral, "replace": ask.replace,
    });
    body(checked(agent().post(format!("{base}register")).send_json(json))?)
}

/// Takes a registration back.
pub fn remove(base: &str, token: &SecretString, agent_id: &str) -> Result<(), ServerError> {
    let id = agent_id.parse::<u64>().map_or_else(|_| json!(agent_id), |id| json!(id));
    let json = json!({"token": token.expose_secret(), "agentId": id});
    checked(agent().post(format!("{base}remove")).send_json(json)).map(drop)
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_global(Some(CALL))
        // The emulator is on this machine or next to it; a proxy from the environment is for jobs.
        .proxy(None)
        .user_agent(format!("GitHubActionsRunner-linux-x64/{VERSION}"))
        .build();
    Agent::new_with_config(config)
}

fn checked(answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, ServerError> {
    let answer = answer.map_err(|error| ServerError::Unreachable(error.to_string()))?;
    match answer.status().as_u16() {
        200..=299 => Ok(answer),
        401 => Err(ServerError::Refused),
        404 => Err(ServerError::Gone),
        409 => Err(ServerError::Conflict),
        426 => Err(ServerError::VersionRefused),
        status @ (408 | 429 | 500..=599) => Err(ServerError::Unreachable(format!("the server answered {status}"))),
        status => Err(ServerError::Unexpected(format!("status {status}"))),
    }
}

fn body<T: DeserializeOwned>(mut answer: Response<Body>) -> Result<T, ServerError> {
    let text = answer.body_mut().read_to_string().map_err(|error| ServerError::Unreachable(error.to_string()))?;
    // Only the place: the text may hold secrets.
    serde_json::from_str(&text)
        .map_err(|error| ServerError::Unexpected(format!("body unreadable at column {}", error.column())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_each_kind() {
        let job = r#"{"type":"job","job":{"id":1,"name":"n","repository":"o/r"}}"#;
        assert!(matches!(serde_json::from_str(job).unwrap(), Message::Job { .. }));
        assert!(matches!(serde_json::from_str(r#"{"type":"update"}"#).unwrap(), Message::Update));
        assert!(matches!(serde_json::from_str(r#"{"type":"refresh-config"}"#).unwrap(), Message::RefreshConfig));
    }

    #[test]
    fn a_client_shows_no_token() {
        assert!(!format!("{:?}", Server::new("http://x", SecretString::from("hush"))).contains("hush"));
    }
}
