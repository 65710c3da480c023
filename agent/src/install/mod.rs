//! Sees that there is a runner: the image's, or else one from S3.
//!
//! [`ready`] is all of it. [`version`] judges the image's runner; [`release`] chooses what is installed; [`place`] makes
//! room beside or in the runner's folder and moves the new one in when it is complete; [`pipeline`] fills it:
//! [`download`] in ranges, [`streams`] from thread to thread, [`unpack`] with what [`entries`] and [`names`] allow.
//! [`patience`] says how long what fails is tried again.
//!
//! Nothing of a runner is in its place before all of it is there and its SHA-256 is right. A future that is dropped,
//! or an agent that is killed, leaves a temporary folder at most, which the next try removes.

mod download;
mod entries;
mod error;
mod names;
mod objects;
mod patience;
mod pipeline;
mod place;
mod release;
mod space;
mod streams;
mod unpack;
mod version;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use dayfly_contract::{ArchiveFormat, RunnerSource};
use nix::unistd::{Gid, Uid};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

pub use error::InstallError;
pub use objects::{ByteSource, Chunk, Objects};
pub use unpack::UnpackError;
pub use version::{Lack, MARKER, marker, printed};

use patience::Patience;
use place::{FreeSpace, Staging};
use release::Choice;
use unpack::Unpacked;

/// What the config asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The runner's folder.
    pub directory: PathBuf,
    /// Where a runner comes from if the image's will not do.
    pub source: Option<RunnerSource>,
    /// The oldest version that will do; any where absent.
    pub minimum_version: Option<String>,
    /// Who is to own an installed runner's files; the agent's own user where absent.
    pub owner: Option<(Uid, Gid)>,
}

/// A runner that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its version, where it is known.
    pub version: Option<String>,
    /// What it took to install it; `None` if the image's is used.
    pub installed: Option<Installed>,
}

/// What was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// How it was packed.
    pub format: ArchiveFormat,
    /// Bytes that were downloaded.
    pub bytes: u64,
    /// Bytes in its files.
    pub unpacked_bytes: u64,
    /// Its files and links.
    pub files: u64,
    /// How long it took, in milliseconds, from the release's document to the runner in its place.
    pub millis: u64,
}

/// What tests set otherwise.
#[derive(Clone, Copy)]
struct Conditions {
    patience: Patience,
    free_space: FreeSpace,
}

/// Sees that the runner that is `wanted` is in its folder. `objects` are those of the source's bucket. `image_version`
/// asks the image's runner for its version, and is awaited only where that matters and no [`MARKER`] says it.
pub async fn ready(
    wanted: &Wanted,
    objects: Option<Arc<dyn Objects>>,
    image_version: impl Future<Output = Option<String>>,
) -> Result<Ready, InstallError> {
    let conditions = Conditions { patience: Patience::default(), free_space: space::free };
    ready_under(conditions, wanted, objects, image_version).await
}

async fn ready_under(
    conditions: Conditions,
    wanted: &Wanted,
    objects: Option<Arc<dyn Objects>>,
    image_version: impl Future<Output = Option<String>>,
) -> Result<Ready, InstallError> {
    let lack = match image(wanted, image_version).await {
        Ok(version) => return Ok(Ready { version, installed: None }),
        Err(lack) => lack,
    };
    let (Some(source), Some(objects)) = (&wanted.source, objects) else {
        return Err(InstallError::NoSource { directory: wanted.directory.clone(), lack });
    };
    info!(reason = %lack, "Installing the runner from s3://{}/{}", source.bucket, source.prefix);
    install(conditions, wanted, source, objects).await
}

/// The version of the image's runner, if that will do.
async fn image(wanted: &Wanted, image_version: impl Future<Output = Option<String>>) -> Result<Option<String>, Lack> {
    if !version::has_listener(&wanted.directory) {
        return Err(Lack::Absent);
    }
    let minimum = wanted.minimum_version.as_deref();
    let mut version = version::marked(&wanted.directory);
    if version.is_none() && minimum.is_some() {
        version = image_version.await;
    }
    version::judge(version.as_deref(), minimum).map(|()| version)
}

async fn install(
    conditions: Conditions,
    wanted: &Wanted,
    source: &RunnerSource,
    objects: Arc<dyn Objects>,
) -> Result<Ready, InstallError> {
    let started = Instant::now();
    let minimum = wanted.minimum_version.as_deref();
    let choice = release::choose(&*objects, source, minimum, conditions.patience).await?;
    let installed = match place_it(conditions, wanted, &objects, &choice, started).await {
        Err(error) if error.is_wrong_bytes() => {
            warn!(error = crate::errors::chain(&error), "What was downloaded is not the runner; once more");
            place_it(conditions, wanted, &objects, &choice, started).await?
        }
        result => result?,
    };
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = installed.bytes as f64 / 1000.0 / installed.millis.max(1) as f64;
    info!(
        runner.version = choice.version,
        bytes = installed.bytes,
        unpacked_bytes = installed.unpacked_bytes,
        files = installed.files,
        duration_ms = installed.millis,
        mb_per_s = format!("{speed:.1}"),
        "Runner {} is installed",
        choice.version
    );
    Ok(Ready { version: Some(choice.version), installed: Some(installed) })
}

async fn place_it(
    conditions: Conditions,
    wanted: &Wanted,
    objects: &Arc<dyn Objects>,
    choice: &Choice,
    started: Instant,
) -> Result<Installed, InstallError> {
    let archive = &choice.archive;
    let (directory, needed) = (wanted.directory.clone(), space::needed(archive.unpacked_size));
    let staging = Arc::new(blocking(move || Staging::prepare(&directory, needed, conditions.free_space)).await?);
    let filled = fill(conditions, wanted, objects, choice, &staging).await;
    if filled.is_err() {
        // Awaited, so that there is room for the next try.
        let _panicked = spawn_blocking(move || staging.remove()).await;
    }
    let Unpacked { files, bytes } = filled?;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Installed { format: archive.format, bytes: archive.size, unpacked_bytes: bytes, files, millis })
}

async fn fill(
    conditions: Conditions,
    wanted: &Wanted,
    objects: &Arc<dyn Objects>,
    choice: &Choice,
    staging: &Arc<Staging>,
) -> Result<Unpacked, InstallError> {
    let archive = &choice.archive;
    let owner = wanted.owner;
    let unpacked = pipeline::install(Arc::clone(objects), archive, staging.open()?, owner, conditions.patience).await?;
    if !version::has_listener(staging.path()) {
        return Err(InstallError::NoListener { key: archive.key.clone() });
    }
    // From here on a dropped future changes nothing: the thread finishes what it began.
    let (staging, version) = (Arc::clone(staging), choice.version.clone());
    if let Some(old) = blocking(move || staging.finish(&version, owner)).await? {
        // A cold disk takes its time over thousands of old files, and nobody waits for that.
        drop(spawn_blocking(move || place::remove(&old)));
    }
    Ok(unpacked)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InstallError> + Send + 'static,
) -> Result<T, InstallError> {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(InstallError::files("working on", "a thread")(error.into())))
}

#[cfg(test)]
mod tests;
