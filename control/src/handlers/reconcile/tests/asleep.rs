//! Instances that are to be stopped, or are, and pools of which nobody is heard.

use super::*;
use crate::{
    decide::pool::START,
    fleets::{Eviction, Fleet, Pool, PoolKind},
    simulation::world::Port,
};

/// A run in each of so many minutes, for a fleet with a pool of this kind and size.
fn pooled(port: &Port, kind: PoolKind, size: u64, count: u64) -> String {
    let mut mended = String::new();
    for _ in 0..count {
        port.0.now.set(now(port) + MINUTE);
        let owned = || crate::fleets::GitHub { owner: Some("octo-org".into()), ..fleet(FLEET).github };
        let pool = Pool {
            kind,
            size,
            schedules: vec![],
            eviction: Eviction::Oldest,
            lifetime_seconds: 86_400,
            repository: None,
        };
        let of = Fleet { pool: Some(pool), github: owned(), ..fleet(FLEET) };
        let deps = Deps { fleets: fleets([of]), ..deps(port) };
        run(handle(&deps, now(port) + MINUTE));
        mended += &deps.metrics.take(0).join("\n");
    }
    mended
}

fn asleep(state: RunnerState, ec2: Option<AtEc2>) -> Port {
    let port = world();
    runner_of(&port, 1, state, 30 * MINUTE);
    if let Some(ec2) = ec2 {
        instance_of(&port, 1, ec2, 30 * MINUTE);
    }
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| {
        (it.boot_deadline, it.lease_until) = (now(&port) + 3 * MINUTE, now(&port));
    });
    port
}

#[test]
fn one_that_ec2_has_stopped_is_noted_and_never_dead_for_its_silence() {
    let port = asleep(RunnerState::Stopping, Some(AtEc2::Stopped));
    let lease = now(&port) + 2 * MINUTE;
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.lease_until = lease);
    pooled(&port, PoolKind::Stopped, 1, 1);
    assert_eq!(state(&port, 1), Some(RunnerState::Stopping), "whoever stops it may ask EC2 once more");
    pooled(&port, PoolKind::Stopped, 1, 1);
    assert_eq!((state(&port, 1), alive(&port)), (Some(RunnerState::Stopped), 1));
    let mended = pooled(&port, PoolKind::Stopped, 1, 300);
    assert_eq!((state(&port, 1), is_ended(&port, 1)), (Some(RunnerState::Stopped), false));
    assert!(!mended.contains("Mended"), "{mended}");
    assert_eq!(woken(&port), 0);
}

#[test]
fn one_that_ec2_does_not_stop_in_time_is_ended() {
    for ec2 in [AtEc2::Running, AtEc2::Ending] {
        let port = asleep(RunnerState::Stopping, Some(ec2));
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.lease_until = u64::MAX / 2);
        pooled(&port, PoolKind::Stopped, 1, 2);
        assert_eq!((state(&port, 1), is_ended(&port, 1)), (Some(RunnerState::Stopping), false), "it has its time");
        pooled(&port, PoolKind::Stopped, 1, 1);
        let overdue = ec2 == AtEc2::Running;
        assert_eq!((state(&port, 1).is_none(), is_ended(&port, 1)), (overdue, overdue), "{ec2:?}");
    }
}

#[test]
fn one_that_somebody_else_has_started_is_ended_and_one_that_is_gone_is_forgotten() {
    for (ec2, ended) in [(Some(AtEc2::Running), true), (None, false)] {
        let port = asleep(RunnerState::Stopped, ec2);
        let mended = pooled(&port, PoolKind::Stopped, 1, 1);
        assert_eq!((state(&port, 1), alive(&port), is_ended(&port, 1)), (None, 0, ended), "{ec2:?}");
        assert!(mended.contains("Mended") && mended.contains("stopped"), "{mended}");
        assert!(woken(&port) > 0, "the pool is filled up");
        assert_eq!(port.0.ledger.borrow().view(FLEET).meta.failures, 0, "its agent did not fail");
    }
}

#[test]
fn one_that_was_given_to_a_job_and_is_started_has_until_its_boot_deadline() {
    let port = asleep(RunnerState::Registered, Some(AtEc2::Running));
    hear(&port, 1);
    pass_hours(&port, 3);
    let started = now(&port);
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| {
        it.stops.started_at = Some(started);
        it.boot_deadline = started + 5 * MINUTE;
    });
    at_github(&port, 1, false, false);
    registration(&port, 1);
    pooled(&port, PoolKind::Stopped, 0, 9);
    assert_eq!(port.0.parameters.borrow().len(), 1, "it boots: what it said before it was stopped is nothing");
    pooled(&port, PoolKind::Stopped, 0, 3);
    assert!(is_ended(&port, 1), "a start that never boots");
    let breakers = port.0.ledger.borrow().view(FLEET).offers.breakers;
    assert!(breakers.0[START].why.contains("died without a job"), "and the next jobs get fresh ones: {breakers:?}");
}

