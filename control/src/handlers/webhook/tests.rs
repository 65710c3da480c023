use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use dayfly_contract::names;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Deps, KnownRuns, LARGEST_BODY, WebhookKey, handle, take::ours};
use crate::{
    decide::{jobs::JobState, runners::RunnerState},
    fleets::tests::{fleet, fleets},
    ledger::{
        Runner,
        tests::{instance, runner},
    },
    logging::tests::logged,
    metrics::Metrics,
    simulation::{
        delivery,
        runtime::run,
        world::{self, Fault, Port},
    },
    trace::{TraceId, within},
};

pub(super) fn deps(port: &Port) -> Deps<Port> {
    let mut late = fleet("late");
    (late.labels, late.delay_seconds) = (vec!["late".into()], 30);
    late.steering.pin = true;
    Deps {
        fleets: fleets([fleet("linux-x64"), late]),
        key: WebhookKey::new(&SecretString::from("It's a Secret to Everybody")),
        ledger: port.clone(),
        github: port.clone(),
        wake: port.clone(),
        bus: None,
        metrics: Metrics::default(),
        clock: port.clone(),
        runs: KnownRuns::default(),
    }
}

pub(super) fn payload(action: &str) -> Value {
    json!({
        "action": action,
        "workflow_job": {"id": 7, "run_id": 5, "labels": ["self-hosted", "linux"], "runner_name": null},
        "repository": {"full_name": "octo-org/octo-repo"},
    })
}

pub(super) fn send(port: &Port, request: &ApiGatewayV2httpRequest) -> (i64, String) {
    let ApiGatewayV2httpResponse { status_code, body, .. } = run(handle(&deps(port), request, u64::MAX));
    let Some(Body::Text(text)) = body else { panic!("no text") };
    (status_code, text)
}

fn tell(port: &Port, payload: &Value) -> i64 {
    send(port, &delivery(&payload.to_string())).0
}

fn woken(port: &Port) -> Vec<(String, u64)> {
    port.0.sent.borrow_mut().drain(..).map(|it| (it.fleet, it.visible_at - port.0.now.get())).collect()
}

/// Nothing was read, written or sent.
fn untouched(port: &Port) -> bool {
    port.0.calls.borrow().is_empty()
}

#[test]
fn a_job_goes_through_all_four_actions() {
    let port = world::world(1);
    let state = || port.0.ledger.borrow().jobs[&7].state;
    for (action, expected, marked) in [
        ("waiting", JobState::Waiting, false),
        ("queued", JobState::Queued, true),
        ("in_progress", JobState::Running, false),
        ("completed", JobState::Done, false),
    ] {
        assert_eq!(tell(&port, &payload(action)), 202, "{action}");
        assert_eq!((state(), !port.0.ledger.borrow().markers.is_empty()), (expected, marked), "{action}");
        let expected = if marked { vec![("linux-x64".to_owned(), 0)] } else { vec![] };
        assert_eq!(woken(&port), expected, "{action}");
    }
    for late in ["queued", "in_progress", "waiting"] {
        assert_eq!(tell(&port, &payload(late)), 202);
    }
    let healed = vec![("linux-x64".to_owned(), 0)];
    assert_eq!((state(), woken(&port)), (JobState::Done, healed), "by the late `queued` alone");
}

#[test]
fn a_body_may_come_as_base64() {
    let port = world::world(1);
    let mut request = delivery(&payload("queued").to_string());
    request.body = Some(STANDARD.encode(request.body.unwrap()));
    request.is_base64_encoded = true;
    assert_eq!(send(&port, &request).0, 202);
    assert!(port.0.ledger.borrow().jobs.contains_key(&7));
    request.body = Some("***".into());
    assert_eq!(send(&port, &request), (400, "the body is not base64\n".to_owned()));
}

