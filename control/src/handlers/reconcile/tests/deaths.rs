//! Runners whose agents are silent.

use super::*;
use crate::{ledger::Reuse, simulation::runtime::step};

#[test]
fn an_instance_that_vanished_frees_its_place_and_its_fleet_is_woken() {
    for state_before in [RunnerState::Launched, RunnerState::Registered, RunnerState::Busy] {
        let port = world();
        runner_of(&port, 1, state_before, 30 * MINUTE);
        at_github(&port, 1, false, false);
        registration(&port, 1);
        hear(&port, 1);
        minutes(&port, 9);
        assert_eq!((state(&port, 1), alive(&port)), (Some(state_before), 1), "its own word may be on the way");
        woken(&port);
        let mended = minutes(&port, 1);
        assert!(mended.contains("dead_runner"), "{mended}");
        assert_eq!((state(&port, 1), alive(&port)), (None, 0));
        assert!(woken(&port) > 0 && !is_ended(&port, 1), "there is nothing to end");
        assert!(port.0.runners.borrow().is_empty() && port.0.parameters.borrow().is_empty());
    }
}

#[test]
fn a_silent_instance_with_a_runner_at_work_is_never_ended() {
    for (online, busy) in [(true, true), (true, false), (false, true)] {
        for state_before in [RunnerState::Launched, RunnerState::Registered, RunnerState::Busy] {
            let port = world();
            runner_of(&port, 1, state_before, 30 * MINUTE);
            instance_of(&port, 1, AtEc2::Running, 30 * MINUTE);
            at_github(&port, 1, online, busy);
            minutes(&port, 300);
            assert_eq!((state(&port, 1), alive(&port), is_ended(&port, 1)), (Some(state_before), 1, false));
        }
    }
}

#[test]
fn an_instance_that_never_booted_is_ended_once_nobody_can_claim_its_registration() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 0);
    instance_of(&port, 1, AtEc2::Running, 0);
    at_github(&port, 1, false, false);
    registration(&port, 1);
    minutes(&port, 9);
    assert_eq!((port.0.parameters.borrow().len(), is_ended(&port, 1)), (1, false), "it may boot still");
    minutes(&port, 1);
    assert_eq!((port.0.parameters.borrow().len(), is_ended(&port, 1)), (0, false), "it may have claimed just now");
    minutes(&port, 1);
    assert!(!is_ended(&port, 1), "it would take a moment to be heard of");
    minutes(&port, 1);
    assert_eq!((state(&port, 1), alive(&port), is_ended(&port, 1)), (None, 0, true));
    assert!(port.0.runners.borrow().is_empty());
}

#[test]
fn one_that_claimed_at_the_last_moment_lives() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 0);
    instance_of(&port, 1, AtEc2::Running, 0);
    at_github(&port, 1, false, false);
    registration(&port, 1);
    minutes(&port, 10);
    // It had read its registration before that was taken away.
    at_github(&port, 1, true, false);
    minutes(&port, 60);
    assert_eq!((state(&port, 1), is_ended(&port, 1)), (Some(RunnerState::Registered), false));
    at_github(&port, 1, false, false);
    hear(&port, 1);
    minutes(&port, 9);
    assert!(!is_ended(&port, 1), "it was heard of");
}

#[test]
fn one_that_hangs_after_its_claim_is_ended_when_github_has_not_seen_it_for_long() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 30 * MINUTE);
    instance_of(&port, 1, AtEc2::Running, 30 * MINUTE);
    at_github(&port, 1, false, false);
    minutes(&port, 20);
    at_github(&port, 1, true, false);
    minutes(&port, 1);
    at_github(&port, 1, false, false);
    minutes(&port, 30);
    assert!(!is_ended(&port, 1), "it was seen in between");
    minutes(&port, 1);
    assert!(is_ended(&port, 1) && state(&port, 1).is_none());
}

#[test]
fn one_that_is_heard_of_in_between_has_all_its_time_again() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 30 * MINUTE);
    instance_of(&port, 1, AtEc2::Running, 30 * MINUTE);
    at_github(&port, 1, false, false);
    minutes(&port, 25);
    hear(&port, 1);
    minutes(&port, 39);
    assert!(!is_ended(&port, 1), "silent for 30 minutes, and GitHub has to miss it for as long");
    minutes(&port, 1);
    assert!(is_ended(&port, 1));
}

