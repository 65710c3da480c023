//! What control is told on the way, and jobs' hooks.

use serde_json::{Value, json};

use crate::cloud::Script;
use crate::world::{World, config, registration, usual};

/// What a job's steps would do: the hooks, with a job's variables.
const HOOKED: &str = r#"say 'Listening for Jobs'; say 'Running job: build'
    exec -a Runner.Worker bash -c '
        export GITHUB_REPOSITORY=octo-org/octo-repo GITHUB_RUN_ID=8217346912 GITHUB_RUN_ATTEMPT=2
        export GITHUB_JOB=build GITHUB_WORKFLOW=CI GITHUB_ACTOR=octocat
        sh "$ACTIONS_RUNNER_HOOK_JOB_STARTED" && touch started
        # Any step can call it again, with what it likes.
        GITHUB_REPOSITORY=other/repo GITHUB_RUN_ID=1 sh "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
        sh "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED" && touch completed' & wait $!
    say 'Job build completed with result: Succeeded'"#;

fn with(change: impl FnOnce(&mut Value)) -> Script {
    let mut config = config();
    change(&mut config);
    Script { user_data: Some(config.to_string().into_bytes()), ..usual() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_life_is_told_in_order() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'; job build Failed").await;
    world.start().ended().await;
    let script = world.cloud.script();
    let kinds: Vec<&str> = script.messages.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["listening", "job_started", "job_completed", "finished"]);
    assert!(script.messages.iter().all(|message| message["runner_id"] == 23));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_hooks_tell_what_it_is_of() {
    let mut world = World::new(usual(), HOOKED).await;
    let message = world.start().ended().await;
    assert!(world.runner_directory().join("started").exists(), "{}", world.log());
    assert!(world.runner_directory().join("completed").exists(), "{}", world.log());
    let job = json!({
        "name": "build", "result": "Succeeded", "repository": "octo-org/octo-repo", "run_id": 8_217_346_912_u64,
        "run_attempt": 2, "job": "build", "workflow": "CI", "actor": "octocat",
    });
    assert_eq!(message["job"], job, "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_runner_retires_and_is_stopped_where_control_is_silent() {
    let script = with(|config| {
        config["idle_seconds"] = json!(1);
        config["retire_seconds"] = json!(1);
    });
    let mut world =
        World::new(script, "trap 'exit 0' INT; say 'Listening for Jobs'; while :; do sleep 0.05; done").await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&json!("finished"), &json!("idle")));
    assert_eq!(world.messages("retire")[0]["reason"], "idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_slips_in_while_retiring_runs_to_its_end() {
    let script = with(|config| {
        config["idle_seconds"] = json!(1);
        config["retire_seconds"] = json!(8);
    });
    // It gets its job once control was asked to delete it, and takes longer than control is waited for.
    let runner = "trap 'exit 7' INT; say 'Listening for Jobs'; while [ ! -e go ]; do sleep 0.02; done
        say 'Running job: late'; while [ ! -e done ]; do sleep 0.02; done; say 'Job late completed with result: Succeeded'";
    let mut world = World::new(script, runner).await;
    world.start().wait_for("a retire", |world| !world.messages("retire").is_empty()).await;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    world.wait_for("the job", |world| !world.messages("job_started").is_empty()).await;
    // Longer than control would have been waited for.
    let began = std::time::Instant::now();
    world.wait_for("the deadline to pass", |_| began.elapsed().as_millis() > 8500).await;
    std::fs::write(world.runner_directory().join("done"), "").unwrap();
    let message = world.ended().await;
    assert_eq!((&message["reason"], &message["job"]["result"]), (&json!("job_done"), &json!("Succeeded")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reusable_runner_registers_itself_and_takes_jobs_until_it_is_idle() {
    let token = "AABBCCDDEEFFGGHHIIJJKKLLMMNNO";
    let mut document = registration();
    for name in ["runner_id", "jit_config"] {
        document.as_object_mut().unwrap().remove(name);
    }
    document["registration_token"] = json!(token);
    document["url"] = json!("https://github.com/octo-org");
    document["labels"] = json!(["self-hosted", "linux"]);
    let script = with(|config| {
        config["idle_seconds"] = json!(6);
        config["retire_seconds"] = json!(1);
    });
    let script = Script { registration: Some(document.to_string()), ..script };
    let runner = r#"if [ "$1" = configure ]; then echo "$*" > seen.configure; echo '{}' > .runner; exit 0; fi
        trap 'exit 0' INT; say 'Listening for Jobs'; job one Succeeded; job two Failed; while :; do sleep 0.05; done"#;
    let mut world = World::new(script, runner).await;
    let message = world.start().ended().await;
    assert_eq!((&message["reason"], &message["job"]["name"]), (&json!("idle"), &json!("two")), "{message}");
    assert_eq!(world.messages("job_completed").len(), 2);
    let configure = world.seen("configure");
    assert!(configure.contains("--url https://github.com/octo-org") && !configure.contains(token), "{configure}");
    assert!(!world.log().contains(token) && !world.seen("env").contains(token), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_are_sent_and_a_failure_tells_the_runners_last_lines() {
    let script = with(|config| config["heartbeat_seconds"] = json!(1));
    let runner = "say 'Listening for Jobs'; while [ ! -e go ]; do sleep 0.02; done
        echo 'no session: token ghs_abcdefghijklmnopqrstuvwxyz0123456789'; exit 1";
    let mut world = World::new(script, runner).await;
    world.start().wait_for("a heartbeat", |world| !world.messages("heartbeat").is_empty()).await;
    std::fs::write(world.runner_directory().join("go"), "").unwrap();
    let message = world.ended().await;
    assert_eq!((&message["kind"], &message["phase"]), (&json!("failed"), &json!("listening")));
    let log = message["log"].as_array().unwrap();
    assert!(log.last().unwrap().as_str().unwrap().starts_with("no session: token ***"), "{message}");
}