#[test]
fn the_wake_up_of_a_delayed_fleet_comes_when_the_job_counts() {
    let port = world::world(1);
    let mut payload = payload("queued");
    payload["workflow_job"]["labels"] = json!(["late"]);
    assert_eq!(tell(&port, &payload), 202);
    assert_eq!(woken(&port), [("late".to_owned(), 30_000)]);
}

#[test]
fn what_a_job_asks_for_is_on_its_marker() {
    for (labels, asks) in [(vec!["late"], vec![]), (vec!["Late", "Dayfly-Pin=A"], vec!["dayfly-pin=a".to_owned()])] {
        let port = world::world(1);
        let mut payload = payload("queued");
        payload["workflow_job"]["labels"] = json!(labels);
        assert_eq!(tell(&port, &payload), 202);
        assert_eq!(port.0.ledger.borrow().markers[&("late".to_owned(), 7)].asks, asks, "{labels:?}");
    }
}

#[test]
fn what_is_not_signed_is_not_read() {
    let port = world::world(1);
    let mut request = delivery(&payload("queued").to_string());
    request.headers.insert("x-hub-signature-256", format!("sha256={}", "0".repeat(64)).parse().unwrap());
    assert_eq!(send(&port, &request).0, 401);
    request.headers.remove("x-hub-signature-256");
    assert_eq!(send(&port, &request).0, 401);
    // Whatever the size, the encoding or the event: a stranger learns nothing.
    for body in ["y".repeat(2 * LARGEST_BODY), "***".to_owned()] {
        for signature in [None, Some("sha256=12"), Some("sha1=0123")] {
            let mut request = delivery("{}");
            request.headers.remove("x-hub-signature-256");
            if let Some(signature) = signature {
                request.headers.insert("x-hub-signature-256", signature.parse().unwrap());
            }
            (request.body, request.is_base64_encoded) = (Some(body.clone()), true);
            assert_eq!(send(&port, &request).0, 401, "{signature:?}");
        }
    }
    request.headers.insert("x-github-event", "ping".parse().unwrap());
    assert_eq!(send(&port, &request).0, 401);
    assert!(untouched(&port));
}

#[test]
fn bad_bodies_are_refused_and_name_the_field() {
    let port = world::world(1);
    let without = |path: &str| {
        let mut payload = payload("queued");
        let (object, field) = path.split_once('.').unwrap();
        payload[object].as_object_mut().unwrap().remove(field);
        payload.to_string()
    };
    let cases = [
        ("{".to_owned(), 400, "not JSON"),
        ("[]".to_owned(), 400, "(document): found []"),
        (without("workflow_job.id"), 400, "workflow_job.id: found nothing"),
        (without("workflow_job.run_id"), 400, "workflow_job.run_id: found nothing"),
        (without("workflow_job.labels"), 400, "workflow_job.labels: found nothing"),
        (without("repository.full_name"), 400, "repository.full_name: found nothing"),
        (payload("queued").to_string().replace("octo-org/", ""), 400, "repository.full_name: found \"octo-repo\""),
        (format!("{{\"x\":\"{}\"}}", "y".repeat(LARGEST_BODY)), 413, "larger than 1 MiB"),
    ];
    for (body, status, says) in cases {
        let (answered, text) = send(&port, &delivery(&body));
        assert!(answered == status && text.contains(says), "{answered} {text}");
        let mut request = delivery(&body);
        request.body = Some(STANDARD.encode(&body));
        request.is_base64_encoded = true;
        assert_eq!(send(&port, &request).0, status, "as base64: {says}");
    }
    assert!(untouched(&port));
}