#[test]
fn a_busy_runner_that_is_dead_is_ended_once_its_job_is_over() {
    let busy = |over: &dyn Fn(&Port)| {
        let port = world();
        runner_of(&port, 1, RunnerState::Busy, 60 * MINUTE);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.history.add(1, "busy", "job 41"));
        instance_of(&port, 1, AtEc2::Running, 60 * MINUTE);
        at_github(&port, 1, false, false);
        job_of(&port, 41, JobState::Running, MINUTE);
        told(&port, 41, "in_progress", Some(1));
        minutes(&port, 100);
        assert!(!is_ended(&port, 1), "its job may run");
        over(&port);
        minutes(&port, 1);
        (is_ended(&port, 1), alive(&port))
    };
    assert_eq!(busy(&|port| told(port, 41, "completed", Some(1))), (true, 0), "by GitHub's word");
    let by_ledger = |port: &Port| port.0.ledger.borrow_mut().jobs.get_mut(&41).unwrap().state = JobState::Done;
    assert_eq!(busy(&by_ledger), (true, 0), "by the ledger's");
    assert_eq!(busy(&|port| drop(port.0.ledger.borrow_mut().jobs.remove(&41))), (false, 1), "nobody knows");
}

#[test]
fn a_reusable_one_whose_known_job_is_over_may_have_another_for_a_while() {
    for (ec2, at_once) in [(AtEc2::Running, false), (AtEc2::Stopped, true)] {
        let port = world();
        runner_of(&port, 1, RunnerState::Busy, 60 * MINUTE);
        let reuse = Reuse { running: vec![41], ..Reuse::default() };
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.reuse = Some(reuse.clone()));
        instance_of(&port, 1, ec2, 60 * MINUTE);
        at_github(&port, 1, false, false);
        job_of(&port, 41, JobState::Done, MINUTE);
        minutes(&port, 1);
        assert_eq!(is_ended(&port, 1), at_once, "{ec2:?}: GitHub may have given it one, and nobody heard of that");
        minutes(&port, 28);
        assert_eq!(is_ended(&port, 1), at_once, "{ec2:?}");
        minutes(&port, 2);
        assert!(is_ended(&port, 1), "GitHub has given any job up by now");
    }
}

/// A run that finds a dead runner, and what happens while it asks GitHub; answers whether its instance was ended.
fn meanwhile(happens: impl Fn(&Port)) -> bool {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 90 * MINUTE);
    instance_of(&port, 1, AtEc2::Stopped, 90 * MINUTE);
    let deps = deps(&port);
    port.0.concurrent.set(true);
    let mut look = Box::pin(handle(&deps, now(&port) + MINUTE));
    while port.0.called("github.standing") == 0 {
        assert!(step(look.as_mut()).is_pending());
    }
    happens(&port);
    while step(look.as_mut()).is_pending() {}
    drop(look);
    assert_eq!(state(&port, 1).is_none(), is_ended(&port, 1));
    is_ended(&port, 1)
}

#[test]
fn a_runner_that_moves_while_it_is_looked_at_is_not_ended() {
    assert!(meanwhile(|_| {}));
    assert!(!meanwhile(|port| hear(port, 1)), "its heartbeat comes");
    let webhook = |port: &Port| {
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| {
            (it.state, it.version) = (RunnerState::Busy, it.version + 1);
        });
    };
    assert!(!meanwhile(webhook), "its job's webhook comes");
}

#[test]
fn one_that_stands_by_and_dies_in_silence_frees_its_place() {
    for state_before in [RunnerState::Warming, RunnerState::Standby, RunnerState::Withdrawn] {
        let port = world();
        runner_of(&port, 1, state_before, 30 * MINUTE);
        hear(&port, 1);
        minutes(&port, 9);
        assert_eq!((state(&port, 1), alive(&port)), (Some(state_before), 1));
        woken(&port);
        minutes(&port, 1);
        assert_eq!((state(&port, 1), alive(&port)), (None, 0));
        assert!(woken(&port) > 0 && !is_ended(&port, 1), "there is nothing to end");
    }
}

#[test]
fn one_that_stands_by_and_hangs_is_ended_since_it_never_had_a_registration() {
    for state_before in [RunnerState::Warming, RunnerState::Standby, RunnerState::Withdrawn] {
        let port = world();
        runner_of(&port, 1, state_before, 30 * MINUTE);
        instance_of(&port, 1, AtEc2::Running, 30 * MINUTE);
        hear(&port, 1);
        minutes(&port, 9);
        assert!(!is_ended(&port, 1), "it was heard of");
        minutes(&port, 1);
        assert_eq!((state(&port, 1), alive(&port), is_ended(&port, 1)), (None, 0, true), "{state_before:?}");
    }
}
