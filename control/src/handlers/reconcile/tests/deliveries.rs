//! Deliveries that failed.

use super::*;
use crate::{
    decide::reconcile::deliveries::{Memory, Waiting},
    github::watch::Hook,
    simulation::world::Port,
};

#[test]
fn failed_deliveries_are_sent_again_once_until_one_succeeds() {
    let port = world();
    for id in 1..=5 {
        failed(&port, id, &format!("g{id}"), 10 * MINUTE - id);
    }
    port.0.census.forgotten.borrow_mut().insert(5);
    look(&port);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2, 3, 4], "in their order");
    minutes(&port, 5);
    assert_eq!(port.0.census.redelivered.borrow().len(), 4, "once");
    failed(&port, 9, "g2", 0);
    minutes(&port, 1);
    assert_eq!(port.0.census.redelivered.borrow().len(), 4, "it waits a little");
    minutes(&port, 1);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2, 3, 4, 9]);
    minutes(&port, 60);
    assert_eq!(port.0.census.redelivered.borrow().len(), 5);
}

#[test]
fn many_failed_deliveries_are_sent_again_a_few_at_a_time() {
    let port = world();
    for id in 1..=100 {
        failed(&port, id, &format!("g{id}"), 100 * MINUTE - id);
    }
    look(&port);
    assert!(port.0.census.redelivered.borrow().len() <= 20);
    minutes(&port, 30);
    let mut sent = port.0.census.redelivered.borrow().clone();
    sent.sort_unstable();
    assert_eq!(sent, (1..=100).collect::<Vec<u64>>());
}

#[test]
fn no_run_sends_more_than_a_few_again_however_many_are_known() {
    let port = world();
    let mut memory = Memory::default();
    for id in 1..=100 {
        let it = Waiting { id, at: now(&port) - MINUTE, attempts: 0, due: Some(0), sent_at: None, lost: false };
        memory.waiting.insert(format!("g{id}"), it);
    }
    let text = serde_json::to_string(&memory).unwrap();
    port.0.census.texts.borrow_mut().insert(format!("reconcile#hook#{}", Hook::App("4711".into())), text);
    look(&port);
    assert_eq!(port.0.census.redelivered.borrow().len(), 20);
}

/// A failure of that age is remembered, and so many for which there was no room.
fn remembered(age: u64, left_out: usize) -> Port {
    let port = world();
    let mut memory = Memory { known_until: now(&port), left_out, ..Memory::default() };
    let it = Waiting { id: 1, at: now(&port) - age, attempts: 1, due: Some(u64::MAX), sent_at: None, lost: false };
    memory.waiting.insert("g1".into(), it);
    let key = format!("reconcile#hook#{}", Hook::App("4711".into()));
    port.0.census.texts.borrow_mut().insert(key, serde_json::to_string(&memory).unwrap());
    port
}

/// Whether it is noted that some were lost, or was, and the repositories were looked through.
fn is_told(port: &Port) -> bool {
    let texts = port.0.census.texts.borrow();
    let note = &texts["reconcile#gaps"];
    !(note.contains("\"lost\":null") && note.contains("\"scanned_at\":0"))
}

#[test]
fn what_is_lost_is_told_though_that_cant_be_noted_at_once() {
    // The second that is left out is one that there was no room for; of the third nothing is lost.
    for (age, left_out, is_lost) in [(73 * 60 * MINUTE, 0, true), (MINUTE, 1, true), (MINUTE, 0, false)] {
        for (call, nth) in ["ledger.text", "ledger.note_text"].iter().flat_map(|call| (0..30).map(move |it| (call, it)))
        {
            let port = remembered(age, left_out);
            port.0.fault(call, Fault::Ledger);
            port.0.skip.set(nth);
            look(&port);
            port.0.faults.borrow_mut().clear();
            port.0.skip.set(0);
            look(&port);
            assert_eq!(is_told(&port), is_lost, "{call} {nth}: {:?}", port.0.census.texts.borrow());
        }
    }
}

#[test]
fn what_is_lost_is_told_though_the_list_cant_be_read() {
    let port = remembered(MINUTE, 1);
    port.0.fault("github.failed", Fault::GitHubPermanent);
    look(&port);
    assert!(is_told(&port));
}

#[test]
fn what_was_sent_again_before_a_failure_is_not_sent_twice() {
    let port = world();
    for id in 1..=3 {
        failed(&port, id, &format!("g{id}"), 10 * MINUTE - id);
    }
    port.0.skip.set(1);
    port.0.fault("github.redeliver", Fault::GitHubTransient);
    look(&port);
    assert_eq!(*port.0.census.redelivered.borrow(), [1]);
    minutes(&port, 5);
    assert_eq!(*port.0.census.redelivered.borrow(), [1, 2, 3]);
}
