//! From the configuration to "Listening for Jobs", and all the ways not to get there.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    server::TOKEN,
    world::{World, job, wait_for},
};

const INPUT: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
const CONFIG: [&str; 3] = [".runner", ".credentials", ".credentials_rsaparams"];

/// A text without its times: `2026-11-20 14:00:00Z: ` becomes `T: `.
fn timeless(text: &str) -> Vec<String> {
    let is_time = |line: &str| {
        line.len() > 22 && line.is_char_boundary(20) && line[..20].ends_with('Z') && line[..4].parse::<u16>().is_ok()
    };
    text.lines().map(|line| if is_time(line) { format!("T{}", &line[20..]) } else { line.to_owned() }).collect()
}

/// Runs one job that shows what it can see, and checks the whole of the contract for a runner of one job.
fn one_job(world: &World, args: &[&str], env: &[(&str, &str)]) {
    // The step's own environment, and that of its parent, the worker.
    world.queue(job(
        7,
        &["env", "tr '\\0' '\\n' < /proc/$PPID/environ; echo args: $(tr '\\0' ' ' < /proc/$PPID/cmdline)"],
    ));
    let mut runner = world.listener(args, env);
    assert_eq!(runner.code(), 0);
    let lines = [
        "",
        "√ Connected to GitHub",
        "",
        "Current runner version: '2.336.0'",
        "T: Listening for Jobs",
        "T: Running job: build",
        "T: Job build completed with result: Succeeded",
    ];
    assert_eq!(timeless(&runner.stdout()), lines);
    assert_eq!(runner.stderr(), "");
    assert_eq!(world.completed(), [("7".to_owned(), "Succeeded".to_owned())]);
    let log = world.log(7);
    assert!(log.contains("JOB_VARIABLE=from-job"), "{log}");
    assert!(log.contains("bin/Runner.Worker spawnclient"), "{log}");
    let jit = world.jit();
    for (place, text) in [("log", &log), ("diag", &world.diag()), ("stdout", &runner.stdout())] {
        assert!(!text.contains("ACTIONS_RUNNER_INPUT"), "input in {place}: {text}");
        assert!(!text.contains(&jit[..40]) && !text.contains(TOKEN), "secret in {place}: {text}");
    }
    assert!(world.diag().contains("Job completed with result: Succeeded"));
    for name in CONFIG {
        assert!(!world.file(name).exists(), "{name} stays after the one job");
    }
    world.nothing_left();
}

#[test]
fn jit_config_by_environment() {
    let world = World::new();
    let jit = world.jit();
    one_job(&world, &["run"], &[(INPUT, &jit), ("ACTIONS_RUNNER_INPUT_OTHER", "x")]);
}

#[test]
fn jit_config_by_argument() {
    let world = World::new();
    let jit = world.jit();
    one_job(&world, &["run", "--jitconfig", &jit], &[]);
}

#[test]
fn jit_config_by_files() {
    one_job(&World::new().configured(), &["run"], &[]);
}

#[test]
fn the_files_are_private() {
    let world = World::new();
    let runner = world.listener(&["run"], &[(INPUT, &world.jit())]).listening();
    for name in CONFIG {
        let mode = fs::metadata(world.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    runner.signal(Signal::SIGINT);
}

#[test]
fn without_a_configuration_it_says_so() {
    let world = World::new();
    let mut runner = world.run();
    assert_eq!(runner.code(), 1);
    assert!(runner.stderr().contains("Runner is not configured."));
}

#[test]
fn a_bad_jit_config_is_refused_and_not_shown() {
    let world = World::new();
    let mut runner = world.listener(&["run"], &[(INPUT, "c2VjcmV0IGJ1dCBiYWQ")]);
    assert_eq!(runner.code(), 1);
    assert!(runner.stderr().contains("JIT config"), "{}", runner.stderr());
    assert!(!runner.stderr().contains("c2Vj") && !runner.stderr().contains("secret"));
}

#[test]
fn deleted_before_the_start() {
    let world = World::new().configured();
    world.server.change(|seen| seen.deleted = true);
    let mut runner = world.run();
    assert_eq!(runner.code(), 1);
    assert_eq!(runner.stderr(), "The runner no longer exists on the server. Cleaning up local configuration.\n");
    assert!(CONFIG.iter().all(|name| !world.file(name).exists()));
}

#[test]
fn a_refused_token_ends_it_for_good() {
    let world = World::new().configured();
    world.server.change(|seen| seen.faults.push(("session".into(), 401, String::new(), 9)));
    let mut runner = world.run();
    assert_eq!(runner.code(), 1);
    assert!(!runner.stdout().contains("Listening"));
}

#[test]
fn a_session_conflict_has_its_own_code() {
    let world = World::new().configured();
    world.server.change(|seen| seen.session = Some(9));
    let mut runner = world.run();
    assert_eq!(runner.code(), 5);
    assert!(runner.stderr().contains("A session for this runner already exists."));
}

#[test]
fn a_session_that_becomes_free_is_taken() {
    let world = World::new().configured();
    world.server.change(|seen| seen.session = Some(9));
    let runner = world.listener(&["run"], &[("STANDIN_CONFLICT_MS", "1500")]);
    let told = || runner.stderr().contains("already exists").then_some(());
    wait_for("the conflict to be told", || runner.stderr(), told);
    world.server.change(|seen| seen.session = None);
    drop(runner.listening());
}

#[test]
fn a_refused_version_is_told_by_code_only_where_asked_for() {
    for (env, code) in [(&[][..], 1), (&[("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1")][..], 7)] {
        let world = World::new().configured();
        world.server.change(|seen| seen.faults.push(("session".into(), 426, String::new(), 1)));
        let mut runner = world.listener(&["run"], env);
        assert_eq!(runner.code(), code);
        assert!(runner.stderr().contains("is deprecated and cannot receive messages"));
    }
}

#[test]
fn an_answer_without_sense_is_worth_a_restart() {
    let world = World::new().configured();
    world.server.change(|seen| seen.faults.push(("session".into(), 200, "<html>".into(), 1)));
    let mut runner = world.run();
    assert_eq!(runner.code(), 2);
    assert!(runner.stderr().starts_with("An error occurred: "), "{}", runner.stderr());
}

#[test]
fn the_session_tells_id_and_version() {
    let world = World::new().configured();
    drop(world.run().listening());
    let bodies = world.server.seen().bodies.clone();
    assert_eq!(bodies[0], ("POST session".to_owned(), json!({"agentId": 42, "version": "2.336.0"})));
}

#[test]
fn version_and_warmup_need_no_configuration() {
    let world = World::new();
    let mut runner = world.listener(&["--version"], &[]);
    assert_eq!((runner.code(), runner.stdout()), (0, "2.336.0\n".to_owned()));
    assert_eq!(world.listener(&["warmup"], &[]).code(), 0);
    let mut runner = world.listener(&["fly"], &[]);
    assert_eq!(runner.code(), 1);
    assert!(runner.stderr().contains("'fly'"));
}
