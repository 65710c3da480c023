//! What stands by, and is given to jobs.

use std::task::Poll;

use dayfly_contract::Grant;

use super::*;
use crate::{
    fleets::{Eviction, Pool, PoolKind},
    simulation::runtime::step,
};

/// A fleet that keeps so many standing by.
fn pooled(size: u64) -> Fleet {
    let pool = Pool {
        kind: PoolKind::Standby,
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

/// A world with so many jobs and instances that stand by.
fn standing_by(queued: u64, count: u64) -> Port {
    let port = world(0);
    look_at(&port, pooled(count));
    for it in port.0.ledger.borrow_mut().runners.values_mut() {
        assert_eq!(it.state, RunnerState::Warming);
        it.state = RunnerState::Standby;
    }
    port.0.ledger.borrow_mut().markers = world(queued).0.ledger.borrow().markers.clone();
    port.0.sent.borrow_mut().clear();
    port
}

#[test]
fn an_empty_pool_is_filled_and_nothing_of_it_is_registered() {
    let port = world(0);
    look_at(&port, pooled(2));
    assert_eq!((runners(&port, RunnerState::Warming), alive(&port)), (2, 2));
    assert_eq!((port.0.called("github.jit_config"), port.0.called("handover.put")), (0, 0));
    assert!(port.0.parameters.borrow().is_empty() && port.0.runners.borrow().is_empty());
    look_at(&port, pooled(2));
    assert_eq!((alive(&port), port.0.called("compute.launch")), (2, 1), "once is enough");
}

#[test]
fn a_job_gets_an_instance_that_stands_by_and_the_pool_fills_up_again() {
    let port = standing_by(1, 2);
    look_at(&port, pooled(2));
    let states = [RunnerState::Registered, RunnerState::Standby, RunnerState::Warming].map(|it| runners(&port, it));
    assert_eq!((states, alive(&port)), ([1, 1, 1], 3));
    assert_eq!((port.0.parameters.borrow().len(), port.0.called("github.jit_config")), (1, 1));
    // What was claimed is supply, as any that is on its way.
    look_at(&port, pooled(2));
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (1, 3));
}

#[test]
fn a_pause_keeps_no_job_from_what_stands_by() {
    let port = standing_by(2, 1);
    port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 60_000);
    look_at(&port, pooled(1));
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (1, 1), "nothing is launched");
}

/// Two looks at one fleet, each of their calls in turn.
fn race(port: &Port, of: &Fleet, first: usize) {
    port.0.concurrent.set(true);
    let deps = deps_of(port, of.clone());
    let (batch, deadline) = (batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000);
    let mut looks = vec![Box::pin(handle(&deps, &batch, deadline)), Box::pin(handle(&deps, &batch, deadline))];
    for n in 0.. {
        // One of them is ahead by `first` calls.
        let at = if n < first { 0 } else { n % looks.len() };
        port.0.now.set(port.0.now.get() + 10);
        if let Poll::Ready(response) = step(looks[at].as_mut()) {
            assert!(response.batch_item_failures.is_empty());
            drop(looks.remove(at));
        }
        if looks.is_empty() {
            break;
        }
    }
    port.0.concurrent.set(false);
}

#[test]
fn of_two_planners_one_claims_for_a_job_and_none_claims_twice() {
    for first in 0..12 {
        let port = standing_by(1, 2);
        race(&port, &pooled(2), first);
        let claimed = runners(&port, RunnerState::Registered) + runners(&port, RunnerState::Launched);
        assert_eq!((claimed, runners(&port, RunnerState::Standby)), (1, 1), "{first} ahead: one job");
        assert_eq!((alive(&port), port.0.parameters.borrow().len()), (3, 1), "{first} ahead: the pool is filled once");
        let port = standing_by(2, 1);
        race(&port, &pooled(1), first);
        assert_eq!(port.0.called("github.jit_config"), 2, "{first} ahead: a registration for each job");
        assert_eq!(alive(&port), 3, "{first} ahead: one of the pool, one launched, and one for the pool");
    }
}

