//! Whether the disk has room for a runner.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

const MIB: u64 = 1024 * 1024;

/// Bytes that must be free before files of `unpacked` bytes are written: folders and half-filled blocks take 5 %, and
/// the machine needs some to live.
#[must_use]
pub(super) fn needed(unpacked: u64) -> u64 {
    unpacked.saturating_add(unpacked / 20).saturating_add(64 * MIB)
}

/// Bytes that anyone may still write to the disk of `path`.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let disk = statvfs(path)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Bytes as whole MiB, rounded up, for people.
pub(super) const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_is_kept_free() {
        assert_eq!(needed(0), 64 * MIB);
        assert_eq!(needed(100 * MIB), (100 + 5 + 64) * MIB);
        assert_eq!(needed(u64::MAX), u64::MAX);
        assert_eq!([mib(0), mib(1), mib(MIB), mib(MIB + 1)], [0, 1, 1, 2]);
    }

    #[test]
    fn this_disk_has_some_and_no_disk_has_none() {
        assert!(free(Path::new("/tmp")).unwrap() > 0);
        assert_eq!(free(Path::new("/proc")).unwrap(), 0);
        assert!(free(Path::new("/nonexistent")).is_err());
    }
}
