//! Archives as they should be, and as nobody should have made them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{getegid, geteuid};
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::errors::chain;

/// A tar archive with whatever in it.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: EntryType, name: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, content.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", 0o755, b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    fn hard(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    fn pax(self, attributes: &[(&str, &str)]) -> Self {
        let line = |(key, value): &(&str, &str)| {
            let rest = format!(" {key}={value}\n");
            // The length counts itself.
            let length =
                (rest.len()..rest.len() + 20).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
            format!("{length}{rest}")
        };
        let content: String = attributes.iter().map(line).collect();
        self.entry(EntryType::XHeader, "pax", "", 0o644, content.as_bytes())
    }

    fn unpack_under(mut self, limits: Limits) -> (TempDir, Result<Unpacked, UnpackError>) {
        self.0.extend([0; 1024]);
        let folder = tempfile::tempdir().unwrap();
        let root = File::open(folder.path()).unwrap().into();
        let result = unpack(self.0.as_slice(), root, None, limits);
        (folder, result)
    }

    fn unpack(self) -> (TempDir, Unpacked) {
        let (folder, result) = self.unpack_under(Limits::of(1_000_000));
        (folder, result.unwrap())
    }

    /// The error, and that nothing was made but what came before.
    fn refused(self) -> String {
        let (folder, result) = self.unpack_under(Limits::of(1_000_000));
        let outside = folder.path().parent().unwrap().join("outside");
        assert!(!outside.exists(), "{}", outside.display());
        chain(&result.unwrap_err())
    }
}

#[test]
fn files_folders_and_links_are_made() {
    let long = format!("lib/{}/x.js", "long".repeat(40));
    let (folder, unpacked) = Tar::default()
        .folder("./")
        .folder("./bin/")
        .entry(EntryType::Regular, "./bin/Runner.Listener", "", 0o755, b"program")
        .link("./bin/link", "../lib/a.js")
        .hard("./bin/hard", "./bin/Runner.Listener")
        .file("lib/a.js", "a")
        .entry(EntryType::Directory, "lib/", "", 0o500, b"")
        .entry(EntryType::GNULongName, "././@LongLink", "", 0o644, format!("{long}\0").as_bytes())
        .file("cut", "long")
        .pax(&[("path", "pax/ä"), ("mtime", "1.5"), ("size", "3")])
        .file("cut", "pax")
        .entry(EntryType::XGlobalHeader, "comment", "", 0o644, b"18 comment=nothing\n")
        .file("empty", "")
        .unpack();
    assert_eq!(unpacked, Unpacked { files: 7, bytes: 7 + 1 + 4 + 3 });
    let path = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::symlink_metadata(path(name)).unwrap().mode() & 0o7777;
    assert_eq!(fs::read(path("bin/hard")).unwrap(), b"program");
    assert_eq!(fs::read(path("bin/link")).unwrap(), b"a");
    assert_eq!(fs::read(path(&long)).unwrap(), b"long");
    assert_eq!(fs::read(path("pax/ä")).unwrap(), b"pax");
    assert_eq!(fs::read(path("empty")).unwrap(), b"");
    assert_eq!([mode("bin/Runner.Listener"), mode("lib/a.js"), mode("bin")], [0o755, 0o644, 0o755]);
    assert_eq!([mode("lib"), mode("pax")], [0o700, 0o755], "its owner can always fill it");
}

#[test]
fn everything_belongs_to_its_owner() {
    let owner = if geteuid().is_root() { (Uid::from_raw(4242), Gid::from_raw(4343)) } else { (geteuid(), getegid()) };
    let folder = tempfile::tempdir().unwrap();
    let tar = Tar::default().folder("a").file("a/f", "f").link("a/l", "f").file("b/c/g", "g");
    unpack(tar.0.as_slice(), File::open(folder.path()).unwrap().into(), Some(owner), Limits::of(100)).unwrap();
    for name in ["a", "a/f", "a/l", "b", "b/c", "b/c/g"] {
        let metadata = fs::symlink_metadata(folder.path().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (owner.0.as_raw(), owner.1.as_raw()), "{name}");
    }
}

