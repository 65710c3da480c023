//! What instances tell that stand by.

use super::*;
use crate::{
    decide::reusable::LISTENING,
    fleets::{Eviction, Fleet, Pool, PoolKind},
    ledger::Reuse,
    simulation::runtime::step,
};

fn word(kind: Kind) -> Lifecycle {
    Lifecycle::new(kind, &instance(1), "linux-x64")
}

fn deadline(port: &Port) -> u64 {
    port.0.ledger.borrow().runner("linux-x64", &instance(1)).unwrap().boot_deadline
}

#[test]
fn an_instance_that_has_booted_stands_by_and_its_heartbeats_keep_it_there() {
    let port = world(RunnerState::Warming);
    assert_eq!(tell(&port, &word(Kind::Standby)), 0);
    assert_eq!((state(&port), deadline(&port)), (Some(RunnerState::Standby), port.0.now.get() + LISTENING));
    port.0.now.set(port.0.now.get() + LISTENING);
    tell(&port, &word(Kind::Heartbeat));
    assert_eq!((state(&port), deadline(&port)), (Some(RunnerState::Standby), port.0.now.get() + LISTENING));
    assert_eq!((alive(&port), port.0.called("github.delete_runner")), (1, 0));
}

#[test]
fn one_that_is_to_be_stopped_now_wakes_its_fleet() {
    for (kind, word_of, woken) in [
        (PoolKind::Stopped, Kind::Standby, 1),
        (PoolKind::Stopped, Kind::Heartbeat, 0),
        (PoolKind::Standby, Kind::Standby, 0),
    ] {
        let port = world(RunnerState::Warming);
        let it = message(&serde_json::to_value(word(word_of)).unwrap(), &format!("AROAX:{}", instance(1)), 1);
        let mut batch = SqsEvent::default();
        batch.records = vec![it];
        let fleet = Fleet { pool: Some(pool(kind)), ..fleet("linux-x64") };
        run(handle(&Deps { fleets: fleets([fleet]), ..deps(&port) }, &batch, u64::MAX));
        assert_eq!((state(&port), port.0.sent.borrow().len()), (Some(RunnerState::Standby), woken), "{kind:?}");
    }
}

#[test]
fn a_late_word_takes_no_job_its_instance() {
    for given in [
        RunnerState::Launched,
        RunnerState::Registered,
        RunnerState::Busy,
        RunnerState::Stopping,
        RunnerState::Stopped,
        RunnerState::Withdrawn,
    ] {
        let port = world(given);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.lease_until = u64::MAX / 2);
        tell(&port, &word(Kind::Standby));
        tell(&port, &word(Kind::Heartbeat));
        assert_eq!(state(&port), Some(given));
    }
}

#[test]
fn one_that_stands_by_is_let_go_and_one_that_was_given_to_a_job_is_not() {
    for before in [RunnerState::Warming, RunnerState::Standby] {
        let port = world(before);
        assert_eq!(tell(&port, &word(Kind::Retire)), 0);
        assert_eq!((state(&port), alive(&port)), (Some(RunnerState::Withdrawn), 1), "until it has ended");
    }
    for given in [RunnerState::Launched, RunnerState::Registered, RunnerState::Busy] {
        let port = world(given);
        assert_eq!(tell(&port, &word(Kind::Retire)), 0);
        assert_eq!(state(&port), Some(given));
        assert_eq!(port.0.runners.borrow().len(), 1, "its registration is on the way, and stays good");
        assert_eq!(port.0.parameters.borrow().len(), 1);
    }
}

#[test]
fn its_end_frees_its_place_and_takes_what_it_never_claimed() {
    for before in [RunnerState::Warming, RunnerState::Standby, RunnerState::Withdrawn, RunnerState::Launched] {
        let port = world(before);
        let end = Lifecycle { reason: Some(Reason::MaxLifetime), ..word(Kind::Finished) };
        assert_eq!(tell(&port, &end), 0);
        assert_eq!((state(&port), alive(&port)), (None, 0), "{before:?}");
        assert!(port.0.parameters.borrow().is_empty() && port.0.runners.borrow().is_empty(), "{before:?}");
    }
}

