//! Follows a file that another process appends to, line by line.
//!
//! The kernel tells of changes (inotify), so nothing runs while nothing is written. Memory is bounded: a line is kept
//! up to [`LONGEST`] bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

/// Longest part of a line that is kept. GitHub cuts job names off far below.
pub const LONGEST: usize = 8 * 1024;

/// How often to look where the kernel can't tell.
const LOOK: Duration = Duration::from_millis(200);

/// A file being followed.
#[derive(Debug)]
pub struct Follower {
    file: File,
    notices: Option<AsyncFd<Notices>>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Notices(Inotify);

impl AsRawFd for Notices {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Follower {
    /// Follows the file at `path` from its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // The watch stands before the first look, so that nothing falls in between.
        let notices = watch(path).inspect_err(|error| warn!(%error, "Looking at the output now and then")).ok();
        Ok(Self { file, notices, line: Vec::new() })
    }

    /// Waits until there may be something new. Can be dropped at any time.
    pub async fn changed(&self) {
        let Some(notices) = &self.notices else { return tokio::time::sleep(LOOK).await };
        match notices.readable().await {
            Ok(mut ready) => {
                // Which notices does not matter: each says "look again".
                while ready.get_inner().0.read_events().is_ok_and(|events| !events.is_empty()) {}
                ready.clear_ready();
            }
            Err(_shutting_down) => tokio::time::sleep(LOOK).await,
        }
    }

    /// Reads what was written until now and hands each whole line to `tell`.
    pub fn read(&mut self, mut tell: impl FnMut(&str)) -> io::Result<()> {
        // Not past what is there now: a process that never stops writing must not keep us here.
        let mut left = self.file.metadata()?.len().saturating_sub(position(&mut self.file)?);
        let mut chunk = [0; 16 * 1024];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let count = self.file.read(&mut chunk[..most])?;
            if count == 0 {
                break;
            }
            left -= count as u64;
            for &byte in &chunk[..count] {
                if byte == b'\n' {
                    tell(&String::from_utf8_lossy(&self.line));
                    self.line.clear();
                } else if self.line.len() < LONGEST {
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    /// What stands after the last line's end, as nothing will follow it.
    #[must_use]
    pub fn rest(self) -> Option<String> {
        (!self.line.is_empty()).then(|| String::from_utf8_lossy(&self.line).into_owned())
    }
}

fn position(file: &mut File) -> io::Result<u64> {
    io::Seek::stream_position(file)
}

fn watch(path: &Path) -> io::Result<AsyncFd<Notices>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
    // SAFETY: the registration owns the descriptor, so it stays open and the same until both are dropped.
    Ok(unsafe { AsyncFd::register_with_interest(Notices(inotify), Interest::READABLE) }?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        follower.read(|line| lines.push(line.to_owned())).unwrap();
        lines
    }

    #[tokio::test]
    async fn lines_come_whole_and_in_order() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "one\ntw").unwrap();
        let mut follower = Follower::open(file.path()).unwrap();
        assert_eq!(lines(&mut follower), ["one"]);
        assert_eq!(lines(&mut follower), [""; 0]);
        write!(file, "o\n\nthr\u{e9}").unwrap();
        tokio::time::timeout(Duration::from_secs(5), follower.changed()).await.expect("told of the change");
        assert_eq!(lines(&mut follower), ["two", ""]);
        assert_eq!(follower.rest(), Some("thr\u{e9}".to_owned()));
    }

    #[tokio::test]
    async fn long_lines_and_odd_bytes_are_survived() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![b'x'; 100_000]).unwrap();
        file.write_all(b"\n\xff\xfe\nend\n").unwrap();
        let mut follower = Follower::open(file.path()).unwrap();
        let lines = lines(&mut follower);
        assert_eq!(lines[0].len(), LONGEST);
        assert_eq!(lines[1], "\u{fffd}\u{fffd}");
        assert_eq!(lines[2], "end");
    }

    #[tokio::test]
    async fn nothing_written_is_nothing_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let follower = Follower::open(file.path()).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), follower.changed()).await.is_err());
        assert_eq!(follower.rest(), None);
    }
}
