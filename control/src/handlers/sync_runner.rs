//! Keeps releases of the runner in S3, for the instances to install.
//!
//! Each run asks GitHub what there is, looks at what the bucket holds, and does what is missing, in an order in which any
//! step may be the last one: archives, the version's document, the pointer `latest.json`, and only then what is old
//! goes. An agent reads the pointer or a version's document, so what it finds is whole. The next run begins with
//! looking, and so goes on where this one was ended.

mod fetch;
mod store;

use std::time::Duration;

use dayfly_contract::{LATEST, RunnerRelease};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use self::store::Store;
use crate::{
    clock::{Clock, Millis},
    decide::releases::{self, Follow, Policy, Release, Version},
    metrics::{Metric, Metrics},
    objects::{If, Objects, ObjectsError, Written},
    releases::{Answer, Releases},
    report::Chain,
};

/// What a download and all that follows may take; with less before the deadline none is begun.
const TIME_FOR_ONE: Duration = Duration::from_mins(4);

/// Version of the document that keeps what GitHub said.
const STATE_VERSION: u32 = 1;

/// What is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What keys begin with, without `/` at the end.
    pub prefix: String,
    /// Such as `linux-x64`.
    pub platforms: Vec<String>,
    /// Which versions.
    pub policy: Policy,
}

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// The bucket.
    type Objects: Objects;
    /// GitHub's releases.
    type Releases: Releases;
    /// Time.
    type Clock: Clock;
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<P: Ports> {
    /// What is kept, and where.
    pub settings: Settings,
    /// The bucket.
    pub objects: P::Objects,
    /// GitHub's releases.
    pub releases: P::Releases,
    /// What is measured.
    pub metrics: Metrics,
    /// Time.
    pub clock: P::Clock,
}

/// Some of it could not be done; each is a log line of its own. The same again may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} of what there was to do failed, see the lines before")]
pub struct Incomplete(pub usize);

/// What GitHub said the last time.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    version: u32,
    etag: Option<String>,
    releases: Vec<Release>,
}

/// Brings the bucket to what is wanted, in an invocation that is killed at `deadline`.
pub async fn handle<P: Ports>(deps: &Deps<P>, deadline: Millis) -> Result<(), Incomplete> {
    let mut run = Run { deps, deadline, failures: 0 };
    let releases = match deps.settings.policy.follow {
        Follow::Newest { .. } => run.releases().await,
        // Looked up one by one, where they are not in the bucket.
        Follow::Pinned(_) => vec![],
    };
    for platform in &deps.settings.platforms {
        if let Err(error) = run.sync(platform, &releases).await {
            run.failed("store");
            error!(runner.platform = platform, "{}", Chain(&error));
        }
    }
    if run.failures == 0 { Ok(()) } else { Err(Incomplete(run.failures)) }
}

struct Run<'a, P: Ports> {
    deps: &'a Deps<P>,
    deadline: Millis,
    failures: usize,
}

