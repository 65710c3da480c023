//! A fleet that is taken out of the fleets document.

use super::*;
use crate::{fleets::Fleet, simulation::runtime::step};

/// Which of its jobs others take.
const OTHER: &str = "other";

/// Reconcile after the change: the fleet is gone, and there are these.
fn deps_without(port: &Port, others: impl IntoIterator<Item = Fleet>) -> Deps<Port> {
    Deps { fleets: fleets(others), ..deps(port) }
}

/// So many minutes without the fleet.
fn minutes_without(port: &Port, count: u64) -> String {
    let mut metrics = String::new();
    for _ in 0..count {
        port.0.now.set(now(port) + MINUTE);
        let deps = deps_without(port, [fleet(OTHER)]);
        run(handle(&deps, now(port) + MINUTE));
        metrics += &deps.metrics.take(0).join("\n");
    }
    metrics
}

/// A job that waits for the fleet, of a run that is no fork's.
fn queued_job(port: &Port) {
    job_of(port, 7, JobState::Queued, MINUTE);
    port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".into());
}

/// A fleet with an instance in each state; reconcile has seen it. 1 stands by, 2 boots for the pool, 3 has a job, 4 listens.
fn pool() -> Port {
    let port = world();
    let states = [RunnerState::Standby, RunnerState::Warming, RunnerState::Busy, RunnerState::Registered];
    for (n, state) in (1..).zip(states) {
        runner_of(&port, n, state, MINUTE);
        instance_of(&port, n, AtEc2::Running, MINUTE);
        if n > 2 {
            at_github(&port, n, true, n == 3);
        }
    }
    for it in port.0.ledger.borrow_mut().runners.values_mut().filter(|it| it.state.is_unregistered()) {
        it.runner_id = None;
    }
    heard_all(&port);
    look(&port);
    port
}

fn heard_all(port: &Port) {
    (1..=4).for_each(|n| hear(port, n));
}

#[test]
fn jobs_that_nobody_takes_are_not_in_the_way_of_others() {
    let port = world();
    for id in 1..=50 {
        job_of(&port, id, JobState::Queued, MINUTE);
        if id <= 45 {
            port.0.ledger.borrow_mut().jobs.get_mut(&id).unwrap().labels = vec!["nobody".into()];
        }
    }
    port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".into());
    look(&port);
    minutes_without(&port, 5);
    let ledger = port.0.ledger.borrow();
    let moved: Vec<u64> = ledger.jobs.values().filter(|it| it.fleet == OTHER).map(|it| it.id).collect();
    assert_eq!(moved, [46, 47, 48, 49, 50]);
}

#[test]
fn what_stood_by_is_ended_and_what_works_goes_on() {
    let port = pool();
    heard_all(&port);
    minutes_without(&port, 1);
    assert_eq!((state(&port, 1), state(&port, 2)), (Some(RunnerState::Withdrawn), Some(RunnerState::Withdrawn)));
    assert!(port.0.dead.borrow().is_empty(), "not before it is certain");
    heard_all(&port);
    let mended = minutes_without(&port, 2);
    assert!(mended.contains("\"Reason\":\"removed_fleet\"") && mended.contains("\"Mended\":2"), "{mended}");
    assert_eq!((is_ended(&port, 1), is_ended(&port, 2)), (true, true));
    assert_eq!((state(&port, 1), state(&port, 2), alive(&port)), (None, None, 2));
    for _ in 0..5 {
        heard_all(&port);
        minutes_without(&port, 1);
    }
    assert_eq!((is_ended(&port, 3), is_ended(&port, 4)), (false, false));
    assert_eq!((state(&port, 3), state(&port, 4)), (Some(RunnerState::Busy), Some(RunnerState::Registered)));
}

#[test]
fn a_pool_of_a_fleet_that_is_there_stands_by() {
    let port = pool();
    for _ in 0..5 {
        heard_all(&port);
        minutes(&port, 1);
    }
    assert_eq!(state(&port, 1), Some(RunnerState::Standby));
    assert!(port.0.dead.borrow().is_empty());
}

#[test]
fn one_that_has_claimed_a_registration_meanwhile_is_not_ended() {
    let port = pool();
    registration(&port, 1);
    minutes_without(&port, 1);
    assert!(port.0.parameters.borrow().is_empty(), "nobody claims it any more");
    // It had claimed it just before.
    at_github(&port, 1, false, false);
    for _ in 0..9 {
        heard_all(&port);
        minutes_without(&port, 1);
    }
    assert_eq!((is_ended(&port, 1), is_ended(&port, 2)), (false, true));
}

#[test]
fn what_is_stopped_for_a_fleet_that_is_gone_is_ended() {
    let port = pool();
    runner_of(&port, 5, RunnerState::Stopped, MINUTE);
    instance_of(&port, 5, AtEc2::Stopped, MINUTE);
    heard_all(&port);
    look(&port);
    assert_eq!(state(&port, 5), Some(RunnerState::Stopped));
    minutes_without(&port, 3);
    assert_eq!((state(&port, 5), is_ended(&port, 5)), (None, true));
}

#[test]
fn a_queued_job_goes_to_the_fleet_that_takes_it_now() {
    let port = world();
    queued_job(&port);
    look(&port);
    port.0.sent.borrow_mut().clear();
    let mended = minutes_without(&port, 1);
    assert!(mended.contains("\"Reason\":\"removed_fleet\""), "{mended}");
    let ledger = port.0.ledger.borrow().clone();
    assert_eq!(ledger.jobs[&7].fleet, OTHER);
    assert_eq!(ledger.markers.keys().cloned().collect::<Vec<_>>(), [(OTHER.to_owned(), 7)]);
    assert!(port.0.sent.borrow().iter().any(|it| it.fleet == OTHER), "which is woken");
    assert!(!minutes_without(&port, 2).contains("removed_fleet"), "once");
}

#[test]
fn a_queued_job_that_nobody_takes_is_told_of_once_and_waits_for_who_will() {
    let port = world();
    queued_job(&port);
    look(&port);
    let mut told = 0;
    for _ in 0..3 {
        port.0.now.set(now(&port) + MINUTE);
        let deps = deps_without(&port, [Fleet { labels: vec!["windows".into()], ..fleet(OTHER) }]);
        run(handle(&deps, now(&port) + MINUTE));
        told += deps.metrics.take(0).join("\n").matches("no_fleet").count();
    }
    assert_eq!((told, port.0.ledger.borrow().jobs[&7].fleet.as_str()), (1, FLEET));
    minutes_without(&port, 1);
    assert_eq!(port.0.ledger.borrow().jobs[&7].fleet, OTHER, "as soon as there is one");
}

#[test]
fn wherever_a_run_is_killed_the_next_ones_find_the_same() {
    let mut steps = 0;
    loop {
        let port = pool();
        queued_job(&port);
        minutes_without(&port, 1);
        heard_all(&port);
        port.0.now.set(now(&port) + 2 * MINUTE);
        port.0.concurrent.set(true);
        let deps = deps_without(&port, [fleet(OTHER)]);
        let mut future = Box::pin(handle(&deps, now(&port) + MINUTE));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        drop(future);
        port.0.concurrent.set(false);
        for _ in 0..60 {
            (3..=4).for_each(|n| hear(&port, n));
            minutes_without(&port, 1);
        }
        assert_eq!((is_ended(&port, 1), is_ended(&port, 2), is_ended(&port, 3)), (true, true, false), "step {steps}");
        assert_eq!(port.0.ledger.borrow().jobs[&7].fleet, OTHER, "step {steps}");
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
}
