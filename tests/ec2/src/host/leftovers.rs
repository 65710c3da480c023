//! Takes away what a host had, and tells what is left of it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup;
use crate::machine::{Kind, Room, find_strays, kill_strays, remove_folder};
use crate::world;

/// A file that marks a folder as a host's own, so that none is emptied by mistake.
const MARK: &str = ".laptop-ec2";
/// What stands for a character that parts fields or lines in `/proc/self/mounts`, see getmntent(3).
const ESCAPES: [(&str, u8); 4] = [("\\040", b' '), ("\\011", b'\t'), ("\\012", b'\n'), ("\\134", b'\\')];

/// Empties the work folder of a host that was killed.
pub(super) async fn sweep(folder: &Path) -> anyhow::Result<()> {
    let used = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if used {
        ensure!(
            folder.join(MARK).exists(),
            "work_dir: found {}, expected a folder that is new, empty or an earlier host's",
            folder.display()
        );
        let folder = folder.canonicalize()?;
        let left = kill_strays(&folder, None).await;
        ensure!(left.is_empty(), "processes {left:?} of an earlier host cannot be killed");
        unmount_below(&folder);
        remove_folder(&folder)?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(folder.join(MARK), "").with_context(|| format!("writing to {}", folder.display()))
}

/// Removes everything of a host without machines; answers what is still there.
pub(super) async fn clean_up(room: &Room) -> Vec<String> {
    let mut left = Vec::new();
    let folder = &room.folder;
    match &room.kind {
        Kind::Systemd(systemd) => {
            unmount_below(folder);
            left.extend(mounts_below(folder).into_iter().map(|mount| format!("mount {}", mount.display())));
            left.extend(cgroup::processes(&systemd.group).into_iter().map(|pid| format!("process {pid}")));
            let groups = cgroup::remove(&systemd.group, Duration::from_secs(2));
            left.extend(groups.into_iter().map(|group| format!("control group {}", group.display())));
            let networks = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
            left.extend(networks.map(|entry| format!("network {}", entry.path().display())));
            left.extend(cables().into_iter().map(|cable| format!("cable {cable}")));
        }
        Kind::Process(_) => {
            let strays = kill_strays(folder, None).await;
            left.extend(strays.into_iter().map(|pid| format!("process {pid}")));
        }
    }
    if let Err(error) = remove_folder(folder) {
        left.push(format!("folder {error:#}"));
    }
    left
}

/// Ends a host that nobody shut down, as when its runtime is dropped by a panic: no questions, no report.
pub(super) fn abandon(room: &Room) {
    if !room.folder.exists() {
        return;
    }
    for _ in 0..100 {
        let alive = match &room.kind {
            Kind::Systemd(systemd) => cgroup::processes(&systemd.group),
            Kind::Process(_) => find_strays(&room.folder, None),
        };
        if alive.is_empty() {
            break;
        }
        for pid in alive {
            // One that is gone by now is what was wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Kind::Systemd(systemd) = &room.kind {
        unmount_below(&room.folder);
        cgroup::remove(&systemd.group, Duration::from_secs(1));
    }
    // The next host sweeps what is left.
    let _ = remove_folder(&room.folder);
}

/// Network interfaces of machines. By `/proc`, as the world's `/sys` shows the network outside.
fn cables() -> Vec<String> {
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = devices.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(str::trim).filter(|name| !["lo", world::BRIDGE].contains(name)).map(str::to_owned).collect()
}

/// Mounts at or below a folder, the latest first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    below(folder, &std::fs::read("/proc/self/mounts").unwrap_or_default())
}

fn below(folder: &Path, mounts: &[u8]) -> Vec<PathBuf> {
    let lines = mounts.split(|byte| *byte == b'\n');
    let places = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(1)).map(decoded);
    let mut found: Vec<PathBuf> = places.filter(|place| place.starts_with(folder)).collect();
    found.reverse();
    found
}

/// A path without its escapes.
fn decoded(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let escape = ESCAPES.iter().find_map(|(escape, byte)| Some((*byte, rest.strip_prefix(escape.as_bytes())?)));
        let (byte, after) = escape.unwrap_or((*first, after));
        path.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(path))
}

fn unmount_below(folder: &Path) {
    for mount in mounts_below(folder) {
        // What cannot be unmounted is listed.
        let _ = umount2(&mount, MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_folder_are_found_by_their_real_names() {
        let mounts = br"proc /proc proc rw 0 0
dayfly-disk /a\040b/i-1/disk tmpfs rw 0 0
dayfly-root /a\040b/i-1/root overlay rw,lowerdir=/a\040b/base 0 0
other /a\040bc tmpfs rw 0 0
other /a tmpfs rw 0 0
";
        assert_eq!(below(Path::new("/a b"), mounts), [Path::new("/a b/i-1/root"), Path::new("/a b/i-1/disk")]);
    }

    #[test]
    fn every_escape_is_decoded_once() {
        assert_eq!(decoded(br"/a\040b\011c\012d\134e"), Path::new("/a b\tc\nd\\e"));
        assert_eq!(decoded(br"/\134040"), Path::new(r"/\040"));
        assert_eq!(decoded(br"/\0"), Path::new(r"/\0"));
        assert_eq!(decoded(b""), Path::new(""));
    }
}
