//! The files of an image, which may be this machine's own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::cli::local::within;

/// Where programs are looked for, as a root shell does.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// An image, and what can't be seen in its files.
pub(super) struct Image<'a> {
    /// Its root folder. Absolute links in it lead out of it, unless it is `/`.
    pub(super) root: &'a Path,
    /// The processor it is for, in Rust's words: `x86_64`, `aarch64`.
    pub(super) arch: &'a str,
    /// The bytes that are free where a path is.
    pub(super) free: &'a dyn Fn(&Path) -> io::Result<u64>,
}

impl Image<'_> {
    /// Where the image's `path` is.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        within(self.root, path.as_ref())
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }

    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    pub(super) fn is_program(&self, path: impl AsRef<Path>) -> bool {
        fs::metadata(self.at(path)).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    }

    /// The path of the program `name`.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        PROGRAMS.iter().map(|folder| Path::new(folder).join(name)).find(|path| self.is_program(path))
    }

    /// The names in a folder; none where there is no such folder.
    pub(super) fn names(&self, folder: impl AsRef<Path>) -> BTreeSet<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The user id of `name`, if there is such a user.
    pub(super) fn user_id(&self, name: &str) -> Option<u32> {
        self.read("/etc/passwd")?.lines().find_map(|line| {
            // passwd(5): name, password, user id, …
            let mut fields = line.split(':');
            (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
        })
    }

    /// Debian's name for the platform, which is part of its library folders.
    pub(super) fn triplet(&self) -> String {
        format!("{}-linux-gnu", self.arch)
    }
}

/// The bytes that are free for others than root on the file system of `path`.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    // Their types differ between platforms.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (u64::from(found.blocks_available()), u64::from(found.fragment_size()));
    Ok(blocks.saturating_mul(size))
}
