mod calls;
mod offers;
mod outages;
mod outcomes;
mod pool;
mod refusals;
mod stopped;

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};

use super::{Deps, Outcome, Owed, handle};
use crate::{
    decide::{
        breaker::{Breaker, Breakers},
        bucket::{Bucket, Limits},
        errors::Class,
        runners::RunnerState,
    },
    fleets::{
        Fleet,
        tests::{fleet, fleets},
    },
    ledger::{
        Marker, Offers, Reservation, Runner, Unread,
        tests::{instance, marker},
    },
    logging::tests::logged,
    metrics::Metrics,
    simulation::{
        runtime::run,
        world::{self, Fault, Port},
    },
    wake::WakeUp,
};

mod doubts;
mod hangs;
mod kills;
mod registration;

pub(super) fn deps(port: &Port) -> Deps<Port> {
    deps_of(port, fleet("linux-x64"))
}

/// With this fleet, and another.
pub(super) fn deps_of(port: &Port, of: Fleet) -> Deps<Port> {
    let p = || port.clone();
    Deps {
        deployment: "demo".into(),
        fleets: fleets([of, fleet("other")]),
        limits: Limits::NONE,
        owed: Owed::default(),
        ledger: p(),
        compute: p(),
        github: p(),
        handover: p(),
        wake: p(),
        metrics: Metrics::default(),
        clock: p(),
    }
}

/// A world with so many queued jobs.
pub(super) fn world(queued: u64) -> Port {
    let port = world::world(1);
    let now = port.0.now.get();
    for id in 1..=queued {
        let it = Marker { queued_at: now, expires: now / 1000 + 3600, ..marker("linux-x64", id) };
        port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), id), it);
    }
    port
}

pub(super) fn message(id: usize, body: String) -> SqsMessage {
    let mut message = SqsMessage::default();
    (message.message_id, message.receipt_handle) = (Some(id.to_string()), Some(format!("r{id}")));
    message.body = Some(body);
    message.attributes.insert("ApproximateReceiveCount".into(), "1".into());
    message
}

pub(super) fn wake_up(fleet: &str) -> String {
    serde_json::to_string(&WakeUp::new(fleet)).unwrap()
}

fn batch(bodies: &[String]) -> SqsEvent {
    let mut batch = SqsEvent::default();
    batch.records = bodies.iter().enumerate().map(|(i, body)| message(i, body.clone())).collect();
    batch
}

/// Handles wake-ups for these; answers the ids of those given back.
fn look(port: &Port, bodies: &[String]) -> Vec<String> {
    let response = run(handle(&deps(port), &batch(bodies), port.0.now.get() + 30_000));
    response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect()
}

fn wake(port: &Port) -> Vec<String> {
    look(port, &[wake_up("linux-x64")])
}

/// Handles a wake-up that is received for the `received`th time; answers whether it is given back.
fn wake_again(port: &Port, received: u32) -> bool {
    let mut message = message(0, wake_up("linux-x64"));
    message.attributes.insert("ApproximateReceiveCount".into(), received.to_string());
    let mut batch = SqsEvent::default();
    batch.records = vec![message];
    !run(handle(&deps(port), &batch, port.0.now.get() + 30_000)).batch_item_failures.is_empty()
}

fn runners(port: &Port, state: RunnerState) -> usize {
    port.0.ledger.borrow().runners.values().filter(|it| it.state == state).count()
}

fn alive(port: &Port) -> u64 {
    port.0.ledger.borrow().view("linux-x64").meta.alive
}

/// Wake-ups sent and after how many seconds.
fn later(port: &Port) -> Vec<u64> {
    port.0.sent.borrow_mut().drain(..).map(|it| (it.visible_at - port.0.now.get()) / 1000).collect()
}

pub(super) fn pass(port: &Port, seconds: u64) {
    port.0.now.set(port.0.now.get() + seconds * 1000);
}

#[test]
fn each_job_gets_a_registered_runner_by_one_call_to_github() {
    let port = world(30);
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (30, 30));
    assert_eq!(port.0.parameters.borrow().len(), 30);
    let calls = ["compute.launch", "github.jit_config", "github.find_runner", "github.delete_runner", "handover.put"];
    assert_eq!(calls.map(|call| port.0.called(call)), [2, 30, 0, 0, 30]);
    assert!(port.0.ledger.borrow().reservations.is_empty() && later(&port).is_empty());
    wake(&port);
    assert_eq!(port.0.called("compute.launch"), 2, "the level is met");
}

