//! Queues that feed functions.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{World, wait_for, wait_until};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(300);

async fn world(batch_size: usize, visibility: Duration, change: impl FnOnce(&mut Value)) -> World {
    World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_queue("q", "f", batch_size, visibility);
        change(&mut cloud.things().mappings[0]);
    })
    .await
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn messages_that_succeed_are_deleted() {
    let world = world(10, LONG, |_| {}).await;
    for n in 0..5 {
        world.cloud.send("q", &json!({"n": n}));
    }
    wait_until("all deleted", 5, || world.cloud.queue("q").1.len()).await;
    wait_until("nothing going on", true, || world.host.idle()).await;
    assert!(world.cloud.queue("q").0.is_empty());
    // What a redrive policy does is the queue's matter: nothing was sent or set here.
    let targets: BTreeSet<String> =
        world.cloud.things().calls.iter().filter(|call| call.starts_with("AmazonSQS")).cloned().collect();
    let known = ["DeleteMessageBatch", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage"];
    assert_eq!(targets, known.iter().map(|name| format!("AmazonSQS.{name}")).collect());
}

#[tokio::test]
async fn failures_named_come_back_alone() {
    let world = world(10, SHORT, |_| {}).await;
    let good = world.cloud.send("q", &json!({}));
    let bad = world.cloud.send("q", &json!({"do": "fail"}));
    wait_until("the good one deleted", vec![good], || world.cloud.queue("q").1).await;
    wait_for("the bad one received again", || {
        let receipts = world.cloud.things().queues["q"].messages[0].receipts;
        if receipts >= 3 { Ok(()) } else { Err(receipts) }
    })
    .await;
    assert_eq!(world.cloud.queue("q").0, [bad]);
    // The function saw how often it came, and where it came from before.
    let log = world.log("f");
    assert!(log.matches("message {\"do\":\"fail\"}").count() >= 3, "{log}");
}

#[tokio::test]
async fn an_error_or_an_unknown_id_deletes_none() {
    for way in ["error", "fail-unknown"] {
        let world = world(10, SHORT, |_| {}).await;
        // Two in one batch, as they are there before the host looks again.
        {
            world.cloud.send("q", &json!({}));
            world.cloud.send("q", &json!({"do": way}));
        }
        wait_for("both received again", || {
            let receipts: Vec<usize> =
                world.cloud.things().queues["q"].messages.iter().map(|message| message.receipts).collect();
            if receipts.iter().all(|receipts| *receipts >= 2) { Ok(()) } else { Err(receipts) }
        })
        .await;
        assert!(world.cloud.queue("q").1.len() <= 1, "{way}: only what came in a batch of its own may be done");
        assert!(world.cloud.queue("q").0.contains(&"m2".to_owned()));
    }
}

#[tokio::test]
async fn without_failure_reports_success_deletes_all() {
    let world = world(10, LONG, |mapping| mapping["FunctionResponseTypes"] = json!([])).await;
    world.cloud.send("q", &json!({"do": "fail"}));
    wait_until("it deleted", 1, || world.cloud.queue("q").1.len()).await;
}

#[tokio::test]
async fn a_window_gathers_a_batch() {
    let world = world(25, LONG, |mapping| mapping["MaximumBatchingWindowInSeconds"] = json!(1)).await;
    for n in 0..15 {
        world.cloud.send("q", &json!({"n": n}));
    }
    wait_until("all deleted", 15, || world.cloud.queue("q").1.len()).await;
    assert_eq!(world.host.stats()["f"].invocations, 1);
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_its_window() {
    let world = world(12, LONG, |mapping| mapping["MaximumBatchingWindowInSeconds"] = json!(300)).await;
    for n in 0..12 {
        world.cloud.send("q", &json!({"n": n}));
    }
    wait_until("all deleted", 12, || world.cloud.queue("q").1.len()).await;
    assert_eq!(world.host.stats()["f"].invocations, 1);
}

#[tokio::test]
async fn batches_run_side_by_side_up_to_the_mappings_limit() {
    let world = world(1, LONG, |mapping| mapping["ScalingConfig"] = json!({"MaximumConcurrency": 2})).await;
    for _ in 0..6 {
        world.cloud.send("q", &json!({"ms": 150}));
    }
    let mut most = 0;
    wait_until("all deleted", 6, || {
        most = most.max(world.host.activity().running.get("f").copied().unwrap_or(0));
        world.cloud.queue("q").1.len()
    })
    .await;
    assert_eq!((most, world.host.stats()["f"].cold_starts), (2, 2));
}

#[tokio::test]
async fn a_throttled_batch_waits_and_is_not_lost() {
    let world = world(1, LONG, |_| {}).await;
    world.cloud.change("f", |function| function.reserved = Some(1));
    world.host.refresh().await.unwrap();
    for _ in 0..4 {
        world.cloud.send("q", &json!({"ms": 100}));
    }
    wait_until("all deleted", 4, || world.cloud.queue("q").1.len()).await;
    let stats = &world.host.stats()["f"];
    assert_eq!((stats.invocations, stats.cold_starts), (4, 1));
    assert!(stats.throttles > 0);
    // Each was received once: they waited here, not in the queue.
    assert_eq!(sorted(world.cloud.queue("q").1), ["m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn a_message_in_flight_is_seen() {
    let world = world(10, LONG, |_| {}).await;
    world.cloud.send("q", &json!({"ms": 300}));
    wait_until("a message in flight", 1, || world.host.activity().messages).await;
    assert!(!world.host.idle());
    wait_until("nothing going on", true, || world.host.idle()).await;
    assert_eq!(world.cloud.queue("q").1.len(), 1);
}

#[tokio::test]
async fn a_mapping_can_be_switched_off_and_on() {
    let world = world(10, LONG, |_| {}).await;
    world.cloud.things().mappings[0]["State"] = json!("Disabled");
    assert!(world.host.refresh().await.unwrap().queues.is_empty());
    // The receive under way may still bring something; after it no other comes.
    let receives = || world.cloud.calls("AmazonSQS.ReceiveMessage");
    let (mut seen, mut since) = (receives(), Instant::now());
    wait_for("no receive for twice a long poll", || {
        if receives() != seen {
            (seen, since) = (receives(), Instant::now());
        }
        if since.elapsed() > Duration::from_secs(2) { Ok(()) } else { Err(seen) }
    })
    .await;
    world.cloud.send("q", &json!({}));
    world.cloud.things().mappings[0]["State"] = json!("Enabled");
    assert_eq!(world.host.refresh().await.unwrap().queues.len(), 1);
    wait_until("it deleted", 1, || world.cloud.queue("q").1.len()).await;
}
