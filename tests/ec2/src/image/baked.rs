//! An image that `packer/scripts` have made of the stock one, as Packer has them make it of a real machine.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::build;
use crate::tree::{self, Files};

/// What an image is made with.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// The folder of the scripts.
    pub scripts: PathBuf,
    /// `dayfly-agent-<arch>.tar.gz`.
    pub agent: PathBuf,
    /// The runner's tar.gz, and its version.
    pub runner: (PathBuf, String),
    /// Further variables of `provision.sh`.
    pub variables: Vec<(String, String)>,
}

/// Where these are inside, while it is made.
const PLACE: &str = "tmp/dayfly";

/// Runs a command in the tree, with the network of this computer, in mounts and processes of its own: whatever a package
/// starts is gone when it ends. `policy-rc.d` has Debian's packages start nothing.
const INSIDE: &str = r#"
set -eu
root=$1
shift
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@" && code=0 || code=$?
rm -f "$root/usr/sbin/policy-rc.d"
exit $code
"#;

/// The image as a squashfs in `cache_dir`, made of `stock` if need be: that takes a minute or two, root, and Debian's packages.
/// What the scripts said is in the file beside it that ends in `.log`.
pub fn ensure_baked(
    cache_dir: &Path,
    stock: &Path,
    with: &Provisioning,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<PathBuf> {
    let name = format!("baked-debian-{}.squashfs", with.hash(stock)?);
    build::once(cache_dir, &name, &mut |scratch, image| {
        let tree = scratch.join("tree");
        progress("unpacking the stock image");
        let unpack = ["-no-progress", "-quiet", "-dest"].map(std::ffi::OsStr::new);
        build::run(Command::new("unsquashfs").args(unpack).arg(&tree).arg(stock))
            .context("unpacking the stock image")?;
        let place = tree.join(PLACE);
        tree::copy(&with.scripts, &place.join("scripts"), Files::Copy)?;
        for (from, to) in [(&with.agent, "agent.tar.gz"), (&with.runner.0, "runner.tar.gz")] {
            fs::copy(from, place.join(to)).with_context(|| format!("copying {}", from.display()))?;
        }
        progress("making an image of it: packer/scripts/provision.sh (a minute or two)");
        let log = fs::File::create(image.with_extension("log")).context("creating the log")?;
        let status = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                INSIDE,
                "inside",
            ])
            .arg(&tree)
            .args(with.assignments()?)
            .args(["bash", "/tmp/dayfly/scripts/provision.sh"])
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("starting unshare")?;
        let log = image.with_extension("log");
        anyhow::ensure!(status.success(), "provision.sh: {status}; {} tells why", log.display());
        crate::machine::remove_folder(&place)?;
        // The scripts see to what they make; /tmp is everybody's.
        fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777)).context("restoring /tmp")?;
        progress("packing it");
        build::pack(scratch, &tree, image)?;
        forget_others(cache_dir, image);
        Ok(())
    })
}

/// Each is as large as the stock image again, and made for one build of the agent.
fn forget_others(cache_dir: &Path, image: &Path) {
    for entry in cache_dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with("baked-debian-") && path.file_stem() != image.file_stem() {
            // A machine that has it mounted keeps it.
            let _ = fs::remove_file(path);
        }
    }
}

impl Provisioning {
    /// `NAME=value` for `env`.
    fn assignments(&self) -> anyhow::Result<Vec<String>> {
        let mut all = vec![
            "AGENT_BUNDLE=/tmp/dayfly/agent.tar.gz".to_owned(),
            format!("AGENT_SHA256={}", hash_of(&self.agent)?),
            "RUNNER_URL=file:///tmp/dayfly/runner.tar.gz".to_owned(),
            format!("RUNNER_SHA256={}", hash_of(&self.runner.0)?),
            format!("RUNNER_VERSION={}", self.runner.1),
        ];
        all.extend(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        Ok(all)
    }

    /// The first 16 digits of the hash of all that it is made of.
    fn hash(&self, stock: &Path) -> anyhow::Result<String> {
        let mut all = format!("{}\n{INSIDE}\n", stock.file_name().unwrap_or_default().display());
        for assignment in self.assignments()? {
            writeln!(all, "{assignment}")?;
        }
        let mut scripts = Vec::new();
        tree::walk(&self.scripts, &mut |path, metadata| {
            if metadata.is_file() {
                scripts.push((path.to_owned(), hash_of(path)?));
            }
            Ok(())
        })?;
        scripts.sort();
        for (path, hash) in scripts {
            writeln!(all, "{} {hash}", path.file_name().unwrap_or_default().display())?;
        }
        Ok(hex::encode(Sha256::digest(all))[..16].to_owned())
    }
}

fn hash_of(file: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_made_anew_when_anything_of_it_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("scripts")).expect("a folder");
        for name in ["scripts/a.sh", "agent", "runner"] {
            fs::write(at(name), name).expect("a file");
        }
        let mut with = Provisioning {
            scripts: at("scripts"),
            agent: at("agent"),
            runner: (at("runner"), "2.337.0".to_owned()),
            variables: vec![("DOCKER".to_owned(), "true".to_owned())],
        };
        let mut hashes = vec![with.hash(Path::new("/cache/stock")).expect("a hash")];
        assert_eq!(with.hash(Path::new("/other/stock")).expect("a hash"), hashes[0]);
        hashes.push(with.hash(Path::new("/cache/newer")).expect("a hash"));
        for name in ["scripts/a.sh", "agent", "runner"] {
            fs::write(at(name), "changed").expect("a file");
            hashes.push(with.hash(Path::new("/cache/stock")).expect("a hash"));
        }
        with.variables[0].1 = "false".to_owned();
        hashes.push(with.hash(Path::new("/cache/stock")).expect("a hash"));
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
    }
}
