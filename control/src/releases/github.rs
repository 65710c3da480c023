//! The releases of `actions/runner`, as github.com has them.
//!
//! Anybody may ask for them, so nobody's key is needed: without one GitHub answers 60 requests an hour and address. A
//! token raises that, and need not be allowed anything.
//! <https://docs.github.com/en/rest/releases/releases>

mod answer;

use std::{fmt, time::Duration};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{HeaderMap, StatusCode, Uri, header};
use http_body_util::BodyExt;
use octocrab::Octocrab;
use secrecy::SecretString;

use super::{Answer, Body, Releases};
use crate::{
    clock::{Clock, seconds},
    decide::releases::{Asset, Release, Version},
    github::{GitHubError, limits},
    report::Failure,
};

const RELEASES: &str = "/repos/actions/runner/releases";
/// How many releases are looked at: more than a year's.
const LISTED: usize = 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the next bytes, not for the whole.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// An archive is one redirect away.
const MOST_REDIRECTS: usize = 5;

/// The REST API at one address, and what it links to.
#[derive(Debug)]
pub struct GitHubReleases<C> {
    octocrab: Octocrab,
    clock: C,
}

/// An archive on its way.
pub struct Download {
    doing: String,
    chunks: BoxStream<'static, Result<Vec<u8>, octocrab::Error>>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("doing", &self.doing).finish_non_exhaustive()
    }
}

/// What GitHub answered, other than what was hoped for.
#[derive(Debug, thiserror::Error)]
#[error("GitHub answered {0}")]
struct Refused(StatusCode);

impl<C: Clock> GitHubReleases<C> {
    /// The API at `url`, asked with `token` where there is one. To be called within a tokio runtime.
    pub fn new(url: &str, token: Option<SecretString>, clock: C) -> Result<Self, GitHubError> {
        let failed = |error: octocrab::Error| permanent(format!("setting up the client for {url}"), error);
        let octocrab = Octocrab::builder()
            .base_uri(url)
            .map_err(failed)?
            .set_connect_timeout(Some(CONNECT_TIMEOUT))
            .set_read_timeout(Some(READ_TIMEOUT))
            .build()
            .map_err(failed)?;
        let octocrab = match token {
            Some(token) => octocrab.user_access_token(token).map_err(failed)?,
            None => octocrab,
        };
        Ok(Self { octocrab, clock })
    }

    async fn get(&self, doing: &str, uri: &str, headers: HeaderMap) -> Result<Response, GitHubError> {
        let mut request = http::request::Builder::new().uri(uri);
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
        }
        let request = self.octocrab.build_request(request, None::<&()>);
        let request = request.map_err(|error| permanent(doing, error))?;
        let answer = self.octocrab.execute(request).await.map_err(|error| transient(doing, error))?;
        let (status, headers) = (answer.status(), answer.headers());
        // The message is needed for limits that no header tells of, which the API's alone are.
        match limits::wait(status, headers, "", seconds(self.clock.now())) {
            Some(wait) => Err(GitHubError::Limited { doing: doing.to_owned(), wait }),
            None => Ok(answer),
        }
    }

    async fn text(&self, doing: &str, answer: Response) -> Result<String, GitHubError> {
        let text = self.octocrab.body_to_string(answer).await;
        text.map_err(|error| transient(doing, error))
    }
}

type Response = http::Response<http_body_util::combinators::BoxBody<bytes::Bytes, octocrab::Error>>;

impl<C: Clock> Releases for GitHubReleases<C> {
    type Body = Download;

    async fn list(&self, etag: Option<&str>) -> Result<Answer, GitHubError> {
        let doing = "listing the runner's releases";
        let mut headers = of_api();
        if let Some(etag) = etag.and_then(|etag| etag.parse().ok()) {
            headers.insert(header::IF_NONE_MATCH, etag);
        }
        let answer = self.get(doing, &format!("{RELEASES}?per_page={LISTED}"), headers).await?;
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Answer::Unchanged);
        }
        if !status.is_success() {
            return Err(refused(doing, status));
        }
        let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let releases = answer::list(&self.text(doing, answer).await?).map_err(|error| permanent(doing, error))?;
        Ok(Answer::Releases { releases, etag })
    }

    async fn find(&self, version: Version) -> Result<Option<Release>, GitHubError> {
        let doing = format!("looking up the runner's release {version}");
        let answer = self.get(&doing, &format!("{RELEASES}/tags/v{version}"), of_api()).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let text = self.text(&doing, answer).await?;
                answer::one(&text).map_err(|error| permanent(doing, error))
            }
            status => Err(refused(doing, status)),
        }
    }

    async fn download(&self, asset: &Asset) -> Result<Download, GitHubError> {
        let doing = format!("downloading {}", asset.url);
        let mut url = asset.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            // octocrab sends the token with paths of the API's alone.
            let answer = self.get(&doing, &url, HeaderMap::new()).await?;
            let status = answer.status();
            if status.is_success() {
                let chunks = answer.into_body().into_data_stream().map_ok(|bytes| bytes.to_vec()).boxed();
                return Ok(Download { doing, chunks });
            }
            let Some(next) = answer.headers().get(header::LOCATION).filter(|_| status.is_redirection()) else {
                return Err(refused(doing, status));
            };
            url = next.to_str().ok().and_then(|next| follow(&url, next)).ok_or_else(|| refused(&doing, status))?;
        }
        Err(permanent(doing, "it leads from one address to the next"))
    }
}

impl Body for Download {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, GitHubError> {
        self.chunks.next().await.transpose().map_err(|error| transient(&self.doing, error))
    }
}

fn of_api() -> HeaderMap {
    let accept = (header::ACCEPT, header::HeaderValue::from_static("application/vnd.github+json"));
    let version = http::HeaderName::from_static("x-github-api-version");
    [accept, (version, header::HeaderValue::from_static("2022-11-28"))].into_iter().collect()
}

/// Where a redirect from `from` leads: an absolute address, and no less safe a way to it.
fn follow(from: &str, to: &str) -> Option<String> {
    let (from, to) = (from.parse::<Uri>().ok()?, to.parse::<Uri>().ok()?);
    let safe = to.scheme_str() == Some("https") || to.scheme() == from.scheme();
    (safe && to.host().is_some()).then(|| to.to_string())
}

fn refused(doing: impl Into<String>, status: StatusCode) -> GitHubError {
    let passes = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    if passes { transient(doing, Refused(status)) } else { permanent(doing, Refused(status)) }
}

fn transient(doing: impl Into<String>, source: impl Into<crate::report::BoxError>) -> GitHubError {
    GitHubError::Transient(Failure::new(doing, source))
}

fn permanent(doing: impl Into<String>, source: impl Into<crate::report::BoxError>) -> GitHubError {
    GitHubError::Permanent(Failure::new(doing, source))
}

#[cfg(test)]
mod tests;