#[test]
fn what_is_not_ours_is_accepted_and_forgotten() {
    let port = world::world(1);
    let mut request = delivery(r#"{"zen": "Keep it logically awesome."}"#);
    for event in ["push", "workflow_run", ""] {
        request.headers.insert("x-github-event", event.parse().unwrap());
        assert_eq!(send(&port, &request).0, 202, "{event}");
    }
    request.headers.insert("x-github-event", "ping".parse().unwrap());
    let (status, text) = send(&port, &request);
    assert!(status == 200 && text.starts_with("pong: "), "{status} {text}");
    assert_eq!(tell(&port, &payload("requeued")), 202, "an action of a later GitHub");
    assert!(untouched(&port));
    let mut hosted = payload("queued");
    hosted["workflow_job"]["labels"] = json!(["ubuntu-latest"]);
    assert_eq!(tell(&port, &hosted), 202);
    hosted["workflow_job"]["labels"] = json!([]);
    hosted["action"] = json!("completed");
    assert_eq!(tell(&port, &hosted), 202);
    assert_eq!(port.0.called("ledger.commit"), 0);
}

#[test]
fn a_known_job_keeps_its_fleet_when_the_fleets_change() {
    let port = world::world(1);
    tell(&port, &payload("queued"));
    let mut other = payload("completed");
    other["workflow_job"]["labels"] = json!(["renamed"]);
    assert_eq!(tell(&port, &other), 202);
    assert!(port.0.ledger.borrow().markers.is_empty(), "no demand is left behind");
}

#[test]
fn a_persons_job_is_not_taken_for_an_organizations_runners() {
    let port = world::world(1);
    let mut personal = payload("queued");
    personal["repository"] = json!({"full_name": "octocat/dotfiles", "owner": {"login": "octocat", "type": "User"}});
    let lines = logged("info", || assert_eq!(tell(&port, &personal), 202));
    let said = lines[0]["route.candidates"].as_str().unwrap();
    assert!(said.starts_with("linux-x64: admission: its runners are for organizations, and the "), "{said}");
    let calls: Vec<&str> = port.0.calls.borrow().keys().copied().collect();
    assert_eq!(calls, ["notes.remember"], "nothing but that it was heard");
    personal["repository"]["owner"]["type"] = json!("Organization");
    assert_eq!(tell(&port, &personal), 202);
    assert_eq!(woken(&port), [("linux-x64".to_owned(), 0)]);
}

#[test]
fn why_a_job_goes_where_it_goes_is_one_line_when_it_is_first_heard_of() {
    let port = world::world(1);
    let lines = |payload: &Value| -> Vec<Value> {
        let mut lines = logged("info", || {
            tell(&port, payload);
        });
        lines.retain(|line| line.get("route.candidates").is_some());
        lines
    };
    let told = lines(&payload("queued"));
    assert_eq!(told.len(), 1, "{told:?}");
    for (field, expected) in [
        ("message", json!("Fleet linux-x64 takes job 7")),
        ("delivery.id", json!("d1")),
        ("job.id", json!(7)),
        ("job.labels", json!("self-hosted,linux")),
        ("job.repository", json!("octo-org/octo-repo")),
        ("fleet.name", json!("linux-x64")),
        ("route.candidates", json!("linux-x64: takes it; late: labels: missing linux, self-hosted")),
    ] {
        assert_eq!(told[0][field], expected, "{field}");
    }
    for known in ["queued", "in_progress", "completed"] {
        assert_eq!(lines(&payload(known)), [Value::Null; 0], "{known}");
    }
    let mut hosted = payload("queued");
    hosted["workflow_job"]["labels"] = json!(["ubuntu-latest"]);
    hosted["workflow_job"]["id"] = json!(8);
    let told = lines(&hosted);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["message"], told[0].get("fleet.name")), (&json!("No fleet takes job 8"), None));
    assert_eq!(
        told[0]["route.candidates"],
        "linux-x64: labels: missing ubuntu-latest; late: labels: missing ubuntu-latest"
    );
}

