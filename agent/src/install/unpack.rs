//! Unpacks a tar stream into a new, empty folder, and nowhere else.
//!
//! Nobody else can reach the folder while it is being filled, and what is made in it is remembered. So a path is safe
//! where each folder on it is one that was made here: none of them can be a link. Files get their owner and mode as
//! they are made, and no second walk is needed. Times are not kept: nothing of the runner looks at them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, mkdirat};
use nix::unistd::{Gid, Uid, fchown, fchownat, linkat, symlinkat};

use super::entries::{Item, Kind, Names};

/// Who is to own the files; whoever makes them where `None`.
pub(super) type Owner = Option<(Uid, Gid)>;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes in all its entries.
    pub(super) bytes: u64,
    /// Entries.
    pub(super) entries: u64,
}

impl Limits {
    /// For an archive whose files are said to have `unpacked` bytes. A release has some 20,000 entries.
    pub(super) fn of(unpacked: u64) -> Self {
        // The last is for long names, which are entries too.
        let bytes = unpacked.saturating_add(unpacked / 10).saturating_add(1024 * 1024);
        Self { bytes, entries: 200_000 }
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// Files and links.
    pub(super) files: u64,
    /// Bytes in them.
    pub(super) bytes: u64,
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// An entry that no release of the runner has.
    #[error("entry {entry} is refused: {why}")]
    Refused {
        /// Its name, in quotes.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is more in it than its release says.
    #[error("it holds more than {limit} {what}, by its release")]
    TooMuch {
        /// How many there may be.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// It is no tar archive, or not compressed as its release says, or damaged.
    #[error("it can't be read")]
    Unreadable(#[source] io::Error),
    /// An entry can't be written.
    #[error("writing entry {entry}")]
    Unwritable {
        /// Its name, in quotes.
        entry: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl UnpackError {
    pub(super) fn refused(name: &[u8], why: &'static str) -> Self {
        Self::Refused { entry: quoted(name), why }
    }
}

/// A name for people: no control characters, and not too much of it.
fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&name[..name.len().min(300)]))
}

/// Unpacks `stream` into `folder`. All of the stream is read.
pub(super) fn unpack(
    stream: impl Read,
    folder: OwnedFd,
    owner: Owner,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let mut archive = tar::Archive::new(stream);
    let mut writer = Writer::new(folder, owner);
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let mut names = Names::default();
    for entry in archive.entries().map_err(UnpackError::Unreadable)?.raw(true) {
        let mut entry = entry.map_err(UnpackError::Unreadable)?;
        entries += 1;
        bytes = bytes.saturating_add(entry.size());
        if entries > limits.entries {
            return Err(UnpackError::TooMuch { limit: limits.entries, what: "entries" });
        }
        if bytes > limits.bytes {
            return Err(UnpackError::TooMuch { limit: limits.bytes, what: "bytes" });
        }
        if let Some(item) = names.item(&mut entry)? {
            writer.make(&item, &mut entry)?;
        }
    }
    drain(&mut archive.into_inner())?;
    Ok(writer.unpacked)
}

/// Reads what pads the archive behind its end, so that the compressed stream's own checks are made.
fn drain(rest: &mut impl Read) -> Result<(), UnpackError> {
    const PADDING: u64 = 1024 * 1024;
    let read = io::copy(&mut rest.take(PADDING + 1), &mut io::sink()).map_err(UnpackError::Unreadable)?;
    if read > PADDING { Err(UnpackError::TooMuch { limit: PADDING, what: "bytes behind its end" }) } else { Ok(()) }
}

/// What goes wrong with one entry.
enum Wrong {
    Refused(&'static str),
    Writing(io::Error),
    Reading(io::Error),
}

impl From<Errno> for Wrong {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EEXIST => Self::Refused("there is another entry of that name, or of a folder's on its path"),
            errno => Self::Writing(errno.into()),
        }
    }
}

struct Writer {
    root: OwnedFd,
    owner: Owner,
    /// The folders that were made here.
    folders: HashSet<PathBuf>,
    /// The last one that something was made in, which mostly is the next one too.
    parent: Option<(PathBuf, OwnedFd)>,
    buffer: Vec<u8>,
    unpacked: Unpacked,
}

impl Writer {
    fn new(root: OwnedFd, owner: Owner) -> Self {
        let folders = HashSet::from([PathBuf::new()]);
        Self { root, owner, folders, parent: None, buffer: vec![0; 128 * 1024], unpacked: Unpacked::default() }
    }

    fn make(&mut self, item: &Item, content: &mut impl Read) -> Result<(), UnpackError> {
        self.try_to_make(item, content).map_err(|wrong| {
            let name = item.path.as_os_str().as_bytes();
            match wrong {
                Wrong::Refused(why) => UnpackError::refused(name, why),
                Wrong::Writing(source) => UnpackError::Unwritable { entry: quoted(name), source },
                Wrong::Reading(source) => UnpackError::Unreadable(source),
            }
        })
    }

    fn try_to_make(&mut self, item: &Item, content: &mut impl Read) -> Result<(), Wrong> {
        let Some(name) = item.path.file_name() else { return Ok(()) };
        match &item.kind {
            Kind::Folder => return self.folder(&item.path, item.mode),
            Kind::File => self.file(&item.path, name, item.mode, content)?,
            Kind::Symlink(target) => {
                let owner = self.owner;
                let parent = self.parent(&item.path)?;
                symlinkat(OsStr::from_bytes(target), parent, name)?;
                if let Some((uid, gid)) = owner {
                    fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                }
            }
            Kind::Hardlink(target) => {
                // A link on the way would be followed; one at its end is not.
                if !target.parent().is_some_and(|folder| self.folders.contains(folder)) {
                    return Err(Wrong::Refused("it is a hard link to nothing that came before it"));
                }
                let root = self.root.try_clone().map_err(Wrong::Writing)?;
                linkat(root, target, self.parent(&item.path)?, name, AtFlags::empty())?;
            }
        }
        self.unpacked.files += 1;
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &OsStr, mode: u32, content: &mut impl Read) -> Result<(), Wrong> {
        let owner = self.owner;
        let mut file = create(self.parent(path)?, name, owner, mode)?;
        loop {
            let length = content.read(&mut self.buffer).map_err(Wrong::Reading)?;
            if length == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..length]).map_err(Wrong::Writing)?;
            self.unpacked.bytes += length as u64;
        }
    }

