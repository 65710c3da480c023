//! Each safety rule, with the one thing not met that it is about: nothing is ended. Taking a rule out fails its line.

use super::{
    AtEc2, FLEET, Fault, JobState, MINUTE, Port, RunnerState, at_github, hear, instance_of, is_ended, job_of, minutes,
    runner_of, state, told, world,
};

/// A runner as dead as one can be: silent for hours, offline at GitHub for hours, and never known to have a job.
fn dead() -> Port {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 120 * MINUTE);
    instance_of(&port, 1, AtEc2::Running, 120 * MINUTE);
    at_github(&port, 1, false, false);
    port
}

fn ended(change: impl Fn(&Port)) -> bool {
    let port = dead();
    for _ in 0..60 {
        change(&port);
        minutes(&port, 1);
    }
    let ended = is_ended(&port, 1);
    assert_eq!(state(&port, 1).is_none(), ended);
    ended
}

#[test]
fn the_dead_are_ended_and_those_whom_one_thing_speaks_for_are_not() {
    assert!(ended(|_| {}), "nothing speaks for it");
    let ec2 = |port: &Port, state| port.0.census.instances.borrow_mut().values_mut().for_each(|it| it.state = state);
    let ledger = |port: &Port, state| port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.state = state);
    assert!(!ended(|port| hear(port, 1)), "its agent");
    assert!(!ended(|port| at_github(port, 1, true, false)), "GitHub: it is online");
    assert!(!ended(|port| at_github(port, 1, false, true)), "GitHub: it is busy");
    assert!(!ended(|port| port.0.fault("github.standing", Fault::GitHubTransient)), "GitHub does not answer");
    assert!(!ended(|port| port.0.fault("compute.states", Fault::Ledger)), "EC2 does not answer");
    assert!(!ended(|port| ec2(port, AtEc2::Ending)), "EC2 ends it");
    assert!(!ended(|port| ledger(port, RunnerState::Busy)), "the ledger: it may have a job");
    assert!(
        !ended(|port| port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.boot_deadline = u64::MAX)),
        "it boots"
    );
    assert!(
        !ended(|port| {
            // As it is each half hour, when the look before said otherwise.
            let online = (port.0.now.get() / MINUTE).is_multiple_of(25);
            at_github(port, 1, online, false);
        }),
        "GitHub sees it now and then"
    );
}

#[test]
fn a_busy_one_is_kept_for_each_job_that_may_run() {
    for (status, over) in [("in_progress", false), ("queued", false), ("completed", true)] {
        let port = dead();
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| {
            it.state = RunnerState::Busy;
            it.history.add(1, "busy", "job 41");
            it.history.add(2, "busy", "job 42");
        });
        job_of(&port, 41, JobState::Done, 60 * MINUTE);
        job_of(&port, 42, JobState::Running, MINUTE);
        told(&port, 42, status, Some(1));
        minutes(&port, 25);
        assert_eq!(is_ended(&port, 1), over, "{status}");
    }
    let port = dead();
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| {
        it.state = RunnerState::Busy;
        it.history.add(1, "busy", "job 41");
    });
    job_of(&port, 41, JobState::Running, MINUTE);
    told(&port, 41, "completed", Some(1));
    for _ in 0..25 {
        (0..9).for_each(|_| port.0.fault("github.known_job", Fault::GitHubTransient));
        minutes(&port, 1);
    }
    assert!(!is_ended(&port, 1), "GitHub does not tell of its job");
    port.0.faults.borrow_mut().clear();
    minutes(&port, 1);
    assert!(is_ended(&port, 1));
    let port = dead();
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.state = RunnerState::Busy);
    minutes(&port, 90);
    assert!(!is_ended(&port, 1), "no job is known, so none is known to be over");
    assert_eq!(port.0.ledger.borrow().view(FLEET).meta.alive, 1);
}

#[test]
fn of_many_silent_ones_github_is_asked_about_a_few_each_minute_and_about_all_in_turn() {
    let port = world();
    for n in 1..=30 {
        runner_of(&port, n, RunnerState::Registered, 120 * MINUTE);
        instance_of(&port, n, AtEc2::Running, 120 * MINUTE);
        at_github(&port, n, true, false);
    }
    for minute in 1..=3 {
        minutes(&port, 1);
        assert_eq!(port.0.called("github.standing"), 10 * minute);
    }
    (1..=30).for_each(|n| at_github(&port, n, false, false));
    minutes(&port, 45);
    assert!((1..=30).all(|n| is_ended(&port, n)));
}
