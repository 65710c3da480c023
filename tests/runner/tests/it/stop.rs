//! Stopping: by signal, by the server, and when something does not want to.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::world::{World, job, named_job, wait_for};

const LONG: &str = "echo begun; sleep 300";

#[test]
fn an_idle_runner_stops_without_waiting_for_the_server() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let world = World::new().configured();
        let mut runner = world.run().listening();
        let asked = Instant::now();
        runner.signal(signal);
        assert_eq!(runner.code(), 0);
        assert!(asked.elapsed() < Duration::from_secs(10), "it waits for the server: {:?}", asked.elapsed());
        assert_eq!(world.server.seen().session, None, "the session is deleted");
        assert!(world.file(".runner").exists());
        assert_eq!(runner.stderr(), "");
    }
}

#[test]
fn whoever_leaves_opens_no_session_anew() {
    let world = World::new().configured();
    world.server.change(|seen| seen.slow_close = Duration::from_millis(300));
    let mut runner = world.run().listening();
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.code(), 0);
    let seen = world.server.seen();
    assert_eq!((seen.session, seen.sessions_opened), (None, 1));
}

#[test]
fn a_signal_cancels_the_running_job() {
    for group in [false, true] {
        let world = World::new().configured();
        world.queue(job(1, &[LONG, "echo never-run"]));
        let mut runner = world.run();
        runner.wait_log(1, "begun");
        if group {
            runner.signal_group(Signal::SIGINT);
        } else {
            runner.signal(Signal::SIGINT);
        }
        assert_eq!(runner.code(), 0);
        assert_eq!(world.completed(), [("1".to_owned(), "Canceled".to_owned())]);
        assert!(runner.stdout().contains("Job build completed with result: Canceled"), "{}", runner.stdout());
        let log = world.log(1);
        assert!(log.contains("The operation was canceled.") && !log.contains("never-run"), "{log}");
        world.nothing_left();
    }
}

#[test]
fn a_step_that_handles_the_signal_gets_its_time() {
    let world = World::new().configured();
    world.queue(job(1, &["trap 'echo cleaned; exit 1' INT; echo begun; while :; do sleep 0.05; done"]));
    let mut runner = world.listener(&["run"], &[("STANDIN_SIGINT_MS", "20000")]);
    runner.wait_log(1, "begun");
    runner.signal(Signal::SIGINT);
    assert_eq!(runner.code(), 0);
    assert!(world.log(1).contains("cleaned"));
    assert_eq!(world.completed()[0].1, "Canceled");
}

#[test]
fn a_step_that_ignores_signals_is_killed() {
    let world = World::new().configured();
    world.queue(job(1, &["trap '' INT TERM; echo begun; while :; do sleep 1; done"]));
    let mut runner = world.run();
    runner.wait_log(1, "begun");
    runner.signal(Signal::SIGINT);
    assert_eq!(runner.code(), 0);
    assert_eq!(world.completed()[0].1, "Canceled");
    world.nothing_left();
}

#[test]
fn a_worker_that_does_not_end_is_killed_after_the_grace() {
    let world = World::new().configured();
    let hook = world.script("last.sh", "echo hook-hangs; trap '' INT TERM; sleep 300");
    world.queue(job(1, &[LONG]));
    let env = [("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &*hook), ("STANDIN_GRACE_MS", "8000")];
    let mut runner = world.listener(&["run"], &env);
    runner.wait_log(1, "begun");
    runner.signal(Signal::SIGINT);
    runner.wait_log(1, "hook-hangs");
    assert_eq!(runner.code(), 0);
    assert_eq!(world.completed(), [("1".to_owned(), "Canceled".to_owned())]);
    world.nothing_left();
}

#[test]
fn a_job_cancelled_at_the_server_ends_and_the_runner_goes_on() {
    let world = World::with(json!({"ephemeral": false})).configured();
    world.queue(named_job(1, "first", &[LONG]));
    let runner = world.run();
    runner.wait_log(1, "begun");
    world.server.change(|seen| seen.cancelled = true);
    runner.wait_line("Job first completed with result: Canceled");
    world.server.change(|seen| seen.cancelled = false);
    world.queue(named_job(2, "second", &["true"]));
    runner.wait_line("Job second completed with result: Succeeded");
}

#[test]
fn a_cancelled_one_job_runner_is_done() {
    let world = World::new().configured();
    world.queue(job(1, &[LONG]));
    let mut runner = world.run();
    runner.wait_log(1, "begun");
    world.server.change(|seen| seen.cancelled = true);
    assert_eq!(runner.code(), 0);
    assert_eq!(world.completed()[0].1, "Canceled");
    assert!(!world.file(".runner").exists());
}

const GONE: &str = "The runner no longer exists on the server. Cleaning up local configuration.\n";

#[test]
fn deleted_at_the_server_while_idle() {
    let world = World::new().configured();
    let mut runner = world.run().listening();
    world.server.change(|seen| seen.deleted = true);
    assert_eq!(runner.code(), 0);
    assert_eq!(runner.stderr(), GONE);
    for name in [".runner", ".credentials", ".credentials_rsaparams"] {
        assert!(!world.file(name).exists(), "{name}");
    }
}

#[test]
fn deleted_at_the_server_in_mid_job() {
    let world = World::new().configured();
    world.queue(job(1, &[LONG]));
    let mut runner = world.run();
    runner.wait_log(1, "begun");
    let asked = Instant::now();
    world.server.change(|seen| seen.deleted = true);
    assert_eq!(runner.code(), 0);
    assert!(
        asked.elapsed() < Duration::from_secs(6),
        "nobody waits for a log that is not wanted: {:?}",
        asked.elapsed()
    );
    assert_eq!(runner.stderr(), GONE);
    assert!(runner.stdout().contains("completed with result: Canceled"), "{}", runner.stdout());
    assert!(!world.file(".runner").exists());
    world.nothing_left();
}

#[test]
fn a_worker_does_not_outlive_its_listener() {
    let world = World::new().configured();
    world.queue(job(1, &[LONG]));
    let mut runner = world.run();
    runner.wait_log(1, "begun");
    runner.signal(Signal::SIGKILL);
    assert_eq!(runner.code(), 137);
    world.nothing_left();
}

#[test]
fn a_signal_before_the_session_is_heeded() {
    let world = World::new().configured();
    world.server.change(|seen| seen.down = true);
    let mut runner = world.run();
    let told = || runner.stderr().contains("Runner connect error").then_some(());
    wait_for("the outage to be told", || runner.stderr(), told);
    let asked = Instant::now();
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.code(), 0);
    assert!(asked.elapsed() < Duration::from_secs(10), "it waits for the server: {:?}", asked.elapsed());
}
