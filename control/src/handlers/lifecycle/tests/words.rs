//! What an instance tells on its way.

use dayfly_contract::{Kind, Lifecycle, Reason};

use super::{alive, finished, handled, message, state, tell, woken, world};
use crate::{decide::runners::RunnerState, ledger::tests::instance, logging::tests::logged, simulation::world::Fault};

fn retire() -> Lifecycle {
    let reservation = Some("r1".into());
    Lifecycle { reason: Some(Reason::Idle), reservation, ..Lifecycle::new(Kind::Retire, &instance(1), "linux-x64") }
}

#[test]
fn a_retiring_runner_is_deleted_at_github_and_stays_in_the_ledger() {
    let port = world(RunnerState::Registered);
    let retire = retire();
    assert_eq!(tell(&port, &retire), 0);
    assert_eq!(port.0.called("github.delete_runner"), 1);
    assert_eq!((state(&port), alive(&port), woken(&port)), (Some(RunnerState::Registered), 1, 0));
    port.0.fault("github.delete_runner", Fault::GitHubTransient);
    assert_eq!(tell(&port, &retire), 1, "it is told again");
    port.0.fault("github.delete_runner", Fault::GitHubPermanent);
    assert_eq!(tell(&port, &retire), 0, "the agent helps itself");
    for state in [RunnerState::Busy, RunnerState::Spent] {
        let port = world(state);
        assert_eq!(tell(&port, &retire), 0);
        assert_eq!(port.0.called("github.delete_runner"), 0, "a message that came late");
    }
}

#[test]
fn a_retire_that_is_older_than_its_agents_patience_is_none() {
    let retire = retire();
    for (age_s, deleted) in [(0, 1), (60, 1), (61, 0), (600, 0)] {
        let port = world(RunnerState::Registered);
        let mut message = message(&serde_json::to_value(&retire).unwrap(), &format!("AROAX:{}", instance(1)), 1);
        let sent = port.0.now.get() - age_s * 1000;
        message.attributes.insert("SentTimestamp".into(), sent.to_string());
        let lines = logged("info", || {
            let (given_back, metrics) = handled(&port, message);
            let late = metrics.iter().any(|it| it["Reason"] == "retire_late");
            assert_eq!((given_back, late), (0, deleted == 0), "{age_s} s: {metrics:?}");
        });
        assert_eq!(port.0.called("github.delete_runner"), deleted, "{age_s} s");
        assert_eq!(lines.iter().filter(|it| it["level"] == "WARN").count(), usize::from(deleted == 0));
    }
}

#[test]
fn a_job_that_no_webhook_tells_of_is_known_by_its_agent() {
    let port = world(RunnerState::Registered);
    let now = port.0.now.get();
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.boot_deadline = now + 100_000);
    let deadline = || port.0.ledger.borrow().runner("linux-x64", &instance(1)).unwrap().boot_deadline;
    let says = |kind| Lifecycle { kind, ..finished() };
    assert_eq!(tell(&port, &Lifecycle { job: None, ..says(Kind::Heartbeat) }), 0);
    let asked: Vec<_> = port.0.calls.borrow().keys().copied().collect();
    assert_eq!((deadline(), asked), (now + 100_000, vec!["ledger.hear"]), "it has none");
    assert_eq!(tell(&port, &says(Kind::JobStarted)), 0);
    assert_eq!((deadline(), state(&port)), (now + 300_000, Some(RunnerState::Registered)));
    for minute in 1..=30 {
        port.0.now.set(now + minute * 60_000);
        assert_eq!(tell(&port, &says(Kind::Heartbeat)), 0);
        assert!(deadline() > port.0.now.get() + 100_000, "in minute {minute} it is supply");
    }
    assert!(port.0.called("ledger.commit") <= 15, "not every heartbeat is a write");
    assert_eq!(tell(&port, &says(Kind::Retire)), 0);
    assert_eq!(port.0.called("github.delete_runner"), 0, "a message that was on its way when the job began");
    assert_eq!(tell(&port, &finished()), 0);
    assert_eq!(state(&port), Some(RunnerState::Spent));
}

#[test]
fn what_is_on_the_way_changes_nothing() {
    let port = world(RunnerState::Busy);
    for kind in [Kind::Listening, Kind::JobStarted, Kind::JobCompleted, Kind::Heartbeat] {
        assert_eq!(tell(&port, &Lifecycle::new(kind, &instance(1), "linux-x64")), 0);
    }
    assert_eq!((state(&port), alive(&port), woken(&port)), (Some(RunnerState::Busy), 1, 0));
    assert_eq!(port.0.called("github.delete_runner"), 0);
}
