//! `run.sh` and its helper: who may start it, and which exit codes start the listener again.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::world::World;

const ROOT: (&str, &str) = ("RUNNER_ALLOW_RUNASROOT", "1");

fn replace(path: &Path, text: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A world whose listener ends with these codes, one per start.
fn codes(codes: &str) -> World {
    let world = World::new();
    fs::write(world.file("codes"), codes).unwrap();
    fs::write(world.file("update.finished"), "").unwrap();
    replace(&world.file("safe_sleep.sh"), "#!/bin/bash\nexit 0\n");
    let listener = "#!/bin/bash\ncd \"$(dirname \"$0\")/..\"\nread -r code rest < codes\necho \"$rest\" > codes\n\
                    echo \"listener $*\"\nexit \"$code\"\n";
    replace(&world.file("bin/Runner.Listener"), listener);
    world
}

#[test]
fn root_needs_permission() {
    // As another user the scripts just run, and the listener says that nothing is configured.
    let refused = nix::unistd::geteuid().is_root();
    let world = World::new();
    for (script, words) in [("run.sh", "Must not run interactively with sudo"), ("config.sh", "Must not run with sudo")]
    {
        let mut run = world.start(script, &[], &[]);
        assert_eq!(run.code() == 1 && run.stdout().contains(words), refused, "{script}: {}", run.stdout());
    }
}

#[test]
fn codes_that_start_it_again() {
    let world = codes("2 3 4 0");
    let mut run = world.start("run.sh", &["--jitconfig", "a b"], &[ROOT]);
    assert_eq!(run.code(), 0);
    assert_eq!(run.stdout().matches("listener run --jitconfig a b\n").count(), 4, "{}", run.stdout());
    assert_eq!(run.stdout().matches("Restarting runner...").count(), 3);
    assert!(!world.file("update.finished").exists());
}

#[test]
fn codes_that_end_it() {
    for code in ["0", "1", "5", "6", "7", "42"] {
        let world = codes(code);
        let mut run = world.start("run.sh", &[], &[ROOT]);
        assert_eq!(run.code(), 0, "{code}: {}", run.stdout());
        assert_eq!(run.stdout().matches("listener run").count(), 1, "{code}: {}", run.stdout());
    }
    let world = codes("7");
    let asked = ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1");
    assert_eq!(world.start("run.sh", &[], &[ROOT, asked]).code(), 7);
}
