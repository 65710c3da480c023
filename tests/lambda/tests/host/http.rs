//! The HTTP API, as a client sees it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{World, wait_until};

async fn world() -> World {
    World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_route("POST /webhook", "f");
    })
    .await
}

async fn post(world: &World, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let request = reqwest::Client::new().post(format!("{}/webhook", world.host.http_url()));
    request.header("content-type", "application/json").body(body).send().await.unwrap()
}

async fn command(world: &World, command: Value) -> (u16, Value) {
    let response = post(world, command.to_string()).await;
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn a_request_becomes_an_event_and_an_answer_a_response() {
    let world = world().await;
    let response = reqwest::Client::new()
        .post(format!("{}/webhook?a=1&a=2", world.host.http_url()))
        .header("X-Hub-Signature-256", "sha256=00")
        .header("content-type", "application/json")
        .body(r#"{"x": "y"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("apigw-requestid"));
    let event = response.json::<Value>().await.unwrap()["event"].clone();
    assert_eq!(event["headers"]["x-hub-signature-256"], "sha256=00");
    // The body byte for byte: signatures depend on it.
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"x": "y"}"#), &json!(false)));
    assert_eq!(event["queryStringParameters"], json!({"a": "1,2"}));
    assert_eq!(event["routeKey"], "POST /webhook");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["requestContext"]["accountId"], "123456789012");

    let answer = json!({"statusCode": 202, "headers": {"x-a": "b"}, "body": "\u{ff}", "isBase64Encoded": false});
    let response = post(&world, json!({"do": "answer", "value": answer}).to_string()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["x-a"]), (202, &"b".parse().unwrap()));
    assert_eq!(response.text().await.unwrap(), "\u{ff}");
}

#[tokio::test]
async fn no_route_is_a_404_until_there_is_one() {
    let world = world().await;
    let url = format!("{}/other", world.host.http_url());
    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"message": "Not Found"}));
    world.cloud.add_route("$default", "f");
    world.host.refresh().await.unwrap();
    assert_eq!(reqwest::get(&url).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn failures_are_500_and_say_nothing() {
    let world = world().await;
    let error = json!({"message": "Internal Server Error"});
    for event in [json!({"do": "error"}), json!({"do": "exit", "code": 1}), json!({"do": "raw", "text": "no json"})] {
        assert_eq!(command(&world, event).await, (500, error.clone()));
    }
    world.cloud.change("f", |function| function.timeout = 1);
    world.host.refresh().await.unwrap();
    assert_eq!(command(&world, json!({"ms": 60_000})).await, (500, error));
}

#[tokio::test]
async fn throttling_is_429() {
    let world = world().await;
    world.cloud.change("f", |function| function.reserved = Some(0));
    world.host.refresh().await.unwrap();
    assert_eq!(command(&world, json!({})).await, (429, json!({"message": "Too Many Requests"})));
}

#[tokio::test]
async fn a_body_over_ten_megabytes_is_413() {
    let world = world().await;
    let response = post(&world, vec![b' '; 10 * 1024 * 1024 + 1]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // Lambda's own limit lies below.
    let response = post(&world, vec![b' '; 7 * 1024 * 1024]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!world.host.stats().contains_key("f"), "nothing was invoked");
}

#[tokio::test]
async fn the_client_waits_no_longer_than_the_integration_but_the_function_runs_on() {
    let world = World::with(
        |cloud| {
            cloud.add_function("f", &[]);
            cloud.add_route("POST /webhook", "f");
        },
        |config| config.speed.integration_limit = Duration::from_millis(300),
    )
    .await;
    assert_eq!(command(&world, json!({"ms": 4000})).await, (503, json!({"message": "Service Unavailable"})));
    assert_eq!(world.host.activity().running["f"], 1);
    wait_until("the function through", true, || world.host.idle()).await;
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.invocations, stats.errors), (1, 0));
}

#[tokio::test]
async fn many_at_once_each_get_their_own_answer() {
    let world = world().await;
    let asks = (0..20).map(|n| {
        let world = &world;
        async move {
            let value = json!({"statusCode": 200, "body": n.to_string()});
            let response = post(world, json!({"do": "answer", "ms": 20, "value": value}).to_string()).await;
            assert_eq!(response.text().await.unwrap(), n.to_string());
        }
    });
    futures::future::join_all(asks).await;
    assert_eq!(world.host.stats()["f"].invocations, 20);
}
