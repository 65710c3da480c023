//! The instance's end when AWS does not play along.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cloud::Script;
use crate::world::{World, usual};

const ONE_JOB: &str = "say 'Listening for Jobs'; job build Succeeded";

#[tokio::test(flavor = "multi_thread")]
async fn the_message_is_tried_until_it_is_sent() {
    let send_errors = vec!["InternalError", "ServiceUnavailable", "InternalError"];
    let mut world = World::new(Script { send_errors, ..usual() }, ONE_JOB).await;
    assert_eq!(world.start().ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ec2_will_not_end_exits_for_the_unit_to_power_it_off() {
    let script = Script { terminate_error: Some("UnauthorizedOperation"), ..usual() };
    let mut world = World::new(script, ONE_JOB).await;
    world.set("DAYFLY_END_SECONDS", "10").start();
    assert_eq!(world.exit_code().await, 70, "{}", world.log());
    assert_eq!(world.message()["reason"], "job_done");
    assert!(world.cloud.calls().iter().filter(|call| *call == "TerminateInstances").count() > 1);
    assert!(world.log().contains("UnauthorizedOperation"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ec2_refuses_for_good_is_not_asked_for_long() {
    let script = Script { terminate_error: Some("OperationNotPermitted"), ..usual() };
    let mut world = World::new(script, ONE_JOB).await;
    let began = Instant::now();
    // EC2 is asked for 60 s otherwise.
    assert_eq!(world.start().exit_code().await, 70, "{}", world.log());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(world.cloud.calls().iter().filter(|call| *call == "TerminateInstances").count() > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_do_not_keep_it_from_ending() {
    let send_errors = vec!["InternalError"; 4];
    let mut world = World::new(Script { send_errors, ..usual() }, ONE_JOB).await;
    world.start().wait_for_log("The agent is Ending").await;
    world.signal(Signal::SIGTERM);
    world.signal(Signal::SIGINT);
    assert_eq!(world.ended().await["reason"], "job_done");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_to_be_shut_down_once_ec2_has_agreed() {
    let mut world = World::new(usual(), ONE_JOB).await;
    world.start().wait_for_log("EC2 terminates the instance").await;
    let gone = tokio::time::timeout(Duration::from_millis(300), world.exit_code()).await;
    assert!(gone.is_err(), "the agent did not wait: {gone:?}");
    world.ended().await;
}
