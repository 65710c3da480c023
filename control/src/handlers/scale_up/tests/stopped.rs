//! What is stopped, and started for jobs.

use std::task::Poll;

use super::*;
use crate::{
    decide::{
        bucket::{Bucket, Limits},
        pool::START,
    },
    fleets::{Eviction, Pool, PoolKind},
    simulation::runtime::step,
};

/// A fleet that keeps so many stopped.
pub(super) fn pooled(size: u64) -> Fleet {
    let pool = Pool {
        kind: PoolKind::Stopped,
        size,
        schedules: vec![],
        eviction: Eviction::Oldest,
        lifetime_seconds: 86_400,
        repository: Some("octo-org/octo-repo".into()),
    };
    Fleet { pool: Some(pool), ..fleet("linux-x64") }
}

fn look_at(port: &Port, of: Fleet) {
    let response = run(handle(&deps_of(port, of), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    assert!(response.batch_item_failures.is_empty());
}

/// All runners of the ledger become this.
pub(super) fn all_are(port: &Port, state: RunnerState) {
    for it in port.0.ledger.borrow_mut().runners.values_mut() {
        it.state = state;
    }
}

/// A world with so many jobs and stopped instances.
pub(super) fn stopped(queued: u64, count: u64) -> Port {
    let port = world(0);
    look_at(&port, pooled(count));
    all_are(&port, RunnerState::Standby);
    look_at(&port, pooled(count));
    assert_eq!((runners(&port, RunnerState::Stopping) as u64, port.0.asleep.borrow().len() as u64), (count, count));
    all_are(&port, RunnerState::Stopped);
    port.0.sent.borrow_mut().clear();
    pass(&port, 3600);
    queue(&port, queued);
    port
}

/// So many jobs are queued now.
pub(super) fn queue(port: &Port, count: u64) {
    let now = port.0.now.get();
    let mut markers = world(count).0.ledger.borrow().markers.clone();
    for it in markers.values_mut() {
        (it.queued_at, it.expires) = (now, now / 1000 + 3600);
    }
    port.0.ledger.borrow_mut().markers = markers;
}

#[test]
fn what_stands_by_is_stopped_by_one_call_and_asked_again_only_when_that_is_in_doubt() {
    let port = world(0);
    look_at(&port, pooled(3));
    all_are(&port, RunnerState::Standby);
    port.0.fault("compute.stop", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    let response = run(handle(&deps_of(&port, pooled(3)), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    assert_eq!(response.batch_item_failures.len(), 1, "it may pass");
    assert_eq!((runners(&port, RunnerState::Stopping), port.0.asleep.borrow().len()), (3, 0));
    look_at(&port, pooled(3));
    assert_eq!(port.0.called("compute.stop"), 1, "whoever wrote it down may be about to ask");
    pass(&port, 40);
    look_at(&port, pooled(3));
    assert_eq!(port.0.called("compute.stop"), 1, "reconcile is to see first what EC2 did");
    pass(&port, 90);
    look_at(&port, pooled(3));
    assert_eq!((port.0.called("compute.stop"), port.0.asleep.borrow().len(), alive(&port)), (2, 3, 3));
    assert_eq!(port.0.called("github.jit_config"), 0);
}

#[test]
fn a_pause_keeps_nothing_awake() {
    let port = world(0);
    look_at(&port, pooled(1));
    all_are(&port, RunnerState::Standby);
    port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 60_000);
    look_at(&port, pooled(1));
    assert_eq!((runners(&port, RunnerState::Stopping), port.0.asleep.borrow().len()), (1, 1));
}

#[test]
fn what_ec2_does_not_stop_stands_by_and_the_others_are_stopped() {
    let port = world(0);
    look_at(&port, pooled(2));
    all_are(&port, RunnerState::Standby);
    let gone = port.0.ledger.borrow().runners.keys().next().unwrap().1.clone();
    port.0.dead.borrow_mut().insert(gone.clone());
    look_at(&port, pooled(2));
    assert_eq!([RunnerState::Stopping, RunnerState::Standby].map(|it| runners(&port, it)), [1, 1]);
    assert!(port.0.asleep.borrow().len() == 1 && !port.0.asleep.borrow().contains_key(&gone));
    look_at(&port, pooled(2));
    assert_eq!(port.0.called("compute.stop"), 3, "both, each alone, and that is all for now");
}

#[test]
fn a_job_gets_a_stopped_instance_which_is_started_when_its_registration_is_there() {
    let port = stopped(1, 2);
    look_at(&port, pooled(2));
    let states = [RunnerState::Registered, RunnerState::Stopped, RunnerState::Warming].map(|it| runners(&port, it));
    assert_eq!((states, alive(&port), port.0.asleep.borrow().len()), ([1, 1, 1], 3, 1));
    let parameters = port.0.parameters.borrow();
    let given = parameters.keys().next().unwrap();
    assert!(!port.0.asleep.borrow().contains_key(given));
    let log = port.0.log.borrow();
    let at = |text: &str| log.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {log:?}"));
    assert!(at("put") < at(&format!("starts {given}")), "its agent would find nothing: {log:?}");
    let stops = port.0.ledger.borrow().runners[&("linux-x64".to_owned(), given.clone())].stops;
    assert!(stops.at.is_none() && stops.before == 3_600_000, "{stops:?}");
}

#[test]
fn what_is_stopping_is_given_to_nobody() {
    let port = stopped(1, 1);
    all_are(&port, RunnerState::Stopping);
    look_at(&port, pooled(1));
    assert_eq!((port.0.called("compute.start"), runners(&port, RunnerState::Registered), alive(&port)), (0, 1, 2));
}

#[test]
fn where_ec2_refuses_the_start_the_job_is_planned_again_and_the_instance_ended() {
    let refusals = [(Class::Capacity, "InsufficientInstanceCapacity"), (Class::Permanent, "UnauthorizedOperation")];
    for (class, code) in refusals {
        let port = stopped(1, 2);
        port.0.fault("compute.start", Fault::Ec2(class, code));
        look_at(&port, pooled(2));
        assert_eq!((port.0.dead.borrow().len(), runners(&port, RunnerState::Stopped)), (1, 1), "{code}");
        assert_eq!((port.0.parameters.borrow().len(), port.0.runners.borrow().len()), (0, 0), "{code}: taken back");
        assert_eq!(later(&port).into_iter().min(), Some(0), "{code}: at once");
        let breakers = port.0.ledger.borrow().view("linux-x64").offers.breakers;
        let open = breakers.open(START, port.0.now.get()).unwrap();
        assert!(breakers.0[START].why.contains(code), "{breakers:?}");
        look_at(&port, pooled(2));
        let states = [RunnerState::Registered, RunnerState::Stopped].map(|it| runners(&port, it));
        assert_eq!((states, port.0.called("compute.start")), ([1, 1], 1), "{code}: the job has another");
        // Another job finds out that it goes well again.
        port.0.now.set(open);
        queue(&port, 2);
        look_at(&port, pooled(2));
        assert_eq!(port.0.called("compute.start"), 2, "{code}");
        assert!(port.0.ledger.borrow().view("linux-x64").offers.breakers.0.is_empty(), "{code}");
    }
}

#[test]
fn an_instance_that_can_not_be_started_says_nothing_of_the_others() {
    for code in ["IncorrectInstanceState", "InvalidInstanceID.NotFound"] {
        let port = stopped(1, 2);
        port.0.fault("compute.start", Fault::Ec2(Class::Capacity, code));
        look_at(&port, pooled(2));
        assert_eq!((port.0.dead.borrow().len(), runners(&port, RunnerState::Stopped)), (1, 1), "{code}");
        assert!(port.0.ledger.borrow().view("linux-x64").offers.breakers.0.is_empty(), "{code}");
        look_at(&port, pooled(2));
        let states = [RunnerState::Registered, RunnerState::Stopped].map(|it| runners(&port, it));
        assert_eq!((states, port.0.called("compute.start")), ([1, 0], 2), "{code}: the job has the other");
    }
}

#[test]
fn a_start_that_may_have_been_carried_out_is_made_again() {
    let port = stopped(1, 1);
    port.0.fault("compute.start", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    let response = run(handle(&deps_of(&port, pooled(1)), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!((runners(&port, RunnerState::Launched), port.0.parameters.borrow().len()), (1, 1));
    look_at(&port, pooled(1));
    assert_eq!((runners(&port, RunnerState::Registered), port.0.parameters.borrow().len()), (1, 1));
    assert_eq!((port.0.called("compute.start"), port.0.dead.borrow().len()), (2, 0));
}

#[test]
fn one_that_may_run_is_not_ended_where_ec2_refuses_for_another_reason() {
    let port = stopped(1, 1);
    port.0.fault("compute.start", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    port.0.fault("compute.start", Fault::Ec2(Class::Permanent, "UnauthorizedOperation"));
    for _ in 0..2 {
        run(handle(&deps_of(&port, pooled(1)), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    }
    assert_eq!((port.0.called("compute.start"), port.0.dead.borrow().len()), (2, 0));
    assert_eq!(runners(&port, RunnerState::Launched), 1, "it has until its boot deadline");
}

#[test]
fn what_the_pool_has_no_use_for_is_ended_and_its_place_is_free() {
    let port = stopped(0, 3);
    port.0.fault("compute.terminate", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    look_at(&port, pooled(1));
    assert_eq!((runners(&port, RunnerState::Withdrawn), port.0.dead.borrow().len(), alive(&port)), (1, 1, 2));
    pass(&port, 40);
    look_at(&port, pooled(1));
    assert_eq!((port.0.dead.borrow().len(), alive(&port), runners(&port, RunnerState::Stopped)), (2, 1, 1));
    assert!(port.0.parameters.borrow().is_empty(), "nobody is there to be told");
}

#[test]
fn a_claim_whose_invocation_is_killed_is_started_by_another() {
    for steps in 0..80 {
        let port = stopped(1, 1);
        port.0.concurrent.set(true);
        let deps = deps_of(&port, pooled(1));
        let wakes = batch(&[wake_up("linux-x64")]);
        let mut killed = Box::pin(handle(&deps, &wakes, port.0.now.get() + 30_000));
        let ended = (0..steps).any(|_| matches!(step(killed.as_mut()), Poll::Ready(_)));
        drop(killed);
        port.0.concurrent.set(false);
        for _ in 0..3 {
            pass(&port, 62);
            look_at(&port, pooled(1));
        }
        assert_eq!(runners(&port, RunnerState::Registered), 1, "killed after {steps}");
        assert_eq!((alive(&port), port.0.parameters.borrow().len()), (2, 1), "killed after {steps}");
        assert!(port.0.asleep.borrow().is_empty(), "killed after {steps}: it was never started");
        if ended {
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn no_more_than_max_ever_run() {
    let port = stopped(9, 3);
    let of = || Fleet { max: 4, ..pooled(3) };
    for _ in 0..3 {
        look_at(&port, of());
        pass(&port, 40);
    }
    let running = port.0.ledger.borrow().runners.values().filter(|it| it.state.is_alive()).count();
    assert_eq!((running, alive(&port)), (4, 4));
}

#[test]
fn a_start_waits_for_its_turn_at_ec2() {
    let port = stopped(1, 1);
    let look = || {
        let limits = Limits { ec2: 1, ..Limits::NONE };
        let deps = Deps { limits, ..deps_of(&port, Fleet { max: 1, ..pooled(1) }) };
        run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
    };
    // Others have taken the turns of some minutes.
    port.0.ledger.borrow_mut().buckets.insert(Bucket::Ec2, (port.0.now.get() + 600_000) * 1000);
    look();
    assert_eq!((port.0.called("compute.start"), runners(&port, RunnerState::Stopped)), (0, 1));
    port.0.ledger.borrow_mut().buckets.clear();
    pass(&port, 62);
    look();
    assert_eq!((port.0.called("compute.start"), runners(&port, RunnerState::Registered)), (1, 1));
}
