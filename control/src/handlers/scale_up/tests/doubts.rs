//! Jobs of which GitHub is asked again.

use aws_lambda_events::sqs::SqsEvent;
use futures::future::{Either, join_all, select};
use serde_json::{Value, json};

use super::{deps, handle, later, message, pass, runners, wake, wake_again, wake_up};
use crate::{
    clock::seconds,
    decide::{doubt::Why, jobs::JobState, runners::RunnerState},
    fleets::tests::fleet,
    github,
    handlers::scale_up::Deps,
    ledger::{Doubt, Job, Write, tests::job},
    simulation::{
        runtime::{run, turn},
        world::{self, Fault, Port},
    },
};

/// A world with these jobs in doubt, due now.
fn world(why: &Why, jobs: impl IntoIterator<Item = u64>) -> Port {
    let port = world::world(1);
    let now = port.0.now.get();
    for id in jobs {
        let noted =
            Job { state: JobState::Waiting, queued_at: None, labels: vec!["linux".into()], ..job(id, "linux-x64") };
        let (fleet, expires) = ("linux-x64".to_owned(), why.expires(now));
        let doubt = Doubt { fleet, job: id, why: why.clone(), since: now, ask_at: now, expires };
        let committed = port.0.ledger.borrow_mut().commit(&[Write::PutJob(noted), Write::PutDoubt(doubt)]);
        assert_eq!(committed, crate::ledger::Committed::Yes);
    }
    port
}

fn at_github(port: &Port, id: u64, status: &str) {
    let told = github::Job {
        run_id: 5,
        run_attempt: 1,
        status: status.into(),
        labels: vec!["linux".into()],
        runner_name: None,
        runner_id: None,
    };
    port.0.github_jobs.borrow_mut().insert(id, told);
}

fn state(port: &Port, id: u64) -> JobState {
    port.0.ledger.borrow().jobs[&id].state
}

fn doubts(port: &Port) -> Vec<Doubt> {
    port.0.ledger.borrow().doubts.values().cloned().collect()
}

fn refused(deps: &Deps<Port>) -> Vec<Value> {
    let lines = deps.metrics.take(0).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.map(|line| line["Reason"].clone()).filter(|reason| !reason.is_null()).collect()
}

fn look(deps: &Deps<Port>, port: &Port) {
    let mut batch = SqsEvent::default();
    batch.records = vec![message(0, wake_up("linux-x64"))];
    assert!(run(handle(deps, &batch, port.0.now.get() + 30_000)).batch_item_failures.is_empty());
}

#[test]
fn a_held_job_is_asked_about_until_it_is_released() {
    let port = world(&Why::Held, [7]);
    at_github(&port, 7, "waiting");
    let mut asked = 0;
    // A quarter of what it has waited: ever more seldom.
    for waits in [30, 30, 30, 30, 30, 40] {
        wake(&port);
        asked += 1;
        assert_eq!((port.0.called("github.job"), later(&port)), (asked, vec![waits]), "one wake-up, at its time");
        pass(&port, waits - 1);
        for _ in 0..3 {
            wake(&port);
        }
        assert_eq!((port.0.called("github.job"), later(&port)), (asked, vec![]), "others neither ask nor beget any");
        pass(&port, 1);
    }
    assert_eq!((state(&port, 7), port.0.called("compute.launch")), (JobState::Waiting, 0));
    at_github(&port, 7, "queued");
    wake(&port);
    assert_eq!((state(&port, 7), doubts(&port), later(&port)), (JobState::Queued, vec![], vec![0]));
    assert_eq!(port.0.ledger.borrow().markers.len(), 1);
    wake(&port);
    assert_eq!(runners(&port, RunnerState::Registered), 1);
}

#[test]
fn a_doubt_that_outlived_its_job_is_dropped_and_a_lost_wake_up_made_up_for() {
    for (noted, at, woken) in [
        (JobState::Running, None, vec![]),
        (JobState::Done, None, vec![]),
        (JobState::Waiting, Some("in_progress"), vec![]),
        (JobState::Waiting, Some("completed"), vec![]),
        // Killed between the ledger and the wake-up.
        (JobState::Queued, None, vec![0]),
    ] {
        let port = world(&Why::Held, [7]);
        port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().state = noted;
        if let Some(status) = at {
            at_github(&port, 7, status);
        }
        wake(&port);
        assert_eq!((doubts(&port), later(&port)), (vec![], woken), "{noted:?} {at:?}");
        assert_eq!(port.0.called("github.job"), u64::from(at.is_some()));
        assert_eq!(state(&port, 7), noted, "events tell the rest");
    }
}

#[test]
fn a_look_that_is_killed_is_made_up_for_by_its_message() {
    let port = world(&Why::Held, [7]);
    at_github(&port, 7, "waiting");
    wake(&port);
    // As if it had been killed before it sent the wake-up.
    later(&port);
    pass(&port, 10);
    assert!(!wake_again(&port, 2));
    assert_eq!((port.0.called("github.job"), later(&port)), (1, vec![20]));
    // And a ledger that fails on the way brings the message back.
    let port = world(&Why::Held, [7]);
    at_github(&port, 7, "queued");
    port.0.fault("ledger.job", Fault::Ledger);
    assert_eq!(wake(&port).len(), 1);
}

