//! Events for which GitHub is asked: check runs, and jobs of public repositories. And the bus, beside them.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use dayfly_contract::names;
use serde_json::{Value, json};

use super::{
    handle,
    payload::{self, Origin},
    tests::{deps, payload as job_payload, send},
};
use crate::{
    decide::{jobs::JobState, runners::RunnerState},
    fleets::{Owner, Scope, Target},
    github::Job,
    handlers::asking::TRIES,
    ledger::{
        Runner,
        tests::{instance, runner},
    },
    simulation::{
        delivery,
        runtime::run,
        world::{self, Fault, Port},
    },
};

pub(super) fn of(event: &str, payload: &Value) -> ApiGatewayV2httpRequest {
    let mut request = delivery(&payload.to_string());
    request.headers.insert("x-github-event", event.parse().unwrap());
    request
}

pub(super) fn check_run(action: &str, status: &str) -> Value {
    json!({
        "action": action,
        "check_run": {"id": 7, "status": status, "app": {"slug": "github-actions"},
                      "check_suite": {"head_branch": "main", "pull_requests": []}},
        "repository": {"id": 1, "full_name": "octo-org/octo-repo", "private": true, "visibility": "private"},
        "organization": {"login": "octo-org"},
        "installation": {"id": 77},
    })
}

/// The job as GitHub has it.
pub(super) fn known_to_github(port: &Port, status: &str, runner_name: Option<&str>) {
    let job = Job {
        run_id: 5,
        run_attempt: 1,
        status: status.into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        runner_name: runner_name.map(str::to_owned),
        runner_id: None,
    };
    port.0.github_jobs.borrow_mut().insert(7, job);
}

pub(super) fn state(port: &Port) -> Option<JobState> {
    port.0.ledger.borrow().jobs.get(&7).map(|job| job.state)
}

#[test]
fn a_check_run_is_looked_up_and_taken_as_its_job() {
    for (status, expected) in [
        ("queued", JobState::Queued),
        ("pending", JobState::Waiting),
        ("in_progress", JobState::Running),
        ("completed", JobState::Done),
    ] {
        let port = world::world(1);
        known_to_github(&port, status, None);
        assert_eq!(send(&port, &of("check_run", &check_run("created", "queued"))).0, 202);
        assert_eq!(state(&port), Some(expected), "{status}");
        let job = port.0.ledger.borrow().jobs[&7].clone();
        assert_eq!((job.run_id, job.installation, job.fleet.as_str()), (5, Some(77), "linux-x64"));
        let woken = [JobState::Queued, JobState::Waiting].contains(&expected);
        assert_eq!(port.0.sent.borrow().len(), usize::from(woken), "{status}");
    }
}

#[test]
fn the_second_kind_of_event_changes_nothing_and_asks_nothing() {
    let (of_job, of_run) = (job_payload("queued"), check_run("created", "queued"));
    for both in
        [[("workflow_job", &of_job), ("check_run", &of_run)], [("check_run", &of_run), ("workflow_job", &of_job)]]
    {
        let port = world::world(1);
        known_to_github(&port, "queued", None);
        for (event, payload) in both {
            assert_eq!(send(&port, &of(event, payload)).0, 202);
        }
        assert_eq!(port.0.ledger.borrow().changes, 2, "a job and a marker: {both:?}");
        let asked = u64::from(both[0].0 == "check_run");
        assert_eq!(port.0.called("github.job"), asked, "{both:?}");
    }
}

#[test]
fn a_completed_check_run_ends_a_known_job_and_tells_which_runner_had_it() {
    let port = world::world(1);
    let completed = of("check_run", &check_run("completed", "completed"));
    assert_eq!(send(&port, &completed).0, 202, "not known");
    assert_eq!((state(&port), port.0.called("github.job")), (None, 0));

    known_to_github(&port, "queued", None);
    send(&port, &of("check_run", &check_run("created", "queued")));
    let it = Runner { state: RunnerState::Registered, version: 1, ..runner("linux-x64", 1) };
    port.0.ledger.borrow_mut().runners.insert(("linux-x64".into(), instance(1)), it);
    known_to_github(&port, "completed", Some(&names::runner_name("linux-x64", &instance(1))));
    send(&port, &completed);
    assert_eq!(state(&port), Some(JobState::Done));
    assert!(port.0.ledger.borrow().markers.is_empty());
    assert_eq!(port.0.ledger.borrow().runner("linux-x64", &instance(1)).unwrap().state, RunnerState::Busy);
    let changes = port.0.ledger.borrow().changes;
    send(&port, &completed);
    assert_eq!((port.0.ledger.borrow().changes, port.0.called("github.job")), (changes, 2), "once is enough");
}

