//! Waiting for the registration, and registrations that are no good.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::cloud::Script;
use crate::world::{World, cloud_config, config, registration, usual};

const ONE_JOB: &str = "say 'Listening for Jobs'; job build Succeeded";

/// A config whose claim deadline is so many seconds after the agent's start: all that it asks for counts.
fn impatient(seconds: u64) -> Script {
    let mut config = config();
    config["claim_seconds"] = json!(seconds);
    Script { user_data: Some(cloud_config(&config).into_bytes()), ..usual() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_comes_later_is_waited_for() {
    let mut world = World::new(Script { registration: None, ..usual() }, ONE_JOB).await;
    world.start();
    world.wait_for("four tries", |world| world.cloud.calls().len() >= 4).await;
    world.cloud.script().registration = Some(registration().to_string());
    assert_eq!(world.ended().await["reason"], "job_done");
    // Not there yet is nothing to be told of.
    assert!(!world.log().contains("can't be taken"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_may_be_denied() {
    let script = Script { registration: None, denies_absent: true, ..usual() };
    let mut world = World::new(script, ONE_JOB).await;
    world.start();
    world.wait_for("four tries", |world| world.cloud.calls().len() >= 4).await;
    world.cloud.script().registration = Some(registration().to_string());
    assert_eq!(world.ended().await["reason"], "job_done");
    let told = world.log().matches("it is not there yet, or the role may not read it (reading parameter").count();
    assert_eq!(told, 1, "{}", world.log());
    assert!(!world.log().contains("WARN"), "it is the usual case: {}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_answer_was_lost_counts() {
    // The SDK's own second request is denied, or the first one of our own second try.
    for deletes_lost in [1, 2] {
        for denies_absent in [true, false] {
            let script = Script { denies_absent, deletes_lost, ..usual() };
            let mut world = World::new(script, ONE_JOB).await;
            assert_eq!(world.start().ended().await["reason"], "job_done");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_never_comes_ends_the_instance() {
    let mut world = World::new(Script { registration: None, ..impatient(1) }, ONE_JOB).await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("failed"), &json!("registration_missing")));
    assert_eq!(message["detail"], "no registration within 1 s");
    assert!(message.get("runner_id").is_none());
    assert_eq!(world.seen("start"), "", "the runner was started");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_missing_permission_are_waited_out() {
    let get_errors =
        vec!["ThrottlingException", "AccessDeniedException", "AccessDeniedException", "InternalServerError"];
    let mut world = World::new(Script { get_errors, ..usual() }, ONE_JOB).await;
    assert_eq!(world.start().ended().await["reason"], "job_done");
    // Told once, however often it happened.
    assert_eq!(world.log().matches("AccessDeniedException by the test").count(), 1, "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_refusal_is_told_in_the_message() {
    let get_errors = vec!["AccessDeniedException"; 1000];
    let mut world = World::new(Script { get_errors, ..impatient(8) }, ONE_JOB).await;
    let message = world.start().ended().await;
    assert_eq!(message["reason"], "registration_missing");
    let detail = message["detail"].as_str().unwrap();
    let expected = "no registration within 8 s: it is not there yet, or the role may not read it (reading parameter \
                    /dayfly/main/";
    assert!(detail.starts_with(expected), "{detail}");
    assert!(detail.contains("AccessDeniedException"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_waits_until_the_registration_is_deleted() {
    let delete_errors = vec!["AccessDeniedException"; 3];
    let mut world = World::new(Script { delete_errors, ..usual() }, ONE_JOB).await;
    assert_eq!(world.start().ended().await["reason"], "job_done");
    assert_eq!(world.cloud.calls().iter().filter(|call| *call == "DeleteParameter").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_can_not_be_deleted_is_not_used() {
    let delete_errors = vec!["AccessDeniedException"; 1000];
    let mut world = World::new(Script { delete_errors, ..impatient(8) }, ONE_JOB).await;
    let message = world.start().ended().await;
    assert_eq!(message["reason"], "registration_missing");
    assert!(message["detail"].as_str().unwrap().contains("deleting parameter"), "{message}");
    assert_eq!(world.seen("start"), "", "the runner was started");
}

async fn refused(document: String, detail: &str) {
    let mut world = World::new(Script { registration: Some(document), ..usual() }, ONE_JOB).await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("failed"), &json!("registration_unreadable")));
    assert_eq!(message["detail"], detail);
    assert_eq!(world.cloud.steps(), ["GetParameter", "DeleteParameter", "SendMessage", "TerminateInstances"]);
    assert_eq!(world.seen("start"), "", "the runner was started");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_registration_is_refused_and_deleted() {
    let mut document = registration();
    document["version"] = json!(2);
    refused(document.to_string(), "registration is version 2; this agent reads up to 1: build a newer image").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_registration_is_refused_and_deleted() {
    refused("{".to_owned(), "registration is unreadable at line 1, column 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_jit_config_is_refused_and_deleted() {
    let mut document = registration();
    document["jit_config"] = json!("bm8ganNvbg==");
    refused(document.to_string(), "registration: jit_config is not base64 of a JSON object of texts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_waiting() {
    let mut world = World::new(Script { registration: None, ..usual() }, ONE_JOB).await;
    world.start();
    world.wait_for("a try", |world| !world.cloud.calls().is_empty()).await;
    world.signal(Signal::SIGTERM);
    let message = world.ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("finished"), &json!("stopped")));
}

/// A config of a fleet whose instances may stand by, for so long.
fn standing_by(lifetime_seconds: u64) -> Script {
    pooled("standby", lifetime_seconds)
}

fn pooled(kind: &str, lifetime_seconds: u64) -> Script {
    let mut config = config();
    config["claim_seconds"] = json!(1);
    config["retire_seconds"] = json!(1);
    config["pool"] = json!({ "kind": kind, "lifetime_seconds": lifetime_seconds });
    Script { registration: None, user_data: Some(cloud_config(&config).into_bytes()), ..usual() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_by_waits_longer_than_a_claim_and_runs_a_job() {
    let mut world = World::new(standing_by(600), ONE_JOB).await;
    world.start();
    world.wait_for("its word", |world| !world.messages("standby").is_empty()).await;
    // Its claim deadline, of a second, would be over after these.
    world.wait_for("many tries", |world| world.cloud.calls().len() >= 9).await;
    world.cloud.script().registration = Some(registration().to_string());
    assert_eq!(world.ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_ends_nothing_and_runs_a_job_when_it_is_started_again() {
    let mut world = World::new(pooled("stopped", 600), ONE_JOB).await;
    world.start();
    world.wait_for("its word", |world| !world.messages("standby").is_empty()).await;
    world.signal(Signal::SIGTERM);
    assert_eq!(world.exit_code().await, 0);
    assert!(!world.cloud.script().terminated, "it never came up again");
    assert!(world.messages("finished").is_empty() && world.messages("failed").is_empty(), "{}", world.log());
    // Its next boot, which finds nothing of this one below /run, and a registration.
    std::fs::remove_dir_all(world.path().join("state")).unwrap();
    world.cloud.script().registration = Some(registration().to_string());
    assert_eq!(world.start().ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_by_leaves_when_it_is_told() {
    let mut world = World::new(standing_by(600), ONE_JOB).await;
    world.start();
    world.wait_for("its word", |world| !world.messages("standby").is_empty()).await;
    let leave = include_str!("../../contract/golden/registration-leave.v1.json");
    world.cloud.script().registration = Some(leave.to_owned());
    let message = world.ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("finished"), &json!("idle")));
    assert_eq!(message["detail"], "surplus");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_by_for_its_lifetime_asks_and_ends() {
    let mut world = World::new(standing_by(2), ONE_JOB).await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("finished"), &json!("max_lifetime")));
    assert_eq!(message["detail"], "no job within 2 s");
    assert_eq!(world.messages("retire").len(), 1);
}
