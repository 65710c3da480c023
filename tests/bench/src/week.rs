//! The control plane's handlers over a simulated week with a million jobs: how long they take, in how much memory.

use anyhow::{Context as _, Result, ensure};
use laptop::paths;
use tokio::process::Command;

const JOBS: u64 = 1_000_000;
const DAYS: u64 = 7;

/// Plays it in a process of its own, whose memory is nobody else's, and answers with what that tells.
pub(crate) async fn measure() -> Result<String> {
    let program = paths::program("sim")?;
    let (jobs, days) = (JOBS.to_string(), DAYS.to_string());
    let mut command = Command::new(&program);
    command.args(["--jobs", &jobs, "--days", &days]).kill_on_drop(true);
    let told = command.output().await.with_context(|| format!("running {}", program.display()))?;
    let told_text = String::from_utf8_lossy(&told.stdout).into_owned();
    ensure!(told.status.success(), "the simulated week went wrong: {told_text}");
    Ok(format!("a simulated week of {JOBS} jobs\n{told_text}"))
}
