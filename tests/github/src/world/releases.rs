//! Releases of actions/runner.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::RunnerRelease;

/// A release that is published.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) id: u64,
    /// Without `v`.
    pub(crate) version: String,
    pub(crate) published_at: Timestamp,
    /// Folder that its archives are downloaded from.
    pub(crate) download_url: String,
    pub(crate) archives: Vec<Archive>,
}

/// An archive of a release.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// Such as `linux-x64`.
    pub(crate) platform: String,
    /// Its SHA-256 (hex), where it is told.
    pub(crate) sha256: Option<String>,
    /// What it is; none where it is somewhere else.
    pub(crate) bytes: Option<Arc<[u8]>>,
}

impl Release {
    /// What is told of where nothing was published: its archives are at github.com.
    fn of_config(release: &RunnerRelease, now: Timestamp) -> Self {
        let archive = |arch: &str| Archive {
            platform: format!("linux-{arch}"),
            sha256: release.sha256.iter().find(|(known, _)| known == arch).map(|(_, sum)| sum.clone()),
            bytes: None,
        };
        Self {
            id: 1,
            version: release.version.clone(),
            published_at: now,
            download_url: release.download_url.trim_end_matches('/').to_owned(),
            archives: ["x64", "arm64"].map(archive).into(),
        }
    }

    /// An archive's file name.
    pub(crate) fn file(&self, archive: &Archive) -> String {
        format!("actions-runner-{}-{}.tar.gz", archive.platform, self.version)
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    /// The newest first.
    all: Vec<Release>,
    /// Moves with each change: GitHub's ETag.
    rev: u64,
}

impl Releases {
    pub(crate) fn new(release: &RunnerRelease, now: Timestamp) -> Self {
        Self { all: vec![Release::of_config(release, now)], rev: 1 }
    }

    pub(crate) fn all(&self) -> &[Release] {
        &self.all
    }

    pub(crate) fn etag(&self) -> String {
        format!("W/\"{:064x}\"", self.rev)
    }

    /// Publishes a release: the newest from now on. The first one takes the place of what was only told of.
    pub(crate) fn publish(&mut self, version: &str, archives: Vec<(String, Vec<u8>)>, folder: String, now: Timestamp) {
        self.all.retain(|it| it.archives.iter().all(|archive| archive.bytes.is_some()) && it.version != version);
        self.rev += 1;
        let archives = archives.into_iter().map(|(platform, bytes)| Archive {
            platform,
            sha256: Some(hex::encode(Sha256::digest(&bytes))),
            bytes: Some(bytes.into()),
        });
        let (id, version) = (self.rev, version.to_owned());
        self.all
            .insert(0, Release { id, version, published_at: now, download_url: folder, archives: archives.collect() });
    }

    /// Has an archive be these bytes, whatever was told of it. False if there is none.
    pub(crate) fn spoil(&mut self, version: &str, platform: &str, bytes: Vec<u8>) -> bool {
        let release = self.all.iter_mut().find(|it| it.version == version);
        let archive = release.and_then(|it| it.archives.iter_mut().find(|it| it.platform == platform));
        archive.map(|it| it.bytes = Some(bytes.into())).is_some()
    }

    /// What is downloaded as the file `name` of a version.
    pub(crate) fn archive(&self, version: &str, name: &str) -> Option<Arc<[u8]>> {
        let release = self.all.iter().find(|it| it.version == version)?;
        release.archives.iter().find(|it| release.file(it) == name)?.bytes.clone()
    }
}
