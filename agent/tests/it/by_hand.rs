//! The agent by hand, beside one that runs.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::world::{World, usual};

const WAITS: &str = "say 'Listening for Jobs'; say 'Running job: build'; while [ ! -e go ]; do sleep 0.02; done
    say 'Job build completed with result: Succeeded'";

async fn agent(world: &World, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dayfly-agent"));
    command.args(words).env_clear().env("DAYFLY_STATE_DIR", world.path().join("state")).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_of_the_agent_that_runs() {
    let mut world = World::new(usual(), WAITS).await;
    let output = agent(&world, &["status"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("dayfly-agent: no agent has run here"), "{output:?}");
    world.start().wait_for_log("The agent is Running").await;
    // Its state is noted after it is logged, and before control is told.
    world.wait_for("its word", |world| !world.messages("job_started").is_empty()).await;
    let status: Value = serde_json::from_slice(&agent(&world, &["status", "--json"]).await.stdout).unwrap();
    assert_eq!((&status["state"], &status["job"]["name"]), (&"Running".into(), &"build".into()), "{status}");
    let told = text(&agent(&world, &["status"]).await.stdout);
    assert!(told.contains("Running") && told.contains("i-0123456789abcdef0"), "{told}");
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    world.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_leaves_the_first_alone() {
    let mut world = World::new(usual(), WAITS).await;
    world.start().wait_for_log("The agent is Running").await;
    let mut second = Command::new(env!("CARGO_BIN_EXE_dayfly-agent"));
    second.env_clear().env("DAYFLY_STATE_DIR", world.path().join("state")).env("DAYFLY_LOG_FILE", "");
    let output = second.output().await.unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(text(&output.stdout).contains("Another agent runs on this machine"), "{output:?}");
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    assert_eq!(world.ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_refused_and_starts_no_agent() {
    let world = World::new(usual(), "").await;
    for words in [&["stats"][..], &["hook"], &["hook", "paused"], &["--json"]] {
        assert_eq!(agent(&world, words).await.status.code(), Some(2), "{words:?}");
    }
    assert!(text(&agent(&world, &["version"]).await.stdout).contains(env!("CARGO_PKG_VERSION")));
    assert!(world.cloud.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_for_job_waits_for_no_runner_that_is_gone() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'; job x Succeeded").await;
    world.start().ended().await;
    let output = agent(&world, &["wait-for-job"]).await;
    assert!(output.status.success(), "{output:?}");
}
