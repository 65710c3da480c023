//! Strays and leftovers.

use super::*;
use crate::simulation::runtime::step;

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
fn a_stray_whose_owner_was_never_met_is_looked_for_at_those_whose_jobs_were() {
    for (busy, ended) in [(false, true), (true, false)] {
        let port = world();
        instance_of(&port, 1, AtEc2::Running, 0);
        job_of(&port, 7, JobState::Running, MINUTE);
        told(&port, 7, "in_progress", Some(1));
        if busy {
            at_github(&port, 1, false, true);
        }
        minutes(&port, 38);
        assert!(!is_ended(&port, 1), "{busy}: its grace");
        minutes(&port, 8);
        assert_eq!(is_ended(&port, 1), ended, "{busy}");
    }
}

#[test]
fn a_runner_at_github_whose_owner_was_never_met_is_deleted_too() {
    let port = world();
    job_of(&port, 7, JobState::Running, MINUTE);
    told(&port, 7, "completed", None);
    at_github(&port, 1, false, false);
    minutes(&port, 70);
    assert!(port.0.runners.borrow().is_empty());
}

#[test]
fn of_more_owners_than_can_be_asked_nothing_is_known() {
    let port = world();
    instance_of(&port, 1, AtEc2::Running, 0);
    for id in 1..=21 {
        job_of(&port, id, JobState::Running, MINUTE);
        port.0.ledger.borrow_mut().jobs.get_mut(&id).unwrap().repository = format!("org-{id}/repo");
        told(&port, id, "in_progress", None);
    }
    minutes(&port, 90);
    assert!(!is_ended(&port, 1) && port.0.called("github.standing") == 0);
}

#[test]
fn a_stray_that_cant_be_looked_after_is_in_no_others_way() {
    for call in ["ledger.heard", "ledger.runner", "compute.terminate"] {
        let port = world();
        for n in [1, 2, 3] {
            instance_of(&port, n, AtEc2::Running, 0);
        }
        // Whose their runners are is known from this one.
        runner_of(&port, 2, RunnerState::Busy, 0);
        let mut told = String::new();
        for _ in 0..60 {
            hear(&port, 2);
            port.0.faults.borrow_mut().clear();
            port.0.fault(call, Fault::Ledger);
            // The fleet's own look comes first.
            port.0.skip.set(u32::from(call == "ledger.heard"));
            told += &minutes(&port, 1);
        }
        assert_eq!((is_ended(&port, 1), is_ended(&port, 3)), (false, true), "{call}");
        assert_eq!(told.contains("\"Reason\":\"reconcile\""), call != "compute.terminate");
    }
}

/// A stray, as dead as one can be; whose its runner was is known from another.
fn stray() -> Port {
    let port = world();
    instance_of(&port, 1, AtEc2::Running, 0);
    runner_of(&port, 2, RunnerState::Busy, 0);
    instance_of(&port, 2, AtEc2::Running, 0);
    port
}

/// So many minutes, in which the other one is well.
fn pass(port: &Port, count: u64) {
    for _ in 0..count {
        hear(port, 2);
        minutes(port, 1);
    }
}

#[test]
fn a_stray_that_is_heard_of_in_between_has_all_its_time_again() {
    let port = stray();
    pass(&port, 35);
    hear(&port, 1);
    pass(&port, 35);
    assert!(!is_ended(&port, 1), "silent for 25 minutes, and GitHub has to miss it for 30");
    pass(&port, 6);
    assert!(is_ended(&port, 1));
    // As with what GitHub says.
    let port = stray();
    pass(&port, 35);
    at_github(&port, 1, true, false);
    pass(&port, 1);
    at_github(&port, 1, false, false);
    pass(&port, 30);
    assert!(!is_ended(&port, 1), "seen half an hour ago");
    pass(&port, 1);
    assert!(is_ended(&port, 1));
}

#[test]
fn what_ends_already_is_no_stray() {
    let port = stray();
    port.0.census.instances.borrow_mut().get_mut(&instance(1)).unwrap().state = AtEc2::Ending;
    pass(&port, 60);
    assert_eq!((port.0.called("compute.terminate"), port.0.called("github.standing")), (0, 0));
}

#[test]
fn an_instance_whose_runner_has_ended_by_the_ledger_is_a_stray() {
    for state_before in [RunnerState::Gone, RunnerState::Spent] {
        let port = stray();
        runner_of(&port, 1, state_before, 0);
        pass(&port, 45);
        assert!(is_ended(&port, 1), "{state_before:?}");
    }
}

