//! What the bucket holds for one platform: `<version>.json`, `latest.json`, and archives below `<version>/`.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_contract::{ArchiveFormat, LATEST, RunnerRelease};
use tracing::warn;

use crate::{
    clock::Millis,
    decide::releases::{STRAY, Version},
    objects::{Listed, Objects, ObjectsError},
};

pub(super) struct Store {
    pub(super) platform: String,
    /// What an agent calls the prefix.
    prefix: String,
    listed: Vec<Listed>,
    /// By the names of their keys; `None` for one that can't be read.
    documents: BTreeMap<Version, Option<RunnerRelease>>,
    /// What `latest.json` says; none where there is none, or one that can't be read.
    pub(super) latest: Option<RunnerRelease>,
    /// Which state of `latest.json` that is.
    pub(super) latest_etag: Option<String>,
}

impl Store {
    pub(super) async fn look(objects: &impl Objects, prefix: &str, platform: &str) -> Result<Self, ObjectsError> {
        let prefix = format!("{prefix}/{platform}");
        let latest = objects.read(&RunnerRelease::key(&prefix, LATEST)).await?;
        // Listed later than the pointer was read: what that names, if anything, is among it.
        let listed = objects.list(&format!("{prefix}/")).await?;
        let mut store = Self {
            platform: platform.to_owned(),
            latest: latest.as_ref().and_then(|it| read(LATEST, &it.text)),
            latest_etag: latest.map(|it| it.etag),
            prefix,
            listed,
            documents: BTreeMap::new(),
        };
        let names = store.listed.iter().filter_map(|it| store.within(&it.key)?.strip_suffix(".json"));
        let versions: Vec<Version> = names.filter_map(|name| name.parse().ok()).collect();
        for version in versions {
            let text = objects.read(&store.document_key(&version.to_string())).await?;
            let document = text.and_then(|it| read(&version.to_string(), &it.text));
            store.documents.insert(version, document);
        }
        Ok(store)
    }

    fn within<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.prefix)?.strip_prefix('/')
    }

    pub(super) fn document_key(&self, version: &str) -> String {
        RunnerRelease::key(&self.prefix, version)
    }

    /// The key of an archive that ends in `ending`.
    pub(super) fn archive_key(&self, version: Version, ending: &str) -> String {
        format!("{}/{version}/actions-runner-{}-{version}.{ending}", self.prefix, self.platform)
    }

    pub(super) fn document(&self, version: Version) -> Option<&RunnerRelease> {
        self.documents.get(&version)?.as_ref()
    }

    pub(super) fn put(&mut self, version: Version, document: RunnerRelease) {
        let archives = document.archives.iter();
        self.listed.extend(archives.map(|it| Listed { key: it.key.clone(), size: it.size, modified_at: Millis::MAX }));
        self.documents.insert(version, Some(document));
    }

    /// The versions that have a document.
    pub(super) fn versions(&self) -> BTreeSet<Version> {
        self.documents.keys().copied().collect()
    }

    /// The versions whose document can be read, and whose archives are all there.
    pub(super) fn whole(&self) -> BTreeSet<Version> {
        let sizes: BTreeMap<&str, u64> = self.listed.iter().map(|it| (it.key.as_str(), it.size)).collect();
        let whole = |document: &RunnerRelease| {
            let has = |format| document.archives.iter().any(|it| it.format == format);
            has(ArchiveFormat::TarGz)
                && has(ArchiveFormat::TarZst)
                && document.archives.iter().all(|it| sizes.get(it.key.as_str()) == Some(&it.size))
        };
        let documents = self.documents.iter();
        documents.filter(|(_, it)| it.as_ref().is_some_and(whole)).map(|(version, _)| *version).collect()
    }

    /// What a version consists of, its document first.
    pub(super) fn keys_of(&self, version: Version) -> Vec<String> {
        let mut keys = vec![self.document_key(&version.to_string())];
        keys.extend(self.archives().filter(|(it, _)| *it == version).map(|(_, listed)| listed.key.clone()));
        keys.dedup();
        keys
    }

    /// Archives of versions without a document, since long enough before `now`.
    pub(super) fn strays(&self, now: Millis) -> Vec<String> {
        let old = |it: &Listed| u128::from(now.saturating_sub(it.modified_at)) >= STRAY.as_millis();
        let strays = self.archives().filter(|(version, it)| !self.documents.contains_key(version) && old(it));
        strays.map(|(_, it)| it.key.clone()).collect()
    }

    fn archives(&self) -> impl Iterator<Item = (Version, &Listed)> {
        self.listed.iter().filter_map(|it| Some((self.within(&it.key)?.split_once('/')?.0.parse().ok()?, it)))
    }
}

/// A document that names another version than its key is none.
fn read(name: &str, text: &str) -> Option<RunnerRelease> {
    let release = RunnerRelease::read(text);
    match release {
        Ok(release) if name == LATEST || release.runner_version == name => Some(release),
        Ok(release) => {
            warn!("{name}.json is of version {}", release.runner_version);
            None
        }
        Err(problems) => {
            warn!("{name}.json is no release of the runner: {problems}");
            None
        }
    }
}
