//! Reads the runner's files into memory while the agent waits for the registration.
//!
//! A volume made from a snapshot fetches each block from S3 when it is first touched: slow one by one, fast in
//! parallel. So a few idle-priority threads open the files, and the kernel is told to fetch them whole. `bin/` comes
//! first: the listener needs it, `externals/` is for later steps.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tracing::debug;

/// Opening a file waits for the disk, so this many are opened at a time.
const THREADS: usize = 8;

/// A reading that goes on until it is done or [`ReadAhead::stop`] is called.
#[derive(Clone, Debug, Default)]
pub struct ReadAhead {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    files: AtomicUsize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Folders and files still to be read.
    paths: VecDeque<PathBuf>,
    /// How many threads are at one, and may yet add to them.
    busy: usize,
}

impl ReadAhead {
    /// Begins to read the runner in `directory`.
    pub fn start(&self, directory: &Path) {
        self.queue().paths.extend(["bin", "externals"].map(|folder| directory.join(folder)));
        for number in 0..THREADS {
            let this = self.clone();
            let spawned = thread::Builder::new().name(format!("read-ahead-{number}")).spawn(move || this.work());
            if let Err(error) = spawned {
                debug!(%error, "Reading ahead with fewer threads");
            }
        }
    }

    /// Ends the reading after the files that are being opened.
    pub fn stop(&self) {
        if !self.shared.stop.swap(true, Ordering::Relaxed) {
            debug!(files = self.shared.files.load(Ordering::Relaxed), "Reading ahead is over");
        }
    }

    /// How many files were read so far.
    #[must_use]
    pub fn files(&self) -> usize {
        self.shared.files.load(Ordering::Relaxed)
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let queue = self.queue();
        queue.paths.is_empty() && queue.busy == 0
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A list of paths can't be left half done.
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        idle_priority();
        while let Some(path) = self.next() {
            let found = self.read(&path);
            let mut queue = self.queue();
            queue.paths.extend(found);
            queue.busy -= 1;
            drop(queue);
            self.shared.changed.notify_all();
        }
    }

    /// The next path, once there is one; `None` when the reading is over.
    fn next(&self) -> Option<PathBuf> {
        let mut queue = self.queue();
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(path) = queue.paths.pop_front() {
                queue.busy += 1;
                return Some(path);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads a file, or answers what is in a folder. Links are not followed: what they name is read by its own name.
    fn read(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(metadata) = fs::symlink_metadata(path) else { return vec![] };
        if metadata.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten();
            return entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        }
        if metadata.is_file()
            && let Ok(file) = File::open(path)
        {
            // Length 0 is the whole file. The reading goes on in the kernel after the file is closed.
            let _unadvised = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
            self.shared.files.fetch_add(1, Ordering::Relaxed);
        }
        vec![]
    }
}

/// This thread shall run only where nothing else wants to.
fn idle_priority() {
    // SAFETY: sched_param is a plain structure of integers, for which zero is a value.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live structure that is only read; 0 means this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !fact() {
            assert!(Instant::now() < deadline, "timed out waiting for {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn all_files_of_the_runner_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["bin/a", "bin/deep/b", "externals/node/c", "_work/not-this"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("/", folder.path().join("bin/root")).unwrap();
        let read_ahead = ReadAhead::default();
        read_ahead.start(folder.path());
        wait_for("the reading's end", || read_ahead.is_done());
        assert_eq!(read_ahead.files(), 3);
    }

    #[test]
    fn it_stops_when_told_and_needs_no_runner() {
        let read_ahead = ReadAhead::default();
        read_ahead.stop();
        read_ahead.start(Path::new("/usr"));
        assert_eq!(read_ahead.files(), 0);
        let read_ahead = ReadAhead::default();
        read_ahead.start(Path::new("/nonexistent"));
        wait_for("the reading's end", || read_ahead.is_done());
    }
}