#[test]
fn whose_code_a_job_runs_is_asked_once_and_decides_where_it_goes() {
    let open = || Some("other".to_owned());
    for (head, otherwise, takes) in [
        ("octo-org/octo-repo", None, Some("linux-x64")),
        ("octo-org/octo-repo", open(), Some("linux-x64")),
        ("mallory/octo-repo", open(), Some("other")),
        ("mallory/octo-repo", None, None),
        ("mallory/octo-repo", Some("gone".to_owned()), None),
    ] {
        let port = world(&Why::Fork { otherwise: otherwise.clone() }, [7, 8, 9]);
        let run_id = port.0.ledger.borrow().jobs[&7].run_id;
        port.0.heads.borrow_mut().insert(run_id, head.to_owned());
        let deps = deps(&port);
        look(&deps, &port);
        assert_eq!((port.0.called("github.run"), doubts(&port)), (1, vec![]), "{head} {otherwise:?}");
        let level = port.0.ledger.borrow().clone();
        let fleets: Vec<_> = level.markers.keys().map(|(fleet, _)| fleet.as_str()).collect();
        assert_eq!(fleets, vec![takes; 3].into_iter().flatten().collect::<Vec<_>>());
        let sent: Vec<_> = port.0.sent.borrow().iter().map(|it| it.fleet.clone()).collect();
        assert_eq!(sent, fleets, "{head} {otherwise:?}");
        if takes.is_none() {
            assert_eq!(refused(&deps), ["no_fleet"]);
            assert!(level.jobs[&7].state == JobState::Waiting && level.jobs[&7].history.has("no fleet"));
        }
    }
}

#[test]
fn while_github_does_not_tell_it_is_asked_again() {
    for (why, fault, reason) in [
        (Why::Held, Fault::GitHubTransient, "github_silent"),
        (Why::Held, Fault::GitHubPermanent, "github_refused"),
        (Why::Fork { otherwise: None }, Fault::GitHubLimited(60), "github_silent"),
        (Why::Fork { otherwise: None }, Fault::GitHubPermanent, "github_refused"),
    ] {
        let port = world(&why, [7]);
        for call in ["github.job", "github.run"] {
            for _ in 0..3 {
                port.0.fault(call, fault.clone());
            }
        }
        let deps = deps(&port);
        look(&deps, &port);
        assert_eq!((refused(&deps), doubts(&port).len(), state(&port, 7)), (vec![json!(reason)], 1, JobState::Waiting));
        let ask_at = doubts(&port)[0].ask_at;
        assert!(ask_at > port.0.now.get());
        assert_eq!(port.0.sent.borrow()[0].visible_at, ask_at);
    }
}

#[test]
fn what_github_never_tells_is_given_up_with_a_word() {
    let port = world(&Why::Fork { otherwise: None }, [7]);
    port.0.ledger.borrow_mut().doubts.values_mut().for_each(|it| it.expires = seconds(port.0.now.get()));
    let deps = deps(&port);
    look(&deps, &port);
    assert_eq!((refused(&deps), doubts(&port), port.0.called("github.run")), (vec![json!("doubt_expired")], vec![], 0));
}

#[test]
fn many_looks_at_once_ask_about_each_job_once_and_one_look_not_about_all() {
    let port = world(&Why::Held, 1..=50);
    (1..=50).for_each(|id| at_github(&port, id, "waiting"));
    wake(&port);
    assert_eq!((port.0.called("github.job"), later(&port)), (20, vec![15, 30]), "the rest is looked at soon");
    let port = world(&Why::Held, 1..=50);
    (1..=50).for_each(|id| at_github(&port, id, "waiting"));
    let all: Vec<_> = (0..4).map(|_| deps(&port)).collect();
    let mut batch = SqsEvent::default();
    batch.records = vec![message(0, wake_up("linux-x64"))];
    port.0.concurrent.set(true);
    let time = async {
        loop {
            port.0.now.set(port.0.now.get() + 1);
            turn().await;
        }
    };
    let deadline = port.0.now.get() + 60_000;
    let looks = join_all(all.iter().map(|deps| handle(deps, &batch, deadline)));
    let Either::Left(_) = run(select(std::pin::pin!(looks), std::pin::pin!(time)));
    assert_eq!(port.0.called("github.job"), 50);
    assert!(doubts(&port).iter().all(|it| it.ask_at > port.0.now.get()));
}

#[test]
fn a_job_in_doubt_is_no_demand() {
    let port = world(&Why::Held, [7]);
    at_github(&port, 7, "waiting");
    assert!(fleet("linux-x64").max > 0);
    wake(&port);
    assert_eq!((port.0.called("compute.launch"), port.0.ledger.borrow().view("linux-x64").meta.rev), (0, 0));
}
