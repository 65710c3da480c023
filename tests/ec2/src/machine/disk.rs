//! A machine's disk: the shared image below, an own layer above it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::systemd::Disk;

/// Where the machine's root is mounted.
pub(super) fn root(folder: &Path) -> PathBuf {
    folder.join("root")
}

/// Makes the disk: `lower` are the layers below, topmost first. What [`put_by`] has kept is what it holds.
pub(super) fn create(folder: &Path, kind: Disk, lower: &[PathBuf]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let own = folder.join("disk");
    std::fs::create_dir_all(&own).with_context(|| format!("creating {}", own.display()))?;
    let kept = own.join("upper").exists();
    if kind == Disk::Memory && !kept {
        mount(Some("dayfly-disk"), &own, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("mounting a disk in memory at {}", own.display()))?;
    }
    let (upper, work, root) = (own.join("upper"), own.join("work"), root(folder));
    // Overlays of this kind are not mounted twice: the folder says that nothing was ever synced. Nothing need be.
    super::remove_folder(&work)?;
    for part in [&upper, &work, &root] {
        std::fs::create_dir_all(part).with_context(|| format!("creating {}", part.display()))?;
    }
    // A machine's disk dies with it, so nothing need ever be synced.
    let options = format!("lowerdir={},upperdir={},workdir={},volatile", joined(lower)?, plain(&upper)?, plain(&work)?);
    mount(Some("dayfly-root"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str())).with_context(|| {
        format!("mounting the root at {} (a work_dir that is itself on an overlay needs Disk::Memory)", root.display())
    })
}

/// Takes the root away, and keeps what was written to it.
pub(super) fn put_by(folder: &Path) -> anyhow::Result<()> {
    let root = root(folder);
    // Lazily, as for [`remove`]: every process of the machine is gone.
    umount2(&root, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {}", root.display()))
}

/// Takes the disk away, as far as it was made.
pub(super) fn remove(folder: &Path) -> anyhow::Result<()> {
    for part in [root(folder), folder.join("disk")] {
        // Not mounted is fine. Something that still holds it would hold it for ever: detach.
        let _ = umount2(&part, MntFlags::MNT_DETACH);
    }
    super::remove_folder(folder)
}

fn joined(lower: &[PathBuf]) -> anyhow::Result<String> {
    let parts: Vec<&str> = lower.iter().map(|path| plain(path)).collect::<anyhow::Result<_>>()?;
    Ok(parts.join(":"))
}

/// A path that needs no escapes in the options of an overlay.
fn plain(path: &Path) -> anyhow::Result<&str> {
    match path.to_str() {
        Some(text) if !text.contains([':', ',', '\\']) => Ok(text),
        _ => bail!("{}: found in a disk's path, expected one without ':', ',' and '\\'", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_an_overlay_would_misread_are_refused() {
        assert_eq!(joined(&["/a".into(), "/b".into()]).expect("plain paths"), "/a:/b");
        let error = joined(&["/a:b".into()]).expect_err("a colon separates layers");
        assert!(error.to_string().contains("/a:b"), "{error}");
    }
}
