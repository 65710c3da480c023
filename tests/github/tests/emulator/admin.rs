//! The admin API: the handle's methods over HTTP.

use serde_json::{Value, json};

use crate::support::{As, Lab, Receiver, wait_for};

async fn send(lab: &Lab, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let reply = lab.call_anyhow(method, &format!("/_emulator/{path}"), As::Nobody, body).await.unwrap();
    (reply.status, reply.body)
}

#[tokio::test]
async fn all_of_the_handle_works_over_http() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let (status, job) = send(&lab, "POST", "jobs", Some(json!({ "labels": ["a"], "waiting": true }))).await;
    assert_eq!((status, &job["state"]), (201, &json!("waiting")));
    let id = &job["id"];
    assert_eq!(send(&lab, "POST", &format!("jobs/{id}/approve"), None).await.0, 204);
    assert_eq!(send(&lab, "GET", &format!("jobs/{id}"), None).await.1["state"], "queued");
    assert_eq!(send(&lab, "POST", &format!("jobs/{id}/cancel"), None).await.0, 204);
    assert_eq!(send(&lab, "POST", &format!("jobs/{id}/cancel"), None).await.0, 422);
    assert_eq!(send(&lab, "GET", "jobs", None).await.1[0]["conclusion"], "cancelled");
    assert_eq!(send(&lab, "GET", "jobs/5", None).await.0, 404);
    receiver.wait(&lab.github, 3).await.unwrap();

    let runner = lab.jit("r", &["a"]).await.unwrap();
    assert_eq!(send(&lab, "GET", "runners", None).await.1[0]["name"], "r");
    assert_eq!(send(&lab, "DELETE", &format!("runners/{}", runner.id), None).await.0, 204);
    assert_eq!(send(&lab, "DELETE", &format!("runners/{}", runner.id), None).await.0, 404);

    assert_eq!(send(&lab, "POST", "faults", Some(json!({ "route": "/app", "status": 500, "count": 1 }))).await.0, 204);
    assert_eq!(send(&lab, "GET", "faults", None).await.1[0]["status"], 500);
    assert_eq!(lab.call_anyhow("GET", "/app", As::App, None).await.unwrap().status, 500);
    assert_eq!(send(&lab, "POST", "faults", Some(json!({ "route": "*", "status": 500 }))).await.0, 204);
    assert_eq!(send(&lab, "DELETE", "faults", None).await.0, 204);
    assert_eq!(lab.call("GET", "/app", As::App, None).await.unwrap().status, 200);

    assert_eq!(send(&lab, "PUT", "quirks", Some(json!({ "delete_busy": true }))).await.0, 204);
    assert_eq!(send(&lab, "PUT", "rate-limit", Some(json!({ "an_hour": 12500 }))).await.0, 204);
    assert_eq!(lab.call("GET", "/app", As::App, None).await.unwrap().header("x-ratelimit-limit"), "12500");
    assert_eq!(send(&lab, "PUT", "chaos", Some(json!({ "copies": 2 }))).await.0, 204);
    assert_eq!(send(&lab, "GET", "chaos", None).await.1["copies"], 2);
    assert_eq!(send(&lab, "POST", "webhook/ping", None).await.0, 204);
    receiver.wait(&lab.github, 5).await.unwrap();
    let (_, all) = send(&lab, "GET", "deliveries", None).await;
    assert_eq!((&all["pending"], all["deliveries"].as_array().unwrap().len()), (&json!(0), 5));
    let first = &all["deliveries"][0]["id"];
    assert_eq!(send(&lab, "POST", &format!("deliveries/{first}/redeliver"), None).await.0, 204);
    receiver.wait(&lab.github, 6).await.unwrap();

    let calls = send(&lab, "GET", "calls", None).await.1;
    assert_eq!(calls["GET /app"], 3);
    assert!(!calls.to_string().contains("_emulator"));
    assert_eq!(send(&lab, "POST", "calls/reset", None).await.0, 204);
    assert_eq!(send(&lab, "GET", "calls", None).await.1, json!({}));
}

#[tokio::test]
async fn a_webhook_can_be_set_and_its_secret_is_told_to_nobody() {
    let lab = Lab::start().await.unwrap();
    let hook = json!({ "url": "http://127.0.0.1:9/", "secret": "hush-hush" });
    assert_eq!(send(&lab, "POST", "webhook/ping", None).await.0, 409);
    assert_eq!(send(&lab, "PUT", "webhook", Some(hook)).await.0, 204);
    assert_eq!(send(&lab, "POST", "webhook/ping", None).await.0, 204);
    let github = lab.github.clone();
    wait_for("the ping", || if github.deliveries().len() == 1 { Ok(()) } else { Err("none yet".to_owned()) })
        .await
        .unwrap();
    let everything = send(&lab, "GET", "deliveries", None).await.1.to_string();
    assert!(everything.contains("x-hub-signature-256") && !everything.contains("hush-hush"));
    let (status, answer) = send(&lab, "PUT", "webhook", Some(json!({ "url": 7, "secret": "hush-hush" }))).await;
    assert_eq!(status, 422);
    assert!(!answer.to_string().contains("hush-hush"), "{answer}");
    let shown = format!("{:?} {:?}", lab.github, laptop_github::Config::default());
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}

#[tokio::test]
async fn mistakes_are_named() {
    let lab = Lab::start().await.unwrap();
    let cases = [
        ("POST", "jobs", json!({}), "labels: found none"),
        ("POST", "jobs", json!({ "labels": ["a"], "repository": "else/where" }), "repository: found \"else/where\""),
        ("POST", "jobs", json!({ "labels": ["a"], "run_id": 5 }), "run_id: found 5"),
        ("POST", "jobs", json!({ "label": ["a"] }), "unknown field `label`"),
        ("POST", "faults", json!({ "route": "app" }), "route: found \"app\""),
        ("POST", "faults", json!({ "route": "*", "status": 42 }), "status: found 42"),
        ("PUT", "chaos", json!({ "copies": 0 }), "copies: found 0"),
        ("PUT", "quirks", json!({ "busy_lag": 1 }), "unknown field `busy_lag`"),
    ];
    for (method, path, body, message) in cases {
        let (status, answer) = send(&lab, method, path, Some(body.clone())).await;
        assert_eq!(status, 422, "{body}");
        assert!(answer["message"].as_str().unwrap().starts_with(message), "{body}: {answer}");
    }
    assert!(lab.github.jobs().is_empty() && lab.github.faults().is_empty());
}
