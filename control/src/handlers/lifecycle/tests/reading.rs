//! Which messages are believed.

use serde_json::json;

use super::*;
use crate::logging::tests::logged;

/// How many messages are given back, and the metrics' lines, where these fleets are.
fn measured_by(port: &Port, names: &[&str], body: &Value, sender: &str) -> (usize, Vec<Value>) {
    let deps = Deps { fleets: fleets(names.iter().map(|name| fleet(name))), ..deps(port) };
    handled_by(&deps, message(body, sender, 1))
}

#[test]
fn a_message_is_trusted_for_its_sender_alone() {
    let body = serde_json::to_value(finished()).unwrap();
    for sender in ["", "AIDALAPTOPCALLER", "AROAX:i-00000000000000002", &instance(1), "AROAX:"] {
        let port = world(RunnerState::Busy);
        assert_eq!(send(&port, &body, sender, 1), 0, "{sender}");
        assert_eq!((state(&port), alive(&port)), (Some(RunnerState::Busy), 1), "{sender}");
    }
}

#[test]
fn what_is_not_understood_is_put_aside_with_the_reason() {
    let sender = format!("AROAX:{}", instance(1));
    let with = |field: &str, value: Value| {
        let mut body = serde_json::to_value(finished()).unwrap();
        body[field] = value;
        body
    };
    let bodies = [
        json!("{"),
        json!({}),
        with("version", json!(2)),
        with("kind", json!("dreams")),
        with("instance_id", json!("i-1/../x")),
        with("fleet", json!("Linux#x64")),
        with("fleet", json!(7)),
    ];
    for body in bodies {
        let port = world(RunnerState::Busy);
        assert_eq!(send(&port, &body, &sender, 1), 0, "{body}");
        assert_eq!(port.0.calls.borrow().keys().collect::<Vec<_>>(), [&"wake.put_aside"], "{body}");
        let aside = port.0.aside.borrow().clone().unwrap();
        let text = if let Value::String(text) = &body { text.clone() } else { body.to_string() };
        assert_eq!((aside.len(), &aside[0].0), (1, &text));
        assert!(aside[0].1.contains(": it") || aside[0].1.contains(" is no "), "{aside:?}");
    }
    // Without a queue for that, or where it does not take it, it is given back: SQS puts it there in the end.
    let port = world(RunnerState::Busy);
    port.0.fault("wake.put_aside", Fault::Wake);
    assert_eq!(send(&port, &json!({}), &sender, 1), 1);
    port.0.aside.replace(None);
    assert_eq!(send(&port, &json!({}), &sender, 1), 1);
}

#[test]
fn a_message_that_is_put_aside_is_a_line_and_a_count() {
    let port = world(RunnerState::Registered);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut message = serde_json::to_value(failed()).unwrap();
        change(&mut message);
        message
    };
    let own = format!("AROAX:{}", instance(1));
    let cases = [
        ("unreadable", Value::String("nonsense".into()), own.as_str()),
        ("too_new", with(&|it| it["version"] = 9.into()), &own),
        ("unknown_kind", with(&|it| it["kind"] = "bored".into()), &own),
        ("no_instance", with(&|it| it["instance_id"] = "x".into()), &own),
        ("no_fleet", with(&|it| it["fleet"] = "X!".into()), &own),
        ("foreign", with(&|_| {}), "AROAX:i-00000000000000002"),
    ];
    for (reason, body, sender) in cases {
        let mut metrics = Vec::new();
        let lines = logged("info", || metrics = measured(&port, &body, sender, 1).1);
        assert_eq!((lines.len(), &lines[0]["reason"]), (1, &Value::from(reason)), "{lines:?}");
        assert_eq!((metrics.len(), &metrics[0]["Reason"]), (1, &Value::from(reason)), "{metrics:?}");
    }
}

/// An instance of one fleet says that it failed in another.
fn failed_elsewhere() -> Value {
    let mut it = failed();
    it.fleet = "macos".into();
    serde_json::to_value(it).unwrap()
}

#[test]
fn an_instance_speaks_for_no_other_fleet_than_its_own() {
    let port = world(RunnerState::Registered);
    let sender = format!("AROAX:{}", instance(1));
    let mut result = (1, Vec::new());
    let lines = logged("info", || result = measured_by(&port, &["macos", "linux-x64"], &failed_elsewhere(), &sender));
    assert_eq!(result.0, 0);
    assert_eq!((result.1.len(), &result.1[0]["Reason"]), (1, &Value::from("foreign_fleet")), "{:?}", result.1);
    assert!(lines.iter().any(|line| line["reason"] == "foreign_fleet"), "{lines:?}");
    let aside = port.0.aside.borrow().clone().unwrap();
    assert!(aside[0].1.contains("is of fleet linux-x64, not macos"), "{aside:?}");
    let ledger = port.0.ledger.borrow().clone();
    let (own, other) = (ledger.view("linux-x64").meta, ledger.view("macos").meta);
    assert_eq!((other.paused_until, other.failures, own.failures, own.alive), (0, 0, 0, 1), "no fleet is left alone");
    assert_eq!((ledger.runner("macos", &instance(1)), woken(&port)), (None, 0));
    assert_eq!(state(&port), Some(RunnerState::Registered));
}

#[test]
fn an_instance_that_was_quicker_than_the_ledger_is_believed() {
    let port = world::world(1);
    let sender = format!("AROAX:{}", instance(1));
    assert_eq!(measured_by(&port, &["macos", "linux-x64"], &failed_elsewhere(), &sender).0, 0);
    assert_eq!(port.0.ledger.borrow().view("macos").meta.failures, 1);
}
