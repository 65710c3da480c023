//! What GitHub and the stores refuse, to whom, and for how long.

use super::{Fleet, alive, batch, deps_of, fleet, handle, later, pass, run, runners, wake, wake_up, world};
use crate::{
    decide::{explain::explain, runners::RunnerState},
    fleets::{Level, RunnerGroup},
    ledger::{
        Marker,
        tests::{job, marker},
    },
    simulation::world::{Fault, Port},
};

fn wake_of(port: &Port, of: &Fleet) -> usize {
    let deps = deps_of(port, of.clone());
    run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000)).batch_item_failures.len()
}

/// One that registers runners for each repository apart.
fn of_repositories() -> Fleet {
    let mut fleet = fleet("linux-x64");
    fleet.github.level = Level::Repository;
    fleet
}

fn queue(port: &Port, id: u64, repository: &str) {
    let it = Marker {
        queued_at: port.0.now.get() + id,
        expires: u64::MAX,
        repository: repository.into(),
        ..marker("linux-x64", id)
    };
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), id), it);
}

/// What is said of job `id`.
fn explained(port: &Port, id: u64) -> String {
    explain(&job(id, "linux-x64"), &port.0.ledger.borrow().view("linux-x64"), port.0.now.get()).join(" ")
}

#[test]
fn nothing_is_launched_where_github_will_not_have_it() {
    for (fault, given_back, waits) in [
        (Fault::GitHubPermanent, 0, 16..=19),
        (Fault::GitHubTransient, 1, 0..=0),
        (Fault::GitHubLimited(40), 0, 41..=41),
    ] {
        let port = world(1);
        port.0.fault("github.authorize", fault.clone());
        assert_eq!(wake(&port).len(), given_back, "{fault:?}");
        let next = later(&port);
        assert_eq!((port.0.called("compute.launch"), alive(&port)), (0, 0), "{fault:?}");
        assert!(next.iter().all(|wait| waits.contains(wait)) && next.len() == 1 - given_back, "{fault:?}: {next:?}");
        assert_eq!(explained(&port, 1).contains("asking GitHub"), given_back == 0, "{fault:?}");
        let meta = port.0.ledger.borrow().view("linux-x64").meta;
        assert_eq!((meta.last_error, meta.paused_until), (None, 0), "it is the owner's matter");
    }
}

#[test]
fn one_owner_whom_github_refuses_holds_no_other_up() {
    for (fault, wait) in [(Fault::GitHubPermanent, 15), (Fault::GitHubLimited(40), 40)] {
        let (of, port) = (of_repositories(), world(0));
        queue(&port, 1, "o/bad");
        queue(&port, 2, "o/good");
        port.0.fault("github.authorize", fault.clone());
        assert_eq!(wake_of(&port, &of), 0);
        let scopes: Vec<String> =
            port.0.ledger.borrow().runners.values().map(|it| it.scope.as_ref().unwrap().to_string()).collect();
        assert_eq!(scopes, ["repos/o/good"], "{fault:?}");
        assert!(later(&port)[0] > wait, "{fault:?}");
        queue(&port, 3, "o/good");
        pass(&port, 5);
        wake_of(&port, &of);
        assert_eq!((alive(&port), port.0.called("github.authorize")), (2, 3), "{fault:?}: who is refused is not asked");
        assert!(explained(&port, 1).contains("repos/o/bad") && !explained(&port, 3).contains("o/bad"), "{fault:?}");
        pass(&port, wait + 5);
        wake_of(&port, &of);
        assert_eq!(alive(&port), 3, "{fault:?}: and asked again later");
        assert!(port.0.ledger.borrow().offers("linux-x64").breakers.0.values().all(|it| it.failures == 0));
    }
}

