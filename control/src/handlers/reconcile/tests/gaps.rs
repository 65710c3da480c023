//! Webhooks that were missed for a time.

use std::collections::BTreeMap;

use super::*;
use crate::{
    decide::{
        reconcile::gaps::{Delivered, MOST_FAILURES, Memory},
        rerun::tests::ended,
    },
    github::runs::{OpenRun, RunJob, RunState},
    simulation::runtime::step,
};

const REPOSITORY: &str = "octo-org/octo-repo";

/// A run of `repository` with one job of its id that waits for a runner.
fn open(port: &Port, repository: &str, status: &str, id: u64, head: &str) {
    let run = OpenRun { id, public: true, of_person: false, head_repository: Some(head.to_owned()) };
    let key = (repository.to_owned(), status.to_owned());
    port.0.known_runs.open.borrow_mut().entry(key).or_default().push(run);
    let queued = |it: RunJob| RunJob {
        status: "queued".into(),
        conclusion: None,
        runner_name: None,
        completed_at: None,
        labels: vec!["self-hosted".into()],
        ..it
    };
    let jobs = vec![
        queued(ended(id * 10, "build", "", 0)),
        RunJob { status: "completed".into(), ..ended(id * 10 + 1, "x", "success", 0) },
    ];
    let state = RunState { status: status.into(), conclusion: None, attempt: 1 };
    port.0.known_runs.runs.borrow_mut().insert(id, (state, jobs));
}

/// A repository that is known, a delivery that GitHub has forgotten, and three queued jobs: one is known, one is a fork's.
fn gap() -> Port {
    let port = world();
    job_of(&port, 10, JobState::Queued, MINUTE);
    open(&port, REPOSITORY, "queued", 1, REPOSITORY);
    open(&port, REPOSITORY, "queued", 2, REPOSITORY);
    open(&port, REPOSITORY, "in_progress", 3, REPOSITORY);
    open(&port, REPOSITORY, "in_progress", 4, "mallory/octo-repo");
    failed(&port, 1, "g1", 10 * MINUTE);
    port.0.census.forgotten.borrow_mut().insert(1);
    port
}

fn note(port: &Port) -> Memory {
    port.0.census.texts.borrow().get("reconcile#gaps").map(|it| serde_json::from_str(it).unwrap()).unwrap_or_default()
}

fn jobs(port: &Port) -> BTreeMap<u64, JobState> {
    port.0.ledger.borrow().jobs.iter().map(|(id, job)| (*id, job.state)).collect()
}

#[test]
fn what_was_missed_is_found_and_taken_as_its_webhook_would_be() {
    let port = gap();
    let metrics = look(&port);
    assert!(metrics.contains("\"Reason\":\"gap\""), "{metrics}");
    assert!(metrics.contains("\"Reason\":\"missed_job\",") && metrics.contains("\"Mended\":2"), "{metrics}");
    let queued = JobState::Queued;
    assert_eq!(jobs(&port), [(10, queued), (20, queued), (30, queued)].into(), "and none of a fork's");
    let ledger = port.0.ledger.borrow().clone();
    assert_eq!(ledger.view(FLEET).queued.len(), 3, "each has its marker");
    let job = &ledger.jobs[&20];
    assert_eq!((job.run_id, job.installation, job.repository.as_str()), (2, Some(77), REPOSITORY));
    assert!(woken(&port) >= 2);
    // Once.
    assert_eq!(note(&port).scan, None);
    let calls = port.0.called("github.open_runs");
    assert!(!minutes(&port, 8).contains("\"gap\""));
    assert_eq!(port.0.called("github.open_runs"), calls);
}

/// What makes a sign in a world.
type Sign = fn(&Port);

