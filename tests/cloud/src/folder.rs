//! A run's own folder: logs, Terraform's state, machines. It goes when the run ends well.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::paths;
use crate::program::Machines;

/// How long the folder of a run that failed is kept for whoever wants to know why.
const KEPT: Duration = Duration::from_hours(24);

/// Makes the folder of this run, and removes those of runs long gone.
pub(crate) fn make(machines: Machines) -> Result<PathBuf> {
    // Root runs plain processes as somebody else, who must get there: the checkout may be root's own.
    let elsewhere = machines == Machines::Process && nix::unistd::geteuid().is_root();
    let (parent, prefix) = if elsewhere { (std::env::temp_dir(), "dayfly-run-") } else { (paths::cache(), "run-") };
    forget_old(&parent, prefix);
    let folder = parent.join(format!("{prefix}{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let mode = if elsewhere { 0o711 } else { 0o700 };
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode))?;
    Ok(folder)
}

fn forget_old(parent: &Path, prefix: &str) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|at| at.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(prefix) && age.is_some_and(|age| age > KEPT) {
            // What another run, or another user, holds on to stays.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