#[test]
fn a_job_ends_though_github_does_not_tell_of_its_runner() {
    let port = world::world(1);
    known_to_github(&port, "queued", None);
    send(&port, &of("check_run", &check_run("created", "queued")));
    for _ in 0..TRIES {
        port.0.fault("github.job", Fault::GitHubTransient);
    }
    assert_eq!(send(&port, &of("check_run", &check_run("completed", "completed"))).0, 202);
    assert_eq!(state(&port), Some(JobState::Done));
}

#[test]
fn other_check_runs_are_passed_over() {
    let port = world::world(1);
    known_to_github(&port, "queued", None);
    let mut foreign = check_run("created", "queued");
    foreign["check_run"]["app"]["slug"] = json!("octocoders-linter");
    let mut nameless = check_run("created", "queued");
    nameless["check_run"]["app"] = json!(null);
    let others = [
        foreign,
        nameless,
        check_run("created", "in_progress"),
        check_run("rerequested", "completed"),
        check_run("requested_action", "queued"),
        check_run("invented", "queued"),
        serde_json::from_str(include_str!("../../../testdata/check_run.created.json")).unwrap(),
    ];
    for payload in others {
        assert_eq!(send(&port, &of("check_run", &payload)).0, 202, "{payload}");
    }
    assert!(port.0.calls.borrow().is_empty());
    // GitHub's own sample of a completed one names its App in the check suite.
    let sample = include_str!("../../../testdata/check_run.completed.json");
    let mut sample: Value = serde_json::from_str(sample).unwrap();
    sample["repository"]["owner"]["type"] = json!("Organization");
    assert_eq!(send(&port, &of("check_run", &sample)).0, 202);
    assert_eq!(port.0.called("ledger.job"), 1);
    let mut bad = check_run("created", "queued");
    bad["check_run"].as_object_mut().unwrap().remove("id");
    let (status, text) = send(&port, &of("check_run", &bad));
    assert!(status == 400 && text.contains("check_run.id: found nothing"), "{text}");
}

#[test]
fn a_check_run_that_github_does_not_answer_for_is_to_be_delivered_again() {
    for fault in [Fault::GitHubTransient, Fault::GitHubPermanent, Fault::GitHubLimited(60)] {
        let port = world::world(1);
        known_to_github(&port, "queued", None);
        for _ in 0..TRIES {
            port.0.fault("github.job", fault.clone());
        }
        let queued = of("check_run", &check_run("created", "queued"));
        assert_eq!((send(&port, &queued).0, state(&port)), (500, None));
        port.0.faults.borrow_mut().clear();
        assert_eq!((send(&port, &queued).0, state(&port)), (202, Some(JobState::Queued)));
    }
}

pub(super) fn public(run_id: u64) -> Value {
    let mut payload = job_payload("queued");
    payload["workflow_job"]["run_id"] = json!(run_id);
    payload["repository"]["visibility"] = json!("public");
    payload
}

/// What the webhook makes of `payload`, with the fleets allowing forks or not, in a process that has just started.
fn is_fork(port: &Port, payload: &Value, allowed: bool) -> Result<bool, String> {
    let mut deps = deps(port);
    deps.fleets.admission.public_forks = allowed;
    deps.fleets.fleets.iter_mut().for_each(|fleet| fleet.admission.public_forks = allowed);
    let event = payload::job_event(payload).unwrap();
    let origin = payload::origin(payload, &event.repository);
    run(super::forks::is_public_fork(&deps, &event, &origin)).map_err(|error| error.to_string())
}

