//! Jobs that were interrupted, and those that make up for them; that deliveries are heard; and calls that are never
//! answered.

use serde_json::json;

use super::{
    handle,
    tests::{deps, payload, send},
};
use crate::{
    decide::rerun::tests::{interrupted, note},
    fleets::{Market, tests::fleets},
    simulation::{
        delivery,
        runtime::run,
        world::{self, Fault, Port},
    },
};

/// The end of a job, with or without an interruption in its history; answers the runs that are looked at, and when.
fn looks(broken: bool) -> Vec<(u64, u64, u64)> {
    let port = world::world(1);
    send(&port, &delivery(&payload("queued").to_string()));
    if broken {
        port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().history.add(1, "interrupted", "");
    }
    port.0.sent.borrow_mut().clear();
    send(&port, &delivery(&payload("completed").to_string()));
    let now = port.0.now.get();
    let sent = port.0.sent.borrow();
    sent.iter().filter_map(|it| it.run.map(|run| (run.id, run.at, it.visible_at - now))).collect()
}

#[test]
fn the_end_of_an_interrupted_job_has_its_run_looked_at() {
    assert_eq!(looks(true), [(5, 0, 3000)]);
    assert_eq!(looks(false), []);
}

/// A `queued` event of this attempt of a run that was made again after its first; whether its job is raised.
fn raised(port: &Port, attempt: u64) -> bool {
    let mut it = note([interrupted(1, "build")]);
    assert!(it.claim(1, &[0], vec!["build".into()], 0, 0));
    port.0.known_runs.notes.borrow_mut().insert(5, it);
    let mut queued = payload("queued");
    (queued["workflow_job"]["run_attempt"], queued["workflow_job"]["id"]) = (json!(attempt), json!(10 + attempt));
    let mut deps = deps(port);
    let mut spot = deps.fleets.fleets.remove(0);
    spot.launch.market = Market::Spot;
    deps.fleets = fleets([spot]);
    assert_eq!(run(handle(&deps, &delivery(&queued.to_string()), u64::MAX)).status_code, 202);
    port.0.ledger.borrow().markers[&("linux-x64".to_owned(), 10 + attempt)].on_demand
}

#[test]
fn the_job_that_makes_up_for_an_interrupted_one_is_launched_for_on_demand() {
    let port = world::world(1);
    assert_eq!((raised(&port, 2), port.0.called("ledger.rerun")), (true, 1));
    assert!(port.0.ledger.borrow().jobs[&12].history.has("re-run"), "explain shows it");
    assert!(!raised(&port, 3), "a person's");
    assert_eq!((raised(&port, 1), port.0.called("ledger.rerun")), (false, 2), "a first attempt costs no call");
}

#[test]
fn without_what_is_noted_of_the_run_the_delivery_is_to_be_repeated() {
    let port = world::world(1);
    port.0.fault("ledger.rerun", Fault::Ledger);
    let mut queued = payload("queued");
    queued["workflow_job"]["run_attempt"] = json!(2);
    assert_eq!(send(&port, &delivery(&queued.to_string())).0, 500);
    assert!(port.0.ledger.borrow().markers.is_empty());
}

#[test]
fn it_is_noted_once_a_minute_that_deliveries_are_heard() {
    let port = world::world(1);
    let deps = deps(&port);
    let queued = delivery(&payload("queued").to_string());
    let noted = || port.0.notes.borrow().get("webhook#heard").copied();
    let began = port.0.now.get();
    for (seconds, expected) in [(0, 0), (30, 0), (59, 0), (60, 60), (119, 60), (121, 121)] {
        port.0.now.set(began + seconds * 1000);
        run(handle(&deps, &queued, u64::MAX));
        assert_eq!(noted(), Some(began + expected * 1000), "{seconds}");
    }
    port.0.now.set(began + 500_000);
    port.0.fault("notes.remember", Fault::Ledger);
    assert_eq!(run(handle(&deps, &queued, u64::MAX)).status_code, 202, "nobody's delivery fails for that");
}

/// What a delivery is answered in an invocation of 10 seconds, while `call` is not.
fn told_in_vain(port: &Port, call: &'static str) -> i64 {
    let (deps, request) = (deps(port), delivery(&payload("queued").to_string()));
    let deadline = port.0.now.get() + 10_000;
    port.0.unanswered(&[call], deadline - 250, handle(&deps, &request, deadline)).status_code
}

#[test]
fn no_call_keeps_a_delivery_until_it_is_killed() {
    let whole = world::world(1);
    assert_eq!(send(&whole, &delivery(&payload("queued").to_string())).0, 202);
    let calls: Vec<&'static str> = whole.0.calls.borrow().keys().copied().collect();
    assert!(["ledger.commit", "wake.wake", "notes.remember"].iter().all(|it| calls.contains(it)), "{calls:?}");
    for call in calls {
        let port = world::world(1);
        let expected = if call == "notes.remember" { 202 } else { 500 };
        assert_eq!(told_in_vain(&port, call), expected, "{call}: GitHub has to know whether to send it again");
        assert_eq!(send(&port, &delivery(&payload("queued").to_string())).0, 202);
        let there = (port.0.ledger.borrow().markers.len(), port.0.sent.borrow().is_empty());
        assert_eq!(there, (1, false), "{call}: the next one makes up for it");
    }
}
