//! Stopped instances while GitHub or the store of registrations is away: a pool is not used up by that.

use super::{
    stopped::{all_are, pooled, queue, stopped},
    *,
};
use crate::{
    ledger::Stops,
    simulation::{runtime::step, world::Weather},
};

/// From now on this call fails so, or none does.
fn fails(port: &Port, with: Option<(&'static str, Fault)>) {
    let weather = with.map(|(of, fault)| Weather(Box::new(move |call, _| (call == of).then(|| fault.clone()))));
    port.0.weather.replace(weather);
}

/// What may be away, and how.
fn outages() -> Vec<(&'static str, Fault)> {
    vec![
        ("github.jit_config", Fault::GitHubTransient),
        ("github.jit_config", Fault::Lost),
        ("github.jit_config", Fault::GitHubLimited(90)),
        ("github.jit_config", Fault::GitHubPermanent),
        ("handover.put", Fault::HandoverTransient),
        ("handover.put", Fault::Lost),
        ("handover.put", Fault::HandoverPermanent),
    ]
}

/// A fleet that is its pool, and whose jobs may pin theirs.
fn of(size: u64) -> Fleet {
    let mut fleet = Fleet { max: size, ..pooled(size) };
    fleet.steering.pin = true;
    fleet
}

fn look_at(port: &Port, size: u64) {
    run(handle(&deps_of(port, of(size)), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
}

fn states(port: &Port) -> [usize; 3] {
    [RunnerState::Stopped, RunnerState::Launched, RunnerState::Registered].map(|it| runners(port, it))
}

#[test]
fn an_outage_uses_up_nothing_of_the_pool() {
    for (call, fault) in outages() {
        let case = format!("{call}, {fault:?}");
        let port = stopped(3, 3);
        fails(&port, Some((call, fault)));
        // For longer than an instance has to boot.
        for minute in 0..20 {
            look_at(&port, 3);
            assert_eq!((states(&port), alive(&port)), ([3, 0, 0], 3), "{case}, minute {minute}");
            pass(&port, 60);
        }
        assert_eq!((port.0.called("compute.start"), port.0.dead.borrow().len()), (0, 0), "{case}");
        assert!(port.0.called(call) >= 2, "{case}: it was tried again");
        fails(&port, None);
        for _ in 0..6 {
            look_at(&port, 3);
            pass(&port, 300);
        }
        assert_eq!((states(&port), alive(&port)), ([0, 0, 3], 3), "{case}");
        let left = [port.0.parameters.borrow().len(), port.0.runners.borrow().len(), port.0.dead.borrow().len()];
        assert_eq!((left, port.0.called("compute.start")), ([3, 3, 0], 3), "{case}");
        assert!(port.0.asleep.borrow().is_empty(), "{case}");
    }
}

#[test]
fn what_was_claimed_for_a_job_that_is_gone_is_the_pools() {
    for (call, fault) in outages() {
        let case = format!("{call}, {fault:?}");
        let port = stopped(2, 2);
        fails(&port, Some((call, fault)));
        look_at(&port, 2);
        port.0.ledger.borrow_mut().markers.clear();
        fails(&port, None);
        pass(&port, 3600);
        look_at(&port, 2);
        assert_eq!((states(&port), alive(&port)), ([2, 0, 0], 2), "{case}");
        assert_eq!((port.0.called("compute.start"), port.0.dead.borrow().len()), (0, 0), "{case}");
    }
}

#[test]
fn a_claim_in_an_outage_is_lost_to_nobody_wherever_its_invocation_is_killed() {
    for (call, fault) in outages() {
        for steps in 0.. {
            let case = format!("{call}, {fault:?}, killed after {steps}");
            let port = stopped(1, 1);
            port.0.concurrent.set(true);
            fails(&port, Some((call, fault.clone())));
            let (deps, wakes) = (deps_of(&port, of(1)), batch(&[wake_up("linux-x64")]));
            let mut killed = Box::pin(handle(&deps, &wakes, port.0.now.get() + 30_000));
            let over = (0..steps).any(|_| step(killed.as_mut()).is_ready());
            drop(killed);
            port.0.concurrent.set(false);
            pass(&port, 62);
            look_at(&port, 1);
            assert_eq!((states(&port), alive(&port)), ([1, 0, 0], 1), "{case}");
            fails(&port, None);
            for _ in 0..4 {
                pass(&port, 300);
                look_at(&port, 1);
            }
            assert_eq!((states(&port), alive(&port)), ([0, 0, 1], 1), "{case}");
            let left = [port.0.parameters.borrow().len(), port.0.runners.borrow().len(), port.0.dead.borrow().len()];
            assert_eq!((left, port.0.called("compute.start")), ([1, 1, 0], 1), "{case}");
            if over {
                break;
            }
        }
    }
}

/// An invocation for the job of `port` that has handed a registration over, and not started the instance.
fn handed_over(port: &Port, then: impl FnOnce()) {
    port.0.concurrent.set(true);
    let (deps, wakes) = (deps_of(port, of(1)), batch(&[wake_up("linux-x64")]));
    let mut looks = Box::pin(handle(&deps, &wakes, port.0.now.get() + 30_000));
    while port.0.parameters.borrow().is_empty() {
        assert!(step(looks.as_mut()).is_pending());
    }
    then();
    assert!((0..10_000).any(|_| {
        port.0.now.set(port.0.now.get() + 1);
        step(looks.as_mut()).is_ready()
    }));
    port.0.concurrent.set(false);
}

#[test]
fn what_is_left_of_a_claim_is_no_other_jobs() {
    let port = stopped(1, 1);
    let asks = |what: &str| {
        let mut ledger = port.0.ledger.borrow_mut();
        ledger.markers.values_mut().for_each(|it| it.asks = vec![what.to_owned()]);
    };
    asks("dayfly-pin=one");
    port.0.concurrent.set(true);
    let (deps, wakes) = (deps_of(&port, of(1)), batch(&[wake_up("linux-x64")]));
    let mut killed = Box::pin(handle(&deps, &wakes, port.0.now.get() + 30_000));
    while port.0.parameters.borrow().is_empty() {
        assert!(step(killed.as_mut()).is_pending());
    }
    drop(killed);
    port.0.concurrent.set(false);
    let first = port.0.parameters.borrow().values().next().and_then(dayfly_contract::Registration::runner_id);
    pass(&port, 62);
    asks("dayfly-pin=two");
    look_at(&port, 1);
    let runners = port.0.runners.borrow();
    let of_two = runners.values().next().unwrap();
    assert!(runners.len() == 1 && of_two.labels.contains(&"dayfly-pin=two".to_owned()), "{runners:?}");
    let handed_over = port.0.parameters.borrow().values().next().and_then(dayfly_contract::Registration::runner_id);
    assert_eq!((handed_over, handed_over == first), (Some(of_two.id), false));
    assert_eq!((states(&port), port.0.called("compute.start")), ([0, 0, 1], 1));
}

#[test]
fn who_lost_an_instance_does_not_start_it() {
    // It took too long, and another has given it back; or it was ended by hand.
    for ended in [false, true] {
        let port = stopped(1, 1);
        handed_over(&port, || {
            let mut ledger = port.0.ledger.borrow_mut();
            if ended {
                ledger.runners.clear();
            }
            for it in ledger.runners.values_mut() {
                (it.state, it.version) = (RunnerState::Stopped, it.version + 1);
            }
            ledger.markers.clear();
        });
        assert_eq!(port.0.called("compute.start"), 0, "{ended}");
        assert_eq!(states(&port), [usize::from(!ended), 0, 0], "{ended}");
        assert_eq!(port.0.parameters.borrow().len(), usize::from(!ended), "what is another's is left alone");
    }
}

#[test]
fn it_is_written_down_that_an_instance_is_started_before_it_is() {
    let port = stopped(1, 1);
    port.0.fault("compute.start", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    let at = port.0.now.get();
    look_at(&port, 1);
    let stops = |port: &Port| port.0.ledger.borrow().runners.values().next().unwrap().stops;
    assert_eq!(states(&port), [0, 1, 0], "it may run");
    assert!(matches!(stops(&port), Stops { at: Some(_), started_at: Some(started), .. } if started >= at));
    // GitHub is away next: what may run is no pool's any more.
    fails(&port, Some(("github.jit_config", Fault::GitHubTransient)));
    look_at(&port, 1);
    assert_eq!(states(&port), [0, 1, 0]);
    fails(&port, None);
    look_at(&port, 1);
    assert_eq!((states(&port), port.0.called("compute.start")), ([0, 0, 1], 2));
}

#[test]
fn a_pause_and_a_breaker_hold_nothing_that_is_stopped() {
    let port = stopped(1, 1);
    fails(&port, Some(("github.jit_config", Fault::GitHubPermanent)));
    look_at(&port, 1);
    // Whoever had it next was killed, and GitHub is not asked for a while.
    all_are(&port, RunnerState::Launched);
    pass(&port, 1);
    look_at(&port, 1);
    assert_eq!(states(&port), [1, 0, 0], "the owner's breaker is open");
    all_are(&port, RunnerState::Launched);
    port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 60_000);
    queue(&port, 0);
    look_at(&port, 1);
    assert_eq!((states(&port), port.0.called("github.jit_config")), ([1, 0, 0], 1), "the fleet is paused");
}
