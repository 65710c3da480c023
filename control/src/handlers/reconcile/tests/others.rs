//! Strays, failed deliveries and leftovers.

use super::*;

#[test]
fn a_stray_whose_reservation_is_known_is_adopted() {
    let port = world();
    instance_of(&port, 1, AtEc2::Running, 90 * MINUTE);
    let it = Reservation { id: "r1".into(), lease_until: u64::MAX, version: 1, ..reservation(FLEET, "r1", 1) };
    port.0.ledger.borrow_mut().reservations.insert((FLEET.into(), "r1".into()), it);
    port.0.ledger.borrow_mut().metas.insert(FLEET.into(), Meta { rev: 1, alive: 1, ..Meta::default() });
    minutes(&port, 60);
    assert!(woken(&port) >= 60 && !is_ended(&port, 1));
}

#[test]
fn a_stray_is_ended_after_a_grace_and_only_when_it_is_dead() {
    // heard, online, busy -> ended
    for (heard, online, busy, ended) in [
        (false, false, false, true),
        (true, false, false, false),
        (false, true, false, false),
        (false, false, true, false),
    ] {
        let port = world();
        instance_of(&port, 1, AtEc2::Running, 0);
        // Whose its runners are is known from another one.
        runner_of(&port, 2, RunnerState::Busy, 0);
        instance_of(&port, 2, AtEc2::Running, 0);
        if online || busy {
            at_github(&port, 1, online, busy);
        }
        for minute in 0..90 {
            hear(&port, 2);
            if heard {
                hear(&port, 1);
            }
            minutes(&port, 1);
            assert!(!is_ended(&port, 1) || minute >= 39, "{minute}");
        }
        assert_eq!((is_ended(&port, 1), is_ended(&port, 2)), (ended, false), "{heard} {online} {busy}");
    }
}

#[test]
fn a_stray_of_nobody_knows_whom_is_kept() {
    let port = world();
    instance_of(&port, 1, AtEc2::Running, 0);
    minutes(&port, 90);
    assert!(!is_ended(&port, 1), "nobody could be asked about its runner");
}

#[test]
fn failed_deliveries_are_sent_again_once_until_one_succeeds() {
    let port = world();
    for id in 1..=5 {
        failed(&port, id, &format!("g{id}"), 10 * MINUTE - id);
    }
    port.0.census.forgotten.borrow_mut().insert(5);
    look(&port);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2, 3, 4], "in their order");
    minutes(&port, 5);
    assert_eq!(port.0.census.redelivered.borrow().len(), 4, "once");
    failed(&port, 9, "g2", 0);
    minutes(&port, 1);
    assert_eq!(port.0.census.redelivered.borrow().len(), 4, "it waits a little");
    minutes(&port, 1);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2, 3, 4, 9]);
    minutes(&port, 60);
    assert_eq!(port.0.census.redelivered.borrow().len(), 5);
}

#[test]
fn many_failed_deliveries_are_sent_again_a_few_at_a_time() {
    let port = world();
    for id in 1..=100 {
        failed(&port, id, &format!("g{id}"), 100 * MINUTE - id);
    }
    look(&port);
    assert!(port.0.census.redelivered.borrow().len() <= 20);
    minutes(&port, 30);
    let mut sent = port.0.census.redelivered.borrow().clone();
    sent.sort_unstable();
    assert_eq!(sent, (1..=100).collect::<Vec<u64>>());
}

#[test]
fn registrations_and_runners_without_an_instance_are_deleted() {
    let port = world();
    runner_of(&port, 2, RunnerState::Busy, 0);
    for n in [1, 2, 3, 4] {
        registration(&port, n);
        at_github(&port, n, n == 3, n == 4);
    }
    instance_of(&port, 2, AtEc2::Running, 0);
    for minute in 0..70 {
        hear(&port, 2);
        minutes(&port, 1);
        assert!(port.0.runners.borrow().contains_key(&name(1)) || minute >= 59, "{minute}");
        assert_eq!(port.0.parameters.borrow().len(), if minute < 14 { 4 } else { 1 }, "{minute}");
    }
    let left: Vec<String> = port.0.runners.borrow().keys().cloned().collect();
    assert_eq!(left, [name(2), name(3), name(4)], "the one that is offline, has no job and no instance");
}

#[test]
fn without_the_whole_list_of_instances_nothing_is_a_stray_or_left_behind() {
    let port = world();
    registration(&port, 1);
    at_github(&port, 1, false, false);
    runner_of(&port, 2, RunnerState::Busy, 0);
    for _ in 0..90 {
        hear(&port, 2);
        port.0.fault("compute.ours", Fault::Ledger);
        minutes(&port, 1);
    }
    assert_eq!((port.0.parameters.borrow().len(), port.0.runners.borrow().len()), (1, 1));
}
