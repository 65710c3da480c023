//! A drained fleet.

use super::*;

fn drain(port: &Port) {
    port.0.ledger.borrow_mut().metas.entry(FLEET.into()).or_default().drained_at = Some(now(port));
}

/// Runners of each state, with their instances and at GitHub; 3 is busy.
fn fleet_of_three() -> Port {
    let port = world();
    for (n, state) in [(1, RunnerState::Launched), (2, RunnerState::Registered), (3, RunnerState::Busy)] {
        runner_of(&port, n, state, MINUTE);
        instance_of(&port, n, AtEc2::Running, MINUTE);
        at_github(&port, n, true, n == 3);
        hear(&port, n);
    }
    port
}

fn left(port: &Port) -> Vec<u64> {
    port.0.runners.borrow().values().map(|it| it.id).collect()
}

#[test]
fn its_idle_runners_retire_and_the_others_go_on() {
    let port = fleet_of_three();
    look(&port);
    assert_eq!(left(&port), [1, 2, 3]);
    drain(&port);
    look(&port);
    assert_eq!((left(&port), port.0.called("github.delete_runner")), (vec![1, 3], 1));
    assert!(port.0.dead.borrow().is_empty(), "the agent ends its instance");
    assert_eq!(state(&port, 2), Some(RunnerState::Registered), "until its agent tells of its end");
}

#[test]
fn a_runner_that_got_a_job_meanwhile_is_left_alone() {
    let port = fleet_of_three();
    drain(&port);
    // GitHub knows of the job, the ledger does not yet.
    at_github(&port, 2, true, true);
    look(&port);
    assert_eq!(left(&port), [1, 2, 3]);
}

#[test]
fn its_jobs_wake_nobody_until_it_is_drained_no_more() {
    let port = world();
    job_of(&port, 7, JobState::Queued, MINUTE);
    drain(&port);
    minutes(&port, 3);
    assert_eq!(woken(&port), 0);
    port.0.ledger.borrow_mut().metas.get_mut(FLEET).unwrap().drained_at = None;
    minutes(&port, 1);
    assert_eq!(woken(&port), 1);
}