#[test]
fn the_runner_a_webhook_names_is_busy() {
    let port = world::world(1);
    let it = Runner { state: RunnerState::Registered, version: 1, ..runner("linux-x64", 1) };
    port.0.ledger.borrow_mut().runners.insert(("linux-x64".into(), instance(1)), it);
    tell(&port, &payload("queued"));
    let mut running = payload("in_progress");
    running["workflow_job"]["runner_name"] = json!(names::runner_name("linux-x64", &instance(1)));
    tell(&port, &running);
    assert_eq!(port.0.ledger.borrow().runner("linux-x64", &instance(1)).unwrap().state, RunnerState::Busy);
}

#[test]
fn a_failure_answers_500_and_the_redelivery_heals() {
    for fault in [("ledger.job", Fault::Ledger), ("ledger.commit", Fault::Ledger), ("wake.wake", Fault::Wake)] {
        let port = world::world(1);
        if fault.0 == "ledger.job" {
            // A new job is not looked up.
            assert_eq!(tell(&port, &payload("queued")), 202);
            let _ = woken(&port);
        }
        port.0.fault(fault.0, fault.1);
        assert_eq!(tell(&port, &payload("queued")), 500, "{}", fault.0);
        assert_eq!(woken(&port), []);
        assert_eq!(tell(&port, &payload("queued")), 202, "{}", fault.0);
        assert_eq!(woken(&port), [("linux-x64".to_owned(), 0)], "{}", fault.0);
    }
}

#[test]
fn a_new_job_is_written_without_a_look_and_a_known_one_is_looked_up() {
    for action in ["waiting", "queued"] {
        let port = world::world(1);
        let calls = || (port.0.called("ledger.job"), port.0.called("ledger.commit"));
        assert_eq!(tell(&port, &payload(action)), 202);
        assert_eq!(calls(), (0, 1), "{action}");
        let before = port.0.ledger.borrow().clone();
        assert_eq!(tell(&port, &payload(action)), 202);
        assert_eq!(calls(), (1, 2), "{action}: what is there already is not written over");
        assert_eq!(port.0.ledger.borrow().jobs, before.jobs, "{action}");
    }
    let port = world::world(1);
    assert_eq!(tell(&port, &payload("in_progress")), 202);
    assert_eq!(port.0.called("ledger.job"), 1, "one that runs is most likely known");
}

#[test]
fn githubs_own_samples_are_read() {
    for (text, state) in [
        (include_str!("../../../testdata/workflow_job.queued.json"), JobState::Queued),
        (include_str!("../../../testdata/workflow_job.waiting.json"), JobState::Waiting),
        (include_str!("../../../testdata/workflow_job.in_progress.json"), JobState::Running),
        (include_str!("../../../testdata/workflow_job.completed.json"), JobState::Done),
    ] {
        assert_eq!(super::read_payload(text.as_bytes()).unwrap().state, state);
    }
}

#[test]
fn runners_of_ours_are_told_by_their_names() {
    assert_eq!(ours("linux-x64-i-0123456789abcdef0"), Some(("linux-x64", "i-0123456789abcdef0")));
    for name in ["GitHub Actions 5", "linux-x64", "i-0123456789abcdef0", "-i-0123456789abcdef0", "Linux-i-01234567"] {
        assert_eq!(ours(name), None, "{name}");
    }
}

