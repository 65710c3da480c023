//! Finds every process that came from a machine that was a plain process.
//!
//! An agent starts the runner with a clean environment, the runner starts jobs, and jobs start what they like. A process
//! belongs to the machine when it is in the agent's session, or its program, folder or environment lies in the
//! machine's folder (the runner's variables name it for every step), or its parent belongs.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    /// Its program, folder or environment lies in the machine's folder.
    touches: bool,
}

/// Processes of the machine with this folder, whose agent was `leader`.
pub(crate) fn find(folder: &Path, leader: Option<i32>) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut family = family(&scan(folder), leader);
    family.retain(|pid| *pid != own);
    family
}

/// Kills everything of the machine until nothing is left, and tells what would not die.
pub(crate) async fn kill_strays(folder: &Path, leader: Option<i32>) -> Vec<i32> {
    for _ in 0..100 {
        let strays = find(folder, leader);
        if strays.is_empty() {
            return strays;
        }
        for pid in strays {
            // One that is gone by now is what was wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    find(folder, leader)
}

fn family(processes: &[Process], leader: Option<i32>) -> Vec<i32> {
    let mut family: HashSet<i32> = processes
        .iter()
        .filter(|process| process.touches || leader.is_some_and(|leader| process.session == leader))
        .map(|process| process.pid)
        .collect();
    loop {
        let before = family.len();
        family.extend(
            processes.iter().filter(|process| family.contains(&process.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if family.len() == before {
            let mut family: Vec<i32> = family.into_iter().collect();
            family.sort_unstable();
            return family;
        }
    }
}

fn scan(folder: &Path) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| read(pid, folder))
        .collect()
}

/// A process that is gone, a zombie or another user's is none of ours.
fn read(pid: i32, folder: &Path) -> Option<Process> {
    let proc = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    let Stat { state, parent, session, tty } = Stat::parse(&stat)?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let in_folder = |link: &str| std::fs::read_link(proc.join(link)).is_ok_and(|path| path.starts_with(folder));
    let environ = std::fs::read(proc.join("environ")).unwrap_or_default();
    // A person's shell may stand in the folder; it has a terminal, and nothing of a machine has one.
    let touches = tty == 0 && (in_folder("exe") || in_folder("cwd") || mentions(&environ, folder));
    Some(Process { pid, parent, session, touches })
}

struct Stat {
    state: char,
    parent: i32,
    session: i32,
    tty: i32,
}

impl Stat {
    /// `pid (name) state ppid pgrp session tty …`, and the name may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut number = || fields.next()?.parse().ok();
        let (parent, _group, session, tty) = (number()?, number()?, number()?, number()?);
        Some(Self { state, parent, session, tty })
    }
}

/// Whether an environment names the folder itself or something in it, not merely a sibling whose name starts alike.
fn mentions(environ: &[u8], folder: &Path) -> bool {
    let needle = folder.as_os_str().as_bytes();
    environ
        .windows(needle.len())
        .enumerate()
        .any(|(at, part)| part == needle && matches!(environ.get(at + needle.len()), None | Some(b'/' | 0 | b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32, touches: bool) -> Process {
        Process { pid, parent, session, touches }
    }

    #[test]
    fn session_folder_and_descent_make_the_family() {
        let processes = [
            process(1, 0, 1, false),
            process(10, 1, 10, false), // the agent
            process(11, 10, 10, false),
            process(20, 1, 20, true), // daemonized by a step, environment kept
            process(21, 20, 21, false),
            process(22, 21, 22, false),
            process(30, 1, 30, false),
        ];
        assert_eq!(family(&processes, Some(10)), [10, 11, 20, 21, 22]);
        assert_eq!(family(&processes, None), [20, 21, 22]);
        assert_eq!(family(&processes[..1], Some(10)), [0; 0]);
    }

    #[test]
    fn a_process_name_may_hold_brackets_and_spaces() {
        let stat = Stat::parse("7 (a) R 1 (b) S 5 6 7 0 -1").expect("a stat line");
        assert_eq!((stat.state, stat.parent, stat.session, stat.tty), ('S', 5, 7, 0));
        assert!(Stat::parse("nothing").is_none());
    }

    #[test]
    fn an_environment_mentions_the_folder_but_not_its_siblings() {
        let folder = Path::new("/w/i-1");
        assert!(mentions(b"A=1\0HOME=/w/i-1\0", folder));
        assert!(mentions(b"X=/w/i-1/run", folder));
        assert!(mentions(b"X=/w/i-1", folder));
        assert!(!mentions(b"X=/w/i-12/run\0", folder));
        assert!(!mentions(b"", folder));
    }
}
