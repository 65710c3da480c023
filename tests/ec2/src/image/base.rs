//! The image that Packer's instances boot from: the stock one, with a mirror of the packages that `packer/scripts` install. A
//! private world has no way to Debian's own.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::build;
use crate::machine::remove_folder;
use crate::tree::{self, Files};

/// Of the scripts, those that install packages, and what they share.
const INSTALLING: [&str; 3] = ["lib.sh", "packages.sh", "docker.sh"];

/// Runs a script in the tree, with the network of this computer, in mounts and processes of its own: whatever a package
/// starts is gone when it ends. `policy-rc.d` has Debian's packages start nothing.
const INSIDE: &str = r#"
set -eu
root=$1
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
  FAMILY=debian UPGRADE=true DOCKER=true EXTRA_PACKAGES= bash -c "$2"
"#;

/// Installs what an image gets, as apt then has it all; and writes the index of what apt had to fetch.
const FETCH: &str = r#"
set -euo pipefail
cd /tmp/dayfly
bash packages.sh
bash docker.sh
cd /var/cache/apt/archives
for file in *.deb; do
  # What apt writes for a colon it would read as one.
  mv "$file" "${file//%/-}" 2> /dev/null || true
  file=${file//%/-}
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat --format=%s "$file")" "$(sha256sum "$file" | cut -d' ' -f1)"
done > Packages
"#;

/// Where the mirror is on the image.
const MIRROR: &str = "srv/mirror";

/// The image as a squashfs in `cache_dir`, made of `stock` if need be: that takes a minute or two, root, and Debian's packages.
/// `scripts` is the folder `packer/scripts`.
pub fn ensure_base(
    cache_dir: &Path,
    stock: &Path,
    scripts: &Path,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<PathBuf> {
    let name = format!("base-debian-{}.squashfs", hash(stock, scripts)?);
    build::once(cache_dir, &name, &mut |scratch, image| {
        let (tree, used) = (scratch.join("tree"), scratch.join("used"));
        for folder in [&tree, &used] {
            let options = ["-no-progress", "-quiet", "-dest"].map(OsStr::new);
            build::run(Command::new("unsquashfs").args(options).arg(folder).arg(stock))
                .context("unpacking the stock image")?;
        }
        progress("fetching the packages that packer/scripts install (a minute or two, once)");
        fetch(&used, scripts, &image.with_extension("log"))?;
        let archives = used.join("var/cache/apt/archives");
        remove_folder(&archives.join("partial"))?;
        tree::copy(&archives, &tree.join(MIRROR), Files::Link)?;
        // Not signed: it is this image's own.
        fs::write(tree.join("etc/apt/sources.list"), format!("deb [trusted=yes] file:/{MIRROR} ./\n"))
            .context("writing the image's sources.list")?;
        progress("packing it");
        build::pack(scratch, &tree, image)?;
        forget_others(cache_dir, image);
        Ok(())
    })
}

/// Has apt fetch the packages into a tree. What was said is in `log`.
fn fetch(tree: &Path, scripts: &Path, log: &Path) -> anyhow::Result<()> {
    let place = tree.join("tmp/dayfly");
    fs::create_dir_all(&place).with_context(|| format!("creating {}", place.display()))?;
    for name in INSTALLING {
        fs::copy(scripts.join(name), place.join(name)).with_context(|| format!("copying {name}"))?;
    }
    let said = fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "inside"])
        .arg(tree)
        .arg(FETCH)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .status()
        .context("starting unshare")?;
    anyhow::ensure!(status.success(), "fetching packages: {status}; {} tells why", log.display());
    Ok(())
}

/// Each is larger than the stock image, and made for one state of the scripts.
fn forget_others(cache_dir: &Path, image: &Path) {
    for entry in cache_dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with("base-debian-") && path.file_stem() != image.file_stem() {
            // A host that has it mounted keeps it.
            let _ = fs::remove_file(path);
        }
    }
}

/// The first 16 digits of the hash of all that it is made of.
fn hash(stock: &Path, scripts: &Path) -> anyhow::Result<String> {
    let mut all = format!("{}\n{INSIDE}\n{FETCH}\n{MIRROR}\n", stock.file_name().unwrap_or_default().display());
    for name in INSTALLING {
        let path = scripts.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        writeln!(all, "{name}\n{text}")?;
    }
    Ok(hex::encode(Sha256::digest(all))[..16].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_made_anew_when_a_script_installs_something_else() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in INSTALLING {
            fs::write(dir.path().join(name), name).expect("a file");
        }
        let hash = |stock: &str| hash(Path::new(stock), dir.path()).expect("a hash");
        let mut hashes = vec![hash("/cache/stock")];
        assert_eq!(hash("/other/stock"), hashes[0]);
        fs::write(dir.path().join("cleanup.sh"), "installs nothing").expect("a file");
        assert_eq!(hash("/cache/stock"), hashes[0]);
        hashes.push(hash("/cache/newer"));
        for name in INSTALLING {
            fs::write(dir.path().join(name), "changed").expect("a file");
            hashes.push(hash("/cache/stock"));
        }
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 5);
    }
}
