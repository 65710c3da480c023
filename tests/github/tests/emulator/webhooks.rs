//! What webhooks say, how they are signed, sent, recorded and sent again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use laptop_github::{Chaos, JobSpec, Quirks, SystemClock, Webhook, WebhookInstallation, signature};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{Arrived, As, Lab, REPO, Receiver, wait_for};

/// Runs one job through all four actions and gives what arrived, in that order.
async fn all_four(lab: &Lab, receiver: &Receiver) -> Vec<Arrived> {
    let spec = JobSpec { labels: vec!["big".to_owned()], waiting: true, ..JobSpec::default() };
    let job = lab.github.queue_job(spec).unwrap().id;
    receiver.wait(&lab.github, 1).await.unwrap();
    lab.github.approve_job(job).unwrap();
    receiver.wait(&lab.github, 2).await.unwrap();
    let mut runner = lab.jit("big-i-7", &["big"]).await.unwrap();
    runner.connect().await.unwrap();
    lab.clock.advance(Duration::from_secs(3));
    runner.job().await.unwrap().unwrap();
    receiver.wait(&lab.github, 3).await.unwrap();
    lab.clock.advance(Duration::from_mins(1));
    runner.call("GET", &format!("jobs/{job}/state"), None).await.unwrap();
    runner.complete(job, "Succeeded").await.unwrap();
    receiver.wait(&lab.github, 4).await.unwrap()
}

/// Paths of all object fields, with `[]` for the items of a list.
fn paths(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{at}.{name}");
                paths(field, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{at}[]"), into)),
        _ => {}
    }
}

#[tokio::test]
async fn bodies_keep_the_shape_of_the_real_ones() {
    // The runner must not count as silent while the clock leaps.
    let lab = Lab::with(|config| config.offline_after = Duration::from_hours(1)).await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let arrived = all_four(&lab, &receiver).await;
    let real = [
        include_str!("../../fixtures/webhooks/workflow_job.waiting.7.json"),
        include_str!("../../fixtures/webhooks/workflow_job.queued.5.json"),
        include_str!("../../fixtures/webhooks/workflow_job.in_progress.3.json"),
        include_str!("../../fixtures/webhooks/workflow_job.completed.1.json"),
    ];
    for (one, real) in arrived.iter().zip(real) {
        let real: Value = serde_json::from_str(real).unwrap();
        let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
        paths(&real, "", &mut wanted);
        paths(&one.body, "", &mut found);
        let missing: Vec<&String> = wanted.difference(&found).collect();
        assert!(missing.is_empty(), "{} lacks {missing:?}", one.action());
        // Examples come from different hooks; an App in an organization has both of these in every event.
        let added: Vec<&String> = found
            .difference(&wanted)
            .filter(|path| !path.starts_with(".organization") && !path.starts_with(".installation"))
            .collect();
        assert!(added.is_empty(), "{} adds {added:?}", one.action());
    }
}

#[tokio::test]
async fn bodies_tell_of_the_job() {
    let lab = Lab::with(|config| config.offline_after = Duration::from_hours(1)).await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let arrived = all_four(&lab, &receiver).await;
    let job = lab.github.jobs().remove(0);
    let actions: Vec<&str> = arrived.iter().map(Arrived::action).collect();
    assert_eq!(actions, ["waiting", "queued", "in_progress", "completed"]);
    for one in &arrived {
        let told = &one.body["workflow_job"];
        assert_eq!((&told["id"], &told["run_id"]), (&json!(job.id), &json!(job.run_id)));
        assert_eq!((&told["labels"], &told["status"]), (&json!(["big"]), &json!(one.action())));
        assert_eq!(told["created_at"], "2026-11-20T14:00:00Z");
        assert_eq!(one.body["repository"]["full_name"], REPO);
        assert_eq!(one.body["repository"]["owner"]["login"], "octo-org");
        assert_eq!(one.body["repository"]["owner"]["type"], "Organization");
        assert_eq!(one.body["organization"]["login"], "octo-org");
        assert_eq!(one.body["installation"]["id"], 7_654_321);
        assert!(!String::from_utf8_lossy(&one.raw).contains("Octocoders"), "{}", one.body);
        assert!(!String::from_utf8_lossy(&one.raw).contains("lineville/"), "{}", one.body);
    }
    let told = |n: usize, name: &str| arrived[n].body["workflow_job"][name].clone();
    for name in ["runner_id", "runner_name", "runner_group_id", "runner_group_name"] {
        assert_eq!(told(1, name), Value::Null, "{name}");
    }
    assert_eq!((told(2, "runner_name"), told(2, "runner_group_name")), (json!("big-i-7"), json!("Default")));
    assert_eq!(told(2, "started_at"), "2026-11-20T14:00:03Z");
    assert_eq!((told(2, "completed_at"), told(2, "conclusion")), (Value::Null, Value::Null));
    assert_eq!((told(3, "completed_at"), told(3, "conclusion")), (json!("2026-11-20T14:01:03Z"), json!("success")));
    assert_eq!(told(3, "steps").as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn headers_and_signature_are_githubs() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.queue(&["a"]).unwrap();
    assert!(lab.github.ping());
    let arrived = receiver.wait(&lab.github, 2).await.unwrap();
    for one in &arrived {
        assert_eq!(one.header("x-hub-signature-256"), signature(&receiver.secret, &one.raw));
        assert!(one.header("user-agent").starts_with("GitHub-Hookshot/"));
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.header("x-github-hook-installation-target-type"), "integration");
        assert_eq!(one.header("x-github-hook-installation-target-id"), "123456");
        assert!(!one.header("x-github-hook-id").is_empty());
        assert_eq!(one.header("x-github-delivery").len(), 36);
    }
    let events: BTreeSet<&str> = arrived.iter().map(|one| one.header("x-github-event")).collect();
    assert_eq!(events, BTreeSet::from(["ping", "workflow_job"]));
    let ping = arrived.iter().find(|one| one.header("x-github-event") == "ping").unwrap();
    assert!(ping.body["zen"].is_string());
    assert_eq!(ping.body["hook"]["type"], "App");
}

