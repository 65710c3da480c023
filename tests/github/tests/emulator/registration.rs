//! JIT configs and `config.sh`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{As, Lab, ORG, REPO, Runner};

fn jit(owner: &str) -> String {
    format!("{owner}/actions/runners/generate-jitconfig")
}

#[tokio::test]
async fn a_jit_config_is_of_the_real_ones_shape_and_size() {
    let lab = Lab::start().await.unwrap();
    let body = json!({ "name": "big-i-0123456789abcdef0", "runner_group_id": 1, "labels": ["self-hosted", "big"] });
    let reply = lab.post(&jit(&format!("/orgs/{ORG}")), Some(body)).await.unwrap();
    assert_eq!(reply.status, 201);
    assert_eq!(reply.body["runner"]["status"], "offline");
    assert_eq!(reply.body["runner"]["os"], "unknown");
    assert_eq!(reply.body["runner"]["ephemeral"], true);
    let encoded = reply.body["encoded_jit_config"].as_str().unwrap();
    assert!((3000..=5120).contains(&encoded.len()), "{} bytes", encoded.len());
    let files: Value = serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();
    let names: Vec<&String> = files.as_object().unwrap().keys().collect();
    assert_eq!(names, [".credentials", ".credentials_rsaparams", ".runner"]);
    let runner = Runner::of(lab.client.clone(), &files).unwrap();
    let expected = json!({
        "agentId": reply.body["runner"]["id"],
        "agentName": "big-i-0123456789abcdef0",
        "poolId": 1,
        "poolName": "Default",
        "ephemeral": true,
        "disableUpdate": true,
        "serverUrl": format!("{}/_runner/", lab.github.url()),
        "gitHubUrl": format!("https://github.com/{ORG}"),
        "workFolder": "_work",
    });
    assert_eq!(runner.settings, expected);
}

#[tokio::test]
async fn a_name_is_taken_once_for_each_owner() {
    let lab = Lab::start().await.unwrap();
    let body = || Some(json!({ "name": "same", "runner_group_id": 1, "labels": ["a"] }));
    for owner in [format!("/orgs/{ORG}"), format!("/repos/{REPO}"), "/enterprises/octo-enterprise".to_owned()] {
        assert_eq!(lab.post(&jit(&owner), body()).await.unwrap().status, 201, "{owner}");
        let again = lab.post(&jit(&owner), body()).await.unwrap();
        assert_eq!(again.status, 409, "{owner}");
        assert!(again.message().contains("same"), "{}", again.message());
    }
}

#[tokio::test]
async fn a_bad_request_for_a_jit_config_is_told_all_its_mistakes() {
    let lab = Lab::start().await.unwrap();
    let many: Vec<String> = (0..101).map(|n| format!("label-{n}")).collect();
    let cases = [
        (json!({ "name": "a", "runner_group_id": 1, "labels": [] }), vec!["labels"]),
        (json!({ "name": "a", "runner_group_id": 1 }), vec!["labels"]),
        (json!({ "name": "a", "runner_group_id": 1, "labels": many }), vec!["labels"]),
        (json!({ "name": "a", "runner_group_id": 1, "labels": [""] }), vec!["labels"]),
        (json!({ "name": "a", "runner_group_id": 1, "labels": [7] }), vec!["labels"]),
        (json!({ "name": "a", "runner_group_id": 9, "labels": ["a"] }), vec!["runner_group_id"]),
        (json!({ "name": "a", "labels": ["a"] }), vec!["runner_group_id"]),
        (json!({ "name": "", "runner_group_id": 1, "labels": ["a"] }), vec!["name"]),
        (json!({ "name": "a".repeat(65), "runner_group_id": 1, "labels": ["a"] }), vec!["name"]),
        (json!({}), vec!["name", "runner_group_id", "labels"]),
    ];
    for (body, fields) in cases {
        let reply =
            lab.call_badly("POST", &jit(&format!("/orgs/{ORG}")), As::Installation, Some(body.clone())).await.unwrap();
        assert_eq!(reply.status, 422, "{body}");
        let errors = reply.body["errors"].as_array().unwrap();
        let told: Vec<&str> = errors.iter().map(|text| text.as_str().unwrap().split(':').next().unwrap()).collect();
        assert_eq!(told, fields, "{body}");
    }
    assert!(lab.github.runners().is_empty());
    let hundred: Vec<String> = (0..100).map(|n| format!("label-{n}")).collect();
    let body = json!({ "name": "a", "runner_group_id": 1, "labels": hundred });
    assert_eq!(lab.post(&jit(&format!("/orgs/{ORG}")), Some(body)).await.unwrap().status, 201);
}