impl<P: Ports> Run<'_, P> {
    fn failed(&mut self, reason: &'static str) {
        self.failures += 1;
        self.deps.metrics.refused(reason);
    }

    fn count(&self, platform: &str, action: &str) {
        self.deps.metrics.add(Metric::RunnerReleases, 1, &[("Platform", platform), ("Action", action)]);
    }

    /// GitHub's releases; those of the last answer where it has not changed, or does not come.
    async fn releases(&mut self) -> Vec<Release> {
        let key = format!("{}/releases.json", self.deps.settings.prefix);
        let known = self.state(&key).await;
        match self.deps.releases.list(known.etag.as_deref()).await {
            Ok(Answer::Unchanged) => known.releases,
            Ok(Answer::Releases { releases, etag }) => {
                let state = State { version: STATE_VERSION, etag, releases };
                // It saves a call, and nothing depends on it.
                let written = self.deps.objects.write(&key, &json(&state), If::Always).await;
                if let Err(error) = written {
                    self.failed("store");
                    error!("{}", Chain(&error));
                }
                state.releases
            }
            Err(error) => {
                self.failed("releases");
                error!("{}", Chain(&error));
                known.releases
            }
        }
    }

    async fn state(&mut self, key: &str) -> State {
        let text = match self.deps.objects.read(key).await {
            Ok(text) => text,
            Err(error) => {
                self.failed("store");
                error!("{}", Chain(&error));
                None
            }
        };
        let state = text.and_then(|it| serde_json::from_str::<State>(&it.text).ok());
        state.filter(|it| it.version == STATE_VERSION).unwrap_or_default()
    }

    /// Brings one platform to what is wanted.
    async fn sync(&mut self, platform: &str, releases: &[Release]) -> Result<(), ObjectsError> {
        let (deps, policy) = (self.deps, &self.deps.settings.policy);
        let mut store = Store::look(&deps.objects, &deps.settings.prefix, platform).await?;
        let target = policy.target(releases, platform, deps.clock.now());
        for version in releases::fetches(policy, target, &store.whole()) {
            if let Some(document) = self.fetch(&store, version, releases).await? {
                let key = store.document_key(&version.to_string());
                // The same version is made of the same bytes, whoever writes it.
                let _always = deps.objects.write(&key, &json(&document), If::Always).await?;
                store.put(version, document);
                self.count(platform, "stored");
                info!(runner.platform = platform, runner.version = %version, "Stored a release of the runner");
            }
        }
        if !self.point(&mut store, target).await? {
            return Ok(());
        }
        self.clear(&store, target).await
    }

    /// One version into the bucket, without its document. None where that could not be done, which has been told.
    async fn fetch(
        &mut self,
        store: &Store,
        version: Version,
        releases: &[Release],
    ) -> Result<Option<RunnerRelease>, ObjectsError> {
        let platform = &store.platform;
        let left = self.deadline.saturating_sub(self.deps.clock.now());
        if u128::from(left) < TIME_FOR_ONE.as_millis() {
            self.failed("later");
            warn!(runner.platform = platform, runner.version = %version, "No time is left to fetch a release");
            return Ok(None);
        }
        let listed = releases.iter().find(|it| it.version == version).cloned();
        let release = match listed {
            Some(release) => Ok(Some(release)),
            None => self.deps.releases.find(version).await,
        };
        let why = match release {
            Ok(Some(release)) => match release.asset(platform) {
                Some(asset) => match fetch::fetch(self.deps, store, version, asset).await {
                    Ok(document) => return Ok(Some(document)),
                    Err(fetch::FetchError::Store(error)) => return Err(error),
                    Err(error) => (error.reason(), Chain(&error).to_string()),
                },
                None => ("no_asset", "GitHub has none for this platform".to_owned()),
            },
            Ok(None) => ("no_release", "GitHub has no such release".to_owned()),
            Err(error) => ("releases", Chain(&error).to_string()),
        };
        self.failed(why.0);
        error!(runner.platform = platform, runner.version = %version, "A release is not stored: {}", why.1);
        Ok(None)
    }

    /// Moves `latest.json`, last of all, and only from the state in which it was found: whoever has moved it since has
    /// looked later. Whether what is old may go now.
    async fn point(&mut self, store: &mut Store, target: Option<Version>) -> Result<bool, ObjectsError> {
        let there = target.and_then(|it| store.document(it));
        let moved = releases::pointer(&self.deps.settings.policy, there, store.latest.as_ref());
        let Some(document) = moved.cloned() else { return Ok(true) };
        let condition = store.latest_etag.clone().map_or(If::Absent, If::Still);
        let key = store.document_key(LATEST);
        let (platform, version) = (&store.platform, &document.runner_version);
        match self.deps.objects.write(&key, &json(&document), condition).await? {
            Written::Yes => {
                self.count(platform, "latest");
                info!(runner.platform = platform, runner.version = version, "The latest runner is another one now");
                store.latest = Some(document);
                Ok(true)
            }
            Written::Conflict => {
                self.count(platform, "overtaken");
                info!(
                    runner.platform = platform,
                    runner.version = version,
                    "Another run has moved the latest meanwhile"
                );
                Ok(false)
            }
        }
    }

    /// Deletes what is old: documents first, so that none names what is not there.
    async fn clear(&mut self, store: &Store, target: Option<Version>) -> Result<(), ObjectsError> {
        let latest = store.latest.as_ref().and_then(releases::version_of);
        for version in releases::surplus(&self.deps.settings.policy, target, latest, &store.versions()) {
            for key in store.keys_of(version) {
                self.deps.objects.delete(&key).await?;
            }
            self.count(&store.platform, "deleted");
            info!(runner.platform = store.platform, runner.version = %version, "Deleted an old release of the runner");
        }
        for key in store.strays(self.deps.clock.now()) {
            self.deps.objects.delete(&key).await?;
            self.count(&store.platform, "stray");
            info!(runner.platform = store.platform, object.key = key, "Deleted an archive that no release names");
        }
        Ok(())
    }
}

fn json(it: &impl Serialize) -> String {
    // Texts, numbers and lists have no way to fail.
    serde_json::to_string_pretty(it).unwrap_or_default()
}

#[cfg(test)]
mod tests;
