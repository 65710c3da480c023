//! A process by number and start time, and signals for it.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::core::RunnerId;

/// The process with this number, if there is one that is no zombie.
#[must_use]
pub fn identify(pid: i32) -> Option<RunnerId> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat).map(|start_ticks| RunnerId { pid, start_ticks })
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)); `None` for a process that has ended and waits for its parent.
fn parse_stat(stat: &str) -> Option<u64> {
    // Field 2 is the command's name in parentheses, which may hold spaces and parentheses itself.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A descriptor that becomes readable when the process ends; `None` if it is gone, or its number belongs to another.
#[must_use]
pub fn open(id: RunnerId) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, id.pid, 0) };
    let fd = i32::try_from(result).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Looked at after the descriptor holds the process: its number can't change hands in between.
    (identify(id.pid) == Some(id)).then_some(fd)
}

/// The process that runs `program` with the argument `word`, the oldest if there are several: one that was started, and
/// not noted.
#[must_use]
pub fn find(program: &Path, word: &str) -> Option<RunnerId> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let runs = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // A script's program is its interpreter, and the script the next word.
        let mut words = words.split(|byte| *byte == 0).skip_while(|word| *word != program.as_os_str().as_bytes());
        words.next().is_some() && words.next() == Some(word.as_bytes())
    };
    pids.filter(runs).filter_map(identify).min_by_key(|id| id.start_ticks)
}

/// Asks the process to stop, if it still is the one named. Answers whether it was there.
pub fn interrupt(id: RunnerId) -> Result<bool, Errno> {
    if identify(id.pid) != Some(id) {
        return Ok(false);
    }
    was_there(kill(Pid::from_raw(id.pid), Signal::SIGINT))
}

/// Kills the process's group: itself, if it is there, and what it started and left. Answers whether anything was there.
pub fn kill_group(id: RunnerId) -> Result<bool, Errno> {
    // The group's number is another's by now.
    if identify(id.pid).is_some_and(|now| now != id) {
        return Ok(false);
    }
    // As long as a member of the group lives, its number is given to no other process.
    was_there(killpg(Pid::from_raw(id.pid), Signal::SIGKILL))
}

fn was_there(result: Result<(), Errno>) -> Result<bool, Errno> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn stat_is_read_past_any_name() {
        let tail = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000";
        assert_eq!(parse_stat(&format!("42 (a) b) S {tail}")), Some(777));
        assert_eq!(parse_stat(&format!("42 (bash) Z {tail}")), None);
        assert_eq!(parse_stat("42 (bash)"), None);
    }

    #[test]
    fn a_process_is_known_until_it_is_gone() {
        let mut child = Command::new("sleep").arg("60.0625").stdin(Stdio::null()).spawn().unwrap();
        let id = identify(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(open(id).is_some());
        // To be started is to have closed what the parent waits at; the kernel writes the command line a little later.
        let began = Instant::now();
        while find(Path::new("sleep"), "60.0625") != Some(id) {
            assert!(began.elapsed() < Duration::from_secs(10), "timed out: its command line is not there");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(find(Path::new("sleep"), "60.0626"), None);
        assert!(open(RunnerId { start_ticks: id.start_ticks + 1, ..id }).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(open(id).is_none());
        assert_eq!(interrupt(id), Ok(false));
        assert_eq!(kill_group(id), Ok(false));
    }
}
