//! Calls that are never answered: the invocation ends by itself, and the next goes on.

use super::*;

/// One look, whose invocation has 30 seconds, while these `calls` are not answered; answers how many messages come back.
fn look_in_vain(port: &Port, calls: &[&'static str]) -> usize {
    let (deps, wakes, deadline) = (deps(port), batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000);
    port.0.unanswered(calls, deadline - 500, handle(&deps, &wakes, deadline)).batch_item_failures.len()
}

#[test]
fn no_call_keeps_a_look_until_it_is_killed() {
    let whole = world(3);
    wake(&whole);
    let calls: Vec<&'static str> = whole.0.calls.borrow().keys().copied().collect();
    assert!(calls.contains(&"github.jit_config") && calls.contains(&"handover.put"), "{calls:?}");
    for call in calls {
        let port = world(3);
        assert_eq!(look_in_vain(&port, &[call]), 1, "{call}: the message is seen again");
        for _ in 0..4 {
            pass(&port, 62);
            wake_again(&port, 2);
        }
        let there = (runners(&port, RunnerState::Registered), alive(&port), port.0.parameters.borrow().len());
        assert_eq!(there, (3, 3, 3), "{call}");
        assert_eq!((port.0.launched.borrow().len(), port.0.runners.borrow().len()), (1, 3), "{call}");
    }
}

#[test]
fn a_queue_that_does_not_answer_decides_by_itself_when_the_message_is_seen_again() {
    let port = world(1);
    assert_eq!(look_in_vain(&port, &["github.jit_config", "wake.see_again"]), 1);
    assert!(port.0.given_back.borrow().is_empty());
    let port = world(1);
    assert_eq!(look_in_vain(&port, &["github.jit_config"]), 1);
    assert_eq!(*port.0.given_back.borrow(), [("r0".to_owned(), Duration::from_secs(2))]);
}
