//! Why there is no runner that could be started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_contract::Problems;

use super::space::mib;
use super::unpack::UnpackError;
use super::version::Lack;
use crate::aws::CallError;

/// What the runner's folder lacks, or what went wrong while a runner was installed. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The image's runner can't be used, and there is nothing to replace it with.
    #[error("runner.directory {directory}: {lack}, and there is no runner.source to install one from", directory = directory.display())]
    NoSource {
        /// The runner's folder.
        directory: PathBuf,
        /// What is wrong with it.
        lack: Lack,
    },
    /// S3 has only an older one than the config asks for.
    #[error("runner.source: {key} is version {found}, runner.minimum_version asks for {minimum} or newer")]
    OldRelease {
        /// The release's document.
        key: String,
        /// Its version of the runner.
        found: String,
        /// The config's minimum.
        minimum: String,
    },
    /// The release's document can't be had.
    #[error("runner.source: no release, tried for {} s", after.as_secs())]
    NoRelease {
        /// How long it was tried.
        after: Duration,
        /// The last failure, which names the object.
        #[source]
        source: CallError,
    },
    /// The release's document can't be read.
    #[error("runner.source: {key} is no release of the runner")]
    BadRelease {
        /// The release's document.
        key: String,
        /// All that is wrong with it.
        #[source]
        source: Problems,
    },
    /// Written for a newer agent only.
    #[error("runner.source: {key} names no archive that this agent can read, expected one in tar.zst or tar.gz")]
    NoKnownFormat {
        /// The release's document.
        key: String,
    },
    /// The disk is too small.
    #[error("runner.directory: installing needs {} MiB free on the disk of {place}, which has {} MiB", mib(*needed), mib(*free), place = place.display())]
    NoSpace {
        /// A folder on that disk.
        place: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The download broke off, and again.
    #[error("downloading {key}: {got} of {size} bytes, and no more in {} s", after.as_secs())]
    Broken {
        /// The archive.
        key: String,
        /// Where it broke off, in bytes from the beginning.
        got: u64,
        /// Bytes in all.
        size: u64,
        /// How long it was tried from there on.
        after: Duration,
        /// The last failure.
        #[source]
        source: CallError,
    },
    /// The download takes too long.
    #[error("downloading {key}: not done in {} s", limit.as_secs())]
    TooLong {
        /// The archive.
        key: String,
        /// The time it was given.
        limit: Duration,
    },
    /// The object is not the one that the release names.
    #[error("{key}: found {found} bytes, expected {expected} by its release")]
    Size {
        /// The archive.
        key: String,
        /// Bytes by the release.
        expected: u64,
        /// Bytes in S3.
        found: u64,
    },
    /// Other bytes than those of the release, twice.
    #[error("{key}: found SHA-256 {found}, expected {expected} by its release")]
    Digest {
        /// The archive.
        key: String,
        /// By the release.
        expected: String,
        /// Of what came.
        found: String,
    },
    /// The archive can't be unpacked, or may not.
    #[error("unpacking {key}")]
    Unpack {
        /// The archive.
        key: String,
        /// The entry and what is wrong with it.
        #[source]
        source: UnpackError,
    },
    /// The archive was unpacked, and is of something else.
    #[error("{key}: unpacked, but it has no program bin/Runner.Listener")]
    NoListener {
        /// The archive.
        key: String,
    },
    /// The disk does not do it.
    #[error("{doing} {path}", path = path.display())]
    Files {
        /// What was being done.
        doing: &'static str,
        /// With this.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl InstallError {
    /// Makes [`InstallError::Files`] of an I/O error.
    pub(super) fn files(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { doing, path, source }
    }

    /// Whether other bytes came than were asked for, so that the next download may bring the right ones.
    pub(super) fn is_wrong_bytes(&self) -> bool {
        matches!(self, Self::Digest { .. } | Self::Unpack { source: UnpackError::Unreadable(_), .. })
    }
}
