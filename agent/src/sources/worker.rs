//! Sees whether the listener has a Worker: the one process per job that the listener starts, under which the job's steps
//! run. A third witness of a job, beside the listener's output and the hooks, and the one no job can forge: a process of
//! a job is never the listener's own child.
//!
//! What a look costs: without a Worker one small file of `/proc` per thread of the listener, and .NET has some 25: 0.3 ms
//! as measured with as many, so 0.015 % of a core where it looks every two seconds. With a Worker two files in all,
//! 0.02 ms. A kernel that does not list children costs a file per process of the machine, 1 ms for 150.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::core::RunnerId;
use crate::runner::process::identify;

/// The program's file name. The kernel keeps 15 bytes of a process's name, which are enough for it.
const WORKER: &str = "Runner.Worker";

/// Whether `listener` runs and has a Worker that does.
#[must_use]
pub fn has_worker(listener: RunnerId) -> bool {
    // Twice: a thread may end while its list is being read, and its children are then in another one's (proc(5)).
    find(listener).or_else(|| find(listener)).is_some()
}

/// Tells whether `listener` has a Worker: once at the beginning, then each change, seen within `every`. Returns when the
/// listener is gone; a Worker that outlives it is not told of.
pub async fn watch_worker(listener: RunnerId, every: Duration, tell: impl Fn(bool)) {
    let mut worker = None;
    let mut told = None;
    while identify(listener.pid) == Some(listener) {
        // The one that is known need not be looked for.
        worker = worker.filter(|worker: &RunnerId| identify(worker.pid) == Some(*worker)).or_else(|| find(listener));
        if told != Some(worker.is_some()) {
            told = Some(worker.is_some());
            tell(worker.is_some());
        }
        sleep(every).await;
    }
}

fn find(listener: RunnerId) -> Option<RunnerId> {
    if identify(listener.pid) != Some(listener) {
        return None;
    }
    let children = children_by_thread(listener.pid).unwrap_or_else(|| children_by_parent(listener.pid));
    children.into_iter().filter(|pid| is_worker(*pid)).find_map(identify)
}

/// The children of all threads of `pid`; `None` where the kernel does not list them (`CONFIG_PROC_CHILDREN`).
fn children_by_thread(pid: i32) -> Option<Vec<i32>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut children = Vec::new();
    let mut listed = false;
    for task in tasks.flatten() {
        // A thread that has just ended has none either.
        let Ok(list) = fs::read_to_string(task.path().join("children")) else { continue };
        listed = true;
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    listed.then_some(children)
}

/// The same from every process's own word on its parent: one file per process of the machine.
fn children_by_parent(pid: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| parent(*number) == Some(pid)).collect()
}

/// Field 4 of `/proc/<pid>/stat` (proc(5)); field 2, the name in parentheses, may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn is_worker(pid: i32) -> bool {
    // The name is that of the main thread, which a program may change.
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_ascii_end() == WORKER.as_bytes()
        || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|args| is_command(&args))
}

/// Whether a command line, its words each followed by a NUL, is a Worker's: `bin/Runner.Worker`, or that program given
/// to another one (`dotnet bin/Runner.Worker.dll`, `sh bin/Runner.Worker`).
fn is_command(args: &[u8]) -> bool {
    args.split(|byte| *byte == 0).take(2).any(|word| {
        let name = Path::new(OsStr::from_bytes(word)).file_name().unwrap_or_default();
        name == WORKER || name.as_bytes().strip_suffix(b".dll") == Some(WORKER.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// A listener that starts a Worker for each line it reads, and ends it on the next.
    struct Listener {
        child: Child,
        _folder: tempfile::TempDir,
    }

    impl Listener {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let worker = folder.path().join(WORKER);
            fs::write(&worker, "#!/bin/sh\nwhile sleep 0.05; do :; done\n").unwrap();
            fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
            let text = "while read _; do \"$0\" & worker=$!; read _; kill $worker; wait; done";
            let mut command = Command::new("sh");
            let child = command.args(["-c", text]).arg(worker).stdin(Stdio::piped()).spawn().unwrap();
            Self { child, _folder: folder }
        }

        fn id(&self) -> RunnerId {
            identify(i32::try_from(self.child.id()).unwrap()).unwrap()
        }

        fn next(&self) {
            self.child.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            // Its Worker, if there is one, ends with the input; then itself.
            drop(self.child.stdin.take());
            let _ended = self.child.wait();
        }
    }

    fn wait_for(what: &str, fact: impl Fn() -> bool) {
        let began = Instant::now();
        while !fact() {
            assert!(began.elapsed() < Duration::from_secs(10), "timed out: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_worker_is_seen_while_it_runs() {
        let listener = Listener::start();
        let id = listener.id();
        assert!(!has_worker(id));
        listener.next();
        wait_for("a Worker", || has_worker(id));
        let worker = find(id).unwrap();
        assert!(children_by_thread(id.pid).is_none_or(|pids| pids == [worker.pid]), "where the kernel lists them");
        assert_eq!(children_by_parent(id.pid), [worker.pid]);
        assert!(!has_worker(RunnerId { start_ticks: id.start_ticks + 1, ..id }), "another process of that number");
        listener.next();
        wait_for("no Worker", || !has_worker(id));
    }

    #[tokio::test]
    async fn changes_are_told_until_the_listener_is_gone() {
        let mut listener = Listener::start();
        let id = listener.id();
        let told = RefCell::new(Vec::new());
        // Each word heard leads to the next thing to happen.
        let watched = watch_worker(id, Duration::from_millis(10), |word| {
            told.borrow_mut().push(word);
            if told.borrow().len() < 5 {
                listener.next();
            } else {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(id.pid), nix::sys::signal::Signal::SIGKILL).unwrap();
            }
        });
        let waited = tokio::time::timeout(Duration::from_secs(20), watched).await;
        assert!(waited.is_ok(), "timed out: told {told:?}");
        assert_eq!(*told.borrow(), [false, true, false, true, false]);
        listener.child.wait().unwrap();
    }

    #[test]
    fn command_lines_of_workers_are_known() {
        for worker in [
            &b"/opt/r/bin/Runner.Worker\0spawnclient\0"[..],
            b"dotnet\0bin/Runner.Worker.dll\0",
            b"/bin/sh\0Runner.Worker\0x\0",
        ] {
            assert!(is_command(worker), "{}", String::from_utf8_lossy(worker));
        }
        for other in
            [&b""[..], b"/opt/r/bin/Runner.Listener\0run\0", b"vi\0-R\0bin/Runner.Worker\0", b"Runner.Worker2\0"]
        {
            assert!(!is_command(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
