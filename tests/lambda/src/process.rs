//! Processes of functions: ended as a group, reaped, and known to the host until they are gone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    process::Child,
    sync::{Notify, watch},
    time::timeout,
};

use crate::lock;

/// A running process. Dropping it kills its group.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    kill: Arc<Notify>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Watches over a child that leads a process group. `on_exit` is called once it is reaped.
    pub(crate) fn watch(mut child: Child, all: Arc<Processes>, on_exit: impl FnOnce() + Send + 'static) -> Self {
        // None only once it was waited for, which happens below.
        let pid = child.id().unwrap_or_default();
        let kill = Arc::new(Notify::new());
        let (exited, exit) = watch::channel(None);
        all.add(pid);
        let asked = Arc::clone(&kill);
        tokio::spawn(async move {
            let status = tokio::select! {
                status = child.wait() => status,
                () = asked.notified() => {
                    kill_group(pid);
                    child.wait().await
                }
            };
            // What it left behind in its group goes with it, as a sandbox's processes do.
            kill_group(pid);
            on_exit();
            // A wait that fails leaves no status; 9 says killed, which is what is known.
            exited.send_replace(Some(status.unwrap_or_else(|_| ExitStatus::from_raw(9))));
            all.remove(pid);
        });
        Self { pid, kill, exit }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&self) -> ExitStatus {
        self.kill.notify_one();
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => (*status).unwrap_or_default(),
            // The watcher is gone with its runtime, and the child with it.
            Err(_) => ExitStatus::from_raw(9),
        }
    }

    /// The most memory it has held so far, in bytes; 0 once it is gone.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        peak_in(&status).unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill.notify_one();
    }
}

/// `VmHWM` of `/proc/<pid>/status`, in bytes.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn kill_group(pid: u32) {
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        // ESRCH: nobody is left, which is what was wanted.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// All processes of a host that are not reaped yet.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    live: Mutex<Live>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Live {
    pids: BTreeSet<u32>,
    /// No process may live any more, not even one that was on its way when this was set.
    closed: bool,
}

impl Processes {
    fn add(&self, pid: u32) {
        let mut live = lock(&self.live);
        live.pids.insert(pid);
        if live.closed {
            kill_group(pid);
        }
    }

    fn remove(&self, pid: u32) {
        lock(&self.live).pids.remove(&pid);
        self.changed.notify_waiters();
    }

    /// Their ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        lock(&self.live).pids.iter().copied().collect()
    }

    /// Kills all that are there, and all that are still to come.
    pub(crate) fn close(&self) {
        let mut live = lock(&self.live);
        live.closed = true;
        for pid in &live.pids {
            kill_group(*pid);
        }
    }

    /// Waits until all are reaped; answers those that are not within the limit.
    pub(crate) async fn gone(&self, limit: Duration) -> Vec<u32> {
        let all = async {
            loop {
                let changed = self.changed.notified();
                if lock(&self.live).pids.is_empty() {
                    return;
                }
                changed.await;
            }
        };
        // Past the limit the list itself is the answer.
        let _ = timeout(limit, all).await;
        self.pids()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read() {
        assert_eq!(peak_in("Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    1844 kB\nVmRSS:\t 1 kB\n"), Some(1844 * 1024));
        assert_eq!(peak_in("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
