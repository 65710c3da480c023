//! Invocations: the process's surroundings, reuse, limits, and all the ways to end.

use std::time::{Duration, Instant};

use laptop_lambda::{Answer, Outcome};
use serde_json::{Value, json};

use crate::{World, cloud, lives, wait_until};

async fn failed(world: &World, event: Value) -> (Answer, Value) {
    let answer = world.host.invoke("f", &event).await.unwrap();
    assert_eq!(answer.outcome, Outcome::FunctionError);
    let document = answer.json().unwrap();
    (answer, document)
}

fn text(document: &Value) -> &str {
    document["errorMessage"].as_str().unwrap()
}

#[tokio::test]
async fn a_process_gets_lambdas_environment_and_nothing_of_the_hosts() {
    let world = World::with(
        |cloud| cloud.add_function("f", &[("OWN", "1"), ("SHARED", "own")]),
        |config| {
            config.environment.insert("SHARED".to_owned(), "host".to_owned());
        },
    )
    .await;
    let before = jiff::Timestamp::now().as_millisecond();
    let answer = world.ask("f", json!({"a": 1})).await;
    assert_eq!(answer["event"], json!({"a": 1}));
    let env = answer["env"].as_object().unwrap();
    for (name, value) in [
        ("_HANDLER", "echo"),
        ("OWN", "1"),
        ("SHARED", "own"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "FUNCTION-f"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
        ("AWS_ENDPOINT_URL", world.cloud.url().as_str()),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !env.contains_key("CARGO_MANIFEST_DIR"));
    assert_eq!(env["LAMBDA_TASK_ROOT"], answer["cwd"]);
    assert_eq!(answer["arn"], cloud::function_arn("f"));
    assert!(answer["trace"].as_str().unwrap().starts_with("Root=1-"));
    let deadline: i64 = answer["deadline"].as_str().unwrap().parse().unwrap();
    assert!((before + 4_900..before + 15_000).contains(&deadline), "{} ms", deadline - before);
}

#[tokio::test]
async fn a_warm_process_is_used_again_and_concurrent_ones_get_their_own() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let one = world.ask("f", json!({})).await;
    let two = world.ask("f", json!({})).await;
    assert_eq!((&one["pid"], &two["count"]), (&two["pid"], &json!(2)));
    let both = futures::future::join(world.ask("f", json!({"ms": 200})), world.ask("f", json!({"ms": 200}))).await;
    assert_ne!(both.0["pid"], both.1["pid"]);
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.invocations, stats.cold_starts, stats.errors, stats.inits.len()), (4, 2, 0, 2));
    assert!(stats.duration_at(1.0).unwrap() >= Duration::from_millis(200));
    assert!(stats.max_memory > 100_000, "{}", stats.max_memory);
    assert!(world.host.idle());
    assert_eq!(world.host.processes().len(), 2);
}

#[tokio::test]
async fn a_process_that_held_much_memory_is_seen() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    world.ask("f", json!({"do": "allocate", "mib": 30})).await;
    let memory = world.host.stats()["f"].max_memory;
    assert!((30 << 20..60 << 20).contains(&memory), "{memory}");
}

#[tokio::test]
async fn an_error_is_the_functions_own_and_it_lives_on() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let (_, document) = failed(&world, json!({"do": "error"})).await;
    assert_eq!(document, json!({"errorType": "Echo.Error", "errorMessage": "as asked"}));
    assert_eq!(world.ask("f", json!({})).await["count"], 2);
    assert_eq!(world.host.stats()["f"].errors, 1);
}

#[tokio::test]
async fn a_timeout_kills() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.change("f", |function| function.timeout = 1);
    })
    .await;
    let pid = world.ask("f", json!({})).await["pid"].as_u64().unwrap();
    let begun = Instant::now();
    let (answer, document) = failed(&world, json!({"ms": 60_000})).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(text(&document).contains("Task timed out after 1.00 seconds"), "{document}");
    assert!(!lives(pid));
    let log = world.log("f");
    assert!(log.contains(&format!("{} Task timed out after 1.00 seconds", answer.request)), "{log}");
    assert!(log.contains("Status: timeout"), "{log}");
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.timeouts, stats.errors, stats.crashes), (1, 1, 0));
    assert_eq!(world.ask("f", json!({})).await["count"], 1, "a new process");
}

#[tokio::test]
async fn a_crash_is_told_and_the_next_gets_a_new_process() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let (_, document) = failed(&world, json!({"do": "exit", "code": 7})).await;
    assert_eq!(document["errorType"], "Runtime.ExitError");
    assert!(text(&document).contains("exit status 7"), "{document}");
    let (_, document) = failed(&world, json!({"do": "abort"})).await;
    assert!(text(&document).contains("SIGABRT"), "{document}");
    assert_eq!(world.host.stats()["f"].crashes, 2);
    world.ask("f", json!({"do": "exit-after"})).await;
    wait_until("the process gone that ended after its answer", 0, || world.host.processes().len()).await;
    assert_eq!(world.ask("f", json!({})).await["count"], 1);
}

