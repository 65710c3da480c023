//! Fetches functions' code and unpacks it, once per version.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::{aws::Aws, model::Function};

/// The folder with the function's code, in `work_dir/code/<SHA-256>`: functions of one zip share it.
pub(crate) async fn unpacked(aws: &Aws, function: &Function, work_dir: &Path) -> Result<PathBuf> {
    let hash = BASE64_STANDARD.decode(&function.code_sha256).context("its CodeSha256 is not base64")?;
    let folder = work_dir.join("code").join(hex::encode(&hash));
    if folder.exists() {
        return Ok(folder);
    }
    let zip = aws.bytes(&format!("/_laptop/functions/{}/code", function.name)).await?;
    let found = Sha256::digest(&zip);
    ensure!(found[..] == hash[..], "its code has SHA-256 {}, not {}", hex::encode(found), hex::encode(&hash));
    let target = folder.clone();
    tokio::task::spawn_blocking(move || unpack(&zip, &target)).await.context("waiting for the unpacking")??;
    Ok(folder)
}

/// Unpacks beside the target first, so that a folder under its final name is always whole.
fn unpack(zip: &[u8], target: &Path) -> Result<()> {
    let half = target.with_extension(format!("{}.part", std::process::id()));
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", half.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&half).with_context(|| format!("creating {}", half.display()))?;
    let mut archive = zip::ZipArchive::new(io::Cursor::new(zip)).context("opening its zip")?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).context("reading its zip")?;
        let name = entry.enclosed_name().with_context(|| format!("zip entry {:?} leads outside", entry.name()))?;
        let path = half.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        // As on AWS: a bootstrap that the zip does not mark executable can't be started.
        let mode = entry.unix_mode().unwrap_or(0o755) & 0o777;
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&path)?;
            io::copy(&mut entry, &mut file)?;
            file.set_permissions(fs::Permissions::from_mode(mode))
        };
        let mut write = write;
        write().with_context(|| format!("unpacking {}", path.display()))?;
    }
    match fs::rename(&half, target) {
        // Somebody else was first with the same content.
        Err(_) if target.exists() => fs::remove_dir_all(&half).context("removing a second copy"),
        other => other.with_context(|| format!("moving code to {}", target.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn packed(name: &str, mode: u32) -> Vec<u8> {
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(b"#!/bin/sh\n").unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn modes_are_the_zips() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o600] {
            let target = folder.path().join(format!("{mode:o}"));
            unpack(&packed("lib/bootstrap", mode), &target).unwrap();
            let file = fs::metadata(target.join("lib/bootstrap")).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, mode);
        }
        // Nothing half-done stays.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_zip_can_not_write_outside() {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(&packed("../../evil", 0o644), &folder.path().join("code")).unwrap_err();
        assert!(error.to_string().contains("evil"), "{error}");
    }

    #[test]
    fn unpacking_the_same_twice_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("code");
        unpack(&packed("bootstrap", 0o755), &target).unwrap();
        unpack(&packed("bootstrap", 0o755), &target).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