async fn token(lab: &Lab, kind: &str) -> String {
    let reply = lab.post(&format!("/orgs/{ORG}/actions/runners/{kind}"), None).await.unwrap();
    reply.body["token"].as_str().unwrap().to_owned()
}

async fn send(lab: &Lab, path: &str, body: Value) -> (u16, Value) {
    let reply = lab.call_anyhow("POST", path, As::Nobody, Some(body)).await.unwrap();
    (reply.status, reply.body)
}

#[tokio::test]
async fn config_sh_registers_and_removes_with_tokens() {
    let lab = Lab::start().await.unwrap();
    let add = token(&lab, "registration-token").await;
    let asked = |replace: bool| {
        json!({
            "url": format!("https://github.com/{ORG}"), "token": add, "name": "kept", "labels": ["self-hosted", "X64"],
            "group": "Default", "ephemeral": false, "replace": replace,
        })
    };
    let (status, files) = send(&lab, "/_runner/register", asked(false)).await;
    assert_eq!(status, 200, "{files}");
    assert_eq!(send(&lab, "/_runner/register", asked(false)).await.0, 409);

    // Not ephemeral: it stays, job after job.
    let mut runner = Runner::of(lab.client.clone(), &files).unwrap();
    assert_eq!(runner.settings["ephemeral"], false);
    runner.connect().await.unwrap();
    for _ in 0..2 {
        let job = lab.queue(&["self-hosted"]).unwrap();
        assert_eq!(runner.job().await.unwrap().unwrap()["id"], job);
        runner.complete(job, "Succeeded").await.unwrap();
    }
    assert_eq!(lab.github.runners().len(), 1);

    let (status, files) = send(&lab, "/_runner/register", asked(true)).await;
    assert_eq!(status, 200);
    assert_eq!(runner.message().await.unwrap().0, 404, "the one that was replaced is gone");
    let second = Runner::of(lab.client.clone(), &files).unwrap();

    let remove = token(&lab, "remove-token").await;
    assert_eq!(send(&lab, "/_runner/remove", json!({ "token": add, "agentId": second.id })).await.0, 401);
    assert_eq!(send(&lab, "/_runner/remove", json!({ "token": remove, "agentId": second.id })).await.0, 204);
    assert_eq!(send(&lab, "/_runner/remove", json!({ "token": remove, "agentId": second.id })).await.0, 404);
    assert!(lab.github.runners().is_empty());
}

#[tokio::test]
async fn config_sh_is_refused_with_a_wrong_token_url_or_group() {
    let lab = Lab::start().await.unwrap();
    let add = token(&lab, "registration-token").await;
    let asked = |url: &str, token: &str, group: &str| json!({ "url": url, "token": token, "name": "n", "labels": [], "group": group });
    let url = format!("https://github.com/{ORG}");
    let cases = [
        (asked(&url, "AWRONG", ""), 401),
        (asked("https://github.com/else", &add, ""), 404),
        (asked(&url, &add, "nowhere"), 404),
        (json!({ "token": add }), 400),
    ];
    for (body, status) in cases {
        assert_eq!(send(&lab, "/_runner/register", body.clone()).await.0, status, "{body}");
    }
    lab.clock.advance(Duration::from_hours(1));
    assert_eq!(send(&lab, "/_runner/register", asked(&url, &add, "")).await.0, 401);
    assert!(lab.github.runners().is_empty());
}
