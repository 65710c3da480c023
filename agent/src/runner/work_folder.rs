//! The folder in which jobs work.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use tracing::{info, warn};

use super::account::Account;

/// The work folder `folder` of the runner in `directory`: absolute, or below `directory`.
///
/// It is made where it is missing, and given to `account` where it is not its own, such as the root of a volume that has
/// just been formatted; what is in it stays as it is. Folders on the way that are missing are made too: the runner's own
/// directory's for `account`, others for root. To be called before the first job: afterwards jobs may have moved what is
/// on the way.
pub fn prepare(directory: &Path, folder: &str, account: &Account) -> io::Result<PathBuf> {
    let relative = Path::new(folder);
    if relative.components().any(|part| part == Component::ParentDir) {
        let told = format!("runner.work_folder: found \"{folder}\", expected a path without ..");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    // An absolute one takes the directory's place.
    let path = directory.join(relative);
    let inside = path.starts_with(directory);
    let told = |error: io::Error| io::Error::new(error.kind(), format!("work folder {}: {error}", path.display()));
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| fs::symlink_metadata(folder).is_err()).collect();
    for folder in missing.into_iter().rev() {
        make(folder, (inside || folder == path).then_some(account)).map_err(told)?;
    }
    own(&path, account).map_err(told)?;
    Ok(path)
}

fn make(folder: &Path, account: Option<&Account>) -> io::Result<()> {
    // The agent's umask takes bits away, so they are set below.
    DirBuilder::new().mode(0o755).create(folder)?;
    let opened = open(folder)?;
    opened.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    match account.filter(|account| account.switch) {
        Some(account) => fchown(&opened, Some(account.uid.as_raw()), Some(account.gid.as_raw())),
        None => Ok(()),
    }
}

fn own(path: &Path, account: &Account) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        // Whoever put it there has chosen its target, and the target's owner.
        info!(path = %path.display(), "The work folder is a link and stays as it is");
        return Ok(());
    }
    let folder = open(path)?;
    let owner = folder.metadata()?.uid();
    if owner == account.uid.as_raw() {
        return Ok(());
    }
    if !account.switch {
        warn!(path = %path.display(), owner, "The work folder is another user's");
        return Ok(());
    }
    fchown(&folder, Some(account.uid.as_raw()), Some(account.gid.as_raw()))
}

/// Opens a folder, and nothing else that has come in its place.
fn open(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_below_the_runner_or_where_the_config_says() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("runner");
        fs::create_dir(&directory).unwrap();
        let me = Account::for_tests();
        let deep = folder.path().join("mnt/deep/work");
        for (asked, path) in [("_work", directory.join("_work")), ("a/b/", directory.join("a/b"))] {
            assert_eq!(prepare(&directory, asked, &me).unwrap(), path);
            assert!(path.is_dir());
        }
        assert_eq!(prepare(&directory, deep.to_str().unwrap(), &me).unwrap(), deep);
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o755);
        fs::write(deep.join("kept"), "").unwrap();
        prepare(&directory, deep.to_str().unwrap(), &me).unwrap();
        assert!(deep.join("kept").exists());
    }

    #[test]
    fn a_link_stays_and_a_file_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let me = Account::for_tests();
        let before = fs::metadata("/etc").unwrap().uid();
        prepare(folder.path(), "link", &me).unwrap();
        assert_eq!(fs::metadata("/etc").unwrap().uid(), before);
        let error = prepare(folder.path(), "file", &me).unwrap_err().to_string();
        assert!(error.contains("file: Not a directory"), "{error}");
        let error = prepare(folder.path(), "../x", &me).unwrap_err().to_string();
        assert_eq!(error, "runner.work_folder: found \"../x\", expected a path without ..");
    }
}
