//! A release of the runner in S3: written by `sync-runner`, read by agents that install it.

use serde::{Deserialize, Serialize};

use crate::{Problem, Problems, VERSION, version_numbers};

/// `<prefix>/<version>.json`, and `<prefix>/latest.json` for the newest, which is written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRelease {
    /// Version of this document.
    pub version: u32,
    /// Version of the runner, such as `2.336.0`.
    pub runner_version: String,
    /// The same files, packed in one or more ways, the best first.
    pub archives: Vec<Archive>,
}

/// A packed runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// How it is packed.
    pub format: ArchiveFormat,
    /// Its object's whole key, in the same bucket.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that its files have on the disk.
    pub unpacked_size: u64,
    /// Its SHA-256, in lower case hexadecimal digits.
    pub sha256: String,
}

/// How a runner is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// tar, compressed by gzip: as GitHub releases it.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// tar, compressed by zstd: smaller, and several times faster to unpack.
    #[serde(rename = "tar.zst")]
    TarZst,
    /// A format of a newer `sync-runner`.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl RunnerRelease {
    /// Reads the document, and what in it an agent relies on.
    pub fn read(text: &str) -> Result<Self, Problems> {
        let release: Self = serde_json::from_str(text).map_err(|error| {
            Problems(vec![Problem::new("(document)", text, format!("a runner's release ({error})"))])
        })?;
        let mut problems = Problems::default();
        if !(1..=VERSION).contains(&release.version) {
            let allowed = format!("a whole number from 1 to {VERSION}");
            problems.0.push(Problem::new("version", release.version.to_string(), allowed));
        }
        if version_numbers(&release.runner_version).is_none() {
            let found = format!("{:?}", release.runner_version);
            problems.0.push(Problem::new("runner_version", found, "a version such as \"2.336.0\""));
        }
        for (i, archive) in release.archives.iter().enumerate() {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if archive.sha256.len() != 64 || !archive.sha256.bytes().all(hex) {
                let found = format!("{:?}", archive.sha256);
                problems.0.push(Problem::new(format!("archives[{i}].sha256"), found, "64 of 0-9 and a-f"));
            }
        }
        problems.or(release)
    }

    /// The document's key under `prefix` for `version`, or for [`crate::LATEST`].
    #[must_use]
    pub fn key(prefix: &str, version: &str) -> String {
        format!("{prefix}/{version}.json")
    }
}