#[test]
fn many_wake_ups_of_one_fleet_are_one_look_and_what_is_not_understood_is_put_aside() {
    let port = world(1);
    let newer = r#"{"version": 2, "fleet": "linux-x64"}"#.to_owned();
    let bodies =
        [wake_up("linux-x64"), wake_up("linux-x64"), wake_up("nobody"), "{".into(), newer.clone(), wake_up("other")];
    assert_eq!(look(&port, &bodies), ["2"], "a newer fleets document may have it");
    assert_eq!(*port.0.given_back.borrow(), [("r2".to_owned(), Duration::from_secs(2))]);
    assert_eq!(port.0.called("compute.launch"), 1);
    assert_eq!(port.0.called("ledger.view"), 2, "one look for each fleet");
    let aside = port.0.aside.borrow().clone().unwrap();
    let newer = (newer, "too_new: it is version 2, and versions up to 1 are known".to_owned());
    assert!(aside[0].0 == "{" && aside[0].1.starts_with("unreadable: "), "{aside:?}");
    assert_eq!(aside[1..], [newer]);
    port.0.aside.replace(None);
    assert_eq!(look(&port, &["{".into()]), ["0"], "without a queue for it, SQS moves it in the end");
}

#[test]
fn a_transient_failure_gives_one_message_back_and_the_same_reservation_is_asked_again() {
    let port = world(2);
    port.0.fault("compute.launch", Fault::Ec2(Class::Transient, "RequestLimitExceeded"));
    assert_eq!(look(&port, &[wake_up("linux-x64"), wake_up("linux-x64")]), ["0"]);
    assert_eq!(*port.0.given_back.borrow(), [("r0".to_owned(), Duration::from_secs(2))]);
    assert_eq!((alive(&port), port.0.ledger.borrow().reservations.len()), (2, 1), "perhaps it was carried out");
    let token = port.0.ledger.borrow().reservations.keys().next().unwrap().1.clone();
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (2, 2));
    assert!(port.0.launched.borrow().contains_key(&token), "by the same token");
}

#[test]
fn no_capacity_releases_the_reservation_and_is_waited_for() {
    let port = world(2);
    port.0.fault("compute.launch", Fault::Ec2(Class::Capacity, "InsufficientInstanceCapacity"));
    assert!(wake(&port).is_empty());
    let waits = later(&port);
    assert!(alive(&port) == 0 && matches!(waits[..], [16..=19]), "{waits:?}");
    assert!(wake(&port).is_empty());
    assert_eq!((port.0.called("compute.launch"), later(&port)), (1, waits), "not asked again before");
    pass(&port, 19);
    wake(&port);
    assert_eq!(runners(&port, RunnerState::Registered), 2);
}

#[test]
fn what_comes_is_taken_and_the_rest_is_asked_for_later() {
    let port = world(3);
    port.0.fault("compute.launch", Fault::Short(1, Class::Capacity));
    assert!(wake(&port).is_empty());
    assert_eq!((alive(&port), runners(&port, RunnerState::Registered)), (1, 1));
    assert!(matches!(later(&port)[..], [16..=19]));
    pass(&port, 19);
    wake(&port);
    assert_eq!((alive(&port), runners(&port, RunnerState::Registered)), (3, 3));
}

#[test]
fn a_permanent_failure_is_released_told_and_repeated_ever_more_seldom() {
    let port = world(1);
    let told = || port.0.ledger.borrow().view("linux-x64").meta.last_error;
    for (fault, code, wait) in [
        (Fault::Ec2(Class::Permanent, "InvalidAMIID.NotFound"), "InvalidAMIID.NotFound", 31),
        (Fault::Short(0, Class::Permanent), "Short", 61),
        (Fault::Ec2(Class::Permanent, "UnauthorizedOperation"), "UnauthorizedOperation", 121),
    ] {
        port.0.fault("compute.launch", fault);
        assert!(wake(&port).is_empty());
        assert_eq!((alive(&port), later(&port)), (0, vec![wait]));
        let error = told().unwrap();
        assert_eq!((error.code.as_str(), error.at), (code, port.0.now.get()));
        assert!(!error.message.is_empty(), "in EC2's words");
        let asked = port.0.called("compute.launch");
        assert!(wake(&port).is_empty());
        assert_eq!((port.0.called("compute.launch"), later(&port)), (asked, vec![wait]), "not before");
        pass(&port, wait);
    }
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Registered), told()), (1, None), "it is well again");
}