#[test]
fn what_the_pool_has_no_use_for_is_told_where_it_looks_for_its_registration() {
    let port = standing_by(0, 3);
    look_at(&port, pooled(1));
    assert_eq!([RunnerState::Withdrawn, RunnerState::Standby].map(|it| runners(&port, it)), [2, 1]);
    assert_eq!(alive(&port), 3, "they live until they say that they end");
    let told = port.0.parameters.borrow();
    assert!(told.len() == 2 && told.values().all(|it| matches!(it.grant, Grant::Leave { .. })));
    assert!(port.0.dead.borrow().is_empty(), "nobody but its agent ends it");
}

#[test]
fn one_that_was_withdrawn_and_not_told_is_told_later_and_gets_no_job() {
    let port = standing_by(0, 1);
    port.0.fault("handover.put", Fault::HandoverTransient);
    look_at(&port, pooled(0));
    assert_eq!((runners(&port, RunnerState::Withdrawn), port.0.parameters.borrow().len()), (1, 0));
    look_at(&port, pooled(0));
    assert_eq!(port.0.parameters.borrow().len(), 0, "whoever withdrew it may be about to");
    port.0.now.set(port.0.now.get() + 40_000);
    port.0.ledger.borrow_mut().markers = world(1).0.ledger.borrow().markers.clone();
    look_at(&port, pooled(0));
    assert_eq!((runners(&port, RunnerState::Withdrawn), runners(&port, RunnerState::Registered)), (1, 1));
    let told = port.0.parameters.borrow();
    assert_eq!(told.values().filter(|it| matches!(it.grant, Grant::Leave { .. })).count(), 1);
    assert_eq!(alive(&port), 2, "the job has another");
}

#[test]
fn many_go_a_few_at_a_time() {
    let port = standing_by(0, 12);
    look_at(&port, pooled(0));
    assert_eq!((runners(&port, RunnerState::Withdrawn), later(&port)), (5, vec![4]));
    look_at(&port, pooled(0));
    look_at(&port, pooled(0));
    assert_eq!(runners(&port, RunnerState::Withdrawn), 12);
}

#[test]
fn a_claim_whose_invocation_is_killed_is_registered_by_another() {
    for steps in 0..60 {
        let port = standing_by(1, 1);
        port.0.concurrent.set(true);
        let deps = deps_of(&port, pooled(1));
        let wakes = batch(&[wake_up("linux-x64")]);
        let mut killed = Box::pin(handle(&deps, &wakes, port.0.now.get() + 30_000));
        let ended = (0..steps).any(|_| step(killed.as_mut()).is_ready());
        drop(killed);
        port.0.concurrent.set(false);
        for _ in 0..3 {
            port.0.now.set(port.0.now.get() + 62_000);
            look_at(&port, pooled(1));
        }
        assert_eq!(runners(&port, RunnerState::Registered), 1, "killed after {steps}");
        assert_eq!((alive(&port), port.0.parameters.borrow().len()), (2, 1), "killed after {steps}");
        if ended {
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn launches_for_a_pool_begin_no_cooldown_for_jobs() {
    for kind in [PoolKind::Standby, PoolKind::Stopped, PoolKind::Idle] {
        let port = world(0);
        let of = || {
            let mut it = Fleet { ephemeral: kind != PoolKind::Idle, cooldown_seconds: 60, ..pooled(1) };
            it.pool.as_mut().unwrap().kind = kind;
            it
        };
        let reserved_at = || port.0.ledger.borrow().view("linux-x64").meta.reserved_at;
        look_at(&port, of());
        assert_eq!((alive(&port), reserved_at()), (1, 0), "{kind:?}");
        // One job gets what boots for the pool, or will listen; for the other one is launched at once.
        port.0.ledger.borrow_mut().markers = world(2).0.ledger.borrow().markers.clone();
        look_at(&port, of());
        assert!(alive(&port) > 1 && reserved_at() > 0, "{kind:?}");
        let before = alive(&port);
        port.0.ledger.borrow_mut().markers = world(5).0.ledger.borrow().markers.clone();
        look_at(&port, of());
        assert_eq!(alive(&port), before, "{kind:?}: that one does begin a cooldown");
    }
}