#[test]
fn a_public_repositorys_run_is_asked_for_once_and_noted() {
    let port = world::world(1);
    port.0.heads.borrow_mut().extend([(5, "octo-org/octo-repo".to_owned()), (6, "mallory/octo-repo".to_owned())]);
    for _ in 0..3 {
        assert_eq!(is_fork(&port, &public(5), false), Ok(false));
        assert_eq!(is_fork(&port, &public(6), false), Ok(true));
    }
    assert_eq!(port.0.called("github.run"), 2);
    // Within a process the ledger is not asked again either.
    let (deps, notes) = (deps(&port), port.0.called("notes.recall"));
    for _ in 0..3 {
        run(handle(&deps, &delivery(&public(6).to_string()), u64::MAX));
    }
    assert_eq!(port.0.called("notes.recall"), notes + 1);
}

#[test]
fn github_is_asked_about_forks_only_where_it_matters() {
    let port = world::world(1);
    let mut private = public(6);
    private["repository"]["visibility"] = json!("internal");
    let mut running = public(6);
    running["action"] = json!("in_progress");
    let mut hosted = public(6);
    hosted["workflow_job"]["labels"] = json!(["ubuntu-latest"]);
    for payload in [private, running, hosted] {
        assert_eq!(is_fork(&port, &payload, false), Ok(false), "{payload}");
    }
    assert_eq!(is_fork(&port, &public(6), true), Ok(false), "forks are welcome");
    assert!(port.0.calls.borrow().is_empty());
}

#[test]
fn github_is_asked_about_no_check_run_that_no_fleet_can_take() {
    let port = world::world(1);
    let mut persons = check_run("created", "queued");
    persons.as_object_mut().unwrap().remove("organization");
    persons["repository"]["owner"] = json!({"login": "octo-org", "type": "User"});
    assert_eq!(send(&port, &of("check_run", &persons)).0, 202);
    assert_eq!((port.0.called("github.job"), state(&port)), (0, None));
}

#[test]
fn what_fails_just_now_is_tried_again_and_a_note_is_not_needed() {
    let port = world::world(1);
    port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".to_owned());
    for _ in 1..TRIES {
        port.0.fault("github.run", Fault::GitHubTransient);
    }
    // Notes that can't be claimed or written cost a call, no more.
    port.0.fault("notes.claim", Fault::Ledger);
    port.0.fault("notes.remember", Fault::Ledger);
    assert_eq!(is_fork(&port, &public(5), false), Ok(false));
    assert_eq!(port.0.called("github.run"), u64::from(TRIES));
    for _ in 0..2 {
        assert_eq!(is_fork(&port, &public(5), false), Ok(false));
    }
    assert_eq!(port.0.called("github.run"), u64::from(TRIES) + 1, "noted");
    port.0.fault("notes.recall", Fault::Ledger);
    assert!(is_fork(&port, &public(5), false).is_err());
}

#[test]
fn a_check_run_of_a_fork_says_so_itself() {
    let told = |change: fn(&mut Value)| {
        let mut payload = check_run("created", "queued");
        change(&mut payload);
        super::forks::told_by_check_run(&payload)
    };
    assert!(!told(|_| ()));
    assert!(told(|it| it["check_run"]["check_suite"]["head_branch"] = json!(null)));
    assert!(!told(|it| it["check_run"]["check_suite"]["pull_requests"] = json!([{"head": {"repo": {"id": 1}}}])));
    assert!(told(|it| it["check_run"]["check_suite"]["pull_requests"] = json!([{"head": {"repo": {"id": 2}}}])));
    let sample = serde_json::from_str(include_str!("../../../testdata/check_run.created.json")).unwrap();
    assert!(!super::forks::told_by_check_run(&sample));
}