#[test]
fn what_leaves_the_folder_is_refused() {
    let tar = Tar::default;
    assert_eq!(tar().file("/tmp/outside", "x").refused(), "entry \"/tmp/outside\" is refused: its path is absolute");
    assert_eq!(
        tar().file("a/../../outside", "").refused(),
        "entry \"a/../../outside\" is refused: its path has .. in it"
    );
    assert!(tar().folder("../outside").refused().contains("its path has .. in it"));
    assert!(tar().pax(&[("path", "../outside")]).file("a", "").refused().contains("its path has .. in it"));
    let long = tar().entry(EntryType::GNULongName, "l", "", 0, b"../outside\0").file("a", "");
    assert!(long.refused().contains("its path has .. in it"));
    assert!(tar().link("a", "/etc").refused().contains("symbolic link out of the folder"));
    assert!(tar().link("a", "../outside").refused().contains("symbolic link out of the folder"));
    assert!(tar().link("up", ".").link("b", "up/..").refused().contains("symbolic link out of the folder"));
    assert!(tar().pax(&[("linkpath", "/etc")]).link("a", "b").refused().contains("symbolic link out of the folder"));
    assert!(tar().hard("a", "/etc/passwd").refused().contains("hard link out of the folder"));
    assert!(tar().hard("a", "../x").refused().contains("hard link out of the folder"));
    assert!(tar().hard("a", "etc/passwd").refused().contains("hard link to nothing"));
    assert!(tar().hard("a", "nothing").refused().contains("writing entry \"a\""));
}

#[test]
fn nothing_is_written_through_a_link() {
    let inside = || Tar::default().folder("real").link("link", "real");
    let another = "there is another entry of that name";
    assert!(inside().file("link/x", "x").refused().contains(another));
    assert!(inside().folder("link").refused().contains(another));
    assert!(inside().folder("link/x").refused().contains(another));
    assert!(inside().file("link", "x").refused().contains(another));
    assert!(inside().link("link/x", "y").refused().contains(another));
    assert!(inside().hard("link/x", "real").refused().contains(another));
    assert!(inside().file("real/x", "x").hard("y", "link/x").refused().contains("hard link to nothing"));
    assert!(Tar::default().file("x", "1").file("x", "2").refused().contains(another));
    assert!(Tar::default().file("x", "1").file("x/y", "2").refused().contains(another));
}

#[test]
fn what_no_release_has_is_refused() {
    let one = |kind, mode| Tar::default().entry(kind, "x", "y", mode, b"").refused();
    assert!(one(EntryType::Char, 0o644).ends_with("\"x\" is refused: it is a device"));
    assert!(one(EntryType::Block, 0o644).contains("device"));
    assert!(one(EntryType::Fifo, 0o644).contains("fifo"));
    assert!(one(EntryType::GNUSparse, 0o644).contains("sparse"));
    assert!(one(EntryType::new(b'Z'), 0o644).contains("neither file, folder nor link"));
    for bit in [0o4000, 0o2000, 0o1000] {
        assert!(one(EntryType::Regular, bit | 0o755).contains("setuid, setgid or sticky bit"));
        assert!(one(EntryType::Directory, bit | 0o755).contains("setuid, setgid or sticky bit"));
    }
    assert!(Tar::default().pax(&[("GNU.sparse.major", "1")]).file("x", "").refused().contains("sparse"));
    assert!(Tar::default().pax(&[("size", "2")]).file("x", "1").refused().contains("two sizes"));
    assert!(Tar::default().pax(&[("size", "-1")]).file("x", "1").refused().contains("no number"));
    assert!(Tar::default().file(".", "1").refused().contains("it has no name"));
    let long = vec![b'x'; 70_000];
    let tar = Tar::default().entry(EntryType::GNULongName, "l", "", 0, &long).file("x", "");
    assert!(tar.refused().contains("longer than 64 KiB"));
    let name = "\u{1b}[31mred";
    assert!(
        Tar::default().entry(EntryType::Fifo, name, "", 0, b"").refused().contains("\\u{1b}"),
        "no control characters"
    );
}

#[test]
fn more_than_there_should_be_is_refused() {
    let limits = Limits { bytes: 10, entries: 3 };
    let told = |tar: Tar| chain(&tar.unpack_under(limits).1.unwrap_err());
    assert!(Tar::default().file("a", "12345").file("b", "12345").file("c", "").unpack_under(limits).1.is_ok());
    assert_eq!(
        told(Tar::default().file("a", "123456").file("b", "12345")),
        "it holds more than 10 bytes, by its release"
    );
    let four = ["a", "b", "c", "d"].iter().fold(Tar::default(), |tar, name| tar.folder(name));
    assert_eq!(told(four), "it holds more than 3 entries, by its release");
    let mut behind = Tar::default().file("a", "");
    behind.0.extend(vec![0; 2 * 1024 * 1024]);
    assert!(told(behind).contains("bytes behind its end"));
    // Told before it is read.
    let mut header = Header::new_gnu();
    header.set_path("a").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    assert!(told(Tar(header.as_bytes().to_vec())).contains("more than 10 bytes"));
}

#[test]
fn a_damaged_archive_is_told_from_a_forbidden_one() {
    let whole = Tar::default().file("a", "12345");
    for bytes in [&whole.0[..700], &whole.0[..300], &[b'x'; 1024]] {
        let folder = tempfile::tempdir().unwrap();
        let result = unpack(bytes, File::open(folder.path()).unwrap().into(), None, Limits::of(100));
        assert!(matches!(result, Err(UnpackError::Unreadable(_))), "{result:?}");
    }
}