#[tokio::test]
async fn failed_deliveries_are_recorded_and_can_be_sent_again() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    lab.queue(&["a"]).unwrap();
    receiver.wait(&lab.github, 1).await.unwrap();
    let list = |query: &str| format!("/app/hook/deliveries{query}");
    let failed = lab.call("GET", &list("?status=failure"), As::App, None).await.unwrap().body;
    assert_eq!(failed.as_array().unwrap().len(), 1, "not retried by itself");
    assert_eq!((&failed[0]["status_code"], &failed[0]["status"]), (&json!(500), &json!("Invalid HTTP Response: 500")));
    assert_eq!((&failed[0]["action"], &failed[0]["redelivery"]), (&json!("queued"), &json!(false)));

    receiver.answer_with(StatusCode::ACCEPTED);
    let id = failed[0]["id"].as_u64().unwrap();
    let again = lab.call("POST", &list(&format!("/{id}/attempts")), As::App, None).await.unwrap();
    assert_eq!(again.status, 202);
    let arrived = receiver.wait(&lab.github, 2).await.unwrap();
    assert_eq!(arrived[0].raw, arrived[1].raw, "the same bytes");
    assert_eq!(arrived[0].header("x-github-delivery"), arrived[1].header("x-github-delivery"));
    let all = lab.call("GET", &list(""), As::App, None).await.unwrap().body;
    assert_eq!((&all[0]["redelivery"], &all[0]["status"]), (&json!(true), &json!("OK")));
    assert_eq!(all[0]["guid"], failed[0]["guid"]);
    let one = lab.call("GET", &list(&format!("/{id}")), As::App, None).await.unwrap().body;
    assert_eq!(one["request"]["payload"]["action"], "queued");
    assert_eq!(one["request"]["headers"]["x-github-event"], "workflow_job");
    assert_eq!(lab.call("GET", &list("/5"), As::App, None).await.unwrap().status, 404);
    assert_eq!(lab.call("POST", &list("/5/attempts"), As::App, None).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_list_of_deliveries_has_cursors() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    for _ in 0..5 {
        lab.queue(&["a"]).unwrap();
    }
    receiver.wait(&lab.github, 5).await.unwrap();
    let mut path = "/app/hook/deliveries?per_page=2".to_owned();
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let reply = lab.call("GET", &path, As::App, None).await.unwrap();
        pages += 1;
        ids.extend(reply.body.as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()));
        let Some(url) = reply.header("link").strip_prefix('<').and_then(|link| link.split('>').next()) else { break };
        path = url.strip_prefix(lab.github.url()).unwrap().to_owned();
    }
    assert_eq!((pages, ids.len()), (3, 5));
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {ids:?}");
    for query in ["cursor=5", "status=maybe"] {
        let bad = lab.call("GET", &format!("/app/hook/deliveries?{query}"), As::App, None).await.unwrap();
        assert_eq!(bad.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_slow_or_away_is_told_as_github_does() {
    let lab = Lab::with(|config| config.webhook_timeout = Duration::from_millis(200)).await.unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let secret = SecretString::from("s");
    lab.github.set_webhook(Webhook { url, secret: secret.clone() });
    lab.queue(&["a"]).unwrap();
    let slow =
        wait_for("the delivery", || lab.github.deliveries().pop().ok_or_else(|| "none".to_owned())).await.unwrap();
    assert_eq!((slow.status_code, slow.status.as_str()), (504, "timed out"));
    assert!(slow.duration >= 0.2, "{}", slow.duration);
    // Another, whose patience is no matter: to be refused takes no time.
    let lab = Lab::start().await.unwrap();
    // Bound, and nobody listens: no other test's server gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    lab.github.set_webhook(Webhook { url, secret });
    lab.queue(&["a"]).unwrap();
    let away =
        wait_for("the delivery", || lab.github.deliveries().pop().ok_or_else(|| "none".to_owned())).await.unwrap();
    assert_eq!((away.status_code, away.status.as_str()), (502, "failed to connect to host"));
}

#[tokio::test]
async fn dropped_webhooks_never_come_and_late_ones_come_late() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.github.set_chaos(Chaos { drop_first: 2, delay_ms: 300, ..Chaos::default() }).unwrap();
    let jobs: Vec<u64> = (0..3).map(|_| lab.queue(&["a"]).unwrap()).collect();
    assert!(receiver.arrived().is_empty());
    let begun = std::time::Instant::now();
    let arrived = receiver.wait(&lab.github, 1).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!((arrived.len(), &arrived[0].body["workflow_job"]["id"]), (1, &json!(jobs[2])));
    assert_eq!((lab.github.deliveries().len(), lab.github.chaos().drop_first), (1, 0));
}

#[tokio::test]
async fn no_more_are_on_their_way_at_once_than_the_receiver_is_to_get() {
    let lab = Lab::with(|config| {
        (config.webhook_timeout, config.clock) = (Duration::from_millis(300), Arc::new(SystemClock));
    })
    .await
    .unwrap();
    // Takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    lab.github.set_webhook(Webhook { url, secret: SecretString::from("s") });
    lab.github.set_chaos(Chaos { at_once: 2, ..Chaos::default() }).unwrap();
    for _ in 0..5 {
        lab.queue(&["a"]).unwrap();
    }
    let mut began = wait_for("deliveries", || {
        let began: Vec<_> = lab.github.deliveries().iter().map(|one| one.delivered_at).collect();
        if began.len() == 5 { Ok(began) } else { Err(format!("{} of 5", began.len())) }
    })
    .await
    .unwrap();
    began.sort_unstable();
    // The third begins when the first has ended at the earliest.
    assert!(began.windows(3).all(|it| it[0].duration_until(it[2]).as_millis() >= 290), "{began:?}");
}

#[tokio::test]
async fn lost_webhooks_can_be_asked_for_again() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.github.set_chaos(Chaos { copies: 2, lost_percent: 100, ..Chaos::default() }).unwrap();
    lab.queue(&["a"]).unwrap();
    let lost = wait_for("deliveries", || {
        let all = lab.github.deliveries();
        if all.len() == 2 { Ok(all) } else { Err(format!("{} of 2", all.len())) }
    })
    .await
    .unwrap();
    assert!(lost.iter().all(|delivery| delivery.status_code == 504), "{lost:?}");
    assert!(receiver.arrived().is_empty());
    assert!(lab.github.redeliver(lost[0].id));
    assert_eq!(receiver.wait(&lab.github, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn deliveries_grow_older_at_a_word() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.queue(&["a"]).unwrap();
    receiver.wait(&lab.github, 1).await.unwrap();
    let before = lab.github.deliveries()[0].delivered_at;
    lab.github.age_deliveries(Duration::from_mins(20));
    assert_eq!(before.duration_since(lab.github.deliveries()[0].delivered_at).as_secs(), 20 * 60);
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_list_and_not_sent_again() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.queue(&["a"]).unwrap();
    receiver.wait(&lab.github, 1).await.unwrap();
    let id = lab.github.deliveries()[0].id;
    lab.github.forget_deliveries();
    let listed = lab.call("GET", "/app/hook/deliveries", As::App, None).await.unwrap();
    assert_eq!(listed.body, json!([]));
    let path = format!("/app/hook/deliveries/{id}/attempts");
    assert_eq!(lab.call("POST", &path, As::App, None).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_installation_may_be_missing_or_wrong() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let cases = [
        (WebhookInstallation::Missing, Value::Null),
        (WebhookInstallation::Wrong(0), json!(0)),
        (WebhookInstallation::Right, json!(7_654_321)),
    ];
    for (count, (webhook_installation, expected)) in cases.into_iter().enumerate() {
        lab.github.set_quirks(Quirks { webhook_installation, ..Quirks::default() });
        lab.queue(&["a"]).unwrap();
        let arrived = receiver.wait(&lab.github, count + 1).await.unwrap();
        assert_eq!(arrived[count].body["installation"]["id"], expected);
    }
}

#[tokio::test]
async fn without_a_receiver_nothing_is_sent() {
    let lab = Lab::start().await.unwrap();
    lab.queue(&["a"]).unwrap();
    assert!(!lab.github.ping());
    assert_eq!((lab.github.deliveries_pending(), lab.github.deliveries().len()), (0, 0));
}

#[tokio::test]
async fn a_job_that_is_run_again_is_told_as_queued_in_the_next_attempt() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let job = lab.queue(&["a"]).unwrap();
    let mut runner = lab.jit("r", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    runner.job().await.unwrap().unwrap();
    runner.complete(job, "Failed").await.unwrap();
    receiver.wait(&lab.github, 3).await.unwrap();
    let again = lab.post(&format!("/repos/{REPO}/actions/jobs/{job}/rerun"), Some(json!({}))).await.unwrap();
    assert_eq!(again.status, 201);
    let arrived = receiver.wait(&lab.github, 4).await.unwrap();
    let told = arrived.iter().map(|it| &it.body).find(|it| it["workflow_job"]["run_attempt"] == 2).unwrap();
    assert_eq!(told["action"], "queued");
    assert_ne!(told["workflow_job"]["id"], job, "under an id of its own");
}
