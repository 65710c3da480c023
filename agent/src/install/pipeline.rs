//! Downloads, verifies, decompresses and unpacks, all at once.
//!
//! The download is asynchronous, on the agent's own thread; hashing, decompressing and writing are a thread each.
//! Decompressing gzip takes about as long as all else together, so it shares its thread with nothing; with zstd, writing
//! does. All ways between them are short: the slowest sets the pace, and memory stays bounded.
//!
//! Dropping the future closes the download's end of them, on which the threads stop.

use std::io::{self, BufRead};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use dayfly_contract::{Archive, ArchiveFormat};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::download::{FetchError, Object, fetch};
use super::error::InstallError;
use super::objects::Objects;
use super::patience::Patience;
use super::streams::{BlockSender, Download, Part, blocks};
use super::unpack::{Limits, Owner, UnpackError, Unpacked, unpack};

/// Chunks on their way to a thread. They are kept once for both threads.
const CHUNKS: usize = 32;

/// Unpacks `archive` into `folder`, which is complete only if this answers well.
pub(super) async fn install(
    objects: Arc<dyn Objects>,
    archive: &Archive,
    folder: OwnedFd,
    owner: Owner,
    patience: Patience,
) -> Result<Unpacked, InstallError> {
    let (to_hash, hash_from) = mpsc::channel(CHUNKS);
    let (to_unpack, unpack_from) = mpsc::channel(CHUNKS);
    let (blocks_to, blocks_from) = blocks();
    let (format, limits) = (archive.format, Limits::of(archive.unpacked_size));
    let hashing = spawn_blocking(move || digest(hash_from));
    let decompressing = spawn_blocking(move || decompress(format, Download::new(unpack_from), blocks_to));
    let unpacking = spawn_blocking(move || unpack(blocks_from, folder, owner, limits));

    let object = Object { objects, key: archive.key.clone(), size: archive.size };
    let fetched = fetch(&object, patience, vec![to_hash, to_unpack]).await;
    let (found, decompressed, unpacked) = tokio::join!(hashing, decompressing, unpacking);

    let key = || archive.key.clone();
    fetched.map_err(|error| match error {
        FetchError::Broken { got, gave_up } => {
            InstallError::Broken { key: key(), got, size: archive.size, after: gave_up.after, source: gave_up.error }
        }
        FetchError::Size { found } => InstallError::Size { key: key(), expected: archive.size, found },
        FetchError::TooLong => InstallError::TooLong { key: key(), limit: patience.total },
    })?;
    let thread = |error: tokio::task::JoinError| InstallError::files("unpacking", archive.key.clone())(error.into());
    decompressed.map_err(thread)?;
    let unpacked = unpacked.map_err(thread)?.map_err(|source| InstallError::Unpack { key: key(), source })?;
    let found =
        found.map_err(thread)?.ok_or_else(cut_short).map_err(|source| InstallError::Unpack { key: key(), source })?;
    if found != archive.sha256 {
        return Err(InstallError::Digest { key: key(), expected: archive.sha256.clone(), found });
    }
    Ok(unpacked)
}

fn cut_short() -> UnpackError {
    UnpackError::Unreadable(io::ErrorKind::UnexpectedEof.into())
}

/// The SHA-256 of a whole download, in hexadecimal digits; `None` if it is given up.
fn digest(mut parts: mpsc::Receiver<Part>) -> Option<String> {
    let mut hash = Sha256::new();
    loop {
        match parts.blocking_recv()? {
            Part::Chunk(chunk) => hash.update(&*chunk),
            Part::End => return Some(hex::encode(hash.finalize())),
        }
    }
}

fn decompress(format: ArchiveFormat, from: impl BufRead, to: BlockSender) {
    match format {
        ArchiveFormat::TarGz => to.send_all(Ok(MultiGzDecoder::new(from))),
        ArchiveFormat::TarZst => to.send_all(zstd::Decoder::with_buffer(from)),
        // Not chosen; a way through is needed all the same.
        ArchiveFormat::Unknown => to.send_all(Err::<io::Empty, _>(io::ErrorKind::Unsupported.into())),
    }
}
