//! The tarball and the folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::Command,
};

use flate2::read::GzDecoder;
use nix::sys::signal::Signal;

use crate::world::{EXE, World};

fn standin(args: &[&str]) -> std::process::Output {
    Command::new(EXE).args(args).output().unwrap()
}

/// Every path below `dir` with its mode, relative.
fn listing(dir: &Path) -> BTreeMap<String, u32> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            let path = entry.path();
            found.insert(path.strip_prefix(dir).unwrap().display().to_string(), meta.permissions().mode() & 0o777);
            if meta.is_dir() {
                dirs.push(path);
            }
        }
    }
    found
}

#[test]
fn the_tarball_unpacks_to_what_install_writes_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let packed = standin(&["pack", "--to", &path("r.tar.gz")]);
    assert!(packed.status.success(), "{packed:?}");
    assert!(standin(&["install", "--to", &path("installed")]).status.success());
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path("r.tar.gz")).unwrap()));
    archive.unpack(path("unpacked")).unwrap();
    let tree = listing(Path::new(&path("unpacked")));
    assert_eq!(tree, listing(Path::new(&path("installed"))));
    let must = [
        "bin/Runner.Listener",
        "bin/Runner.Worker",
        "config.sh",
        "env.sh",
        "externals/node20/bin/node",
        "externals/node24/bin/node",
        "run-helper.sh.template",
        "run.sh",
        "safe_sleep.sh",
    ];
    for name in must {
        assert_eq!(tree.get(name), Some(&0o755), "{name}");
    }
    for root in ["unpacked", "installed"] {
        let version = Command::new(path(root) + "/bin/Runner.Listener").arg("--version").output().unwrap();
        assert_eq!(version.stdout, b"2.336.0\n");
    }
    assert!(packed.stdout.starts_with(path("r.tar.gz").as_bytes()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "a part file is left");
}

#[test]
fn paths_begin_as_in_the_real_release() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("r.tar.gz");
    assert!(standin(&["pack", "--to", to.to_str().unwrap()]).status.success());
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(to).unwrap()));
    let paths: Vec<Vec<u8>> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned()).collect();
    assert_eq!(paths[0], b"./");
    assert!(paths.iter().all(|path| path.starts_with(b"./")));
}

#[test]
fn install_replaces_a_running_program() {
    let world = World::new().configured();
    let mut runner = world.run().listening();
    assert!(standin(&["install", "--to", world.root().to_str().unwrap()]).status.success());
    assert!(world.file(".runner").exists(), "what else is there stays");
    runner.signal(Signal::SIGINT);
    assert_eq!(runner.code(), 0);
}

#[test]
fn mistakes_are_told_with_code_2() {
    for (args, says) in [
        (&["pack"][..], "--to is missing"),
        (&["pack", "--to", "/tmp/x", "--seed", "many"], "--seed is \"many\""),
        (&["install", "--full", "--to", "/tmp/x"], "unknown argument \"--full\""),
        (&["fly", "--to", "/tmp/x"], "unknown command \"fly\""),
        (&["pack", "--to", "/nowhere/r.tar.gz"], "creating /nowhere/r.tar.gz.part"),
    ] {
        let output = standin(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(says), "{told}");
    }
}
