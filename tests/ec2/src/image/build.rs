//! Builds the root file systems, each once.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use super::recipe::{self, Kind};
use crate::{tools, world};

/// Names the mirror to take Debian from.
const MIRROR: &str = "DAYFLY_DEBIAN_MIRROR";

/// The Debian root file system of most machines as a squashfs in `cache_dir`; built there first if need be, which needs
/// root, Debian's packages and half a minute. `progress` is told what takes long. Two builders wait for each other.
pub fn ensure_rootfs(cache_dir: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    ensure(Kind::Machine, cache_dir, progress)
}

/// The same of an image as a cloud's users find it: with cloud-init, and nothing of ours.
pub fn ensure_stock(cache_dir: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    ensure(Kind::Stock, cache_dir, progress)
}

fn ensure(kind: Kind, cache_dir: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let name = format!("{}-{}-{}.squashfs", kind.name(), recipe::SUITE, recipe::hash(kind));
    once(cache_dir, &name, &mut |scratch, image| build(kind, scratch, image, progress))
}

/// The file `name` in `cache_dir`, which `make` makes if need be, with a scratch folder of its own.
pub(super) fn once(
    cache_dir: &Path,
    name: &str,
    make: &mut dyn FnMut(&Path, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let image = cache_dir.join(name);
    if image.exists() {
        return Ok(image);
    }
    if !Uid::effective().is_root() {
        bail!("building {} needs root", image.display());
    }
    tools::require()?;
    // The image is for machines in a private world: where there can be none, half a minute is saved.
    world::require()?;
    std::fs::create_dir_all(cache_dir).with_context(|| format!("creating {}", cache_dir.display()))?;
    let lock = cache_dir.join("debian.lock");
    let lock = File::create(&lock).with_context(|| format!("creating {}", lock.display()))?;
    lock.lock().context("waiting for another builder")?;
    if image.exists() {
        return Ok(image);
    }
    let scratch = cache_dir.join("debian.building");
    // Left from a builder that was killed; the lock says that none is at work.
    crate::machine::remove_folder(&scratch)?;
    std::fs::create_dir(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    let built = make(&scratch, &image);
    crate::machine::remove_folder(&scratch)?;
    built.map(|()| image)
}

fn build(kind: Kind, scratch: &Path, image: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let (hook, tree) = (scratch.join("hook"), scratch.join("tree"));
    std::fs::write(&hook, kind.hook()).context("writing the recipe's hook")?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).context("writing the recipe's hook")?;
    let mirror = recipe::mirror(std::env::var(MIRROR).ok().as_deref(), &sources());
    progress(&format!("building the machines' Debian from {mirror} (about half a minute, once)"));
    let hook = recipe::quoted(&hook.display().to_string());
    let arguments = recipe::arguments(kind, &tree.display().to_string(), &hook, &mirror);
    run(Command::new("mmdebstrap").args(arguments).env("TMPDIR", scratch))
        .with_context(|| format!("building Debian {} from {mirror} (choose another by {MIRROR})", recipe::SUITE))?;
    progress("packing it");
    pack(scratch, &tree, image)
}

/// Makes `image` of a tree, by way of `scratch`.
pub(super) fn pack(scratch: &Path, tree: &Path, image: &Path) -> anyhow::Result<()> {
    let file = scratch.join("image");
    let pack = [tree.as_os_str(), file.as_os_str()];
    run(Command::new("mksquashfs").args(pack).args(["-comp", "lz4", "-no-progress", "-quiet"]))
        .context("packing it")?;
    // Whole or not at all, also after a power cut.
    File::open(&file).and_then(|file| file.sync_all()).context("writing the image")?;
    std::fs::rename(&file, image).with_context(|| format!("renaming the image to {}", image.display()))
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {tool}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        // mmdebstrap tells all it does; what went wrong stands at the end.
        let lines: Vec<&str> = text.lines().collect();
        bail!("{tool}: {}: {}", output.status, lines[lines.len().saturating_sub(12)..].join("\n"));
    }
    Ok(())
}

/// The package sources of this computer.
fn sources() -> Vec<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files: Vec<PathBuf> = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}
