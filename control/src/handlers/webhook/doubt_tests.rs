//! Jobs of which not enough is known yet: whose code they run, or when GitHub lets them go. And those whose fleet changes.

use futures::future::{Either, join_all, select};
use serde_json::{Value, json};

use super::{
    Deps,
    asking_tests::{check_run, known_to_github, of, public, state},
    handle,
    tests::{deps, payload, send},
};
use crate::{
    decide::{doubt::Why, jobs::JobState},
    fleets::tests::fleet,
    handlers::asking::TRIES,
    ledger::Doubt,
    logging::tests::logged,
    simulation::{
        delivery,
        runtime::{run, turn},
        world::{self, Fault, Port},
    },
};

fn silent(port: &Port, call: &'static str, fault: &Fault) {
    for _ in 0..TRIES {
        port.0.fault(call, fault.clone());
    }
}

fn doubts(port: &Port) -> Vec<Doubt> {
    port.0.ledger.borrow().doubts.values().cloned().collect()
}

/// Fleets woken, and after how many seconds.
fn woken(port: &Port) -> Vec<(String, u64)> {
    port.0.sent.borrow_mut().drain(..).map(|it| (it.fleet, (it.visible_at - port.0.now.get()) / 1000)).collect()
}

/// The reasons that were counted.
fn refused(deps: &Deps<Port>) -> Vec<Value> {
    let lines = deps.metrics.take(0).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.map(|line| line["Reason"].clone()).filter(|reason| !reason.is_null()).collect()
}

#[test]
fn a_job_is_noted_though_github_can_not_be_asked_whose_code_it_runs() {
    for fault in [Fault::GitHubTransient, Fault::GitHubLimited(60)] {
        let port = world::world(1);
        port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".to_owned());
        silent(&port, "github.run", &fault);
        let deps = deps(&port);
        let mut lines = logged("info", || {
            assert_eq!(run(handle(&deps, &delivery(&public(5).to_string()), u64::MAX)).status_code, 202);
        });
        assert_eq!(refused(&deps), ["fork_unknown"]);
        lines.retain(|line| line["message"].as_str().unwrap().contains("whose code job 7 runs; GitHub is asked again"));
        assert_eq!(lines.len(), 1);
        assert_eq!((state(&port), port.0.ledger.borrow().markers.len()), (Some(JobState::Waiting), 0));
        let noted = doubts(&port);
        assert_eq!((noted.len(), &noted[0].why, noted[0].job), (1, &Why::Fork { otherwise: None }, 7));
        assert_eq!(woken(&port), [("linux-x64".to_owned(), (noted[0].ask_at - port.0.now.get()) / 1000)]);
        let job = port.0.ledger.borrow().jobs[&7].clone();
        assert!(job.history.has("fork?") && job.expires >= noted[0].expires);
        // Whoever tells again finds GitHub back.
        port.0.faults.borrow_mut().clear();
        port.0.now.set(port.0.now.get() + 6000);
        assert_eq!(send(&port, &delivery(&public(5).to_string())).0, 202);
        assert_eq!((state(&port), port.0.ledger.borrow().markers.len()), (Some(JobState::Queued), 1));
    }
}

#[test]
fn a_job_in_doubt_never_gets_to_a_fleet_that_refuses_it() {
    let port = world::world(1);
    port.0.heads.borrow_mut().insert(5, "mallory/octo-repo".to_owned());
    let mut open = fleet("open");
    open.admission.public_forks = true;
    open.labels.push("more".into());
    let with_open = |open: &crate::fleets::Fleet| {
        let mut deps = deps(&port);
        deps.fleets.admission.public_forks = true;
        deps.fleets.fleets.push(open.clone());
        deps
    };
    silent(&port, "github.run", &Fault::GitHubTransient);
    let tell = |deps: &Deps<Port>| run(handle(deps, &delivery(&public(5).to_string()), u64::MAX)).status_code;
    assert_eq!(tell(&with_open(&open)), 202);
    assert_eq!(doubts(&port)[0].why, Why::Fork { otherwise: Some("open".into()) });
    assert_eq!(port.0.ledger.borrow().jobs[&7].fleet, "linux-x64", "should it be none");
    // Told again once GitHub answers: it goes elsewhere, and leaves nothing behind.
    port.0.now.set(port.0.now.get() + 6000);
    assert_eq!(tell(&with_open(&open)), 202);
    assert_eq!(port.0.ledger.borrow().jobs[&7].fleet, "open");
    assert_eq!(port.0.ledger.borrow().markers.keys().collect::<Vec<_>>(), [&("open".to_owned(), 7)]);
    assert_eq!(doubts(&port), []);
    assert_eq!(woken(&port).last().unwrap().0, "open");
}

#[test]
fn what_github_refuses_to_tell_is_answered_500_and_not_lost() {
    let port = world::world(1);
    known_to_github(&port, "queued", None);
    let deps = deps(&port);
    for (call, request) in [
        ("github.run", delivery(&public(5).to_string())),
        ("github.job", of("check_run", &check_run("created", "queued"))),
    ] {
        port.0.fault(call, Fault::GitHubPermanent);
        let lines = logged("info", || {
            let answer = run(handle(&deps, &request, u64::MAX));
            let text = format!("{:?}", answer.body);
            assert!(answer.status_code == 500 && text.contains("actions: read"), "{text}");
        });
        assert_eq!((lines.len(), &lines[0]["level"]), (1, &json!("ERROR")), "{lines:?}");
        assert_eq!(refused(&deps), ["github_refused"], "{call}");
        assert_eq!((state(&port), doubts(&port).len()), (None, 0));
    }
}

