//! A cgroup for the runner, below the agent's own: whatever a job starts is in it and can be killed with it, also what has
//! left the runner's process group.
//!
//! It needs a unit with `Delegate=yes`, so that systemd leaves the inside of the agent's cgroup to the agent. No controller
//! is turned on in it, so that the agent itself may stay where it is: version 2 forbids processes beside child cgroups
//! only where controllers are handed down.
//!
//! Both kinds of mount are served: version 2 alone, and the older arrangement with a hierarchy of systemd's own
//! (`name=systemd`). What leaves the cgroup leaves it by root's hand: docker's containers, `systemd-run`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid, write};
use tracing::{debug, info};

/// Where systemd mounts cgroups.
const MOUNTS: &str = "/sys/fs/cgroup";
/// The runner's cgroup, below the agent's. The same for each agent of a unit, so that the next one finds it.
const NAME: &str = "runner";
/// Rounds of killing, each of which finds only what was started since the last. A job can't fork for longer than that.
const ROUNDS: usize = 1000;

/// The runner's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerCgroup {
    directory: PathBuf,
}

impl RunnerCgroup {
    /// Makes it, or finds the one of an earlier agent. `None` where there can be none: the runner then has its process
    /// group alone.
    #[must_use]
    pub fn create() -> Option<Self> {
        // systemd's own child is alone in its cgroup. Any other, such as an agent that somebody tries out, has it from a
        // session or a container, and so may have others, whose runners it would kill.
        if getppid() != Pid::from_raw(1) {
            debug!("The runner gets no cgroup of its own: the agent was not started by systemd");
            return None;
        }
        let created = fs::read_to_string("/proc/self/cgroup").and_then(|own| Self::create_in(Path::new(MOUNTS), &own));
        match created {
            Ok(cgroup) => Some(cgroup),
            Err(error) => {
                info!(%error, "The runner gets no cgroup of its own");
                None
            }
        }
    }

    /// Makes it, or finds it, where cgroups are mounted at `mounts`, for a process whose `/proc/<pid>/cgroup` reads `own`.
    pub fn create_in(mounts: &Path, own: &str) -> io::Result<Self> {
        let directory = own_directory(mounts, own)?.join(NAME);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                let told = format!("making {}: {error}", directory.display());
                Err(io::Error::new(error.kind(), told))
            }
            _ => Ok(Self { directory }),
        }
    }

    /// A file for [`enter`], which a new process calls between fork and exec. To be opened before the fork.
    pub fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.directory.join("cgroup.procs"))
    }

    /// The processes in it and in the cgroups below it.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let mut pids = vec![];
        for directory in self.directories() {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            // 0 is a process of another pid namespace.
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        }
        pids
    }

    /// Kills all processes in it and below it, and answers how many it found. They may take a moment to be gone.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn kill_all(&self) -> usize {
        // Linux 5.14 and later, version 2: all at once, whatever is forked meanwhile.
        let found = self.pids();
        if found.is_empty() {
            return 0;
        }
        if fs::write(self.directory.join("cgroup.kill"), "1").is_ok() {
            return found.len();
        }
        // Who has been sent SIGKILL forks no more: when a round finds nobody new, all have been sent it.
        let mut killed = BTreeSet::new();
        for _ in 0..ROUNDS {
            let new: Vec<i32> = self.pids().into_iter().filter(|pid| killed.insert(*pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                // One that is gone already is as good.
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        killed.len()
    }

    /// Removes it. Fails with `EBUSY` as long as a process is in it.
    pub fn remove(&self) -> io::Result<()> {
        self.directories().iter().rev().try_for_each(fs::remove_dir)
    }

    /// It and all below it, parents first.
    fn directories(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.directory.clone()];
        let mut next = 0;
        while let Some(directory) = directories.get(next) {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let below: Vec<PathBuf> =
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect();
            directories.extend(below);
            next += 1;
        }
        directories
    }
}

/// Moves the calling process into the cgroup whose entrance is `entrance`. One system call: may be called between fork and
/// exec.
pub fn enter(entrance: impl AsFd) -> Result<(), Errno> {
    // Not a number: 0 is whoever writes it.
    write(entrance, b"0").map(drop)
}

/// The folder of the cgroup that `own` tells of: cgroups(7), `/proc/<pid>/cgroup`.
fn own_directory(mounts: &Path, own: &str) -> io::Result<PathBuf> {
    // Only version 2 has this file in its root.
    let (mount, prefix) = if mounts.join("cgroup.controllers").exists() {
        (mounts.to_owned(), "0::")
    } else {
        // Lines are `<number>:<controllers>:<path>`.
        (mounts.join("systemd"), "name=systemd:")
    };
    let path = own.lines().find_map(|line| {
        let line = if prefix == "0::" { line } else { line.split_once(':')?.1 };
        line.strip_prefix(prefix)
    });
    let path = path.ok_or_else(|| io::Error::other(format!("/proc/self/cgroup has no line with {prefix}")))?;
    // A path with .. is outside of this cgroup namespace, and what is no service's is not ours to divide.
    let relative = path.trim_start_matches('/');
    if !relative.ends_with(".service") || relative.split('/').any(|part| part == "..") {
        return Err(io::Error::other(format!("the agent's cgroup is {path}, expected that of a service")));
    }
    Ok(mount.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "9:name=systemd:/system.slice/dayfly-agent.service\n4:memory:/x\n0::/unified.service\n";
    const UNIFIED: &str = "0::/system.slice/dayfly-agent.service\n";

    #[test]
    fn the_own_cgroup_is_found_in_either_arrangement() {
        let folder = tempfile::tempdir().unwrap();
        let mounts = folder.path();
        let found = |own| own_directory(mounts, own).unwrap();
        assert_eq!(found(HYBRID), mounts.join("systemd/system.slice/dayfly-agent.service"));
        fs::write(mounts.join("cgroup.controllers"), "").unwrap();
        assert_eq!(found(UNIFIED), mounts.join("system.slice/dayfly-agent.service"));
    }

    #[test]
    fn a_cgroup_that_may_be_somebody_elses_is_not_divided() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
        for own in ["", "0::/", "0::/user.slice/session-3.scope", "0::/../x.service", "9:name=systemd:/a.service"] {
            assert!(own_directory(folder.path(), own).is_err(), "{own}");
        }
    }

    #[test]
    fn a_cgroup_that_can_not_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunnerCgroup::create_in(folder.path(), HYBRID).unwrap_err().to_string();
        assert!(
            error.starts_with("making /") && error.contains("dayfly-agent.service/runner: No such file"),
            "{error}"
        );
    }

    #[test]
    fn one_that_is_there_is_used_and_all_below_it_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("systemd/system.slice/dayfly-agent.service");
        fs::create_dir_all(own.join("runner/deep/deeper")).unwrap();
        let cgroup = RunnerCgroup::create_in(folder.path(), HYBRID).unwrap();
        fs::write(own.join("runner/cgroup.procs"), "12\n0\n").unwrap();
        fs::write(own.join("runner/deep/deeper/cgroup.procs"), "34\n").unwrap();
        fs::write(own.join("cgroup.procs"), "56\n").unwrap();
        assert_eq!(cgroup.pids(), [12, 34]);
    }
}
