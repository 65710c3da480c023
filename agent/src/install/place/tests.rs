//! Runners that take their place: beside, inside, over an old one, on a mount point, in an overlay.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::*;

const PLENTY: FreeSpace = |_| Ok(1 << 40);

fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything below `folder` that is not a folder, with its text.
fn tree(folder: &Path) -> Vec<String> {
    let mut lines = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines.extend(tree(&path).into_iter().map(|line| format!("{}/{line}", path.file_name().unwrap().display())));
        } else {
            lines.push(format!("{}={}", path.file_name().unwrap().display(), read(&path)));
        }
    }
    lines.sort();
    lines
}

/// Puts a new runner into `directory`.
fn install(directory: &Path) {
    let staging = Staging::prepare(directory, 1, PLENTY).unwrap();
    write(staging.path().join("bin/Runner.Listener"), "new");
    write(staging.path().join("externals/node24"), "new");
    write(staging.path().join("run.sh"), "new");
    write(staging.path().join(".env"), "new");
    if let Some(old) = staging.finish("2.336.0", None).unwrap() {
        remove(&old);
    }
}

const INSTALLED: [&str; 5] = [
    ".dayfly-runner.json={\"version\":\"2.336.0\"}",
    ".env=new",
    "bin/Runner.Listener=new",
    "externals/node24=new",
    "run.sh=new",
];

fn old_runner(directory: &Path) {
    for name in ["bin/Runner.Listener", "bin/old.dll", "run.sh", "externals/node16", ".dayfly-runner.json"] {
        write(directory.join(name), "old");
    }
    for name in [".env", ".path", "_work/_tool/node/x"] {
        write(directory.join(name), "mine");
    }
}

const REPLACED: [&str; 7] = [
    ".dayfly-runner.json={\"version\":\"2.336.0\"}",
    ".env=mine",
    ".path=mine",
    "_work/_tool/node/x=mine",
    "bin/Runner.Listener=new",
    "externals/node24=new",
    "run.sh=new",
];

#[test]
fn where_there_is_nothing_it_appears_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("opt/runners/actions-runner");
    install(&directory);
    assert_eq!(tree(&directory), INSTALLED);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode(&directory), mode(&folder.path().join("opt/runners"))], [0o755; 2]);
    assert_eq!(fs::read_dir(directory.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn an_empty_folder_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    assert_eq!(tree(folder.path()), INSTALLED);
    assert!(
        fs::read_dir(folder.path()).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .display()
            .to_string()
            .contains("dayfly-new"))
    );
}

#[test]
fn an_old_runner_is_replaced_and_what_is_not_its_own_stays() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("disk/runner");
    old_runner(&directory);
    let link = folder.path().join("actions-runner");
    std::os::unix::fs::symlink(&directory, &link).unwrap();
    install(&link);
    assert!(link.is_symlink(), "the link to another disk is still one");
    assert_eq!(tree(&directory), REPLACED);
}

#[test]
fn leftovers_go_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("r");
    for name in ["r.new-12-0/x", "r.new-mine/x", "r.new-1/x", "other.new-1-1/x"] {
        write(folder.path().join(name), "");
    }
    Staging::prepare(&directory, 1, PLENTY).unwrap().remove();
    assert_eq!(tree(folder.path()), ["other.new-1-1/x=", "r.new-1/x=", "r.new-mine/x="]);
    for name in [".dayfly-new-7-1/x", ".dayfly-old-7-2/x", ".dayfly-old-x/x"] {
        write(directory.join(name), "");
    }
    Staging::prepare(&directory, 1, PLENTY).unwrap().remove();
    assert_eq!(tree(&directory), [".dayfly-old-x/x="]);
}

#[test]
fn a_full_disk_is_told_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runner");
    let error = Staging::prepare(&directory, 900 << 20, |_| Ok(100 << 20)).unwrap_err();
    let place = folder.path().display();
    let expected = format!("runner.directory: installing needs 900 MiB free on the disk of {place}, which has 100 MiB");
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_version_in_the_archive_is_not_believed_or_followed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runner");
    let staging = Staging::prepare(&directory, 1, PLENTY).unwrap();
    std::os::unix::fs::symlink("victim", staging.path().join(MARKER)).unwrap();
    write(staging.path().join("victim"), "whole");
    staging.finish("2.1.0", None).unwrap();
    assert_eq!(tree(&directory), [".dayfly-runner.json={\"version\":\"2.1.0\"}", "victim=whole"]);
}

/// Runs `test` on a thread with mounts of its own, which end with it. Only root may mount.
fn with_mounts(test: impl FnOnce(&TempDir) + Send) {
    if !geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
            test(&folder);
        });
    });
}

#[test]
fn a_mount_point_is_filled() {
    with_mounts(|folder| {
        let directory = folder.path().join("runner");
        fs::create_dir(&directory).unwrap();
        mount(Some("none"), &directory, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        install(&directory);
        assert_eq!(tree(&directory), INSTALLED);
        install(&directory);
        assert_eq!(tree(&directory), INSTALLED);
    });
}

#[test]
fn an_old_runner_of_the_image_is_replaced_in_an_overlay() {
    with_mounts(|folder| {
        // An overlay's upper folder may not be on another overlay.
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        mount(Some("none"), &disk, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| disk.join(name));
        for path in [&upper, &work, &merged] {
            fs::create_dir(path).unwrap();
        }
        old_runner(&lower.join("opt/runner"));
        let data = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        mount(Some("none"), &merged, Some("overlay"), MsFlags::empty(), Some(data.as_str())).unwrap();
        install(&merged.join("opt/runner"));
        assert_eq!(tree(&merged.join("opt/runner")), REPLACED);
    });
}

#[test]
fn there_is_no_listener_where_it_stops_half_way() {
    with_mounts(|folder| {
        old_runner(folder.path());
        let stuck = folder.path().join("externals");
        mount(Some("none"), &stuck, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let staging = Staging::prepare(folder.path(), 1, PLENTY).unwrap();
        write(staging.path().join("bin/Runner.Listener"), "new");
        write(staging.path().join("externals/x"), "new");
        let error = staging.finish("2.336.0", None).unwrap_err().to_string();
        assert!(error.starts_with("moving the new runner to "), "{error}");
        assert!(!folder.path().join("bin").exists());
    });
}