#[test]
fn a_matrix_asks_github_once() {
    let port = world::world(1);
    port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".to_owned());
    // Each in a process of its own, and all at once.
    let all: Vec<_> = (0..100).map(|_| deps(&port)).collect();
    let requests: Vec<_> = (1..=100)
        .map(|id| {
            let mut payload = public(5);
            payload["workflow_job"]["id"] = json!(id);
            delivery(&payload.to_string())
        })
        .collect();
    port.0.concurrent.set(true);
    let time = async {
        loop {
            port.0.now.set(port.0.now.get() + 10);
            turn().await;
        }
    };
    let handled = join_all(all.iter().zip(&requests).map(|(deps, request)| handle(deps, request, u64::MAX)));
    let Either::Left((answers, _)) = run(select(std::pin::pin!(handled), std::pin::pin!(time)));
    assert!(answers.iter().all(|answer| answer.status_code == 202));
    // Each process notes that it was heard from, besides.
    assert_eq!((port.0.called("github.run"), port.0.called("notes.remember")), (1, 1 + 100));
    assert_eq!(port.0.ledger.borrow().markers.len(), 100);
    assert_eq!(doubts(&port), []);
}

#[test]
fn of_a_run_that_another_asks_about_without_an_answer_the_job_is_noted() {
    let port = world::world(1);
    port.0.claims.borrow_mut().insert("asking-fork#octo-org/octo-repo#5".into(), port.0.now.get() / 1000 + 5);
    assert_eq!(send(&port, &delivery(&public(5).to_string())).0, 202);
    assert_eq!((port.0.called("github.run"), state(&port)), (0, Some(JobState::Waiting)));
    assert_eq!(doubts(&port).len(), 1);
}

#[test]
fn a_check_run_that_is_held_is_noted_to_be_asked_about_again() {
    for (told, status) in [("queued", "waiting"), ("queued", "pending"), ("waiting", "waiting"), ("pending", "paused")]
    {
        let port = world::world(1);
        known_to_github(&port, status, None);
        let created = of("check_run", &check_run("created", told));
        for round in 1..=2 {
            assert_eq!(send(&port, &created).0, 202);
            assert_eq!(
                (state(&port), port.0.called("github.job")),
                (Some(JobState::Waiting), round),
                "{told} {status}"
            );
            let noted = doubts(&port);
            assert_eq!((noted.len(), &noted[0].why), (1, &Why::Held));
            assert_eq!(woken(&port), [("linux-x64".to_owned(), (noted[0].ask_at - port.0.now.get()) / 1000)]);
            assert!(port.0.ledger.borrow().jobs[&7].expires >= noted[0].expires, "an approval may take weeks");
        }
        assert_eq!(port.0.ledger.borrow().markers.len(), 0);
        known_to_github(&port, "queued", None);
        assert_eq!(send(&port, &created).0, 202);
        assert_eq!((state(&port), woken(&port)), (Some(JobState::Queued), vec![("linux-x64".to_owned(), 0)]));
    }
}

#[test]
fn what_workflow_job_says_is_held_needs_no_question() {
    let port = world::world(1);
    assert_eq!(send(&port, &delivery(&payload("waiting").to_string())).0, 202);
    assert_eq!((state(&port), doubts(&port), woken(&port)), (Some(JobState::Waiting), vec![], vec![]));
    // And where GitHub can't be asked whose code it runs: it is once the job is queued.
    let mut held = public(5);
    (held["action"], held["workflow_job"]["id"]) = (json!("waiting"), json!(8));
    silent(&port, "github.run", &Fault::GitHubTransient);
    assert_eq!(send(&port, &delivery(&held.to_string())).0, 202);
    assert_eq!((port.0.ledger.borrow().jobs[&8].state, doubts(&port)), (JobState::Waiting, vec![]));
}

#[test]
fn a_queued_job_whose_fleet_is_gone_goes_to_another() {
    let port = world::world(1);
    let tell = |deps: &Deps<Port>, action: &str| {
        assert_eq!(run(handle(deps, &delivery(&payload(action).to_string()), u64::MAX)).status_code, 202, "{action}");
    };
    let mut renamed = deps(&port);
    renamed.fleets.fleets[0].name = "renamed".into();
    tell(&deps(&port), "queued");
    // It stays while its fleet is there, however others look by now.
    let mut closer = deps(&port);
    closer.fleets.fleets.push(fleet("closer"));
    closer.fleets.fleets[2].priority = 9;
    tell(&closer, "queued");
    assert_eq!(woken(&port), [("linux-x64".to_owned(), 0), ("linux-x64".to_owned(), 0)]);
    tell(&renamed, "queued");
    let level = port.0.ledger.borrow().clone();
    assert_eq!(level.markers.keys().collect::<Vec<_>>(), [&("renamed".to_owned(), 7)], "the old one went with it");
    assert_eq!((level.jobs[&7].fleet.as_str(), level.jobs[&7].state), ("renamed", JobState::Queued));
    assert_eq!(woken(&port), [("renamed".to_owned(), 0)]);
    // And in one transaction: each event took it for new first, then once and once for this.
    assert_eq!(port.0.called("ledger.commit"), 3 + 1);
    tell(&renamed, "queued");
    assert_eq!((port.0.called("ledger.commit"), woken(&port)), (4 + 1, vec![("renamed".to_owned(), 0)]));
    for action in ["in_progress", "completed"] {
        tell(&deps(&port), action);
        assert_eq!(port.0.ledger.borrow().jobs[&7].fleet, "renamed", "{action}");
    }
    assert!(port.0.ledger.borrow().markers.is_empty());
}
