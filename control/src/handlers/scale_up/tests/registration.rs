//! Runners get their registrations: JIT configs and tokens, by SSM and by S3.

use dayfly_contract::{Grant, Registration, VERSION};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Deps, Fleet, Limits, SqsEvent, alive, batch, deps_of, fleet, handle, instance, later, left, message, pass, run,
    runners, wake, wake_up, world,
};
use crate::{
    decide::runners::RunnerState,
    fleets::{Handover, RunnerGroup},
    simulation::{
        runtime::step,
        world::{Fault, Port, Registered},
    },
};

/// A look at this fleet.
fn wake_of(port: &Port, of: &Fleet) -> usize {
    let deps = deps_of(port, of.clone());
    run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000)).batch_item_failures.len()
}

fn reusable() -> Fleet {
    Fleet { ephemeral: false, ..fleet("linux-x64") }
}

#[test]
fn no_registration_is_begun_at_the_end_of_an_invocation() {
    let port = world(1);
    let mut batch = SqsEvent::default();
    batch.records = vec![message(0, wake_up("linux-x64"))];
    let response = run(handle(&deps_of(&port, fleet("linux-x64")), &batch, port.0.now.get() + 2000));
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!((port.0.called("github.jit_config"), runners(&port, RunnerState::Launched)), (0, 1));
}

#[test]
fn an_error_in_one_runner_leaves_the_others_alone() {
    for (call, fault) in [
        ("github.jit_config", Fault::GitHubTransient),
        ("github.jit_config", Fault::GitHubLimited(40)),
        ("handover.put", Fault::HandoverTransient),
    ] {
        let port = world(3);
        port.0.fault(call, fault.clone());
        wake(&port);
        assert_eq!(
            (runners(&port, RunnerState::Registered), runners(&port, RunnerState::Launched)),
            (2, 1),
            "{fault:?}"
        );
        pass(&port, 45);
        wake(&port);
        // A registration that was made and not handed over is found by its name, twice, before it is made anew.
        pass(&port, 60);
        wake(&port);
        assert_eq!(runners(&port, RunnerState::Registered), 3, "{fault:?}");
        assert_eq!((port.0.parameters.borrow().len(), port.0.runners.borrow().len()), (3, 3), "{fault:?}");
        assert_eq!(port.0.called("compute.launch"), 1, "{fault:?}");
    }
}

#[test]
fn a_reusable_runner_gets_a_token_and_all_that_it_registers_with() {
    let port = world(3);
    let github = crate::fleets::GitHub { runner_group: RunnerGroup::Name("builders".into()), ..reusable().github };
    assert_eq!(wake_of(&port, &Fleet { github, ..reusable() }), 0);
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (3, 3));
    let calls =
        ["registration_token", "jit_config", "find_runner", "delete_runner", "group"].map(|it| format!("github.{it}"));
    assert_eq!(calls.map(|call| port.0.called(&call)), [3, 0, 0, 0, 0]);
    for (id, it) in port.0.parameters.borrow().iter() {
        assert_eq!(it.runner_name, format!("linux-x64-{id}"));
        let Grant::Token { registration_token, url, labels, runner_group } = &it.grant else { panic!("{it:?}") };
        assert_eq!(registration_token.expose_secret(), "a registration token");
        assert_eq!((url.as_str(), runner_group.as_deref()), ("https://github.com/octo-org", Some("builders")));
        assert_eq!(*labels, fleet("linux-x64").labels);
    }
    assert!(port.0.ledger.borrow().runners.values().all(|it| it.reuse.is_some() && it.runner_id.is_none()));
    wake_of(&port, &reusable());
    assert_eq!(port.0.called("compute.launch"), 1, "they are supply");
}

#[test]
fn a_group_that_is_named_is_asked_for() {
    let port = world(1);
    let github = crate::fleets::GitHub { runner_group: RunnerGroup::Name("builders".into()), ..fleet("x").github };
    let of = Fleet { github, ..fleet("linux-x64") };
    port.0.fault("github.group", Fault::GitHubTransient);
    assert_eq!(wake_of(&port, &of), 1);
    assert_eq!(port.0.called("github.jit_config"), 0, "never in another group");
    assert_eq!((wake_of(&port, &of), runners(&port, RunnerState::Registered)), (0, 1));
}

#[test]
fn a_fleet_hands_over_as_it_says() {
    for by in [Handover::Ssm, Handover::S3] {
        for of in [fleet("linux-x64"), reusable()] {
            let port = world(2);
            wake_of(&port, &Fleet { handover: by, ..of });
            let stores: Vec<Handover> = port.0.handed_over_by.borrow().values().copied().collect();
            assert_eq!(stores, [by, by]);
        }
    }
}