#[test]
fn a_stray_that_the_ledger_comes_to_know_is_not_ended() {
    let port = stray();
    let mut asked = 0;
    while !is_ended(&port, 1) && asked < 60 {
        hear(&port, 2);
        port.0.now.set(now(&port) + MINUTE);
        let (deps, before) = (deps(&port), port.0.called("github.standing"));
        port.0.concurrent.set(true);
        let mut look = Box::pin(handle(&deps, now(&port) + MINUTE));
        let mut known = false;
        for _ in 0..10_000 {
            if step(look.as_mut()).is_ready() {
                break;
            }
            if port.0.called("github.standing") > before && !known {
                // Scale-up has written it down.
                runner_of(&port, 1, RunnerState::Launched, 0);
                known = true;
            }
        }
        drop(look);
        port.0.concurrent.set(false);
        port.0.ledger.borrow_mut().runners.retain(|(_, it), _| *it == instance(2));
        port.0.ledger.borrow_mut().metas.get_mut(FLEET).unwrap().alive = 1;
        asked += 1;
    }
    assert!(!is_ended(&port, 1) && port.0.called("github.standing") > 30);
}

#[test]
fn of_many_strays_github_is_asked_about_a_few_at_a_time() {
    let port = stray();
    (3..=17).for_each(|n| instance_of(&port, n, AtEc2::Running, 0));
    pass(&port, 12);
    assert_eq!(port.0.called("github.standing"), 2 * 10);
}

#[test]
fn strays_that_live_are_in_no_others_way() {
    let port = stray();
    for n in 3..=17 {
        instance_of(&port, n, AtEc2::Running, 0);
        at_github(&port, n, n != 17, false);
    }
    at_github(&port, 1, true, false);
    pass(&port, 90);
    let ended: Vec<u64> = (1..=17).filter(|n| is_ended(&port, *n)).collect();
    assert_eq!(ended, [17]);
}

#[test]
fn where_there_are_more_instances_than_are_listed_nothing_is_left_behind() {
    let port = world();
    (1..=45).for_each(|n| instance_of(&port, n, AtEc2::Running, 0));
    registration(&port, 45);
    minutes(&port, 20);
    assert_eq!(port.0.parameters.borrow().len(), 1, "it is not known whether its instance is there");
}

#[test]
fn an_owner_whom_github_does_not_know_is_in_no_others_way() {
    let port = world();
    for n in [1, 2] {
        runner_of(&port, n, RunnerState::Busy, 0);
        instance_of(&port, n, AtEc2::Running, 0);
    }
    let gone = "orgs/a-gone-one".parse().unwrap();
    port.0.ledger.borrow_mut().runners.get_mut(&(FLEET.into(), instance(2))).unwrap().scope = Some(gone);
    at_github(&port, 9, false, false);
    for _ in 0..70 {
        hear(&port, 1);
        hear(&port, 2);
        port.0.faults.borrow_mut().clear();
        port.0.fault("github.runners", Fault::GitHubPermanent);
        minutes(&port, 1);
    }
    assert!(!port.0.runners.borrow().contains_key(&name(9)));
}

#[test]
fn what_only_the_ledger_or_only_ec2_knows_is_not_left_behind() {
    let port = world();
    // EC2 does not list it yet.
    runner_of(&port, 1, RunnerState::Launched, 0);
    // Another deployment of the account has it, under the same name.
    instance_of(&port, 2, AtEc2::Running, 0);
    port.0.census.others.borrow_mut().insert(instance(2));
    at_github(&port, 2, false, false);
    registration(&port, 1);
    for _ in 0..90 {
        hear(&port, 1);
        minutes(&port, 1);
    }
    assert_eq!((port.0.parameters.borrow().len(), port.0.runners.borrow().len()), (1, 1));
    port.0.dead.borrow_mut().insert(instance(2));
    hear(&port, 1);
    minutes(&port, 1);
    assert_eq!((port.0.parameters.borrow().len(), port.0.runners.borrow().len()), (1, 0));
}

#[test]
fn a_runner_that_was_seen_in_between_has_another_hour() {
    let port = world();
    // Whose its runners are is known from another one.
    runner_of(&port, 2, RunnerState::Busy, 0);
    instance_of(&port, 2, AtEc2::Running, 0);
    for minute in 0..120 {
        hear(&port, 2);
        at_github(&port, 1, minute == 50, false);
        minutes(&port, 1);
        assert_eq!(port.0.runners.borrow().contains_key(&name(1)), minute < 111, "{minute}");
        if minute >= 111 {
            break;
        }
    }
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

#[test]
fn what_cant_be_read_is_not_noted_anew() {
    let port = world();
    for (id, guid) in [(1, "a"), (2, "b")] {
        failed(&port, id, guid, MINUTE);
    }
    minutes(&port, 30);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2]);
    let notes = || port.0.census.texts.borrow().clone();
    let before = notes();
    let each = port.0.called("ledger.text");
    look(&port);
    let each = port.0.called("ledger.text") - each;
    assert!(each > 8, "{each}");
    for nth in 0..each {
        port.0.fault("ledger.text", Fault::Ledger);
        port.0.skip.set(u32::try_from(nth).unwrap());
        look(&port);
        port.0.faults.borrow_mut().clear();
        port.0.skip.set(0);
        look(&port);
        assert_eq!(*port.0.census.redelivered.borrow(), [1, 2], "{nth}: listed for days");
        let kept: Vec<String> = notes().into_keys().collect();
        assert_eq!(kept, before.keys().cloned().collect::<Vec<_>>(), "{nth}");
    }
}
