//! The agent is killed and started again, as systemd does it; the runner lives on.

use nix::sys::signal::Signal;

use crate::cloud::Script;
use crate::world::{World, registration, usual};

/// A runner whose job goes on until the file `go` is there.
const LONG_JOB: &str = "say 'Listening for Jobs'; say 'Running job: build'; while [ ! -e go ]; do sleep 0.02; done
    say 'Job build completed with result: Succeeded'";

async fn kill(world: &mut World) {
    world.signal(Signal::SIGKILL);
    world.exit_code().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_adopted() {
    let mut world = World::new(usual(), LONG_JOB).await;
    world.start().wait_for_log("Running job: build").await;
    kill(&mut world).await;
    world.start().wait_for_log("is adopted").await;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    let message = world.ended().await;
    assert_eq!(message["reason"], "job_done");
    assert_eq!(message["job"], serde_json::json!({"name": "build", "result": "Succeeded"}));
    assert_eq!(message["runner_id"], 23);
    assert!(message.get("exit_code").is_none(), "nobody could know it");
    assert_eq!(world.cloud.steps(), ["GetParameter", "DeleteParameter", "SendMessage", "TerminateInstances"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_every_agent_name_the_trace_of_the_launch() {
    let mut document = registration();
    document["trace"] = "1-5759e988-bd862e3fe1be46a994272793".into();
    let script = Script { registration: Some(document.to_string()), ..usual() };
    let mut world = World::new(script, LONG_JOB).await;
    world.start().wait_for_log("Running job: build").await;
    kill(&mut world).await;
    world.start().wait_for_log("is adopted").await;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    world.ended().await;
    let lines: Vec<serde_json::Value> = world.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |line: &&serde_json::Value| line["trace.id"] == document["trace"];
    for said in ["The runner was started", "is adopted", "EC2 terminates the instance"] {
        let line = lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(said)));
        assert!(line.as_ref().is_some_and(named), "{said}: {}", world.log());
    }
    assert!(!lines.first().as_ref().is_some_and(named), "nothing is known at the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_blocks_the_metadata_service_is_adopted() {
    let mut world = World::new(usual(), LONG_JOB).await;
    world.start().wait_for_log("Running job: build").await;
    world.cloud.script().metadata_busy = u32::MAX;
    kill(&mut world).await;
    world.start().wait_for_log("is adopted").await;
    // The role's credentials come from there too.
    world.cloud.script().metadata_busy = 0;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    let message = world.ended().await;
    assert_eq!((&message["reason"], &message["fleet"]), (&"job_done".into(), &"linux-x64".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ended_meanwhile_is_read_from_the_output() {
    let mut world = World::new(usual(), LONG_JOB).await;
    world.start().wait_for_log("Running job: build").await;
    kill(&mut world).await;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    let output = world.path().join("state/runner.log");
    let runner = world.seen("pid");
    world
        .wait_for("the runner's end", |_| {
            std::fs::read_to_string(&output).is_ok_and(|text| text.contains("completed"))
                && !std::path::Path::new(&format!("/proc/{}/exe", runner.trim())).exists()
        })
        .await;
    let message = world.start().ended().await;
    assert_eq!(message["job"]["result"], "Succeeded");
    assert!(world.log().contains("is gone"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_runner_can_be_stopped() {
    let mut world =
        World::new(usual(), "trap 'exit 0' INT; say 'Listening for Jobs'; while :; do sleep 0.05; done").await;
    world.start().wait_for_log("Listening for Jobs").await;
    kill(&mut world).await;
    world.start().wait_for_log("is adopted").await;
    world.signal(Signal::SIGTERM);
    let message = world.ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"finished".into(), &"stopped".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_waits_waits_again() {
    let mut world = World::new(Script { registration: None, ..usual() }, "say 'Listening for Jobs'").await;
    world.start();
    world.wait_for("a try", |world| !world.cloud.calls().is_empty()).await;
    kill(&mut world).await;
    world.cloud.script().registration = Some(registration().to_string());
    assert_eq!(world.start().ended().await["reason"], "runner_exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_the_end_ends_the_instance_all_the_same() {
    let script = Script { terminate_error: Some("InternalError"), ..usual() };
    let mut world = World::new(script, "say 'Listening for Jobs'; job build Succeeded").await;
    world.start();
    world.wait_for("a refusal", |world| world.cloud.calls().contains(&"TerminateInstances".to_owned())).await;
    kill(&mut world).await;
    world.cloud.script().terminate_error = None;
    // The message was sent before, and is not sent again.
    assert_eq!(world.start().ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_an_earlier_agent_has_deleted_is_not_lost() {
    // As it is left by an agent that was killed between the delete and its next state.
    for denies_absent in [true, false] {
        let script = Script { registration: None, denies_absent, ..usual() };
        let mut world = World::new(script, "say 'Listening for Jobs'; job build Succeeded").await;
        std::fs::create_dir(world.path().join("state")).unwrap();
        std::fs::write(world.path().join("state/registration.json"), registration().to_string()).unwrap();
        assert_eq!(world.start().ended().await["reason"], "job_done");
        assert!(!world.path().join("state/registration.json").exists(), "the runner has it now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_does_not_end_the_agent() {
    let mut world = World::new(usual(), LONG_JOB).await;
    world.start().wait_for_log("The agent is Running").await;
    world.signal(Signal::SIGHUP);
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    assert_eq!(world.ended().await["reason"], "job_done");
}