#[tokio::test]
async fn init_can_fail_in_three_ways() {
    for (way, kind, says) in [
        ("fail", "Echo.Init", "as asked"),
        ("exit", "Runtime.ExitError", "exit status 3"),
        ("hang", "Sandbox.Timedout", "Initialization timed out"),
    ] {
        let world = World::with(
            |cloud| cloud.add_function("f", &[("ECHO_INIT", way)]),
            |config| {
                if way == "hang" {
                    config.speed.init_limit = Duration::from_millis(700);
                }
            },
        )
        .await;
        let (_, document) = failed(&world, json!({})).await;
        assert_eq!(document["errorType"], kind);
        assert!(text(&document).contains(says), "{document}");
        wait_until("no process left", 0, || world.host.processes().len()).await;
        assert_eq!(world.host.stats()["f"].timeouts, u64::from(way == "hang"));
    }
}

#[tokio::test]
async fn code_that_can_not_be_started_says_why() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.change("f", |function| function.zip = cloud::zip(&[("bootstrap", b"#!/bin/sh\n", 0o644)]));
    })
    .await;
    let (_, document) = failed(&world, json!({})).await;
    assert_eq!(document["errorType"], "Runtime.InvalidEntrypoint");
    assert!(text(&document).contains("ermission denied"), "{document}");
}

#[tokio::test]
async fn answers_come_whole_in_chunks_and_broken_ones_are_failures() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    assert_eq!(world.ask("f", json!({"do": "chunked"})).await, json!({"a": 1}));
    let (_, document) = failed(&world, json!({"do": "cut"})).await;
    assert_eq!(document["errorType"], "Runtime.TruncatedResponse");
    let (_, document) = failed(&world, json!({"do": "large", "bytes": 6_291_557})).await;
    assert_eq!(document["errorType"], "Function.ResponseSizeTooLarge");
    let largest = world.host.invoke("f", &json!({"do": "large", "bytes": 6_291_556})).await.unwrap();
    assert_eq!((largest.outcome, largest.payload.len()), (Outcome::Success, 6_291_556));
}

#[tokio::test]
async fn the_runtime_api_refuses_what_is_out_of_turn() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    assert_eq!(world.ask("f", json!({"do": "wrong-id"})).await["status"], 400);
    assert_eq!(world.ask("f", json!({"do": "next-again"})).await["status"], 403);
}

#[tokio::test]
async fn reserved_concurrency_throttles() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.change("f", |function| function.reserved = Some(1));
        cloud.add_function("off", &[]);
        cloud.change("off", |function| function.reserved = Some(0));
    })
    .await;
    let first = world.ask("f", json!({"ms": 300}));
    let second = async {
        wait_until("one running", 1, || world.host.activity().running.get("f").copied().unwrap_or(0)).await;
        world.host.invoke("f", &json!({})).await.unwrap().outcome
    };
    assert_eq!(futures::future::join(first, second).await.1, Outcome::Throttled);
    assert_eq!(world.host.invoke("off", &json!({})).await.unwrap().outcome, Outcome::Throttled);
    assert_eq!(world.host.stats()["f"].throttles, 1);
    world.ask("f", json!({})).await;
}

#[tokio::test]
async fn the_account_has_a_limit_too() {
    let world = World::with(
        |cloud| {
            cloud.add_function("f", &[]);
            cloud.add_function("g", &[]);
        },
        |config| config.speed.account_concurrency = 1,
    )
    .await;
    let first = world.ask("f", json!({"ms": 300}));
    let second = async {
        wait_until("one running", 1, || world.host.activity().running.len()).await;
        world.host.invoke("g", &json!({})).await.unwrap().outcome
    };
    assert_eq!(futures::future::join(first, second).await.1, Outcome::Throttled);
}

#[tokio::test]
async fn an_event_over_the_limit_is_refused_and_an_unknown_function_named() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let large = json!("x".repeat(6_291_556));
    assert_eq!(world.host.invoke("f", &large).await.unwrap().outcome, Outcome::TooLarge);
    let error = world.host.invoke("nobody", &json!({})).await.unwrap_err();
    assert!(error.to_string().contains("\"nobody\""), "{error}");
}

#[tokio::test]
async fn the_log_has_output_and_lambdas_own_lines() {
    let world = World::new(|cloud| cloud.add_function("f", &[("API_TOKEN", "s3cret")])).await;
    let cold = world.host.invoke("f", &json!({})).await.unwrap();
    let warm = world.host.invoke("f", &json!({})).await.unwrap();
    let log = world.log("f");
    let lines: Vec<&str> = log.lines().collect();
    let id = &cold.request;
    assert_eq!(lines[0], format!("START RequestId: {id} Version: $LATEST"));
    assert!(lines.contains(&format!("out: working on {id}").as_str()), "{log}");
    assert!(lines.contains(&format!("err: working on {id}").as_str()), "{log}");
    assert_eq!(lines[3], format!("END RequestId: {id}"));
    assert!(lines[4].starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{log}");
    assert!(lines[4].contains("Memory Size: 128 MB") && lines[4].contains("Init Duration: "), "{log}");
    assert!(lines[9].contains(&warm.request) && !lines[9].contains("Init Duration"), "{log}");
    assert!(!log.contains("s3cret"));
}
