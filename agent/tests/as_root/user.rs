//! Users and their folders.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use dayfly_agent::runner::account::Account;
use dayfly_agent::runner::work_folder;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

use crate::namespaces::{in_new, run};

/// In copies of the folders that the tools change, which are nobody else's.
pub fn a_missing_user_is_created() {
    let copies = tempfile::tempdir().unwrap();
    in_new(CloneFlags::CLONE_NEWNS, || {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        for folder in ["/etc", "/home", "/var/mail", "/var/log"].into_iter().filter(|folder| Path::new(folder).exists())
        {
            let copy = copies.path().join(folder.replace('/', "_"));
            fs::create_dir(&copy).unwrap();
            if folder == "/etc" {
                run("cp", &format!("-a /etc/. {}", copy.display()));
            }
            mount(Some(&copy), folder, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        }
        let account = Account::find_or_create("dayfly-new").unwrap();
        assert!(account.switch && !account.uid.is_root() && account.groups.contains(&account.gid));
        assert_eq!(account.home, Path::new("/home/dayfly-new"));
        assert_eq!(fs::metadata(&account.home).unwrap().uid(), account.uid.as_raw());
        assert!(account.shell.exists(), "{}", account.shell.display());
        assert_eq!(Account::find_or_create("dayfly-new").unwrap(), account);
        // A group that is there already becomes the new user's.
        run("groupadd", "dayfly-group");
        let account = Account::find_or_create("dayfly-group").unwrap();
        let group = nix::unistd::Group::from_gid(account.gid).unwrap().unwrap();
        assert_eq!(group.name, "dayfly-group");
    });
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains("dayfly-new"));
}

/// What is below the runner is its user's; of an absolute path the last folder only.
pub fn a_work_folder_is_given_to_the_runner() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Account::find("nobody").unwrap();
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    let path = work_folder::prepare(folder.path(), "deep/_work", &nobody).unwrap();
    assert_eq!([owner(&path), owner(path.parent().unwrap()), owner(folder.path())], [65534, 65534, 0]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    let mounted = folder.path().join("mnt/disk/work");
    let runner = folder.path().join("runner");
    work_folder::prepare(&runner, mounted.to_str().unwrap(), &nobody).unwrap();
    assert_eq!([owner(&mounted), owner(mounted.parent().unwrap())], [65534, 0]);
    // One that was there is handed over, and a link's target is not.
    fs::create_dir(folder.path().join("roots")).unwrap();
    std::os::unix::fs::symlink("roots", folder.path().join("link")).unwrap();
    work_folder::prepare(folder.path(), "link", &nobody).unwrap();
    assert_eq!(owner(&folder.path().join("roots")), 0);
    work_folder::prepare(folder.path(), "roots", &nobody).unwrap();
    assert_eq!(owner(&folder.path().join("roots")), 65534);
}
