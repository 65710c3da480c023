//! One archive from GitHub into the bucket, as it came and packed anew, without ever being whole in memory or on a disk.

use std::io;

use dayfly_contract::{Archive, ArchiveFormat, RunnerRelease, VERSION};
use tracing::{info, warn};

use super::{Deps, Ports, store::Store};
use crate::{
    decide::releases::{Asset, Version},
    github::GitHubError,
    objects::{Objects, ObjectsError, Upload},
    releases::{
        Body, Releases,
        repack::{Packed, Repack, Summed},
    },
    report::Chain,
};

/// How often an archive is downloaded where it breaks off or is damaged.
const ATTEMPTS: u32 = 2;

/// Why an archive is not in the bucket.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("GitHub does not tell its SHA-256")]
    NoDigest,
    #[error(transparent)]
    Download(#[from] GitHubError),
    #[error("it can't be unpacked")]
    Damaged(#[from] io::Error),
    #[error("it has {found}, and GitHub says {expected}")]
    Wrong { found: String, expected: String },
    #[error(transparent)]
    Store(#[from] ObjectsError),
}

impl FetchError {
    /// Its name among the metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NoDigest => "no_digest",
            Self::Download(_) => "download",
            Self::Damaged(_) => "damaged",
            Self::Wrong { .. } => "wrong_digest",
            Self::Store(_) => "store",
        }
    }

    const fn may_pass(&self) -> bool {
        matches!(self, Self::Download(GitHubError::Transient(_)) | Self::Damaged(_) | Self::Wrong { .. })
    }
}

/// The archive's two forms into the bucket; answers with the document that is to name them.
pub(super) async fn fetch<P: Ports>(
    deps: &Deps<P>,
    store: &Store,
    version: Version,
    asset: &Asset,
) -> Result<RunnerRelease, FetchError> {
    let sha256 = asset.sha256.as_deref().ok_or(FetchError::NoDigest)?;
    let mut attempt = 1;
    loop {
        match fetch_once(deps, store, version, asset, sha256).await {
            Err(error) if error.may_pass() && attempt < ATTEMPTS => {
                attempt += 1;
                info!(runner.version = %version, "A release is downloaded once more: {}", Chain(&error));
            }
            other => return other,
        }
    }
}

async fn fetch_once<P: Ports>(
    deps: &Deps<P>,
    store: &Store,
    version: Version,
    asset: &Asset,
    sha256: &str,
) -> Result<RunnerRelease, FetchError> {
    let keys = ["tar.gz", "tar.zst"].map(|ending| store.archive_key(version, ending));
    let body = deps.releases.download(asset).await?;
    let mut gzip = Sending::begin(&deps.objects, &keys[0]).await?;
    let mut zstd = match Sending::begin(&deps.objects, &keys[1]).await {
        Ok(zstd) => zstd,
        Err(error) => {
            gzip.give_up(deps).await;
            return Err(error.into());
        }
    };
    let sent = async {
        let packed = copy(body, &mut gzip, &mut zstd).await?;
        verify(&packed, asset, sha256)?;
        gzip.upload.complete().await?;
        gzip.open = false;
        zstd.upload.complete().await?;
        zstd.open = false;
        Ok::<_, FetchError>(packed)
    };
    let sent = sent.await;
    gzip.give_up(deps).await;
    zstd.give_up(deps).await;
    let packed = sent?;
    let [gzip_key, zstd_key] = keys;
    let archive = |format, key, it: Summed| Archive {
        format,
        key,
        size: it.size,
        unpacked_size: packed.unpacked_size,
        sha256: it.sha256,
    };
    Ok(RunnerRelease {
        version: VERSION,
        runner_version: version.to_string(),
        archives: vec![
            archive(ArchiveFormat::TarZst, zstd_key, packed.zstd.clone()),
            archive(ArchiveFormat::TarGz, gzip_key, packed.gzip.clone()),
        ],
    })
}

async fn copy<U: Upload>(
    mut body: impl Body,
    gzip: &mut Sending<U>,
    zstd: &mut Sending<U>,
) -> Result<Packed, FetchError> {
    let mut repack = Repack::new()?;
    while let Some(chunk) = body.chunk().await? {
        zstd.send(&repack.push(&chunk)?).await?;
        gzip.send(&chunk).await?;
    }
    let (last, packed) = repack.finish()?;
    zstd.send(&last).await?;
    zstd.flush().await?;
    gzip.flush().await?;
    Ok(packed)
}

fn verify(packed: &Packed, asset: &Asset, sha256: &str) -> Result<(), FetchError> {
    let told = |size: u64, sum: &str| format!("{size} bytes of SHA-256 {sum}");
    if packed.gzip.sha256 == sha256 {
        return Ok(());
    }
    let found = told(packed.gzip.size, &packed.gzip.sha256);
    Err(FetchError::Wrong { found, expected: told(asset.size, sha256) })
}

/// An upload, and what is not yet enough for a part of it.
struct Sending<U> {
    upload: U,
    key: String,
    buffer: Vec<u8>,
    /// There are parts, and no object.
    open: bool,
}

impl<U: Upload> Sending<U> {
    async fn begin(objects: &impl Objects<Upload = U>, key: &str) -> Result<Self, ObjectsError> {
        Ok(Self { upload: objects.upload(key).await?, key: key.to_owned(), buffer: vec![], open: true })
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), ObjectsError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= U::PART { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ObjectsError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.upload.part(std::mem::take(&mut self.buffer)).await
    }

    /// Leaves nothing behind that was not completed. Where that fails, the bucket's own rule does it within a day.
    async fn give_up<P: Ports>(&mut self, deps: &Deps<P>) {
        if !self.open {
            return;
        }
        if let Err(error) = self.upload.abort().await {
            deps.metrics.refused("not_aborted");
            warn!(object.key = self.key, "{}", Chain(&error));
        }
    }
}
