//! Where the config comes from, and mistakes in it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cloud::Script;
use crate::world::{World, config, usual};

const EXIT_CONFIG: i32 = 78;

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service_may_come_up_later() {
    let mut world =
        World::new(Script { metadata_busy: 8, ..usual() }, "say 'Listening for Jobs'; job x Succeeded").await;
    assert_eq!(world.start().ended().await["reason"], "job_done");
    assert!(world.log().contains("Waiting for the metadata service"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_metadata_service_is_given_up() {
    let mut world = World::new(Script { metadata_busy: u32::MAX, ..usual() }, "").await;
    let began = Instant::now();
    world.set("DAYFLY_METADATA_SECONDS", "1").start();
    assert_eq!(world.exit_code().await, 70, "{}", world.log());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(world.log().contains("no answer from the metadata service within 1 s: asking"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metadata_service_at_all_is_given_up() {
    let mut world = World::new(usual(), "").await;
    world.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9").set("DAYFLY_METADATA_SECONDS", "1").start();
    assert_eq!(world.exit_code().await, 70, "{}", world.log());
    assert!(world.log().contains("refused"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_read_where_user_data_has_no_config() {
    for user_data in [None, Some(b"#!/bin/sh\n".to_vec()), Some(vec![0x1f, 0x8b, 0xff, 0xfe])] {
        let mut world = World::new(Script { user_data, ..usual() }, "say 'Listening for Jobs'").await;
        let mut config = config();
        config["fleet"] = json!("from-file");
        std::fs::write(world.path().join("agent.json"), config.to_string()).unwrap();
        assert_eq!(world.start().ended().await["fleet"], "from-file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_json_as_user_data_will_do() {
    let user_data = Some(config().to_string().into_bytes());
    let mut world = World::new(Script { user_data, ..usual() }, "say 'Listening for Jobs'").await;
    assert_eq!(world.start().ended().await["reason"], "runner_exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_config_anywhere_is_refused() {
    let mut world = World::new(Script { user_data: None, ..usual() }, "").await;
    assert_eq!(world.start().exit_code().await, EXIT_CONFIG);
    assert!(world.log().contains("Config refused: user-data: found no user-data"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_of_a_config_are_told() {
    let mut bad = config();
    bad["fleet"] = json!("Linux X64");
    bad["claim_seconds"] = json!("soon");
    bad["lifecycle_queue_url"] = json!(null);
    bad["runner"] = json!({"directory": "opt"});
    let user_data = Some(bad.to_string().into_bytes());
    let mut world = World::new(Script { user_data, ..usual() }, "").await;
    assert_eq!(world.start().exit_code().await, EXIT_CONFIG);
    let lines: Vec<serde_json::Value> = world.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = lines.iter().filter_map(|line| line["problem.path"].as_str()).collect();
    assert_eq!(paths, ["fleet", "lifecycle_queue_url", "claim_seconds", "runner.directory"]);
    let found = lines.iter().find(|line| line["problem.path"] == "fleet").unwrap();
    assert_eq!(found["problem.found"], "\"Linux X64\"");
    assert!(world.cloud.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_of_the_environment_are_told() {
    let mut world = World::new(usual(), "").await;
    world.set("DAYFLY_ENDING", "never").set("DAYFLY_LOG", "a=b=c").set("DAYFLY_LOGS", "info").start();
    assert_eq!(world.exit_code().await, EXIT_CONFIG);
    for name in ["DAYFLY_ENDING: found \\\"never\\\"", "DAYFLY_LOG: found", "DAYFLY_LOGS: found"] {
        assert!(world.log().contains(name), "{name} in {}", world.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_environment_state_folder_and_config_are_told_together() {
    let mut bad = config();
    bad["fleet"] = json!("Linux X64");
    bad["log"] = json!("loud=very");
    let user_data = Some(bad.to_string().into_bytes());
    let mut world = World::new(Script { user_data, ..usual() }, "").await;
    world.set("DAYFLY_ENDING", "never").set("DAYFLY_STATE_DIR", "/proc/dayfly").start();
    assert_eq!(world.exit_code().await, EXIT_CONFIG);
    let lines: Vec<serde_json::Value> = world.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = lines.iter().filter_map(|line| line["problem.path"].as_str()).collect();
    assert_eq!(paths, ["DAYFLY_ENDING", "DAYFLY_STATE_DIR", "fleet", "log"]);
    assert!(world.cloud.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environments_mistakes_are_told_though_the_metadata_service_is_silent() {
    let mut world = World::new(Script { metadata_busy: u32::MAX, ..usual() }, "").await;
    world.set("DAYFLY_ENDING", "never").set("DAYFLY_METADATA_SECONDS", "1").start();
    assert_eq!(world.exit_code().await, EXIT_CONFIG, "{}", world.log());
    assert!(world.log().contains("DAYFLY_ENDING: found \\\"never\\\""), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn root_by_the_environment_can_not_be_kept_from_the_metadata_service() {
    let mut world = World::new(usual(), "").await;
    world.set("DAYFLY_RUNNER_USER", "root").set("DAYFLY_METADATA_ACCESS", "agent").start();
    assert_eq!(world.exit_code().await, EXIT_CONFIG, "{}", world.log());
    assert!(world.log().contains("DAYFLY_RUNNER_USER: found \\\"root\\\", expected another user"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_can_not_be_is_told() {
    let mut world = World::new(usual(), "").await;
    world.set("DAYFLY_STATE_DIR", "/proc/dayfly").start();
    assert_eq!(world.exit_code().await, EXIT_CONFIG);
    assert!(world.log().contains("DAYFLY_STATE_DIR: found /proc/dayfly"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configs_log_filter_is_used_and_the_environments_comes_first() {
    let mut quiet = config();
    quiet["log"] = json!("error");
    let script = || Script { user_data: Some(quiet.to_string().into_bytes()), ..usual() };
    let mut world = World::new(script(), "say 'Listening for Jobs'").await;
    world.start();
    // Nothing is logged by which the end could be seen.
    world.wait_for("termination", |world| world.cloud.script().terminated).await;
    assert!(!world.log().contains("The runner says"), "{}", world.log());
    let mut world = World::new(script(), "say 'Listening for Jobs'").await;
    world.set("DAYFLY_LOG", "info").start().ended().await;
    assert!(world.log().contains("The runner says"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_waiting_for_the_metadata_service() {
    let mut world = World::new(Script { metadata_busy: u32::MAX, ..usual() }, "").await;
    world.start().wait_for_log("Waiting for the metadata service").await;
    world.signal(Signal::SIGTERM);
    // The unit powers the machine off on a failure alone.
    assert_eq!(world.exit_code().await, 70, "{}", world.log());
    assert!(world.cloud.calls().is_empty());
}
