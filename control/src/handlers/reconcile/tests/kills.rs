//! A run is killed between any two calls to its ports, or a call is never answered, and others go on: the result is that of
//! one that was not.

use super::{
    AtEc2, FLEET, JobState, MINUTE, Port, RunnerState, alive, at_github, deps, failed, handle, hear, instance_of,
    is_ended, job_of, minutes, now, registration, runner_of, told, world,
};
use crate::{
    ledger::Census,
    simulation::runtime::{run, step},
};

/// Something of everything.
fn mess() -> Port {
    let port = world();
    // Gone without a word; hung; at work; an orphan.
    runner_of(&port, 1, RunnerState::Registered, 60 * MINUTE);
    at_github(&port, 1, false, false);
    registration(&port, 1);
    runner_of(&port, 2, RunnerState::Launched, 60 * MINUTE);
    instance_of(&port, 2, AtEc2::Stopped, 60 * MINUTE);
    runner_of(&port, 3, RunnerState::Busy, 60 * MINUTE);
    instance_of(&port, 3, AtEc2::Running, 60 * MINUTE);
    at_github(&port, 3, true, true);
    instance_of(&port, 4, AtEc2::Running, 60 * MINUTE);
    job_of(&port, 11, JobState::Queued, 20 * MINUTE);
    told(&port, 11, "completed", None);
    job_of(&port, 12, JobState::Running, 60 * MINUTE);
    told(&port, 12, "completed", Some(3));
    failed(&port, 1, "g1", MINUTE);
    failed(&port, 2, "g2", MINUTE);
    // A count that somebody wrote by hand.
    port.0.ledger.borrow_mut().metas.get_mut(FLEET).unwrap().alive = 7;
    port
}

/// All that counts in the end.
fn outcome(port: &Port) -> String {
    let mut sent = port.0.census.redelivered.borrow().clone();
    sent.sort_unstable();
    // A killed run may have had one sent that it could not note.
    sent.dedup();
    let ended: Vec<bool> = (1..=4).map(|n| is_ended(port, n)).collect();
    let ledger = port.0.ledger.borrow();
    let jobs: Vec<_> = ledger.jobs.values().map(|job| (job.id, job.state)).collect();
    let runners: Vec<_> = ledger.runners.values().map(|it| (it.instance.clone(), it.state)).collect();
    let at_github: Vec<String> = port.0.runners.borrow().keys().cloned().collect();
    let parameters = port.0.parameters.borrow().len();
    drop(ledger);
    format!("{sent:?} {ended:?} {jobs:?} {runners:?} {at_github:?} {parameters} alive {}", alive(port))
}

fn look_on(port: &Port) {
    for _ in 0..80 {
        hear(port, 3);
        minutes(port, 1);
    }
}

#[test]
fn wherever_a_run_is_killed_the_next_ones_come_to_the_same() {
    let whole = mess();
    look_on(&whole);
    let expected = outcome(&whole);
    assert!(expected.contains("[1, 2] [false, true, false, true]") && expected.ends_with("alive 1"), "{expected}");
    let mut steps = 0;
    loop {
        let port = mess();
        port.0.concurrent.set(true);
        let deps = deps(&port);
        let mut future = Box::pin(handle(&deps, now(&port) + MINUTE));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        drop(future);
        port.0.concurrent.set(false);
        look_on(&port);
        assert_eq!(outcome(&port), expected, "killed at step {steps}");
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 30, "{steps}");
}

/// One run, whose invocation has 55 seconds, while these `calls` are not answered.
fn look_in_vain(port: &Port, calls: &[&'static str]) {
    let (deps, deadline) = (deps(port), now(port) + 55_000);
    // What is told and measured in the end has its time.
    port.0.unanswered(calls, deadline - 1000, handle(&deps, deadline));
}

#[test]
fn no_call_keeps_a_run_until_it_is_killed() {
    let whole = mess();
    look_on(&whole);
    let expected = outcome(&whole);
    let calls: Vec<&'static str> = whole.0.calls.borrow().keys().copied().collect();
    assert!(calls.len() > 15, "{calls:?}");
    for call in calls {
        let port = mess();
        look_in_vain(&port, &[call]);
        look_on(&port);
        assert_eq!(outcome(&port), expected, "{call} was not answered");
    }
}

#[test]
fn a_step_that_is_cut_off_keeps_no_other_from_its_turn() {
    let port = mess();
    look_in_vain(&port, &["github.known_job"]);
    assert_eq!(run(port.text("reconcile#next")).unwrap().as_deref(), Some("\"strays\""));
    assert!(run(port.text("reconcile#ran")).unwrap().is_some());
    assert!(port.0.census.redelivered.borrow().is_empty());
    port.0.now.set(now(&port) + 2 * MINUTE);
    look_in_vain(&port, &["github.known_job"]);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2], "deliveries come after it");
}
