//! Copies of folders.

use std::fs::Metadata;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::Context as _;

/// How the copy of a file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Large files become hard links where that is possible: nobody writes into a program or a library.
    Link,
    /// Every file is a copy.
    Copy,
}

/// Files up to this size are always copied: scripts and settings may be edited in place.
const SMALL: u64 = 64 * 1024;

/// Copies folder `from` to `to`, with modes and symbolic links.
pub(crate) fn copy(from: &Path, to: &Path, files: Files) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    walk(from, &mut |path, metadata| {
        let target = to.join(path.strip_prefix(from).context("a walk stays below its start")?);
        copy_one(path, &target, metadata, files)
            .with_context(|| format!("copying {} to {}", path.display(), target.display()))
    })
}

fn copy_one(path: &Path, target: &Path, metadata: &Metadata, files: Files) -> anyhow::Result<()> {
    if metadata.is_symlink() {
        symlink(std::fs::read_link(path)?, target)?;
    } else if metadata.is_dir() {
        std::fs::create_dir_all(target)?;
        std::fs::set_permissions(target, std::fs::Permissions::from_mode(metadata.permissions().mode() | 0o700))?;
    } else {
        let linked = files == Files::Link && metadata.len() > SMALL && std::fs::hard_link(path, target).is_ok();
        if !linked {
            std::fs::copy(path, target)?;
        }
    }
    Ok(())
}

/// Visits `folder` and everything in it, folders before what they hold.
pub(crate) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path, &Metadata) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let metadata = std::fs::symlink_metadata(folder).with_context(|| format!("looking at {}", folder.display()))?;
    visit(folder, &metadata)?;
    if metadata.is_dir() {
        let entries = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            walk(&entry?.path(), visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn large_files_are_links_and_small_ones_copies() {
        let dir = tempfile::tempdir().expect("a folder");
        let from = dir.path().join("from");
        std::fs::create_dir_all(from.join("bin")).expect("bin");
        std::fs::write(from.join("bin/large"), vec![1_u8; 100_000]).expect("large");
        std::fs::write(from.join("run.sh"), "#!/bin/sh\n").expect("small");
        std::fs::set_permissions(from.join("run.sh"), std::fs::Permissions::from_mode(0o755)).expect("mode");
        symlink("bin/large", from.join("link")).expect("link");

        let to = dir.path().join("to");
        copy(&from, &to, Files::Link).expect("a copy");
        assert_eq!(std::fs::metadata(to.join("bin/large")).expect("large").nlink(), 2);
        let small = std::fs::metadata(to.join("run.sh")).expect("small");
        assert_eq!((small.nlink(), small.permissions().mode() & 0o777), (1, 0o755));
        assert_eq!(std::fs::read_link(to.join("link")).expect("link"), Path::new("bin/large"));

        let other = dir.path().join("other");
        copy(&from, &other, Files::Copy).expect("a copy");
        assert_eq!(std::fs::metadata(other.join("bin/large")).expect("large").nlink(), 1);
    }
}
