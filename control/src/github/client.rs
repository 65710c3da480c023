//! GitHub's REST API by octocrab, for github.com, GHES (base `…/api/v3`) and data residency alike.
//!
//! octocrab carries the requests; being the App is ours, since its own JWT has no `jti`.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::{Method, StatusCode};
use octocrab::Octocrab;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Deletion, Found, GitHub, GitHubError, Jit, NewRunner, jwt::AppKey, limits, tokens::Token, tokens::Tokens};
use crate::{
    clock::{Clock, seconds},
    fleets::{Scope, Target},
    report::{BoxError, Failure},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Where a runner keeps its work, in its own folder.
const WORK_FOLDER: &str = "_work";

/// GitHub as one App sees it.
#[derive(Debug)]
pub struct GitHubApp<C> {
    rest: Octocrab,
    key: AppKey,
    clock: C,
    tokens: Tokens,
    /// Installations that GitHub was asked for. They count more than what a webhook named.
    found: Mutex<HashMap<Scope, u64>>,
    /// Milliseconds since 1970 until which GitHub asked to be left alone. Kept across invocations, so that a limit
    /// that one call met is not tried by the others.
    limited_until: AtomicU64,
    calls: AtomicU64,
}

/// What GitHub answered, other than success.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {message}")]
struct Refusal {
    status: StatusCode,
    message: String,
}

/// A request that did not succeed.
enum Failed {
    Answered(Box<Refusal>),
    Unreached(BoxError),
    Unreadable { line: usize, column: usize },
    Limited(Duration),
}

#[derive(Deserialize)]
struct AccessToken {
    token: SecretString,
    expires_at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct WithId {
    id: u64,
}

#[derive(Deserialize)]
struct JitAnswer {
    runner: WithId,
    encoded_jit_config: SecretString,
}

#[derive(Deserialize)]
struct RunnerList {
    runners: Vec<ListedRunner>,
}

#[derive(Deserialize)]
struct ListedRunner {
    id: u64,
    name: String,
    status: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: Option<String>,
}

impl<C: Clock> GitHubApp<C> {
    /// The App with this key at the REST API `url`. To be called within a tokio runtime.
    pub fn new(url: &str, key: AppKey, clock: C) -> Result<Self, GitHubError> {
        let build = || {
            Octocrab::builder()
                .base_uri(url)?
                .set_connect_timeout(Some(CONNECT_TIMEOUT))
                .set_read_timeout(Some(READ_TIMEOUT))
                .build()
        };
        let rest = build().map_err(|error: octocrab::Error| {
            GitHubError::Permanent(Failure::new(format!("setting up the client for {url}"), error))
        })?;
        let (limited_until, calls) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { rest, key, clock, tokens: Tokens::default(), found: Mutex::default(), limited_until, calls })
    }

    /// Requests made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// One request. An empty answer is read as `null`.
    async fn request<T: DeserializeOwned>(
        &self,
        bearer: &SecretString,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failed> {
        let now = self.clock.now();
        let limited = self.limited_until.load(Ordering::Relaxed).saturating_sub(now);
        if limited > 0 {
            return Err(Failed::Limited(Duration::from_millis(limited)));
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let unreached = |error: octocrab::Error| Failed::Unreached(error.into());
        let rest = self.rest.user_access_token(bearer.expose_secret()).map_err(unreached)?;
        let request = http::request::Builder::new()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let request = rest.build_request(request, body).map_err(unreached)?;
        let answer = rest.execute(request).await.map_err(unreached)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = rest.body_to_string(answer).await.map_err(unreached)?;
        if status.is_success() {
            let text = if text.is_empty() { "null" } else { &text };
            // serde's message may quote what stands there, and that may be a secret.
            return serde_json::from_str(text)
                .map_err(|error| Failed::Unreadable { line: error.line(), column: error.column() });
        }
        let message = serde_json::from_str::<ErrorBody>(&text).ok().and_then(|body| body.message).unwrap_or_default();
        if let Some(wait) = limits::wait(status, &headers, &message, seconds(now)) {
            let until = now + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
            self.limited_until.fetch_max(until, Ordering::Relaxed);
            return Err(Failed::Limited(wait));
        }
        Err(Failed::Answered(Box::new(Refusal { status, message })))
    }

    /// A request as the App itself.
    async fn as_app<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T, Failed> {
        let bearer = self
            .key
            .token(seconds(self.clock.now()), &self.clock.uuid())
            .map_err(|error| Failed::Unreached(error.into()))?;
        self.request(&bearer, method, path, body).await
    }

    /// A request as the App's installation at `target`. A token that is refused is forgotten, and a new one tried
    /// once.
    async fn as_installation<T: DeserializeOwned>(
        &self,
        target: &Target,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failed> {
        let token = self.token(target).await?;
        match self.request(&token.secret, method.clone(), path, body).await {
            Err(Failed::Answered(refusal)) if refusal.status == StatusCode::UNAUTHORIZED => {
                self.tokens.forget(&target.scope, &token.secret).await;
                let token = self.token(target).await?;
                self.request(&token.secret, method, path, body).await
            }
            other => other,
        }
    }

    async fn token(&self, target: &Target) -> Result<Token, Failed> {
        self.tokens.get(&target.scope, self.clock.now(), async || self.fetch_token(target).await).await
    }

    /// By the installation that the webhook named; where it named none, 0 or a stale one, GitHub is asked for it once.
    async fn fetch_token(&self, target: &Target) -> Result<Token, Failed> {
        let found = self.found.lock().await.get(&target.scope).copied();
        if let Some(id) = found.or(target.installation.filter(|id| *id > 0)) {
            match self.access_token(id).await {
                Err(Failed::Answered(refusal)) if refusal.status == StatusCode::NOT_FOUND => {}
                other => return other,
            }
        }
        let id = self.find_installation(&target.scope).await?;
        self.found.lock().await.insert(target.scope.clone(), id);
        self.access_token(id).await
    }

    async fn find_installation(&self, scope: &Scope) -> Result<u64, Failed> {
        let found: WithId = self.as_app(Method::GET, &format!("/{scope}/installation"), None).await?;
        Ok(found.id)
    }

    /// Whether to try again what GitHub refused to `refused`: the installation that a webhook named may exist and be
    /// another owner's. GitHub is asked once for the right one, however many ask.
    async fn reconsider(&self, target: &Target, refused: &Token) -> Result<bool, Failed> {
        if target.installation.is_none_or(|id| id == 0) {
            return Ok(false);
        }
        let mut found = self.found.lock().await;
        let id = match found.get(&target.scope) {
            Some(id) => *id,
            None => self.find_installation(&target.scope).await?,
        };
        found.insert(target.scope.clone(), id);
        // Whoever fetches a token holds its slot and then asks what was found: not the other way round here.
        drop(found);
        if id == refused.installation {
            return Ok(false);
        }
        self.tokens.forget(&target.scope, &refused.secret).await;
        Ok(true)
    }

    async fn access_token(&self, installation: u64) -> Result<Token, Failed> {
        let path = format!("/app/installations/{installation}/access_tokens");
        let answer: AccessToken = self.as_app(Method::POST, &path, Some(&json!({}))).await?;
        let expires_at = u64::try_from(answer.expires_at.as_millisecond()).unwrap_or(0);
        Ok(Token { secret: answer.token, expires_at, installation })
    }
}

impl<C: Clock> GitHub for GitHubApp<C> {
    async fn authorize(&self, target: &Target) -> Result<(), GitHubError> {
        let doing = || format!("getting a token for {}", target.scope);
        self.token(target).await.map(drop).map_err(|failed| failed.into_error(doing()))
    }

    async fn jit_config(&self, target: &Target, runner: &NewRunner) -> Result<Jit, GitHubError> {
        let path = format!("{}/generate-jitconfig", runners(&target.scope));
        let body = json!({
            "name": runner.name,
            "runner_group_id": runner.group,
            "labels": runner.labels,
            "work_folder": WORK_FOLDER,
        });
        let register = async || self.as_installation::<JitAnswer>(target, Method::POST, &path, Some(&body)).await;
        let answered = async {
            let token = self.token(target).await?;
            match register().await {
                Err(Failed::Answered(refusal))
                    if matches!(refusal.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
                        && self.reconsider(target, &token).await? =>
                {
                    register().await
                }
                other => other,
            }
        };
        match answered.await {
            Ok(answer) => Ok(Jit { runner_id: answer.runner.id, config: answer.encoded_jit_config }),
            Err(Failed::Answered(refusal)) if refusal.status == StatusCode::CONFLICT => {
                Err(GitHubError::NameTaken { name: runner.name.clone() })
            }
            Err(failed) => Err(failed.into_error(format!("registering {} for {}", runner.name, target.scope))),
        }
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        let path = format!("{}?name={name}", runners(&target.scope));
        let listed: RunnerList = self
            .as_installation(target, Method::GET, &path, None)
            .await
            .map_err(|failed| failed.into_error(format!("looking for {name} at {}", target.scope)))?;
        let found = listed.runners.into_iter().find(|runner| runner.name == name);
        Ok(found.map(|runner| Found { id: runner.id, online: runner.status == "online" }))
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        let path = format!("{}/{id}", runners(&target.scope));
        match self.as_installation::<Value>(target, Method::DELETE, &path, None).await {
            Ok(_) => Ok(Deletion::Gone),
            Err(Failed::Answered(refusal)) => match refusal.status {
                StatusCode::NOT_FOUND => Ok(Deletion::Gone),
                StatusCode::UNPROCESSABLE_ENTITY => Ok(Deletion::Busy),
                _ => Err(Failed::Answered(refusal).into_error(format!("deleting runner {id} at {}", target.scope))),
            },
            Err(failed) => Err(failed.into_error(format!("deleting runner {id} at {}", target.scope))),
        }
    }
}

fn runners(scope: &Scope) -> String {
    format!("/{scope}/actions/runners")
}

impl Failed {
    fn into_error(self, doing: String) -> GitHubError {
        match self {
            Self::Limited(wait) => GitHubError::Limited { doing, wait },
            Self::Unreached(source) => GitHubError::Transient(Failure::new(doing, source)),
            Self::Unreadable { line, column } => {
                let source = format!("GitHub's answer is not understood at line {line}, column {column}");
                GitHubError::Permanent(Failure::new(doing, source))
            }
            Self::Answered(refusal) => {
                let passes = refusal.status.is_server_error() || refusal.status == StatusCode::REQUEST_TIMEOUT;
                let failure = Failure::new(doing, refusal);
                if passes { GitHubError::Transient(failure) } else { GitHubError::Permanent(failure) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