#[test]
fn registrations_go_side_by_side() {
    for of in [fleet("linux-x64"), reusable()] {
        let port = world(24);
        port.0.concurrent.set(true);
        let (deps, batch) = (deps_of(&port, of), batch(&[wake_up("linux-x64")]));
        let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
        let polls = (1..10_000).find(|_| step(future.as_mut()).is_ready()).unwrap();
        assert_eq!(runners(&port, RunnerState::Registered), 24);
        // Each is three calls at least, each of which waits for its answer.
        assert!(polls < 24 * 3, "{polls}");
    }
}

/// Faults after which no runner of its fleet can be registered.
const FOR_GOOD: [(bool, &str, Fault); 4] = [
    (true, "github.jit_config", Fault::GitHubPermanent),
    (true, "handover.put", Fault::HandoverPermanent),
    (false, "github.registration_token", Fault::GitHubPermanent),
    (false, "handover.put", Fault::HandoverPermanent),
];

#[test]
fn an_instance_that_cant_be_registered_is_ended_and_its_place_given_back() {
    for (ephemeral, call, fault) in FOR_GOOD {
        for refused in [false, true] {
            let port = world(2);
            port.0.fault(call, fault.clone());
            if refused {
                // EC2 does not do it: the instance gives up by itself.
                port.0.fault("compute.terminate", Fault::Wake);
            }
            let of = Fleet { ephemeral, ..fleet("linux-x64") };
            assert_eq!(wake_of(&port, &of), 0);
            assert_eq!((alive(&port), runners(&port, RunnerState::Registered)), (1, 1), "{call}: one has it");
            assert_eq!(port.0.ledger.borrow().runners.len(), 1, "{call}");
            assert_eq!(port.0.dead.borrow().len(), usize::from(!refused), "{call}");
            assert_eq!(port.0.runners.borrow().len(), usize::from(ephemeral), "{call}: nobody's runner is left");
            let wait = if call == "handover.put" { 31 } else { 15 };
            assert_eq!(later(&port), [wait], "{call}: and the look comes back");
        }
    }
}

#[test]
fn an_instance_that_a_killed_invocation_began_with_is_not_ended() {
    let port = world(0);
    let boot_deadline = left(&port, None).boot_deadline;
    port.0.fault("github.jit_config", Fault::GitHubPermanent);
    assert!(wake(&port).is_empty());
    assert_eq!((port.0.called("compute.terminate"), alive(&port)), (0, 1), "it may have a job");
    let leases: Vec<u64> = port.0.ledger.borrow().runners.values().map(|it| it.lease_until).collect();
    assert_eq!(leases, [boot_deadline], "and nobody tries again");
}

#[test]
fn an_instance_that_github_was_asked_for_is_not_ended_later() {
    let port = world(1);
    port.0.fault("github.jit_config", Fault::GitHubTransient);
    assert_eq!(wake(&port).len(), 1);
    // GitHub may have carried it out, and its answer may have been lost.
    port.0.fault("github.jit_config", Fault::GitHubPermanent);
    assert!(wake(&port).is_empty());
    assert_eq!((port.0.called("compute.terminate"), alive(&port)), (0, 1), "it may have a job");
}

#[test]
fn a_registration_whose_first_answer_got_lost_is_left_where_it_is() {
    let port = world(1);
    port.0.concurrent.set(true);
    port.0.fault("handover.put", Fault::HandoverTransient);
    let (deps, batch) = (deps_of(&port, fleet("linux-x64")), batch(&[wake_up("linux-x64")]));
    let deps = Deps { limits: Limits::default(), ..deps };
    let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
    while port.0.called("handover.put") == 0 {
        assert!(step(future.as_mut()).is_pending());
    }
    let instance = port.0.ledger.borrow().runners.values().next().unwrap().instance.clone();
    let it = Registration {
        version: VERSION,
        reservation: "r1".into(),
        runner_name: String::new(),
        trace: None,
        grant: Grant::Jit { runner_id: 1, jit_config: SecretString::from("x") },
    };
    port.0.parameters.borrow_mut().insert(instance, it);
    let polls = (0..10_000).find(|_| {
        port.0.now.set(port.0.now.get() + 1);
        step(future.as_mut()).is_ready()
    });
    assert!(polls.is_some());
    // Its instance may have claimed it by now.
    assert_eq!((port.0.called("handover.put"), port.0.called("handover.delete")), (2, 0));
    assert_eq!(runners(&port, RunnerState::Registered), 1);
}

