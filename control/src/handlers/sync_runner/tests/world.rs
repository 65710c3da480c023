//! A bucket and GitHub's releases in memory.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use dayfly_contract::RunnerRelease;
use futures::FutureExt;

use super::super::{Deps, Incomplete, Ports, Settings, handle};
use crate::{
    clock::{Clock, Millis},
    decide::releases::{Asset, Follow, Policy, Release, Version},
    github::GitHubError,
    metrics::Metrics,
    objects::memory::MemoryObjects,
    releases::{Answer, Body, Releases, repack::tests::tarball},
    report::Failure,
};

pub(super) const HOUR: Millis = 3_600_000;
pub(super) const DAY: Millis = 24 * HOUR;
pub(super) const NOW: Millis = 1_795_000_000_000;

pub(super) fn v(minor: u32) -> Version {
    format!("2.{minor}.0").parse().unwrap()
}

pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) objects: MemoryObjects,
    pub(super) releases: FakeReleases,
    pub(super) deadline: Millis,
    now: Millis,
    metrics: Vec<serde_json::Value>,
}

/// What breaks a download, as often as is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is lost at half.
    BreaksOff,
    /// It ends at half, as if that were all.
    CutShort,
    /// A byte of a file is another one; the archive can be read.
    OtherBytes,
    /// GitHub does not answer.
    Down,
}

#[derive(Clone, Default)]
pub(super) struct FakeReleases(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    releases: Vec<Release>,
    archives: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    /// Changes with the releases.
    etag: u32,
    faults: Vec<Fault>,
    lists_fail: bool,
    meanwhile: Option<Box<dyn FnMut()>>,
}

pub(super) struct FakeBody(Vec<Result<Vec<u8>, ()>>);

#[derive(Clone, Copy)]
struct At(Millis);

impl Clock for At {
    fn now(&self) -> Millis {
        self.0
    }

    fn random(&self) -> u128 {
        0
    }

    async fn sleep(&self, _: Duration) {}
}

struct Fakes;

impl Ports for Fakes {
    type Objects = MemoryObjects;
    type Releases = FakeReleases;
    type Clock = At;
}

impl World {
    pub(super) fn following(delay_hours: u64) -> Self {
        let objects = MemoryObjects::default();
        objects.set_now(NOW);
        let follow = Follow::Newest { delay: Duration::from_hours(delay_hours) };
        Self {
            settings: Settings {
                prefix: "runners".into(),
                platforms: vec!["linux-x64".into(), "linux-arm64".into()],
                policy: Policy { follow, also: [].into(), keep: 3 },
            },
            objects,
            releases: FakeReleases::default(),
            deadline: Millis::MAX,
            now: NOW,
            metrics: vec![],
        }
    }

    /// The same bucket, with a GitHub of its own.
    pub(super) fn twin(&self) -> Self {
        Self { settings: self.settings.clone(), objects: self.objects.clone(), ..Self::following(0) }
    }

    pub(super) fn release(&mut self, minor: u32, published_at: Millis) {
        let mut inner = self.releases.0.borrow_mut();
        let asset = |platform: &str| {
            let url = format!("https://github.example/{minor}/{platform}");
            let archive = tarball(&[30_000, minor as usize, platform.len()]);
            let asset = Asset {
                platform: platform.to_owned(),
                url: url.clone(),
                size: archive.len() as u64,
                sha256: Some(sha256(&archive)),
            };
            inner.archives.insert(url, archive);
            asset
        };
        let assets = ["linux-x64", "linux-arm64", "osx-x64"].map(asset).into();
        inner.releases.push(Release { version: v(minor), published_at, assets });
        inner.etag += 1;
    }

    pub(super) fn pass(&mut self, time: Millis) {
        self.now += time;
        self.objects.set_now(self.now);
    }

    /// One invocation.
    pub(super) fn run(&mut self) -> Result<(), Incomplete> {
        let deps = Deps::<Fakes> {
            settings: self.settings.clone(),
            objects: self.objects.clone(),
            releases: self.releases.clone(),
            metrics: Metrics::new("main", "sync-runner"),
            clock: At(self.now),
        };
        // The fakes never wait.
        let done = handle(&deps, self.deadline).now_or_never().unwrap();
        self.metrics = deps.metrics.take(self.now).iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        done
    }

    /// The sum of a metric in the last run.
    pub(super) fn metric(&self, name: &str) -> u64 {
        self.metrics.iter().filter_map(|it| it[name].as_u64()).sum()
    }

    /// The reasons for which something was refused in the last run.
    pub(super) fn refused(&self) -> Vec<String> {
        self.metrics
            .iter()
            .filter(|it| !it["Refused"].is_null())
            .map(|it| it["Reason"].as_str().unwrap().into())
            .collect()
    }

    pub(super) fn document(&self, platform: &str, version: &str) -> Option<RunnerRelease> {
        let text = self.objects.get(&format!("runners/{platform}/{version}.json"))?;
        Some(RunnerRelease::read(std::str::from_utf8(&text).unwrap()).unwrap())
    }

