//! A log file that never grows beyond its size and never holds the agent up.
//!
//! A thread of its own writes it (`tracing-appender`), fed through a buffer of limited length: on a disk that is slow or
//! full lines are lost, counted, and told about at the end; the journal has them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// How large the file may grow before it becomes `<name>.1`, and the one that had that name goes.
const CAP: u64 = 8 << 20;
/// The most lines that wait to be written. The buffer's own slots are made at once, so few: about 40 KiB.
const WAITING: usize = 1024;
/// How long the end of the agent waits for the file.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file, as long as lines are written to it. When dropped it waits a moment for those on their way.
#[derive(Debug)]
#[must_use = "lines that are not written yet are lost without it"]
pub struct LogFile {
    path: PathBuf,
    counts: Arc<Counts>,
    overflown: ErrorCounter,
    worker: Option<WorkerGuard>,
}

/// What is written to the file, line by line.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    channel: NonBlocking,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    handed: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
}

impl LogFile {
    /// The file at `path`, which is gone on with where it is there; its folder is made where that is missing.
    pub(super) fn open(path: &Path) -> io::Result<(Lines, Self)> {
        Self::with_cap(path, CAP)
    }

    fn with_cap(path: &Path, cap: u64) -> io::Result<(Lines, Self)> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        }
        let counts = Arc::new(Counts::default());
        let rolling = Rolling::open(path, cap, Arc::clone(&counts))?;
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("log");
        let (channel, worker) = builder.finish(rolling);
        let overflown = channel.error_counter();
        let lines = Lines { channel, counts: Arc::clone(&counts) };
        Ok((lines, Self { path: path.to_owned(), counts, overflown, worker: Some(worker) }))
    }

    /// Waits until all lines are written or lost, for up to `limit`; whether they are. For tests and the end, as it
    /// holds its thread up.
    #[must_use]
    pub fn settle(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.on_their_way() > 0 {
            if Instant::now() >= end {
                return false;
            }
            // The writer tells nobody how far it is.
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.failed.load(Ordering::Acquire) + self.overflown.dropped_lines() as u64
    }

    fn on_their_way(&self) -> u64 {
        let done = self.lost() + self.counts.written.load(Ordering::Acquire);
        self.counts.handed.load(Ordering::Acquire).saturating_sub(done)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        let lost = self.lost();
        if lost > 0 {
            warn!(lines = lost, path = %self.path.display(), "The log file misses {lost} lines, which the journal has");
        }
        if !self.settle(PATIENCE)
            && let Some(worker) = self.worker.take()
        {
            // Its drop would wait for longer, and print to a standard output that may be gone.
            std::mem::forget(worker);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.handed.fetch_add(1, Ordering::AcqRel);
        self.channel.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes to a file and begins it anew when it is full. Never fails: what it can't write it counts, as the thread that
/// writes has nobody to tell.
#[derive(Debug)]
struct Rolling {
    path: PathBuf,
    cap: u64,
    file: File,
    size: u64,
    counts: Arc<Counts>,
}

impl Rolling {
    fn open(path: &Path, cap: u64, counts: Arc<Counts>) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), cap, file, size, counts })
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.cap {
            self.roll()?;
        }
        if let Err(error) = self.file.write_all(line) {
            // A part of the line may stand there, and the next would go on with it.
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += length;
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        match fs::rename(&self.path, old) {
            // Of an earlier try, which could not make the new one.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for Rolling {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let count = if self.put(line).is_ok() { &self.counts.written } else { &self.counts.failed };
        count.fetch_add(1, Ordering::AcqRel);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(lines: &mut Lines, texts: &[&str]) {
        for text in texts {
            lines.write_all(format!("{text}\n").as_bytes()).unwrap();
        }
    }

    #[test]
    fn lines_are_written_and_an_earlier_file_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody is waited for longer than half a second: on a busy machine a try may lose lines, and not all of them do.
        let written = (0..10).map(|nth| folder.path().join(format!("log-{nth}/agent.log"))).find(|path| {
            for texts in [["one", "two"], ["three", "four"]] {
                let (mut lines, file) = LogFile::open(path).unwrap();
                write(&mut lines, &texts);
                drop(file);
            }
            fs::read_to_string(path).unwrap() == "one\ntwo\nthree\nfour\n"
        });
        let path = written.expect("lines that are on their way when it is dropped are written");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path) & !0o640, 0);
        assert_eq!(mode(path.parent().unwrap()) & !0o750, 0);
    }

    #[test]
    fn the_file_stays_within_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        let (mut lines, file) = LogFile::with_cap(&path, 10).unwrap();
        write(&mut lines, &["aaaa", "bbbb", "cccc", "dddd", "eeee", "longer than the whole file", "ffff"]);
        assert!(file.settle(Duration::from_secs(10)));
        let old = folder.path().join("agent.log.1");
        assert_eq!(fs::read_to_string(&path).unwrap(), "ffff\n");
        assert_eq!(fs::read_to_string(old).unwrap(), "longer than the whole file\n");
        assert_eq!(file.lost(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_full_disk_costs_lines_and_no_more() {
        // Each write to it fails with ENOSPC.
        let (mut lines, file) = LogFile::open(Path::new("/dev/full")).unwrap();
        write(&mut lines, &["one", "two"]);
        assert!(file.settle(Duration::from_secs(10)));
        assert_eq!(file.lost(), 2);
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        // A pipe that nobody reads: open to write by being open to read as well.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (mut lines, file) = LogFile::open(&path).unwrap();
        let line = "x".repeat(1000);
        let began = Instant::now();
        for _ in 0..WAITING + 200 {
            write(&mut lines, &[&line]);
        }
        assert!(file.lost() > 0);
        assert!(!file.settle(Duration::from_millis(50)));
        drop(file);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        drop(reader);
    }

    #[test]
    fn a_place_that_can_not_be_is_an_error() {
        assert!(LogFile::open(Path::new("/proc/dayfly/agent.log")).is_err());
    }
}
