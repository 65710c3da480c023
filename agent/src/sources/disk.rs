//! Watches how much room is left on the disks: a job on a full one fails in odd ways, and so does the next.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::sync::mpsc::unbounded_channel;
use tracing::warn;

/// The room on a disk has become too little, or enough again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskNews {
    /// The path that was watched.
    pub path: PathBuf,
    /// Room for ordinary users on the file system that it is on, in MiB.
    pub free_mib: u64,
    /// Whether that is too little.
    pub is_low: bool,
}

/// Looks at the file systems of `paths` each time `every` has passed, for ever. Tells when the room on one falls below
/// `floor_mib`, and when it is well above it again.
pub async fn watch_disk(paths: Vec<PathBuf>, floor_mib: u64, every: Duration, tell: impl Fn(DiskNews)) {
    // On a thread of its own, as a job may have mounted something in there that does not answer. One for all looks: a
    // machine that has run out of process ids has no other.
    let (looks, mut rooms) = unbounded_channel();
    let watched = paths.clone();
    let looking = thread::Builder::new().name("disk".to_owned()).spawn(move || {
        while looks.send(watched.iter().map(|path| free_mib(path)).collect::<Vec<_>>()).is_ok() {
            thread::sleep(every);
        }
    });
    if let Err(error) = looking {
        return warn!(%error, "The disks are not watched");
    }
    let mut disks: Vec<Disk> = paths.into_iter().map(Disk::new).collect();
    while let Some(rooms) = rooms.recv().await {
        for (disk, room) in disks.iter_mut().zip(rooms) {
            disk.note(room, floor_mib).into_iter().for_each(&tell);
        }
    }
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    is_low: bool,
    is_unreadable: bool,
}

impl Disk {
    fn new(path: PathBuf) -> Self {
        Self { path, is_low: false, is_unreadable: false }
    }

    fn note(&mut self, free_mib: Option<u64>, floor_mib: u64) -> Option<DiskNews> {
        let Some(free_mib) = free_mib else {
            if !self.is_unreadable {
                warn!(path = %self.path.display(), "The room on this file system can't be read");
            }
            self.is_unreadable = true;
            return None;
        };
        self.is_unreadable = false;
        if is_low(self.is_low, free_mib, floor_mib) == self.is_low {
            return None;
        }
        self.is_low = !self.is_low;
        Some(DiskNews { path: self.path.clone(), free_mib, is_low: self.is_low })
    }
}

/// Whether `free_mib` is too little. What was too little must become a quarter more than the floor, so that a disk at
/// the floor is not told of again and again.
fn is_low(was_low: bool, free_mib: u64, floor_mib: u64) -> bool {
    if was_low { free_mib < floor_mib.saturating_add(floor_mib / 4) } else { free_mib < floor_mib }
}

/// The room at `path` in MiB, as `df` tells it; none where it can't be read.
fn free_mib(path: &Path) -> Option<u64> {
    // A folder that is not there yet will be on the file system of the one above it.
    let told = path.ancestors().find_map(|path| statvfs(path).ok())?;
    Some(told.blocks_available().saturating_mul(told.fragment_size()) >> 20)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_crossing_is_told_once() {
        let mut disk = Disk::new(PathBuf::from("/x"));
        let rooms = [500, 100, 99, 50, 99, 110, 124, 125, 110, 99];
        let told: Vec<(u64, bool)> = rooms
            .into_iter()
            .filter_map(|room| disk.note(Some(room), 100))
            .map(|news| (news.free_mib, news.is_low))
            .collect();
        assert_eq!(told, [(99, true), (125, false), (99, true)]);
    }

    #[test]
    fn what_can_not_be_read_changes_nothing() {
        let mut disk = Disk::new(PathBuf::from("/x"));
        assert_eq!(disk.note(None, 100), None);
        assert!(disk.is_unreadable && !disk.is_low);
        assert!(disk.note(Some(1), 100).is_some_and(|news| news.is_low));
        assert_eq!(disk.note(None, 100), None);
        assert!(disk.is_low);
    }

    #[test]
    fn a_disk_without_floor_is_never_low() {
        assert!(!is_low(false, 0, 0) && !is_low(true, 0, 0));
        assert!(is_low(true, u64::MAX - 1, u64::MAX));
    }

    #[tokio::test]
    async fn a_real_disk_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let room = free_mib(folder.path()).unwrap();
        let (sender, receiver) = mpsc::channel();
        let paths = vec![folder.path().to_owned(), folder.path().join("absent")];
        let watching = tokio::spawn(watch_disk(paths, u64::MAX, Duration::from_millis(10), move |news| {
            sender.send(news).unwrap();
        }));
        let told = tokio::task::spawn_blocking(move || receiver.recv_timeout(Duration::from_secs(20)));
        let news = told.await.unwrap().expect("told of the disk");
        watching.abort();
        assert!(news.is_low && news.path == folder.path(), "{news:?}");
        // Others write to it meanwhile.
        assert!(news.free_mib.abs_diff(room) < 1024, "{news:?} {room}");
    }
}