    pub(super) fn versions(&self, platform: &str) -> Vec<String> {
        let name =
            |key: &String| key.strip_prefix(&format!("runners/{platform}/"))?.strip_suffix(".json").map(str::to_owned);
        self.objects.keys().iter().filter_map(name).filter(|it| it != "latest").collect()
    }

    /// What an agent relies on: whatever a document names is there, whole, and is GitHub's.
    pub(super) fn check(&self) {
        for platform in &self.settings.platforms {
            let versions = self.versions(platform);
            let latest = self.document(platform, "latest");
            for document in versions.iter().filter_map(|it| self.document(platform, it)).chain(latest) {
                for archive in &document.archives {
                    let bytes =
                        self.objects.get(&archive.key).unwrap_or_else(|| panic!("{} is not there", archive.key));
                    assert_eq!(
                        (archive.size, &archive.sha256),
                        (bytes.len() as u64, &sha256(&bytes)),
                        "{}",
                        archive.key
                    );
                }
                let gzip = self.objects.get(&document.archives[1].key).unwrap();
                let zstd = self.objects.get(&document.archives[0].key).unwrap();
                let url = format!("https://github.example/{}/{platform}", &document.runner_version[2..5]);
                let known = self.releases.0.borrow().archives.get(&url).cloned();
                assert!(known.is_none_or(|known| known == gzip), "{url}");
                let mut plain = vec![];
                std::io::copy(&mut flate2::read::MultiGzDecoder::new(&*gzip), &mut plain).unwrap();
                assert!(zstd::decode_all(&*zstd).unwrap() == plain, "{url}");
            }
        }
    }
}

impl FakeReleases {
    pub(super) fn asked(&self) -> Vec<String> {
        self.0.borrow().asked.clone()
    }

    pub(super) fn fault(&self, fault: Fault, times: usize) {
        self.0.borrow_mut().faults = vec![fault; times];
    }

    pub(super) fn fail_lists(&self, fail: bool) {
        self.0.borrow_mut().lists_fail = fail;
    }

    /// Done once, with the next download.
    pub(super) fn meanwhile(&self, what: Box<dyn FnMut()>) {
        self.0.borrow_mut().meanwhile = Some(what);
    }

    pub(super) fn change(&self, change: impl Fn(&mut Asset)) {
        let mut inner = self.0.borrow_mut();
        inner.releases.iter_mut().flat_map(|it| &mut it.assets).for_each(change);
        inner.etag += 1;
    }

    fn ask(&self, what: String) {
        self.0.borrow_mut().asked.push(what);
    }
}

impl Releases for FakeReleases {
    type Body = FakeBody;

    async fn list(&self, etag: Option<&str>) -> Result<Answer, GitHubError> {
        self.ask(format!("list{}", etag.map(|etag| format!(" {etag}")).unwrap_or_default()));
        let inner = self.0.borrow();
        if inner.lists_fail {
            return Err(GitHubError::Limited { doing: "listing".into(), wait: Duration::from_mins(30) });
        }
        let current = format!("\"{}\"", inner.etag);
        if etag == Some(&current) {
            return Ok(Answer::Unchanged);
        }
        Ok(Answer::Releases { releases: inner.releases.clone(), etag: Some(current) })
    }

    async fn find(&self, version: Version) -> Result<Option<Release>, GitHubError> {
        self.ask(format!("find {version}"));
        Ok(self.0.borrow().releases.iter().find(|it| it.version == version).cloned())
    }

    async fn download(&self, asset: &Asset) -> Result<FakeBody, GitHubError> {
        let version = asset.url.split('/').nth(3).unwrap();
        self.ask(format!("download 2.{version}.0 {}", asset.platform));
        let meanwhile = self.0.borrow_mut().meanwhile.take();
        if let Some(mut meanwhile) = meanwhile {
            meanwhile();
        }
        let mut inner = self.0.borrow_mut();
        let mut bytes = inner.archives[&asset.url].clone();
        let fault = inner.faults.pop();
        match fault {
            Some(Fault::Down) => return Err(broken()),
            Some(Fault::BreaksOff | Fault::CutShort) => bytes.truncate(bytes.len() / 2),
            Some(Fault::OtherBytes) => bytes = tarball(&[30_001, 1]),
            None => {}
        }
        let mut chunks: Vec<_> = bytes.chunks(700).map(|it| Ok(it.to_vec())).collect();
        if fault == Some(Fault::BreaksOff) {
            chunks.push(Err(()));
        }
        chunks.reverse();
        Ok(FakeBody(chunks))
    }
}

impl Body for FakeBody {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, GitHubError> {
        self.0.pop().transpose().map_err(|()| broken())
    }
}

fn broken() -> GitHubError {
    GitHubError::Transient(Failure::new("downloading", "connection reset"))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}