#[test]
fn each_sign_leads_to_a_look() {
    let signs: [(&str, Sign); 4] = [
        ("lost", |port| {
            failed(port, 1, "g1", 10 * MINUTE);
            port.0.census.forgotten.borrow_mut().insert(1);
        }),
        ("unread", |port| {
            let long_ago = now(port) - 73 * 60 * MINUTE;
            let text = format!("{{\"known_until\":{long_ago},\"walk\":null,\"waiting\":{{}}}}");
            port.0.census.texts.borrow_mut().insert("reconcile#hook#app/4711".into(), text);
        }),
        ("unheard", |port| {
            port.0.notes.borrow_mut().insert("webhook#heard".into(), now(port) - 60 * MINUTE);
            port.0.census.delivered.set(Delivered { any: Some(now(port)), good: Some(now(port) - 40 * MINUTE) });
        }),
        ("silent", |port| {
            port.0.census.delivered.set(Delivered { any: Some(now(port) - 40 * MINUTE), good: None });
            job_of(port, 50, JobState::Running, 120 * MINUTE);
            told(port, 50, "completed", None);
        }),
    ];
    for (name, sign) in signs {
        let port = world();
        port.0.census.delivered.set(Delivered { any: Some(now(&port)), good: None });
        job_of(&port, 10, JobState::Queued, MINUTE);
        open(&port, REPOSITORY, "queued", 2, REPOSITORY);
        assert!(!look(&port).contains("\"gap\""), "{name}");
        sign(&port);
        let metrics = minutes(&port, 5);
        assert!(metrics.contains("\"gap\"") && jobs(&port).contains_key(&20), "{name}: {metrics}");
    }
}

#[test]
fn a_look_through_many_repositories_takes_a_few_calls_each_minute() {
    let port = gap();
    for n in 0..100 {
        job_of(&port, 1000 + n, JobState::Queued, MINUTE);
        let repository = format!("octo-org/r{n:03}");
        port.0
            .ledger
            .borrow_mut()
            .markers
            .get_mut(&(FLEET.into(), 1000 + n))
            .unwrap()
            .repository
            .clone_from(&repository);
        open(&port, &repository, "queued", 200 + n, &repository);
    }
    let calls = || port.0.called("github.open_runs") + port.0.called("github.run_jobs");
    let mut before = 0;
    for minute in 0..40 {
        port.0.now.set(now(&port) + MINUTE);
        look(&port);
        assert!(calls() - before <= 30, "{} in minute {minute}", calls() - before);
        before = calls();
        if note(&port).scan.is_none() {
            break;
        }
    }
    assert_eq!(note(&port).scan, None, "it comes to its end");
    assert_eq!((200..300).filter(|run| jobs(&port).contains_key(&(run * 10))).count(), 100);
}

#[test]
fn what_github_does_not_answer_is_asked_again_and_what_it_refuses_is_left() {
    for call in
        ["github.open_runs", "github.run_jobs", "ledger.job", "ledger.commit", "github.delivered", "notes.recall"]
    {
        let port = gap();
        port.0.fault(call, Fault::GitHubTransient);
        minutes(&port, 10);
        assert!(jobs(&port).len() == 3 && note(&port).scan.is_none(), "{call}: {:?}", jobs(&port));
    }
    let port = gap();
    port.0.fault("github.open_runs", Fault::GitHubPermanent);
    let metrics = minutes(&port, 10);
    assert!(metrics.contains("gap_repository"), "{metrics}");
    assert_eq!(note(&port).scan, None);
}

#[test]
fn what_fails_for_ever_is_passed_over_in_the_end() {
    for call in ["github.run_jobs", "github.open_runs"] {
        let port = gap();
        (0..MOST_FAILURES).for_each(|_| port.0.fault(call, Fault::GitHubTransient));
        let mut metrics = String::new();
        while port.0.called(call) < u64::from(MOST_FAILURES) {
            assert!(jobs(&port).len() == 1 && !metrics.contains("gap_repository"), "{call}: {metrics}");
            metrics = minutes(&port, 1);
        }
        metrics += &minutes(&port, 5);
        assert!(metrics.contains("gap_repository"), "{call}: {metrics}");
        assert_eq!(note(&port).scan, None, "{call}");
        // What was behind it; and the repository in the next look, which the gap is a reason for still.
        assert_eq!(jobs(&port).len(), 3, "{call}");
    }
}

#[test]
fn wherever_a_run_is_killed_the_next_ones_find_the_same() {
    let whole = gap();
    minutes(&whole, 10);
    let expected = jobs(&whole);
    assert_eq!(expected.len(), 3);
    let mut steps = 0;
    loop {
        let port = gap();
        port.0.now.set(now(&port) + MINUTE);
        port.0.concurrent.set(true);
        let deps = deps(&port);
        let mut future = Box::pin(handle(&deps, now(&port) + MINUTE));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        drop(future);
        port.0.concurrent.set(false);
        minutes(&port, 10);
        assert_eq!(jobs(&port), expected, "killed at step {steps}");
        assert_eq!(note(&port).scan, None, "killed at step {steps}");
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 30, "{steps}");
}