    /// Makes a folder and those above it, or gives it its mode if something has come in it before.
    fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Wrong> {
        self.ensure(path)?;
        // Its owner can always enter and fill it: so must we, and the runner when it updates itself.
        Ok(fchmodat(&self.root, path, bits(mode | 0o700), FchmodatFlags::FollowSymlink)?)
    }

    /// The folder that `path` is in.
    fn parent(&mut self, path: &Path) -> Result<&OwnedFd, Wrong> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if self.parent.as_ref().is_none_or(|(last, _)| last != folder) {
            self.ensure(folder)?;
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            self.parent = Some((folder.to_owned(), openat(&self.root, at, flags, Mode::empty())?));
        }
        match &self.parent {
            Some((_, folder)) => Ok(folder),
            None => Err(Wrong::Refused("it is in no folder")),
        }
    }

    fn ensure(&mut self, path: &Path) -> Result<(), Wrong> {
        if self.folders.contains(path) {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.ensure(above)?;
        }
        // Fails where there is anything but a folder of ours: a link to one, for instance.
        mkdirat(&self.root, path, bits(0o755))?;
        fchmodat(&self.root, path, bits(0o755), FchmodatFlags::FollowSymlink)?;
        if let Some((uid, gid)) = self.owner {
            fchownat(&self.root, path, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        self.folders.insert(path.to_owned());
        Ok(())
    }
}

/// Makes a new file with this owner and mode.
pub(super) fn create(folder: impl AsFd, name: &OsStr, owner: Owner, mode: u32) -> Result<File, Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(folder, name, flags, bits(0o600))?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    // Whatever the agent's umask is.
    fchmod(&file, bits(mode))?;
    Ok(file.into())
}

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

#[cfg(test)]
mod tests;
