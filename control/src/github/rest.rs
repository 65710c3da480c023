//! One request to GitHub's REST API: its headers, its limits, its errors.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::{HeaderMap, Method, StatusCode, header};
use octocrab::Octocrab;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    GitHubError,
    authorities::Authorities,
    limits, skew,
    usage::{Usage, Whose},
};
use crate::{
    clock::{Clock, seconds},
    report::{BoxError, Failure},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole exchange may take, from the connection to the last byte of the answer.
///
/// octocrab's own read timeout is none: it counts from when a pooled connection fell idle, so that a good one fails that
/// is used again, and each byte of an answer begins it anew, so that one that drips never ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The API at one address, and what is known of its limits.
#[derive(Debug)]
pub(super) struct Rest<C> {
    octocrab: Octocrab,
    pub(super) patience: Duration,
    pub(super) clock: C,
    pub(super) usage: Usage,
    calls: AtomicU64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    /// Of the answer that is known: GitHub says so where it would be the same.
    pub(super) etag: Option<&'a str>,
}

/// A success. Its text may hold a secret, so it has no `Debug`.
pub(super) struct Answer {
    text: String,
    pub(super) etag: Option<String>,
    /// Where its other pages are.
    pub(super) link: Option<String>,
    /// It is what the ETag was for.
    pub(super) unchanged: bool,
}

/// What GitHub answered, other than success.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
    /// GitHub's time, in seconds since 1970, where its answer told it.
    pub(super) at: Option<u64>,
}

/// A request that did not succeed.
pub(super) enum Failed {
    Answered(Box<Refusal>),
    Unreached(BoxError),
    Unreadable { line: usize, column: usize },
    Limited(Duration),
}

#[derive(Deserialize)]
struct ErrorBody {
    message: Option<String>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: &Method::GET, path, body: None, etag: None }
    }

    pub(super) fn delete(path: &'a str) -> Self {
        Self { method: &Method::DELETE, ..Self::get(path) }
    }

    pub(super) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { method: &Method::POST, body: Some(body), ..Self::get(path) }
    }
}

impl<C: Clock> Rest<C> {
    pub(super) fn new(url: &str, authorities: &Authorities, clock: C) -> Result<Self, GitHubError> {
        let build = || -> Result<Octocrab, BoxError> {
            if authorities.are_the_systems() {
                Ok(Octocrab::builder().base_uri(url)?.set_connect_timeout(Some(CONNECT_TIMEOUT)).build()?)
            } else {
                authorities.client(url, CONNECT_TIMEOUT)
            }
        };
        let octocrab = build()
            .map_err(|error| GitHubError::Permanent(Failure::new(format!("setting up the client for {url}"), error)))?;
        Ok(Self { octocrab, patience: PATIENCE, clock, usage: Usage::default(), calls: AtomicU64::new(0) })
    }

    /// Requests made so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// GitHub's time in seconds since 1970, by what it answers to nobody; none where the answer does not tell it.
    pub(super) async fn time(&self) -> Result<Option<u64>, Failed> {
        let answer = tokio::time::timeout(self.patience, self.octocrab._get("/")).await;
        let answer = answer.map_err(|_| self.late())?.map_err(|error| Failed::Unreached(error.into()))?;
        Ok(skew::date(answer.headers()))
    }

    fn late(&self) -> Failed {
        Failed::Unreached(format!("no whole answer within {} ms", self.patience.as_millis()).into())
    }

    /// One request with `bearer`, which counts against the limit of `whose`.
    pub(super) async fn send(&self, bearer: &SecretString, whose: &Whose, ask: Ask<'_>) -> Result<Answer, Failed> {
        let now = self.clock.now();
        if let Some(wait) = self.usage.wait(whose, now) {
            return Err(Failed::Limited(wait));
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.usage.spend(whose);
        let exchange = tokio::time::timeout(self.patience, self.exchange(bearer, ask)).await;
        let (status, headers, text) =
            exchange.map_err(|_| self.late())?.map_err(|error| Failed::Unreached(error.into()))?;
        self.usage.seen(whose, &headers);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, link) = (header(header::ETAG), header(header::LINK));
        if status.is_success() {
            return Ok(Answer { text, etag, link, unchanged: false });
        }
        if status == StatusCode::NOT_MODIFIED && ask.etag.is_some() {
            return Ok(Answer { text, etag, link, unchanged: true });
        }
        let message = serde_json::from_str::<ErrorBody>(&text).ok().and_then(|body| body.message).unwrap_or_default();
        if let Some(wait) = limits::wait(status, &headers, &message, seconds(now)) {
            self.usage.limited(whose, wait, now);
            return Err(Failed::Limited(wait));
        }
        Err(Failed::Answered(Box::new(Refusal { status, message, at: skew::date(&headers) })))
    }

    async fn exchange(
        &self,
        bearer: &SecretString,
        ask: Ask<'_>,
    ) -> Result<(StatusCode, HeaderMap, String), octocrab::Error> {
        let octocrab = self.octocrab.user_access_token(bearer.expose_secret())?;
        let mut request = http::request::Builder::new()
            .method(ask.method)
            .uri(ask.path)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(etag) = ask.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let answer = octocrab.execute(octocrab.build_request(request, ask.body)?).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok((status, headers, octocrab.body_to_string(answer).await?))
    }
}

impl Answer {
    /// What it says. An empty answer is read as `null`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        let text = if self.text.is_empty() { "null" } else { &self.text };
        // serde's message may quote what stands there, and that may be a secret.
        serde_json::from_str(text).map_err(|error| Failed::Unreadable { line: error.line(), column: error.column() })
    }
}

impl Failed {
    pub(super) fn is(&self, status: StatusCode) -> bool {
        matches!(self, Self::Answered(refusal) if refusal.status == status)
    }

    /// Whether GitHub's message has `text` in it, whatever the case of its letters.
    pub(super) fn says(&self, text: &str) -> bool {
        matches!(self, Self::Answered(refusal) if refusal.message.to_lowercase().contains(text))
    }

    /// As the handlers see it, with what was being done.
    pub(super) fn into_error(self, doing: String) -> GitHubError {
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