/// What was measured, a line each.
fn measured(deps: &Deps<Port>) -> Vec<Value> {
    deps.metrics.take(0).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn jobs_and_how_long_they_waited_are_measured_once() {
    let port = world::world(1);
    let deps = deps(&port);
    let mut running = payload("in_progress");
    running["workflow_job"]["created_at"] = json!("2026-11-20T10:00:00Z");
    running["workflow_job"]["started_at"] = json!("2026-11-20T10:00:21Z");
    for payload in [payload("queued"), payload("queued"), running.clone(), running] {
        assert_eq!(run(handle(&deps, &delivery(&payload.to_string()), u64::MAX)).status_code, 202);
    }
    let lines = measured(&deps);
    let of = |name: &str| lines.iter().find(|line| !line[name].is_null()).unwrap();
    assert_eq!((&of("QueueTime")["QueueTime"], &of("QueueTime")["Fleet"]), (&json!(21_000), &json!("linux-x64")));
    let jobs: Vec<_> = lines.iter().filter(|line| line["Jobs"] == 1).map(|line| line["Action"].clone()).collect();
    assert_eq!(jobs, ["queued", "running"]);
}

#[test]
fn nothing_is_refused_without_a_line_and_a_count() {
    let port = world::world(1);
    let deps = deps(&port);
    let good = delivery(&payload("queued").to_string());
    let with = |change: &dyn Fn(&mut ApiGatewayV2httpRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let mut nobodys = payload("queued");
    nobodys["workflow_job"]["labels"] = json!(["windows"]);
    let run_of = |app: &str, kind: &str, state: &str| {
        let repository = json!({"full_name": "octo-org/octo-repo"});
        let run = json!({"id": 7, "status": state, "app": {"slug": app}});
        let mut request = delivery(&json!({"action": kind, "repository": repository, "check_run": run}).to_string());
        request.headers.insert("x-github-event", "check_run".parse().unwrap());
        request
    };
    let cases = [
        ("no_job", run_of("another-ci", "created", "queued")),
        ("no_fleet", run_of("github-actions", "completed", "completed")),
        ("signature", with(&|it| drop(it.headers.remove("x-hub-signature-256")))),
        ("signature", with(&|it| it.body = Some("{}".into()))),
        ("body", with(&|it| it.body = Some("y".repeat(2 * LARGEST_BODY)))),
        ("payload", delivery("{}")),
        ("another_event", with(&|it| drop(it.headers.insert("x-github-event", "push".parse().unwrap())))),
        ("unknown_action", delivery(&payload("paused").to_string())),
        ("no_fleet", delivery(&nobodys.to_string())),
    ];
    for (reason, request) in cases {
        let lines = logged("info", || drop(run(handle(&deps, &request, u64::MAX))));
        assert_eq!(lines.len(), 1, "{reason}: {lines:?}");
        assert_eq!(lines[0]["delivery.id"], "d1", "{reason}");
        let measured = measured(&deps);
        assert_eq!((measured.len(), &measured[0]["Reason"]), (1, &json!(reason)), "{measured:?}");
    }
    port.0.fault("ledger.commit", Fault::Ledger);
    let lines = logged("info", || drop(run(handle(&deps, &good, u64::MAX))));
    assert_eq!((lines.len(), &lines[0]["job.id"], &lines[0]["level"]), (1, &json!(7), &json!("ERROR")));
    assert_eq!(measured(&deps)[0]["Reason"], "not_noted");
}

#[test]
fn a_decision_is_one_line_that_names_all_it_is_about() {
    let port = world::world(1);
    let lines = logged("info", || assert_eq!(tell(&port, &payload("queued")), 202));
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(messages, ["Fleet linux-x64 takes job 7", "Job 7 is queued"]);
    for line in &lines {
        let of = |name: &str| line[name].clone();
        assert_eq!([of("job.id"), of("fleet.name"), of("delivery.id")], [json!(7), json!("linux-x64"), json!("d1")]);
    }
    let job = port.0.ledger.borrow().jobs[&7].clone();
    let told: Vec<(&str, &str)> =
        job.history.entries().iter().map(|it| (it.what.as_str(), it.detail.as_str())).collect();
    let passed_over = ("passed over", "late: labels: missing linux, self-hosted");
    assert_eq!(told, [("queued", "routed to fleet linux-x64"), passed_over]);
}

#[test]
fn the_trace_goes_into_the_wake_up() {
    let port = world::world(1);
    let trace = TraceId::read("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1");
    let deps = deps(&port);
    let request = delivery(&payload("queued").to_string());
    run(within(trace.clone(), handle(&deps, &request, u64::MAX)));
    assert_eq!(port.0.sent.borrow()[0].trace, trace);
}
