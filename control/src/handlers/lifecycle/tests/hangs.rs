//! Calls that are never answered: the invocation ends by itself, and what it has settled does not come back.

use super::*;

/// The words of instances, each in a message whose id is its place.
fn batch(words: &[Lifecycle]) -> SqsEvent {
    let mut batch = SqsEvent::default();
    for (at, it) in words.iter().enumerate() {
        let body = serde_json::to_value(it).unwrap();
        let mut message = message(&body, &format!("AROAX:{}", it.instance_id), 1);
        message.message_id = Some(at.to_string());
        batch.records.push(message);
    }
    batch
}

/// The messages that come back from an invocation of 10 seconds while these `calls` are not answered.
fn told_in_vain(port: &Port, calls: &[&'static str], words: &[Lifecycle]) -> Vec<String> {
    let (deps, batch, deadline) = (deps(port), batch(words), port.0.now.get() + 10_000);
    let response = port.0.unanswered(calls, deadline - 500, handle(&deps, &batch, deadline));
    response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect()
}

#[test]
fn no_call_keeps_an_end_until_it_is_killed() {
    let world = || {
        let port = world(RunnerState::Registered);
        port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), 9), queued());
        port
    };
    let whole = world();
    tell(&whole, &failed());
    let calls: Vec<&'static str> = whole.0.calls.borrow().keys().copied().collect();
    let expected = ["ledger.commit", "github.delete_runner", "handover.delete", "wake.wake"];
    assert!(expected.iter().all(|it| calls.contains(it)), "{calls:?}");
    for call in calls {
        let port = world();
        assert_eq!(told_in_vain(&port, &[call], &[failed()]), ["0"], "{call}: the message is seen again");
        assert_eq!(tell(&port, &failed()), 0, "{call}");
        assert!(matches!(state(&port), None | Some(RunnerState::Gone)), "{call}");
        let left = (alive(&port), port.0.runners.borrow().len(), port.0.parameters.borrow().len());
        assert_eq!(left, (0, 0, 0), "{call}");
        assert_eq!(woken(&port), 1, "{call}");
    }
}

#[test]
fn what_is_settled_does_not_come_back_with_what_hangs() {
    let port = world(RunnerState::Busy);
    let heartbeat = Lifecycle::new(Kind::Heartbeat, &instance(1), "linux-x64");
    let words = [heartbeat.clone(), finished(), heartbeat];
    assert_eq!(told_in_vain(&port, &["ledger.commit"], &words), ["1", "2"]);
    assert_eq!((state(&port), port.0.called("ledger.hear")), (Some(RunnerState::Busy), 1));
}

#[test]
fn a_fleet_that_nobody_can_wake_has_its_messages_back_and_no_others() {
    let port = world(RunnerState::Busy);
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), 9), queued());
    let heartbeat = Lifecycle::new(Kind::Heartbeat, &instance(2), "another");
    assert_eq!(told_in_vain(&port, &["wake.wake"], &[heartbeat, finished()]), ["1"]);
    assert_eq!((state(&port), woken(&port)), (None, 0), "it is settled, and told again");
}
