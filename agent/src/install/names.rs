//! What an archive may call its entries, and where its links may lead.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// `raw` as a path below the folder, without `.`; empty for the folder itself.
pub(super) fn inside(raw: &[u8]) -> Result<PathBuf, &'static str> {
    if raw.is_empty() {
        return Err("it has no name");
    }
    if raw.contains(&0) {
        return Err("its name has a NUL in it");
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(raw)).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("its path has .. in it"),
            Component::RootDir | Component::Prefix(_) => return Err("its path is absolute"),
        }
    }
    Ok(path)
}

/// Whether a symbolic link at `link`, in a real folder, leads to something below the top.
///
/// `..` may only stand at the beginning, where it leaves real folders. Behind a name it would leave whatever that name
/// is a link to. So each link leads inside whatever other links there are.
pub(super) fn leads_inside(link: &Path, target: &[u8]) -> bool {
    let depth = link.components().count().saturating_sub(1);
    let (mut ups, mut names) = (0, 0);
    if target.is_empty() || target.contains(&0) {
        return false;
    }
    for component in Path::new(OsStr::from_bytes(target)).components() {
        match component {
            Component::Normal(_) => names += 1,
            Component::CurDir => {}
            Component::ParentDir if names == 0 => ups += 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    ups <= depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside(b"./bin/x"), Ok(PathBuf::from("bin/x")));
        assert_eq!(inside(b"bin//./x/"), Ok(PathBuf::from("bin/x")));
        assert_eq!(inside(b"./"), Ok(PathBuf::new()));
        assert_eq!(inside(b"a..b/..."), Ok(PathBuf::from("a..b/...")));
        for bad in [&b"/etc/passwd"[..], b"..", b"../x", b"bin/../../x", b"bin/..", b"", b"a\0b"] {
            assert!(inside(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        let leads = |link: &str, target: &str| leads_inside(Path::new(link), target.as_bytes());
        assert!(leads("externals/node20/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"));
        assert!(leads("a", "b/c") && leads("a", "./b") && leads("a/b", "..") && leads("a/b/c", "../.."));
        assert!(!leads("a", "..") && !leads("a/b", "../..") && !leads("a/b", "../../x"));
        assert!(!leads("a", "/etc/passwd") && !leads("a", "") && !leads("a", "b\0"));
        // `x` may be a link upwards, so that `x/..` is above what it seems to be.
        assert!(!leads("deep/y", "x/.."));
    }
}