/// A world with so many idle runners, of which the pool keeps one; and what one of them asks.
fn idle(count: u64) -> Port {
    let port = world::world(1);
    for n in 1..=count {
        let reuse = Some(Reuse::default());
        let (state, boot_deadline) = (RunnerState::Registered, port.0.now.get() + LISTENING);
        let it = Runner { state, reuse, boot_deadline, runner_id: Some(n), version: 1, ..runner("linux-x64", n) };
        port.0.ledger.borrow_mut().runners.insert(("linux-x64".into(), instance(n)), it);
        let entry = Registered { id: n, online: true, busy: false, labels: vec![] };
        port.0.runners.borrow_mut().insert(format!("linux-x64-{}", instance(n)), entry);
    }
    port.0.ledger.borrow_mut().metas.insert("linux-x64".into(), Meta { rev: 1, alive: count, ..Meta::default() });
    port
}

fn pool(kind: PoolKind) -> Pool {
    Pool {
        kind,
        size: 1,
        schedules: vec![],
        eviction: Eviction::Oldest,
        lifetime_seconds: 86_400,
        repository: Some("octo-org/x".into()),
    }
}

fn keeping(port: &Port) -> Deps<Port, Port, Port, Port, Port> {
    let fleet = Fleet { ephemeral: false, pool: Some(pool(PoolKind::Idle)), ..fleet("linux-x64") };
    Deps { fleets: fleets([fleet]), ..deps(port) }
}

fn asks(n: u64, reason: Reason) -> SqsMessage {
    let reservation = Some("r1".into());
    let it = Lifecycle { reason: Some(reason), reservation, ..Lifecycle::new(Kind::Retire, &instance(n), "linux-x64") };
    message(&serde_json::to_value(it).unwrap(), &format!("AROAX:{}", instance(n)), 1)
}

/// How many are left at GitHub, and how many retire by the ledger.
fn left(port: &Port) -> (usize, usize) {
    let retiring = port.0.ledger.borrow().runners.values().filter(|it| it.state == RunnerState::Retiring).count();
    (port.0.runners.borrow().len(), retiring)
}

#[test]
fn an_idle_runner_that_the_pool_wants_is_refused_to_retire() {
    let port = idle(2);
    let mut batch = SqsEvent::default();
    // The older one is too many; then the other is all there is.
    for (n, expected) in [(2, (2, 0)), (1, (1, 1)), (2, (1, 1)), (1, (1, 1))] {
        batch.records = vec![asks(n, Reason::Idle)];
        assert!(run(handle(&keeping(&port), &batch, u64::MAX)).batch_item_failures.is_empty());
        assert_eq!(left(&port), expected, "{n} asks");
    }
    batch.records = vec![asks(2, Reason::MaxLifetime)];
    run(handle(&keeping(&port), &batch, u64::MAX));
    assert_eq!(left(&port).0, 0, "its time is over, whatever the pool wants");
}

#[test]
fn of_two_that_ask_at_once_one_retires() {
    for first in 0..12 {
        let port = idle(2);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.launched_at = 5);
        port.0.concurrent.set(true);
        let deps = keeping(&port);
        let of = |n| {
            let mut batch = SqsEvent::default();
            batch.records = vec![asks(n, Reason::Idle)];
            batch
        };
        let batches = [of(1), of(2)];
        let mut running: Vec<_> = batches.iter().map(|batch| Box::pin(handle(&deps, batch, u64::MAX))).collect();
        for turn in 0.. {
            let at = if turn < first { 0 } else { turn % running.len() };
            port.0.now.set(port.0.now.get() + 10);
            if step(running[at].as_mut()).is_ready() {
                drop(running.remove(at));
            }
            if running.is_empty() {
                break;
            }
        }
        assert_eq!(left(&port), (1, 1), "{first} ahead");
    }
}

#[test]
fn a_retiring_runner_that_got_a_job_is_busy_and_one_that_listens_on_counts_again() {
    let port = idle(2);
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = true);
    let mut batch = SqsEvent::default();
    batch.records = vec![asks(1, Reason::Idle)];
    run(handle(&keeping(&port), &batch, u64::MAX));
    assert_eq!(left(&port), (2, 1), "GitHub has given it a job just before");
    let says = |kind| Lifecycle { reservation: Some("r1".into()), ..word(kind) };
    tell(&port, &says(Kind::Heartbeat));
    assert_eq!(state(&port), Some(RunnerState::Retiring), "it says so while it retires, too");
    tell(&port, &says(Kind::Listening));
    assert_eq!(state(&port), Some(RunnerState::Registered));
}