#[test]
fn what_was_only_put_off_is_ended_all_the_same_where_github_refuses_it() {
    let (port, of) = (world(1), fleet("linux-x64"));
    // The invocation's time is up before GitHub is asked.
    run(handle(&deps_of(&port, of.clone()), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 2000));
    assert_eq!(runners(&port, RunnerState::Launched), 1);
    port.0.fault("github.jit_config", Fault::GitHubPermanent);
    assert_eq!(wake_of(&port, &of), 0);
    assert_eq!((port.0.dead.borrow().len(), alive(&port)), (1, 0), "nobody has begun with it");
    // Where GitHub was about to be asked it may have a job.
    for steps in 1.. {
        let port = world(1);
        run(handle(&deps_of(&port, of.clone()), &batch(&[wake_up("linux-x64")]), port.0.now.get() + 2000));
        port.0.concurrent.set(true);
        let (deps, batch) = (deps_of(&port, of.clone()), batch(&[wake_up("linux-x64")]));
        let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        let taken_over = port.0.ledger.borrow().runners.values().any(|it| it.lease_until > 0);
        drop(future);
        port.0.concurrent.set(false);
        if over {
            break;
        }
        port.0.fault("github.jit_config", Fault::GitHubPermanent);
        pass(&port, 33);
        wake_of(&port, &of);
        let ended = port.0.dead.borrow().len();
        assert!(ended == 0 || !taken_over, "step {steps}: {ended} ended");
    }
}

#[test]
fn a_registration_that_came_too_late_is_taken_back_with_patience() {
    for (refusals, left) in [(0, 0), (2, 0), (3, 1)] {
        let port = world(1);
        port.0.concurrent.set(true);
        let (deps, batch) = (deps_of(&port, fleet("linux-x64")), batch(&[wake_up("linux-x64")]));
        let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
        while port.0.parameters.borrow().is_empty() {
            assert!(step(future.as_mut()).is_pending());
        }
        // The instance ends, and is settled.
        port.0.ledger.borrow_mut().runners.clear();
        port.0.ledger.borrow_mut().metas.get_mut("linux-x64").unwrap().alive = 0;
        (0..refusals).for_each(|_| port.0.fault("handover.delete", Fault::HandoverTransient));
        let polls = (0..10_000).find(|_| {
            port.0.now.set(port.0.now.get() + 1);
            step(future.as_mut()).is_ready()
        });
        assert!(polls.is_some());
        assert_eq!(port.0.parameters.borrow().len(), left, "{refusals} refusals");
        assert_eq!(deps.metrics.take(0).iter().any(|it| it.contains("not_taken_back")), left > 0);
    }
}

fn at_github(port: &Port, online: bool) {
    let it = Registered { id: 23, online, busy: false, labels: vec![] };
    port.0.runners.borrow_mut().insert(format!("linux-x64-{}", instance(1)), it);
}

fn state(port: &Port) -> (RunnerState, Option<u64>) {
    let it = port.0.ledger.borrow().runner("linux-x64", &instance(1)).unwrap();
    (it.state, it.runner_id)
}

#[test]
fn a_name_that_is_taken_is_looked_at() {
    let online = world(0);
    left(&online, None);
    at_github(&online, true);
    assert!(wake(&online).is_empty());
    assert_eq!(state(&online), (RunnerState::Registered, Some(23)), "it claimed its registration");

    let starting = world(0);
    left(&starting, None);
    at_github(&starting, false);
    assert!(wake(&starting).is_empty());
    assert_eq!(
        (state(&starting), later(&starting)),
        ((RunnerState::Launched, Some(23)), vec![60]),
        "it may be starting"
    );
    wake(&starting);
    assert_eq!(starting.0.called("github.jit_config"), 1, "nobody touches it meanwhile");
    pass(&starting, 60);
    assert!(wake(&starting).is_empty());
    let (state, id) = state(&starting);
    assert!(state == RunnerState::Registered && id != Some(23), "it was never handed over: {id:?}");
    assert_eq!((starting.0.runners.borrow().len(), starting.0.parameters.borrow().len()), (1, 1));
}

#[test]
fn a_stale_runner_that_turns_out_to_be_busy_is_left_alone() {
    let port = world(0);
    left(&port, Some(23));
    at_github(&port, false);
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = true);
    assert!(wake(&port).is_empty());
    assert_eq!((state(&port), port.0.called("github.jit_config")), ((RunnerState::Registered, Some(23)), 1));
}

#[test]
fn a_registration_that_waits_to_be_claimed_is_noted() {
    let port = world(1);
    wake(&port);
    let (key, mut it) = port.0.ledger.borrow().runners.iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap();
    let id = it.runner_id.take();
    (it.state, it.lease_until) = (RunnerState::Launched, 0);
    port.0.ledger.borrow_mut().runners.insert(key.clone(), it);
    wake(&port);
    assert_eq!(port.0.ledger.borrow().runners[&key].runner_id, id);
    assert_eq!(port.0.called("handover.put"), 1);
}
