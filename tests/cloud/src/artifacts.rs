//! The shipped programs, made ready for the cloud: stripped, zipped, installed.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use zip::write::SimpleFileOptions;

use crate::paths;

/// What a run deploys.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    /// The agent.
    pub(crate) agent: PathBuf,
    /// The control plane's zip with one `bootstrap`.
    pub(crate) control_zip: PathBuf,
    /// Folder of the stand-in runner, installed.
    pub(crate) runner: PathBuf,
}

impl Artifacts {
    /// Makes them in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let agent = folder.join("dayfly-agent");
        strip(&paths::program("dayfly-agent")?, &agent)?;
        let bootstrap = folder.join("bootstrap");
        strip(&paths::program("dayfly-control")?, &bootstrap)?;
        let control_zip = folder.join("control.zip");
        zip(&bootstrap, &control_zip)?;
        let runner = folder.join("actions-runner");
        run(Command::new(paths::program("standin-runner")?).arg("install").arg("--to").arg(&runner))?;
        Ok(Self { agent, control_zip, runner })
    }
}

/// A development build carries ten times its weight in debug information, and each machine would read it.
pub(crate) fn strip(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("strip").arg("-o").arg(to).arg(from))
}

/// Makes `dayfly-agent-<arch>.tar.gz` as a release has it: the agent and its units.
pub(crate) fn bundle(agent: &Path, to: &Path) -> Result<()> {
    let script = paths::repository().join("scripts/pack.py");
    run(Command::new(paths::moto_python()?).arg(script).arg("--bundle").arg(agent).arg("--to").arg(to))
}

/// Makes a function's zip. Stored, not deflated: it travels over loopback.
pub fn zip(bootstrap: &Path, to: &Path) -> Result<()> {
    let mut zip = zip::ZipWriter::new(File::create(to).with_context(|| format!("creating {}", to.display()))?);
    let options =
        SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&std::fs::read(bootstrap)?)?;
    zip.finish()?;
    Ok(())
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