fn pass_hours(port: &Port, hours: u64) {
    port.0.now.set(now(port) + hours * 60 * MINUTE);
}

#[test]
fn what_stands_by_is_neither_ended_nor_replaced_while_nobody_is_heard() {
    let port = world();
    for n in 1..=3 {
        runner_of(&port, n, RunnerState::Standby, 30 * MINUTE);
        instance_of(&port, n, AtEc2::Running, 30 * MINUTE);
        hear(&port, n);
    }
    // The queue goes down.
    pooled(&port, PoolKind::Standby, 3, 5 * 60);
    assert_eq!((alive(&port), (1..=3).any(|n| is_ended(&port, n)), woken(&port)), (3, false, 0));
    // One that EC2 has not any more is dead for certain, and counts as one that failed.
    port.0.dead.borrow_mut().insert(instance(1));
    pooled(&port, PoolKind::Standby, 3, 1);
    assert_eq!((alive(&port), port.0.ledger.borrow().view(FLEET).meta.failures), (2, 1));
    // It comes up again, and one of them has died meanwhile.
    hear(&port, 2);
    pooled(&port, PoolKind::Standby, 3, 2);
    assert_eq!((is_ended(&port, 2), is_ended(&port, 3)), (false, true), "somebody is heard");
}

#[test]
fn what_stands_by_is_not_left_alone_for_ever_where_nobody_is_heard() {
    let port = world();
    for n in 1..=2 {
        runner_of(&port, n, RunnerState::Standby, 0);
        instance_of(&port, n, AtEc2::Running, 0);
        hear(&port, n);
    }
    pooled(&port, PoolKind::Standby, 2, 6 * 60 + 9);
    assert_eq!(alive(&port), 2);
    pooled(&port, PoolKind::Standby, 2, 1);
    assert_eq!((alive(&port), is_ended(&port, 1) && is_ended(&port, 2)), (0, true));
    let meta = port.0.ledger.borrow().view(FLEET).meta;
    assert!(meta.failures == 1 && meta.paused_until > now(&port), "the pool is filled up the more slowly: {meta:?}");
}

#[test]
fn what_is_heard_by_a_look_that_missed_a_fleet_is_not_taken_for_all_that_is_heard() {
    let before = r#"{"silent":0,"last":1}"#;
    for missed in [None, Some(0), Some(1)] {
        let port = world();
        for n in 1..=2 {
            runner_of(&port, n, RunnerState::Standby, 30 * MINUTE);
            instance_of(&port, n, AtEc2::Running, 30 * MINUTE);
            hear(&port, n);
        }
        pass_hours(&port, 1);
        port.0.census.texts.borrow_mut().insert("reconcile#voices".into(), before.into());
        if let Some(nth) = missed {
            port.0.fault("ledger.heard", Fault::Ledger);
            port.0.skip.set(nth);
        }
        let deps = Deps { fleets: fleets([fleet(FLEET), fleet("other")]), ..deps(&port) };
        run(handle(&deps, now(&port) + MINUTE));
        let after = port.0.census.texts.borrow()["reconcile#voices"].clone();
        assert_eq!(after == before, missed.is_some(), "{missed:?}: {after}");
    }
}

#[test]
fn instances_that_never_spoke_do_not_tell_that_nobody_is_heard() {
    let port = world();
    for n in 1..=2 {
        runner_of(&port, n, RunnerState::Warming, 0);
        instance_of(&port, n, AtEc2::Running, 0);
    }
    pooled(&port, PoolKind::Stopped, 2, 15);
    assert_eq!((alive(&port), is_ended(&port, 1) && is_ended(&port, 2)), (0, true), "their image may be broken");
    assert_eq!(port.0.ledger.borrow().view(FLEET).meta.failures, 1, "the pool is filled up the more slowly");
}

#[test]
fn the_deaths_of_a_pool_make_its_fleet_wait_longer_each_time() {
    let port = world();
    let mut pauses = Vec::new();
    for n in 1..=3 {
        runner_of(&port, n, RunnerState::Warming, 30 * MINUTE);
        pooled(&port, PoolKind::Standby, 1, 1);
        let meta = port.0.ledger.borrow().view(FLEET).meta;
        pauses.push((meta.failures, meta.paused_until - now(&port)));
    }
    assert_eq!(pauses, [(1, 5000), (2, 10_000), (3, 20_000)]);
}

#[test]
fn a_registration_of_what_is_stopped_is_deleted() {
    for state in [RunnerState::Stopped, RunnerState::Launched] {
        let port = asleep(state, Some(AtEc2::Stopped));
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.boot_deadline = u64::MAX / 2);
        registration(&port, 1);
        pooled(&port, PoolKind::Stopped, 1, 13);
        assert_eq!(port.0.parameters.borrow().len(), 1, "{state:?}: it may be put just now");
        pooled(&port, PoolKind::Stopped, 1, 3);
        assert_eq!(port.0.parameters.borrow().is_empty(), state == RunnerState::Stopped, "{state:?}");
    }
}