#[test]
fn instances_that_cant_be_registered_cost_one_each_time_and_ever_more_seldom() {
    for ephemeral in [true, false] {
        let (of, port) = (Fleet { ephemeral, ..fleet("linux-x64") }, world(4));
        let call = if ephemeral { "github.jit_config" } else { "github.registration_token" };
        let mut waits = Vec::new();
        for launched in [4, 1, 1, 1, 1, 1, 1, 1] {
            (0..launched).for_each(|_| port.0.fault(call, Fault::GitHubPermanent));
            let before = port.0.dead.borrow().len();
            assert_eq!(wake_of(&port, &of), 0);
            assert_eq!((port.0.dead.borrow().len() - before, alive(&port)), (launched, 0));
            let breakers = port.0.ledger.borrow().offers("linux-x64").breakers.0;
            let until = breakers["github/orgs/octo-org"].until;
            assert!(explained(&port, 1).contains(" in a row"), "{}", explained(&port, 1));
            waits.push((until - port.0.now.get()) / 1000);
            // The next look is at what else may be tried; the refusal is what it finds.
            assert!(later(&port)[0] <= waits.last().unwrap() + 1);
            pass(&port, waits.last().unwrap() / 2);
            wake_of(&port, &of);
            assert_eq!(port.0.dead.borrow().len() - before, launched, "not before");
            later(&port);
            port.0.now.set(until);
        }
        assert!(waits.windows(2).take(6).all(|it| it[1] > it[0]) && *waits.last().unwrap() >= 600, "{waits:?}");
        wake_of(&port, &of);
        assert_eq!(runners(&port, RunnerState::Registered), 1, "somebody has mended it");
        pass(&port, later(&port)[0]);
        wake_of(&port, &of);
        assert_eq!(runners(&port, RunnerState::Registered), 4, "and the others follow");
        assert!(port.0.ledger.borrow().offers("linux-x64").breakers.0.is_empty());
    }
}

#[test]
fn a_store_that_refuses_is_the_whole_fleets_matter_with_growth_and_a_reason() {
    let port = world(3);
    for (tried, wait, count) in [(3, 30, 1), (1, 60, 2), (1, 120, 3)] {
        (0..tried).for_each(|_| port.0.fault("handover.put", Fault::HandoverPermanent));
        assert!(wake(&port).is_empty());
        let meta = port.0.ledger.borrow().view("linux-x64").meta;
        let error = meta.last_error.unwrap();
        assert_eq!((error.code.as_str(), error.count), ("Handover", count));
        assert_eq!((meta.paused_until - port.0.now.get(), meta.alive), (wait * 1000, 0));
        assert!(explained(&port, 1).starts_with("Fleet linux-x64 was refused for good"), "{}", explained(&port, 1));
        later(&port);
        pass(&port, wait);
    }
    wake(&port);
    pass(&port, later(&port)[0]);
    wake(&port);
    assert_eq!(
        (runners(&port, RunnerState::Registered), port.0.ledger.borrow().view("linux-x64").meta.last_error),
        (3, None)
    );
}

#[test]
fn a_group_that_is_not_there_is_found_out_before_anything_is_launched() {
    let port = world(3);
    let mut of = fleet("linux-x64");
    of.github.runner_group = RunnerGroup::Name("bulders".into());
    port.0.fault("github.group", Fault::GitHubPermanent);
    assert_eq!(wake_of(&port, &of), 0);
    assert_eq!((port.0.called("compute.launch"), alive(&port)), (0, 0));
    assert!(explained(&port, 1).contains("GitHub refused runners of orgs/octo-org"), "{}", explained(&port, 1));
    assert_eq!(port.0.called("github.group"), 1, "of the three, one asks");
}

#[test]
fn what_waits_for_github_is_not_taken_over_before() {
    let port = world(3);
    port.0.fault("github.jit_config", Fault::GitHubLimited(40));
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Launched), later(&port)), (1, vec![41]));
    wake(&port);
    assert_eq!((port.0.called("github.jit_config"), later(&port)), (3, vec![41]), "GitHub has named the wait");
    pass(&port, 41);
    wake(&port);
    assert_eq!(runners(&port, RunnerState::Registered), 3);
}
