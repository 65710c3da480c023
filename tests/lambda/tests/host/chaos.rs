//! Kills in the middle of work.

use std::time::Duration;

use laptop_lambda::{After, Outcome};
use serde_json::json;

use crate::{World, lives, wait_for, wait_until};

#[tokio::test]
async fn the_next_invocation_is_killed_once() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let pid = world.ask("f", json!({})).await["pid"].as_u64().unwrap();
    world.host.kill_once("f", After::Millis(50));
    let killed = world.host.invoke("f", &json!({"ms": 60_000})).await.unwrap();
    assert_eq!(killed.outcome, Outcome::FunctionError);
    assert!(killed.json().unwrap()["errorMessage"].as_str().unwrap().contains("signal: killed"));
    assert!(!lives(pid));
    assert_eq!(world.host.kills_pending("f"), 0);
    assert_eq!(world.ask("f", json!({"ms": 100})).await["count"], 1);
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.kills, stats.errors, stats.crashes), (1, 1, 0));
}

#[tokio::test]
async fn a_function_that_was_quicker_is_killed_the_next_time() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_function("other", &[]);
    })
    .await;
    world.host.kill_once("f", After::Millis(3000));
    world.ask("f", json!({})).await;
    world.ask("other", json!({"ms": 3100})).await;
    assert_eq!(world.host.kills_pending("f"), 1);
    let killed = world.host.invoke("f", &json!({"ms": 60_000})).await.unwrap();
    assert_eq!(killed.outcome, Outcome::FunctionError);
    assert_eq!((world.host.kills_pending("f"), world.host.stats()["f"].kills), (0, 1));
}

#[tokio::test]
async fn a_kill_after_a_call_leaves_the_call_done_and_the_function_ignorant() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    world.ask("f", json!({"do": "calls", "n": 1})).await;
    assert_eq!(world.cloud.things().counted, 1);
    world.host.kill_once("f", After::Calls(2));
    let killed = world.host.invoke("f", &json!({"do": "calls", "n": 5})).await.unwrap();
    assert_eq!(killed.outcome, Outcome::FunctionError);
    assert_eq!(world.cloud.things().counted, 1 + 2, "its second call was carried out, its third never made");
    // The warm process was not used for that, and is still there.
    assert_eq!(world.ask("f", json!({})).await["count"], 2);
    // Too few calls: it is let go, in a process that goes with the counter, and the order stays.
    world.host.kill_once("f", After::Calls(9));
    world.ask("f", json!({"do": "calls", "n": 1})).await;
    assert_eq!(world.host.kills_pending("f"), 1);
    wait_until("the counted process gone", 1, || world.host.processes().len()).await;
}

#[tokio::test]
async fn messages_of_a_killed_batch_come_again() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_queue("q", "f", 10, Duration::from_secs(5));
    })
    .await;
    world.host.kill_once("f", After::Millis(20));
    world.cloud.send("q", &json!({"ms": 200}));
    wait_until("it deleted", 1, || world.cloud.queue("q").1.len()).await;
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.invocations, stats.kills), (2, 1));
}

#[tokio::test]
async fn orders_for_a_throttled_function_wait() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.change("f", |function| function.reserved = Some(0));
    })
    .await;
    world.host.kill_once("f", After::Millis(1));
    assert_eq!(world.host.invoke("f", &json!({})).await.unwrap().outcome, Outcome::Throttled);
    assert_eq!(world.host.kills_pending("f"), 1);
    wait_for("nothing going on", || if world.host.idle() { Ok(()) } else { Err(world.host.activity()) }).await;
}
