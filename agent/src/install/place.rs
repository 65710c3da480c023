//! Where the new runner is unpacked, and how it takes its place.
//!
//! Where the runner's folder does not exist, it is unpacked beside it and renamed when it is complete. Where it does
//! exist, it may be a mount point, or a part of the image that can't be renamed (overlayfs), and may hold more than
//! the runner: `.env`, `.path`, a `_work` with a tool cache. So the new one is unpacked inside, and its entries replace
//! those of the same name; all others stay, as when the runner updates itself. `bin` goes first and comes last: there
//! is no `bin/Runner.Listener` unless all the rest is there, whenever the agent is killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing::warn;

use super::error::InstallError;
use super::unpack::{Owner, create};
use super::version::{MARKER, marker};

/// Names of temporary folders: these, and `<pid>-<number>`.
const NEW_INSIDE: &str = ".dayfly-new-";
const OLD_INSIDE: &str = ".dayfly-old-";
const NEW_BESIDE: &str = ".new-";

/// The operator's own settings: an archive never replaces them.
const KEPT: [&str; 2] = [".env", ".path"];

/// Tells the free bytes of a path's disk.
pub(super) type FreeSpace = fn(&Path) -> io::Result<u64>;

/// A folder to unpack a runner into.
#[derive(Debug)]
pub(super) struct Staging {
    /// Where the runner is to be.
    directory: PathBuf,
    /// The temporary folder.
    folder: PathBuf,
    /// Whether that is inside `directory`.
    inside: bool,
}

impl Staging {
    /// Removes what earlier tries have left, sees that `needed` bytes are free, and makes the folder.
    pub(super) fn prepare(directory: &Path, needed: u64, free: FreeSpace) -> Result<Self, InstallError> {
        // The folder may be a link to one on a larger disk.
        let (directory, inside) = match directory.canonicalize() {
            Ok(real) => (real, true),
            Err(_absent) => (directory.to_owned(), false),
        };
        let parent = directory.parent().unwrap_or(Path::new("/"));
        if !inside {
            make_folders(parent).map_err(InstallError::files("making folder", parent))?;
        }
        let place = if inside { &directory } else { parent };
        let beside = beside(&directory);
        let prefixes: &[&OsStr] = if inside { &[NEW_INSIDE.as_ref(), OLD_INSIDE.as_ref()] } else { &[&beside] };
        remove_leftovers(place, prefixes).map_err(InstallError::files("looking into", place))?;
        let free = free(place).map_err(InstallError::files("looking for free space at", place))?;
        if free < needed {
            return Err(InstallError::NoSpace { place: place.to_owned(), needed, free });
        }
        let folder = place.join(numbered(if inside { NEW_INSIDE.as_ref() } else { &beside }));
        // Nobody else may look in before it is complete.
        DirBuilder::new().mode(0o700).create(&folder).map_err(InstallError::files("making folder", &folder))?;
        Ok(Self { directory, folder, inside })
    }

    /// The temporary folder's path.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// The temporary folder.
    pub(super) fn open(&self) -> Result<OwnedFd, InstallError> {
        File::open(&self.folder).map(OwnedFd::from).map_err(InstallError::files("opening folder", &self.folder))
    }

    /// Removes the temporary folder, as far as that can be done; the next try does the rest.
    pub(super) fn remove(&self) {
        remove(&self.folder);
    }

    /// Puts the runner in its place. Answers a folder that is no longer needed, for whoever has time to remove it.
    pub(super) fn finish(&self, version: &str, owner: Owner) -> Result<Option<PathBuf>, InstallError> {
        self.mark(version, owner).map_err(InstallError::files("writing the version in", &self.folder))?;
        if self.inside {
            return self
                .move_in(owner)
                .map(Some)
                .map_err(InstallError::files("moving the new runner to", &self.directory));
        }
        own(&self.folder, owner)
            .and_then(|()| fs::set_permissions(&self.folder, Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&self.folder, &self.directory))
            .map_err(InstallError::files("moving the new runner to", &self.directory))?;
        Ok(None)
    }

    fn mark(&self, version: &str, owner: Owner) -> io::Result<()> {
        // Not followed, should the archive have a link of that name.
        match fs::remove_file(self.folder.join(MARKER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = create(File::open(&self.folder)?, MARKER.as_ref(), owner, 0o644)?;
        file.write_all(marker(version).as_bytes())
    }

    fn move_in(&self, owner: Owner) -> io::Result<PathBuf> {
        let old = self.directory.join(numbered(OLD_INSIDE.as_ref()));
        DirBuilder::new().mode(0o700).create(&old)?;
        let mut names: Vec<OsString> =
            fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        names.retain(|name| !(KEPT.iter().any(|kept| name == kept) && self.directory.join(name).exists()));
        names.sort_by_key(|name| name != "bin");
        for name in &names {
            clear(&self.directory.join(name), &old.join(name))?;
        }
        for name in names.iter().rev() {
            fs::rename(self.folder.join(name), self.directory.join(name))?;
        }
        // What is not taken over is empty but for settings that the operator has too.
        self.remove();
        // It may have been root's mount point until now; the runner writes into it.
        own(&self.directory, owner)?;
        Ok(old)
    }
}

/// Moves what is at `path` to `aside`. Parts of an overlay's lower layer can't be renamed, only removed.
fn clear(path: &Path, aside: &Path) -> io::Result<()> {
    match fs::rename(path, aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::remove_dir_all(path),
        result => result,
    }
}

/// Removes a folder and all in it; says so if it can't.
pub(super) fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(%error, folder = %folder.display(), "A temporary folder can't be removed");
    }
}

fn own(path: &Path, owner: Owner) -> io::Result<()> {
    match owner {
        Some((uid, gid)) => chown(path, Some(uid.as_raw()), Some(gid.as_raw())),
        None => Ok(()),
    }
}

/// Makes a folder and those above it so that everybody can enter, whatever the umask is.
fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folders(above)?;
    }
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn beside(directory: &Path) -> OsString {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(NEW_BESIDE);
    name
}

/// A name that no other try has, even one of this process that was given up and has not noticed yet.
fn numbered(prefix: &OsStr) -> OsString {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut name = prefix.to_owned();
    name.push(format!("{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    name
}

/// Whether `name` is `prefix` and then two numbers, as [`numbered`] makes it.
fn is_numbered(name: &OsStr, prefix: &OsStr) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (Some(name), Some(prefix)) = (name.to_str(), prefix.to_str()) else { return false };
    let numbers = name.strip_prefix(prefix).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(pid, count)| number(pid) && number(count))
}

fn remove_leftovers(place: &Path, prefixes: &[&OsStr]) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name();
        if prefixes.iter().any(|prefix| is_numbered(&name, prefix)) {
            remove(&place.join(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