/// A runner that a killed invocation left without noting its registration.
fn left(port: &Port, runner_id: Option<u64>) -> Runner {
    let now = port.0.now.get();
    let it = Runner {
        launched_at: now,
        boot_deadline: now + 300_000,
        lease_until: now,
        runner_id,
        version: 1,
        ..crate::ledger::tests::runner("linux-x64", 1)
    };
    let mut ledger = port.0.ledger.borrow_mut();
    ledger.metas.insert("linux-x64".into(), crate::ledger::Meta { rev: 1, alive: 1, ..Default::default() });
    ledger.runners.insert(("linux-x64".into(), instance(1)), it.clone());
    it
}

fn reserved(port: &Port, created_ago: u64) {
    let now = port.0.now.get();
    let it = Reservation {
        created_at: now - created_ago * 1000,
        lease_until: now,
        version: 1,
        ..crate::ledger::tests::reservation("linux-x64", "r1", 1)
    };
    let mut ledger = port.0.ledger.borrow_mut();
    ledger.metas.insert("linux-x64".into(), crate::ledger::Meta { rev: 1, alive: 1, ..Default::default() });
    ledger.reservations.insert(("linux-x64".into(), "r1".into()), it);
}

#[test]
fn a_left_reservation_is_fulfilled_under_its_own_token() {
    let port = world(1);
    reserved(&port, 10);
    assert!(wake(&port).is_empty());
    assert_eq!(port.0.launched.borrow().keys().collect::<Vec<_>>(), ["r1"]);
    assert_eq!((alive(&port), runners(&port, RunnerState::Registered)), (1, 1));
}

#[test]
fn a_left_reservation_of_another_request_or_another_time_is_only_looked_for() {
    for (ago, fault) in [(10, Some(Fault::Ec2(Class::Permanent, "IdempotentParameterMismatch"))), (301, None)] {
        let port = world(0);
        reserved(&port, ago);
        if let Some(fault) = fault {
            port.0.fault("compute.launch", fault);
        }
        assert!(wake(&port).is_empty());
        assert_eq!((port.0.called("compute.find"), alive(&port)), (1, 0));
        assert_eq!(later(&port), [0], "and the fleet is looked at again");
        assert!(port.0.launched.borrow().is_empty());
    }
}

#[test]
fn without_the_ledger_the_message_goes_back() {
    for (call, jobs) in [("ledger.view", 1), ("ledger.commit", 1), ("ledger.queued", 26)] {
        let port = world(jobs);
        port.0.fault(call, Fault::Ledger);
        assert_eq!(wake(&port), ["0"], "{call}");
        pass(&port, 60);
        assert!(wake(&port).is_empty(), "{call}");
        assert_eq!((alive(&port), runners(&port, RunnerState::Registered) as u64), (jobs, jobs), "{call}");
    }
}

#[test]
fn what_could_not_be_written_down_is_free_for_the_next_look() {
    let port = world(1);
    reserved(&port, 10);
    // The take-over is written, what follows is not.
    port.0.skip.set(1);
    port.0.fault("ledger.commit", Fault::Ledger);
    assert_eq!(wake(&port), ["0"]);
    let leases: Vec<u64> = port.0.ledger.borrow().reservations.values().map(|it| it.lease_until).collect();
    assert_eq!(leases, [0]);
    assert!(!wake_again(&port, 2));
    assert_eq!((runners(&port, RunnerState::Registered), later(&port)), (1, vec![]));
}

#[test]
fn an_item_that_is_not_understood_is_told_and_the_others_go_on() {
    let port = world(2);
    port.0.ledger.borrow_mut().unread.push(Unread { why: "item x has no good \"state\"".into(), supply: None });
    let deps = deps(&port);
    let lines = logged("info", || drop(run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000))));
    assert_eq!(runners(&port, RunnerState::Registered), 2);
    assert!(lines.iter().any(|it| it["level"] == "ERROR" && it["message"].as_str().unwrap().contains("no good")));
    assert!(deps.metrics.take(0).iter().any(|it| it.contains("unread_item")));
}
