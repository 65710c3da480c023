//! GitHub's REST API as one identity sees it: an App, or the owner of a token. For github.com, GHES (base `…/api/v3`)
//! and data residency alike.
//!
//! octocrab carries the requests ([`super::rest`]); being the App is ours, since its own JWT has no `jti`.

mod answers;
mod inspect;
mod itself;

use std::{
    collections::HashMap,
    sync::{
        Mutex as Lock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::warn;

use super::{
    Deletion, Found, GitHub, GitHubError, Jit, Job, NewRunner, Run,
    authorities::Authorities,
    groups::{Groups, Listing, MOST_PAGES, PAGE, Page},
    jwt::AppKey,
    rest::{Answer, Ask, Failed, Rest},
    skew::Skew,
    tokens::{MARGIN, REGISTRATION_MARGIN, Token, Tokens},
    urls,
    usage::Whose,
};
use crate::{
    clock::{Clock, seconds},
    fleets::{Scope, Target},
    ledger::Notes,
    report::{Chain, Failure},
};
use answers::{AccessToken, GroupList, JitAnswer, RunAnswer, RunnerList, WithId};

/// Where a runner keeps its work, in its own folder.
const WORK_FOLDER: &str = "_work";
/// How long the ledger remembers an installation that GitHub was asked for. One that is stale by then is refused by
/// GitHub, and asked for anew.
const INSTALLATION_SECONDS: u64 = 30 * 24 * 3600;

/// Who asks GitHub.
#[derive(Debug)]
pub enum Identity {
    /// An App, by its key.
    App(Box<AppKey>),
    /// Whoever the token belongs to.
    Token(SecretString),
}

/// GitHub as one identity sees it. `N` keeps notes for processes to come.
#[derive(Debug)]
pub struct Client<C, N> {
    url: String,
    rest: Rest<C>,
    identity: Identity,
    notes: N,
    tokens: Tokens,
    registration_tokens: Tokens,
    /// Installations that GitHub was asked for, and `None` where there is none. They count more than what a webhook
    /// named.
    found: Mutex<HashMap<Scope, Option<u64>>>,
    /// Whose the token of a scope is: one installation has many, where runners are those of repositories.
    installations: Lock<HashMap<Scope, u64>>,
    skew: Skew,
    /// Whether GitHub did not know the identity itself when it was last asked: its key or token is another by now.
    disowned: AtomicBool,
    groups: Groups,
}

impl<C: Clock, N: Notes> Client<C, N> {
    /// The REST API at `url`, whose certificate is of one of `authorities`, for `identity`. To be called within a tokio
    /// runtime.
    pub fn new(
        url: &str,
        authorities: &Authorities,
        identity: Identity,
        clock: C,
        notes: N,
    ) -> Result<Self, GitHubError> {
        Ok(Self {
            url: url.to_owned(),
            rest: Rest::new(url, authorities, clock)?,
            identity,
            notes,
            tokens: Tokens::new(MARGIN),
            registration_tokens: Tokens::new(REGISTRATION_MARGIN),
            found: Mutex::default(),
            installations: Lock::default(),
            skew: Skew::default(),
            disowned: AtomicBool::new(false),
            groups: Groups::default(),
        })
    }

    /// Requests made so far.
    pub fn calls(&self) -> u64 {
        self.rest.calls()
    }

    /// Requests left at `target`, as far as is known.
    pub fn remaining_at(&self, target: &Target) -> Option<u64> {
        self.rest.usage.remaining(&self.whose(target)?, self.rest.clock.now())
    }

    /// How long GitHub wants to be left alone at `target`.
    pub fn limited_at(&self, target: &Target) -> Option<Duration> {
        self.rest.usage.wait(&self.whose(target)?, self.rest.clock.now())
    }

    /// Whether GitHub answered 401 to the App itself, or to the token, when it was last asked in its name.
    pub fn is_disowned(&self) -> bool {
        self.disowned.load(Ordering::Relaxed)
    }

    /// Whether GitHub has said that the App is not installed at `scope`.
    pub async fn is_absent(&self, scope: &Scope) -> bool {
        matches!(self.found.lock().await.get(scope), Some(None))
    }

    /// Whose limit counts at `target`; where no token has told, the webhook may have. What it named may be another
    /// App's installation, of which nothing is known here.
    fn whose(&self, target: &Target) -> Option<Whose> {
        match self.identity {
            Identity::App(_) => {
                let known = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
                known.get(&target.scope).copied().or(target.installation).map(Whose::Installation)
            }
            Identity::Token(_) => Some(Whose::Own),
        }
    }

    /// Whose limit a request with `token` counts against.
    fn whose_is(&self, token: &Token) -> Whose {
        match self.identity {
            Identity::App(_) => Whose::Installation(token.installation),
            Identity::Token(_) => Whose::Own,
        }
    }

    /// A request with the token for `target`. One of an installation that is refused is forgotten, and a new one tried
    /// once.
    async fn with_token(&self, target: &Target, ask: Ask<'_>) -> Result<Answer, Failed> {
        if let Identity::Token(secret) = &self.identity {
            return self.as_itself(secret, ask).await;
        }
        let token = self.token(target).await?;
        match self.rest.send(&token.secret, &self.whose_is(&token), ask).await {
            Err(failed) if failed.is(StatusCode::UNAUTHORIZED) => {
                self.tokens.forget(&target.scope, &token.secret).await;
                let token = self.token(target).await?;
                self.rest.send(&token.secret, &self.whose_is(&token), ask).await
            }
            other => other,
        }
    }

    /// The same, and once more where the installation that the webhook named turns out to be another owner's.
    async fn ask(&self, target: &Target, ask: Ask<'_>) -> Result<Answer, Failed> {
        let token = self.token(target).await?;
        match self.with_token(target, ask).await {
            Err(failed)
                if (failed.is(StatusCode::FORBIDDEN) || failed.is(StatusCode::NOT_FOUND))
                    && self.reconsider(target, &token).await? =>
            {
                self.with_token(target, ask).await
            }
            other => other,
        }
    }

    async fn token(&self, target: &Target) -> Result<Token, Failed> {
        match &self.identity {
            // Its end is for its owner to know.
            Identity::Token(secret) => Ok(Token { secret: secret.clone(), expires_at: u64::MAX, installation: 0 }),
            Identity::App(key) => {
                self.tokens
                    .get(&target.scope, self.rest.clock.now(), async || self.fetch_token(target, key).await)
                    .await
            }
        }
    }

    /// By the installation that the webhook named; where it named none, 0 or a stale one, GitHub is asked for it once.
    async fn fetch_token(&self, target: &Target, key: &AppKey) -> Result<Token, Failed> {
        let found = self.known_installation(&target.scope, key).await;
        if let Some(id) = found.or(target.installation.filter(|id| *id > 0)) {
            match self.access_token(&target.scope, key, id).await {
                Err(failed) if failed.is(StatusCode::NOT_FOUND) => {}
                other => return other,
            }
        }
        let id = self.find_installation(&target.scope, key).await?;
        self.found.lock().await.insert(target.scope.clone(), Some(id));
        self.access_token(&target.scope, key, id).await
    }

    /// The installation that GitHub was asked for, by this process or by one before it.
    async fn known_installation(&self, scope: &Scope, key: &AppKey) -> Option<u64> {
        if let Some(Some(id)) = self.found.lock().await.get(scope) {
            return Some(*id);
        }
        let noted = self.notes.recall(&note_of(key, scope)).await;
        let id = noted.unwrap_or_else(|error| {
            // GitHub knows it too.
            warn!("{}", Chain(&error));
            None
        })?;
        self.found.lock().await.insert(scope.clone(), Some(id));
        Some(id)
    }

    async fn find_installation(&self, scope: &Scope, key: &AppKey) -> Result<u64, Failed> {
        let path = format!("/{scope}/installation");
        match self.as_app(key, Ask::get(&path)).await.and_then(|answer| answer.read::<WithId>()) {
            Ok(found) => {
                let expires = seconds(self.rest.clock.now()) + INSTALLATION_SECONDS;
                if let Err(error) = self.notes.remember(&note_of(key, scope), found.id, expires).await {
                    warn!("{}", Chain(&error));
                }
                Ok(found.id)
            }
            Err(failed) => {
                if failed.is(StatusCode::NOT_FOUND)
                    && let Ok(mut found) = self.found.try_lock()
                {
                    found.insert(scope.clone(), None);
                }
                Err(failed)
            }
        }
    }

    /// Whether to try again what GitHub refused to `refused`: the installation that a webhook named may exist and be
    /// another owner's. GitHub is asked once for the right one, however many ask.
    async fn reconsider(&self, target: &Target, refused: &Token) -> Result<bool, Failed> {
        let Identity::App(key) = &self.identity else { return Ok(false) };
        if target.installation.is_none_or(|id| id == 0) {
            return Ok(false);
        }
        let mut found = self.found.lock().await;
        let id = match found.get(&target.scope) {
            Some(Some(id)) => *id,
            _ => self.find_installation(&target.scope, key).await?,
        };
        found.insert(target.scope.clone(), Some(id));
        // Whoever fetches a token holds its slot and then asks what was found: not the other way round here.
        drop(found);
        if id == refused.installation {
            return Ok(false);
        }
        self.tokens.forget(&target.scope, &refused.secret).await;
        Ok(true)
    }

    async fn access_token(&self, scope: &Scope, key: &AppKey, installation: u64) -> Result<Token, Failed> {
        let path = format!("/app/installations/{installation}/access_tokens");
        let answer: AccessToken = self.as_app(key, Ask::post(&path, &json!({}))).await?.read()?;
        self.installations.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), installation);
        Ok(answer.into_token(installation))
    }

    /// All pages of the runner groups of `target`; those that have not changed since `old` are taken from there.
    async fn list_groups(&self, target: &Target, old: &Listing) -> Result<Listing, Failed> {
        let mut pages: Vec<Page> = Vec::new();
        while pages.len() < MOST_PAGES && pages.last().is_none_or(|page| page.groups.len() >= PAGE) {
            let path = format!("/{}/actions/runner-groups?per_page={PAGE}&page={}", target.scope, pages.len() + 1);
            let known = old.pages.get(pages.len());
            let etag = known.and_then(|page| page.etag.as_deref());
            let answer = self.ask(target, Ask { etag, ..Ask::get(&path) }).await?;
            pages.push(match known {
                Some(known) if answer.unchanged => known.clone(),
                _ => Page { groups: answer.read::<GroupList>()?.runner_groups, etag: answer.etag },
            });
        }
        Ok(Listing { pages, checked_at: Some(self.rest.clock.now()) })
    }
}