#[test]
fn every_kind_of_hook_has_an_owner_to_ask_for() {
    let origin = |repository: Value, rest: Value| {
        let mut payload = rest;
        payload["repository"] = repository;
        payload::origin(&payload, "octo-org/octo-repo")
    };
    let owner = |is_person, enterprise: Option<&str>| Owner { is_person, enterprise: enterprise.map(str::to_owned) };
    let expected = |scope: &str, public, owner, installation| Origin {
        repository: "octo-org/octo-repo".into(),
        public,
        owner,
        target: Target { scope: scope.parse::<Scope>().unwrap(), installation },
    };
    let cases = [
        // An organization's or enterprise's hook, or the App's.
        (
            json!({"private": true, "visibility": "private"}),
            json!({"organization": {"login": "octo-org"}, "enterprise": {"slug": "octo"}, "installation": {"id": 7}}),
            expected("orgs/octo-org", false, owner(false, Some("octo")), Some(7)),
        ),
        // A repository's: no organization, perhaps no installation.
        (
            json!({"private": false, "owner": {"login": "octo-org", "type": "Organization"}}),
            json!({"installation": {"id": 0}}),
            expected("orgs/octo-org", true, owner(false, None), None),
        ),
        (
            json!({"private": false, "visibility": "public", "owner": {"login": "octocat", "type": "User"}}),
            json!({}),
            expected("repos/octo-org/octo-repo", true, owner(true, None), None),
        ),
        (
            json!({"private": false, "visibility": "internal"}),
            json!({}),
            expected("repos/octo-org/octo-repo", false, owner(false, None), None),
        ),
    ];
    for (repository, rest, expected) in cases {
        assert_eq!(origin(repository, rest), expected);
    }
}

#[test]
fn every_event_of_a_job_goes_to_the_bus_and_none_is_lost_for_it() {
    let port = world::world(1);
    let mut deps = deps(&port);
    deps.bus = Some(port.clone());
    let mut foreign = job_payload("queued");
    foreign["workflow_job"]["labels"] = json!(["ubuntu-latest"]);
    for payload in [&job_payload("queued"), &foreign] {
        assert_eq!(run(handle(&deps, &delivery(&payload.to_string()), u64::MAX)).status_code, 202);
        let (kind, detail) = port.0.published.borrow_mut().pop().unwrap();
        assert_eq!((kind.as_str(), serde_json::from_str::<Value>(&detail).unwrap()), ("workflow_job", payload.clone()));
    }
    known_to_github(&port, "queued", None);
    for payload in [check_run("created", "queued"), check_run("completed", "completed")] {
        assert_eq!(run(handle(&deps, &of("check_run", &payload), u64::MAX)).status_code, 202);
        let (kind, detail) = port.0.published.borrow_mut().pop().unwrap();
        assert_eq!((kind.as_str(), serde_json::from_str::<Value>(&detail).unwrap()), ("check_run", payload));
    }
    // What is not signed, not understood, of another kind or tells of no job does not.
    assert_eq!(run(handle(&deps, &of("check_run", &check_run("rerequested", "completed")), u64::MAX)).status_code, 202);
    let mut unsigned = delivery(&foreign.to_string());
    unsigned.headers.remove("x-hub-signature-256");
    for request in [unsigned, delivery("{}"), of("ping", &json!({})), of("push", &json!({}))] {
        run(handle(&deps, &request, u64::MAX));
    }
    assert!(port.0.published.borrow().is_empty());
    port.0.fault("bus.put", Fault::Wake);
    let mut running = job_payload("in_progress");
    running["workflow_job"]["id"] = json!(9);
    assert_eq!(run(handle(&deps, &delivery(&running.to_string()), u64::MAX)).status_code, 202);
    assert_eq!(port.0.ledger.borrow().jobs.get(&9).map(|job| job.state), Some(JobState::Running));
    assert!(port.0.published.borrow().is_empty());
}

#[test]
fn either_of_two_secrets_signs_a_delivery() {
    let port = world::world(1);
    let mut deps = deps(&port);
    for (secrets, expected) in [
        ("the next secret\nIt's a Secret to Everybody", 202),
        ("It's a Secret to Everybody\nthe last secret", 202),
        ("the next secret\nthe last secret", 401),
    ] {
        deps.key = super::WebhookKey::new(&secrecy::SecretString::from(secrets));
        let request = delivery(&job_payload("queued").to_string());
        assert_eq!(run(handle(&deps, &request, u64::MAX)).status_code, expected, "{secrets}");
    }
}
