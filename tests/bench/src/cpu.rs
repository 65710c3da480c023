//! CPU time of processes.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// What processes have used so far, by their ids.
pub(crate) struct Cpu(BTreeMap<u32, Duration>);

impl Cpu {
    /// Of `processes`, as far as they live.
    pub(crate) fn of(processes: &[u32]) -> Self {
        let used = |pid: u32| -> Option<Duration> {
            let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
            clock.now().ok().map(Duration::from)
        };
        Self(processes.iter().filter_map(|pid| Some((*pid, used(*pid)?))).collect())
    }

    /// What they have used since an earlier look, those that have come since included.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        self.0.iter().map(|(pid, used)| used.saturating_sub(earlier.0.get(pid).copied().unwrap_or_default())).sum()
    }
}
