//! Processes that a job left behind, found by `RUNNER_TRACKING_ID` in their environment.
//!
//! A process that changed its own `RUNNER_TRACKING_ID` is not found: that is how real jobs leave daemons behind.

use std::{fs, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpid},
};

/// The variable that marks a job's processes.
pub const VARIABLE: &str = "RUNNER_TRACKING_ID";

/// A process that carries the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its id.
    pub pid: i32,
    /// Its name, as in `/proc/<pid>/comm`.
    pub name: String,
}

/// All processes marked with `id`, except this one.
#[must_use]
pub fn find(id: &str) -> Vec<Orphan> {
    let mark = format!("{VARIABLE}={id}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != getpid().as_raw())
        .filter(|pid| {
            // Unreadable: gone, or another user's, which the real one can't end either. Empty: a zombie.
            let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            env.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Orphan { pid, name: name.trim().to_owned() }
        })
        .collect()
}

/// Ends all processes marked with `id`, and says which. Looks again, since one may have forked meanwhile.
pub fn end(id: &str, mut tell: impl FnMut(&Orphan)) {
    for pass in 0..20 {
        let orphans = find(id);
        if orphans.is_empty() {
            return;
        }
        for orphan in &orphans {
            if pass == 0 {
                tell(orphan);
            }
            let _ = kill(Pid::from_raw(orphan.pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
