//! A job that is taken away with its instance.

use super::*;
use crate::{
    decide::rerun::{Fate, Note},
    ledger::{Job, tests::job},
};

fn interrupted() -> Lifecycle {
    let mut it = finished();
    it.kind = Kind::Interrupted;
    it.reason = Some(Reason::SpotInterruption);
    it.job.as_mut().unwrap().result = None;
    it
}

/// A busy runner, whose job 7 is known or not.
fn busy(known: bool) -> Port {
    let port = world(RunnerState::Busy);
    if known {
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.history.add(1, "busy", "job 7"));
        port.0.ledger.borrow_mut().jobs.insert(7, Job { version: 1, ..job(7, "linux-x64") });
    }
    port
}

fn notes(port: &Port) -> Vec<Note> {
    port.0.known_runs.notes.borrow().values().cloned().collect()
}

fn looks(port: &Port) -> Vec<(u64, u64, u64)> {
    let now = port.0.now.get();
    port.0.sent.borrow_mut().drain(..).map(|it| (it.run.unwrap().id, it.run.unwrap().at, it.visible_at - now)).collect()
}

#[test]
fn an_interrupted_job_is_noted_once_and_its_run_looked_at_later() {
    let port = busy(true);
    for _ in 0..3 {
        assert_eq!(tell(&port, &interrupted()), 0);
    }
    let notes = notes(&port);
    assert_eq!((notes.len(), notes[0].run, notes[0].jobs.len(), notes[0].version), (1, 5, 1, 1));
    assert_eq!((notes[0].jobs[0].id, &notes[0].jobs[0].fate), (Some(7), &Fate::Waiting));
    assert_eq!(notes[0].jobs[0].reason, "spot_interruption");
    assert_eq!(looks(&port), [(5, 0, 15_000); 3], "whoever noted it may have been killed before it sent");
    let history = port.0.ledger.borrow().jobs[&7].history.clone();
    assert_eq!(history.entries().iter().filter(|it| it.what == "interrupted").count(), 1, "explain shows it");
    assert_eq!(state(&port), Some(RunnerState::Busy), "its end is another message's");
}

#[test]
fn one_that_has_ended_already_is_looked_at_soon() {
    let port = busy(true);
    port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().state = crate::decide::jobs::JobState::Done;
    tell(&port, &interrupted());
    assert_eq!(looks(&port), [(5, 0, 3000)]);
}

#[test]
fn where_no_webhook_told_the_job_says_what_it_is_of() {
    let port = busy(false);
    let mut it = interrupted();
    let facts = &mut it.job.as_mut().unwrap().facts;
    (facts.repository, facts.run_id) = (Some("octo-org/octo-repo".into()), Some(6));
    assert_eq!(tell(&port, &it), 0);
    assert_eq!((notes(&port)[0].run, notes(&port)[0].jobs[0].id), (6, None));
    it.job.as_mut().unwrap().facts.repository = Some("mallory/x".into());
    port.0.known_runs.notes.borrow_mut().clear();
    assert_eq!((tell(&port, &it), notes(&port).len()), (1, 0), "one that its runner does not serve");
}

#[test]
fn what_nobody_tells_of_is_waited_for_a_while() {
    let body = serde_json::to_value(interrupted()).unwrap();
    let sender = format!("AROAX:{}", instance(1));
    let port = busy(false);
    for received in 1..6 {
        assert_eq!(send(&port, &body, &sender, received), 1);
    }
    let (back, metrics) = measured(&port, &body, &sender, 6);
    assert_eq!((back, notes(&port).len()), (0, 0));
    assert!(metrics.iter().any(|line| line["Reason"] == "interrupted_unknown"), "{metrics:?}");
}

#[test]
fn a_ledger_or_queue_that_fails_gives_the_message_back() {
    for call in ["ledger.rerun", "ledger.put_rerun", "ledger.job", "ledger.commit", "wake.wake"] {
        let port = busy(true);
        port.0.fault(call, Fault::Ledger);
        assert_eq!(tell(&port, &interrupted()), 1, "{call}");
        assert_eq!(tell(&port, &interrupted()), 0, "{call}");
        assert_eq!((notes(&port)[0].jobs.len(), looks(&port).len()), (1, 1), "{call}");
    }
}

#[test]
fn anothers_word_for_it_is_not_believed() {
    let port = busy(true);
    let body = serde_json::to_value(interrupted()).unwrap();
    assert_eq!(send(&port, &body, "AROAX:i-00000000000000002", 1), 0);
    assert_eq!((notes(&port).len(), looks(&port).len()), (0, 0));
}