/// Under which the ledger keeps an installation.
fn note_of(key: &AppKey, scope: &Scope) -> String {
    format!("installation#{}#{scope}", key.app_id())
}

impl<C: Clock, N: Notes> GitHub for Client<C, N> {
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
        match self.ask(target, Ask::post(&path, &body)).await.and_then(|answer| answer.read::<JitAnswer>()) {
            Ok(answer) => Ok(Jit { runner_id: answer.runner.id, config: answer.encoded_jit_config }),
            Err(failed) if failed.is(StatusCode::CONFLICT) => Err(GitHubError::NameTaken { name: runner.name.clone() }),
            Err(failed) => Err(failed.into_error(format!("registering {} for {}", runner.name, target.scope))),
        }
    }

    async fn registration_token(&self, target: &Target) -> Result<SecretString, GitHubError> {
        let path = format!("{}/registration-token", runners(&target.scope));
        let fetch = async || {
            let answer = self.ask(target, Ask::post(&path, &json!({}))).await?;
            Ok(answer.read::<AccessToken>()?.into_token(0))
        };
        let token = self.registration_tokens.get(&target.scope, self.rest.clock.now(), fetch).await;
        token
            .map(|token| token.secret)
            .map_err(|failed: Failed| failed.into_error(format!("getting a registration token for {}", target.scope)))
    }

    fn runner_url(&self, scope: &Scope) -> String {
        urls::runner_url(&self.url, scope)
    }

    async fn group(&self, target: &Target, name: &str) -> Result<u64, GitHubError> {
        let doing = || format!("looking for a runner group at {}", target.scope);
        let mut groups = self.groups.lock().await;
        let listing = groups.entry(target.scope.clone()).or_default();
        if matches!(target.scope, Scope::Repository(_)) {
            // GitHub has no list of the one group that there is.
            *listing = Listing::of_repository(self.rest.clock.now());
        }
        if !listing.will_do(name, self.rest.clock.now()) {
            match self.list_groups(target, listing).await {
                Ok(newer) => *listing = newer,
                Err(failed) => {
                    let error = failed.into_error(doing());
                    // A group hardly ever changes its id; what was known is better than no runner.
                    let (Some(id), false) = (listing.id_of(name), matches!(error, GitHubError::Permanent(_))) else {
                        return Err(error);
                    };
                    warn!(github.scope = %target.scope, "{}", Chain(&error));
                    return Ok(id);
                }
            }
        }
        listing.find(name).map_err(|none| GitHubError::Permanent(Failure::new(doing(), none)))
    }

    async fn job(&self, target: &Target, repository: &str, id: u64) -> Result<Job, GitHubError> {
        let path = format!("/repos/{repository}/actions/jobs/{id}");
        let answer = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read());
        answer.map_err(|failed| failed.into_error(format!("looking up job {id} of {repository}")))
    }

    async fn run(&self, target: &Target, repository: &str, id: u64) -> Result<Run, GitHubError> {
        let path = format!("/repos/{repository}/actions/runs/{id}");
        let answer = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<RunAnswer>());
        let answer = answer.map_err(|failed| failed.into_error(format!("looking up run {id} of {repository}")))?;
        let private = answer.repository.is_some_and(|own| own.private);
        Ok(Run { event: answer.event, head_repository: answer.head_repository.map(|it| it.full_name), private })
    }

    async fn find_runner(&self, target: &Target, name: &str) -> Result<Option<Found>, GitHubError> {
        let path = format!("{}?name={name}", runners(&target.scope));
        let listed = self.with_token(target, Ask::get(&path)).await.and_then(|answer| answer.read::<RunnerList>());
        let listed = listed.map_err(|failed| failed.into_error(format!("looking for {name} at {}", target.scope)))?;
        let found = listed.runners.into_iter().find(|runner| runner.name == name);
        Ok(found.map(|runner| Found { id: runner.id, online: runner.status == "online", busy: runner.busy }))
    }

    async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, GitHubError> {
        let path = format!("{}/{id}", runners(&target.scope));
        match self.with_token(target, Ask::delete(&path)).await {
            Ok(_) => Ok(Deletion::Gone),
            Err(failed) if failed.is(StatusCode::NOT_FOUND) => Ok(Deletion::Gone),
            Err(failed) if failed.is(StatusCode::UNPROCESSABLE_ENTITY) => Ok(Deletion::Busy),
            Err(failed) => Err(failed.into_error(format!("deleting runner {id} at {}", target.scope))),
        }
    }

    fn remaining(&self) -> Option<u64> {
        self.rest.usage.least(self.rest.clock.now())
    }
}

fn runners(scope: &Scope) -> String {
    format!("/{scope}/actions/runners")
}

mod runs;
mod watch;

#[cfg(test)]
pub(super) mod tests;
