//! A server that goes away and comes back, and one that wants a new runner.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::world::{World, job, wait_for};

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let world = World::new().configured();
    let mut runner = world.run().listening();
    world.server.change(|seen| seen.down = true);
    let told = || runner.stderr().contains("Runner connect error: ").then_some(());
    wait_for("the outage to be told", || runner.stderr(), told);
    world.queue(job(1, &["true"]));
    world.server.change(|seen| seen.down = false);
    runner.wait_line("Z: Runner reconnected.\n");
    assert_eq!(runner.code(), 0);
    assert_eq!(world.completed()[0].1, "Succeeded");
    assert_eq!(runner.stderr().matches("Retrying until reconnected.").count(), 1, "{}", runner.stderr());
    assert_eq!(runner.stdout().matches("Runner reconnected.").count(), 1);
}

#[test]
fn a_server_that_is_late_is_awaited() {
    let world = World::new().configured();
    world.server.change(|seen| seen.faults.push(("session".into(), 503, String::new(), 2)));
    let runner = world.run().listening();
    assert!(runner.stdout().starts_with("20") && runner.stdout().contains("Z: Runner reconnected.\n\n√ Connected"));
}

#[test]
fn the_end_of_a_job_and_its_log_are_reported_through_errors() {
    let world = World::new().configured();
    world.server.change(|seen| {
        seen.faults.push(("jobs/1/completed".into(), 502, String::new(), 2));
        seen.faults.push(("jobs/1/log".into(), 502, String::new(), 1));
    });
    world.queue(job(1, &["echo first-line", "echo last-line"]));
    assert_eq!(world.run().code(), 0);
    assert_eq!(world.completed(), [("1".to_owned(), "Succeeded".to_owned())]);
    let log = world.log(1);
    assert_eq!((log.matches("first-line").count(), log.matches(" last-line").count()), (1, 1), "{log}");
}

#[test]
fn an_update_has_its_codes_and_its_mark() {
    for (ephemeral, code) in [(true, 4), (false, 3)] {
        let world = World::with(json!({"ephemeral": ephemeral, "disableUpdate": false})).configured();
        world.queue(json!({"type": "update"}));
        assert_eq!(world.run().code(), code);
        assert!(world.file("update.finished").exists());
        assert!(world.file(".runner").exists());
    }
}

#[test]
fn a_disabled_update_is_passed_over() {
    let world = World::new().configured();
    world.queue(json!({"type": "update"}));
    world.queue(job(1, &["true"]));
    assert_eq!(world.run().code(), 0);
    assert_eq!(world.completed()[0].1, "Succeeded");
}

#[test]
fn a_refreshed_configuration_asks_for_a_restart() {
    let world = World::new().configured();
    world.queue(json!({"type": "refresh-config"}));
    assert_eq!(world.run().code(), 6);
}

#[test]
fn a_revoked_token_shuts_it_down() {
    let world = World::new().configured();
    world.server.change(|seen| seen.faults.push(("message".into(), 401, String::new(), 9)));
    assert_eq!(world.run().code(), 0);
    assert!(world.diag().contains("token has been revoked"));
}

#[test]
fn a_message_without_sense_is_worth_a_restart() {
    let world = World::new().configured();
    world.queue(json!({"type": "dance"}));
    assert_eq!(world.run().code(), 2);
}

#[test]
fn a_session_that_the_server_closed_is_opened_again() {
    let world = World::with(json!({"ephemeral": false})).configured();
    let mut runner = world.run().listening();
    world.server.change(|seen| seen.session = None);
    world.queue(job(1, &["true"]));
    runner.wait_line("Job build completed with result: Succeeded");
    assert_eq!(world.server.seen().sessions_opened, 2);
    runner.signal(Signal::SIGINT);
    assert_eq!(runner.code(), 0);
    assert_eq!(world.server.seen().session, None, "the new session is the one that is closed");
}

#[test]
fn a_job_that_is_handed_out_twice_runs_once() {
    let world = World::with(json!({"ephemeral": false})).configured();
    world.queue(job(1, &["echo run >> $HOME/runs; sleep 1"]));
    world.queue(job(1, &["echo run >> $HOME/runs; sleep 1"]));
    let runner = world.run();
    runner.wait_line("Job build completed with result: Succeeded");
    assert_eq!(world.completed().len(), 1);
    assert_eq!(std::fs::read_to_string(world.dir.path().join("runs")).unwrap(), "run\n");
}
