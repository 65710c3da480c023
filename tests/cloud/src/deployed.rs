//! Remembers what a deployment asked of AWS, so that the next run with the same answers has it in seconds.
//!
//! The AWS provider waits nearly a minute for SQS to settle, however fast moto is. So moto records the first deployment
//! (`tests/moto/tape.py`), and a later run that would deploy the very same replays it, takes Terraform's state along
//! and then applies as always: Terraform finds nothing to change, or changes it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::paths;

/// The place of one deployment's recording and state.
#[derive(Debug)]
pub(crate) struct Deployed {
    folder: PathBuf,
}

/// How moto starts.
#[derive(Debug)]
pub(crate) enum Tape {
    /// It records into this file.
    Record(PathBuf),
    /// It works through this file first.
    Replay(PathBuf),
}

impl Deployed {
    /// The place for what `variables` and the sources deploy.
    pub(crate) fn of(variables: &Value, control_zip: &Path) -> Result<Self> {
        let mut hash = Sha256::new();
        let mut variables = variables.clone();
        // Its path is the run's own; what counts is what is in it.
        variables["control_zip"] = Value::Null;
        hash.update(variables.to_string());
        hash.update(std::fs::read(control_zip)?);
        let folders =
            ["terraform", "userdata", "userdata/files", "tests/terraform", "tests/moto", "tests/moto/patches"];
        for folder in folders {
            for file in files(&paths::repository().join(folder))? {
                hash.update(file.as_os_str().as_encoded_bytes());
                hash.update(std::fs::read(&file)?);
            }
        }
        let name = format!("deployed-{}", &hex::encode(hash.finalize())[..16]);
        Ok(Self { folder: paths::cache().join(name) })
    }

    /// What moto is to do in the run whose folder is `run`. With a replay, Terraform's state is put into `state`.
    pub(crate) fn tape(&self, run: &Path, state: &Path) -> Tape {
        // Copies: another run may move on to a newer deployment meanwhile.
        let tape = run.join("tape");
        let kept = std::fs::copy(self.folder.join("tape"), &tape)
            .and_then(|_| std::fs::copy(self.folder.join("state"), state));
        if kept.is_ok() {
            return Tape::Replay(tape);
        }
        // Half of a copy is none.
        let _ = std::fs::remove_file(state);
        let _ = std::fs::remove_file(&tape);
        Tape::Record(tape)
    }

    /// Keeps a run's recording, which moto has ended, with Terraform's state. Both hold secrets.
    pub(crate) fn keep(&self, run: &Path, state: &Path) -> Result<()> {
        let new = run.join("deployed");
        std::fs::DirBuilder::new().mode(0o700).create(&new)?;
        std::fs::rename(run.join("tape"), new.join("tape"))?;
        std::fs::copy(state, new.join("state")).with_context(|| format!("copying {}", state.display()))?;
        // Another run may have been quicker with the same; it goes for ours.
        let _ = std::fs::remove_dir_all(&self.folder);
        copy_folder(&new, &self.folder)?;
        forget_old(&paths::cache())
    }
}

/// To where it may be another file system: files first under another name.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension(uuid::Uuid::new_v4().simple().to_string());
    std::fs::DirBuilder::new().mode(0o700).create(&part)?;
    for name in ["tape", "state"] {
        std::fs::copy(from.join(name), part.join(name)).with_context(|| format!("keeping {name}"))?;
    }
    std::fs::rename(&part, to).with_context(|| format!("renaming {}", part.display()))
}

/// Keeps the last few deployments: those of both kinds of machines, and of the sources before the last change.
fn forget_old(cache: &Path) -> Result<()> {
    const KEPT: usize = 4;
    let mut all: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("deployed-") {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    for (_, path) in all.iter().rev().skip(KEPT) {
        // Another run may be removing it too.
        let _ = std::fs::remove_dir_all(path);
    }
    Ok(())
}

/// The files in a folder, sorted, without those that come and go.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let source =
            path.extension().is_some_and(|ending| ["tf", "tftpl", "sh", "py", "txt"].iter().any(|it| ending == *it));
        if path.is_file() && source {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
