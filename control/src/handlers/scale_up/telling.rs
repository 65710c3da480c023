//! What a look tells: lines, metrics, the trace, and why nothing was launched.

use serde_json::{Value, json};

use super::{
    handle,
    tests::{deps, message, pass, wake_up, world},
};
use crate::{
    decide::errors::Class,
    logging::tests::logged,
    simulation::{
        runtime::run,
        world::{Fault, Port},
    },
    trace::TraceId,
    wake::WakeUp,
};

const TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";

/// Handles a wake-up of this body; answers the lines and the metrics.
fn look(port: &Port, body: String) -> (Vec<Value>, Vec<Value>) {
    let deps = deps(port);
    let mut batch = aws_lambda_events::sqs::SqsEvent::default();
    batch.records = vec![message(0, body)];
    let lines = logged("info", || drop(run(handle(&deps, &batch, port.0.now.get() + 30_000))));
    (lines, deps.metrics.take(0).iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn count(metrics: &[Value], name: &str) -> Option<u64> {
    metrics.iter().find_map(|line| line[name].as_u64())
}

#[test]
fn the_webhooks_trace_reaches_lines_tags_and_registrations() {
    let port = world(1);
    let wake_up = WakeUp { trace: Some(TRACE.into()), ..WakeUp::new("linux-x64") };
    let (lines, _) = look(&port, serde_json::to_string(&wake_up).unwrap());
    for line in &lines {
        assert_eq!(
            (&line["spans"][0]["trace.id"], &line["fleet.name"]),
            (&json!(TRACE), &json!("linux-x64")),
            "{line}"
        );
    }
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert!(messages.iter().any(|it| it.starts_with("Launched 1 of 1")), "{messages:?}");
    let registrations = port.0.parameters.borrow();
    assert_eq!(registrations.values().next().unwrap().trace.as_deref(), Some(TRACE));
    let runner = port.0.ledger.borrow().runners.values().next().cloned().unwrap();
    let what: Vec<&str> = runner.history.entries().iter().map(|it| it.what.as_str()).collect();
    assert_eq!((runner.trace.as_deref(), what), (Some(TRACE), vec!["reserved", "launched", "registered"]));
    assert!(TraceId::read(TRACE).is_some());
}

#[test]
fn launches_and_what_ec2_had_not_are_counted() {
    let port = world(3);
    port.0.fault("compute.launch", Fault::Short(2, Class::Capacity));
    let (_, metrics) = look(&port, wake_up("linux-x64"));
    let counts = ["InstancesAsked", "InstancesLaunched", "LaunchErrors", "Registrations"];
    assert_eq!(counts.map(|name| count(&metrics, name)), [3, 2, 1, 2].map(Some), "{metrics:?}");

    let port = world(1);
    port.0.dry.borrow_mut().insert("on-demand/subnet-1/c7i.large".into(), u64::MAX);
    let (_, metrics) = look(&port, wake_up("linux-x64"));
    let capacity = metrics.iter().find(|line| line["CapacityErrors"] == 1).unwrap();
    assert_eq!((&capacity["InstanceType"], &capacity["Zone"]), (&json!("c7i.large"), &json!("eu-west-1a")));
    assert_eq!(count(&metrics, "InstancesLaunched"), Some(0));
    look(&port, wake_up("linux-x64"));
    let last = port.0.ledger.borrow().metas["linux-x64"].last_plan.unwrap();
    assert_eq!((last.demand, last.launched, last.reason()), (1, 0, "later"));

    let port = world(1);
    port.0.fault("compute.launch", Fault::Ec2(Class::Permanent, "UnauthorizedOperation"));
    let (_, metrics) = look(&port, wake_up("linux-x64"));
    let refused = metrics.iter().find(|line| line["LaunchErrors"] == 1).unwrap();
    assert_eq!(refused["Reason"], "UnauthorizedOperation");

    let port = world(1);
    port.0.fault("github.authorize", Fault::GitHubPermanent);
    let (lines, metrics) = look(&port, wake_up("linux-x64"));
    assert!(lines.iter().any(|line| line["level"] == "ERROR"), "{lines:?}");
    assert_eq!(metrics[0]["Reason"], "github");
}

#[test]
fn a_dropped_wake_up_is_a_line_and_a_count() {
    for (body, reason) in [
        ("nonsense".to_owned(), "unreadable"),
        (json!({"version": 9, "fleet": "linux-x64"}).to_string(), "too_new"),
        (wake_up("nobodys"), "unknown_fleet"),
    ] {
        let (lines, metrics) = look(&world(0), body);
        assert_eq!((lines.len(), &metrics[0]["Reason"]), (1, &json!(reason)), "{lines:?} {metrics:?}");
    }
}

#[test]
fn a_wake_up_of_a_fleet_that_nobody_knows_after_minutes_is_let_go_and_no_dead_letter() {
    for (received, reason, given_back) in [("7", "unknown_fleet", 1), ("8", "removed_fleet", 0)] {
        let port = world(0);
        let deps = deps(&port);
        let mut batch = aws_lambda_events::sqs::SqsEvent::default();
        batch.records = vec![message(0, wake_up("nobodys"))];
        batch.records[0].attributes.insert("ApproximateReceiveCount".into(), received.into());
        let response = run(handle(&deps, &batch, port.0.now.get() + 30_000));
        assert_eq!(response.batch_item_failures.len(), given_back, "after {received}");
        let measured: Value = serde_json::from_str(&deps.metrics.take(0)[0]).unwrap();
        assert_eq!(measured["Reason"], reason, "after {received}");
        assert_eq!(port.0.called("wake.put_aside"), 0);
    }
}

#[test]
fn why_nothing_was_launched_is_noted_once() {
    let port = world(60);
    let last = || port.0.ledger.borrow().metas["linux-x64"].last_plan.unwrap();
    look(&port, wake_up("linux-x64"));
    assert_eq!((last().launched, last().held_back, last().reason()), (50, 10, "max"));
    assert_eq!(port.0.called("ledger.tell"), 0, "the reservation's transaction tells it");
    for _ in 0..3 {
        look(&port, wake_up("linux-x64"));
        pass(&port, 1);
    }
    assert_eq!((last().launched, last().held_back, port.0.called("ledger.tell")), (0, 10, 1));
    let until = port.0.now.get() + 5000;
    port.0.ledger.borrow_mut().pause("linux-x64", until);
    for _ in 0..3 {
        look(&port, wake_up("linux-x64"));
    }
    assert_eq!((last().paused_until, last().reason(), port.0.called("ledger.tell")), (until, "paused", 2));
    pass(&port, 10);
    port.0.fault("ledger.tell", Fault::Ledger);
    let (lines, _) = look(&port, wake_up("linux-x64"));
    assert!(lines.iter().any(|line| line["level"] == "WARN"), "{lines:?}");
}
