//! The main road, and what the runner is started with.

use dayfly_contract::Phase;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::cloud::Script;
use crate::world::{World, usual};

#[tokio::test(flavor = "multi_thread")]
async fn one_job_is_run_and_the_instance_ends() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'; job 'build (1.95, x86_64)' Succeeded").await;
    let message = world.start().ended().await;
    assert_eq!(world.cloud.steps(), ["GetParameter", "DeleteParameter", "SendMessage", "TerminateInstances"]);
    assert_eq!(message["kind"], "finished");
    assert_eq!(message["reason"], "job_done");
    assert_eq!(message["instance_id"], "i-0123456789abcdef0");
    assert_eq!(message["fleet"], "linux-x64");
    assert_eq!(message["reservation"], "0d9a1c52-6a0e-4a55-9b0a-8a3c1b8f7e21");
    assert_eq!(message["runner_id"], 23);
    assert_eq!(message["runner_name"], "linux-x64-i-0123456789abcdef0");
    assert_eq!(message["job"], serde_json::json!({"name": "build (1.95, x86_64)", "result": "Succeeded"}));
    assert_eq!(message["exit_code"], 0);
    let times: Vec<u64> = Phase::ALL.iter().map(|phase| message["timeline"][phase.name()].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    println!("agent to started: {} ms", times[4] - times[1]);
    assert!(!world.log().contains("SIGKILL"), "an orderly end needs no force: {}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_gets_its_registration_and_nothing_of_the_agents() {
    let mut world =
        World::new(usual(), "ls -l .runner .credentials > seen.files; cp .credentials seen.credentials").await;
    world.start().ended().await;
    assert_eq!(world.seen("argv").trim(), format!("{}/bin/Runner.Listener run", world.runner_directory().display()));
    let env = world.seen("env");
    let names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
    let expected = [
        "ACTIONS_RUNNER_HOOK_JOB_COMPLETED",
        "ACTIONS_RUNNER_HOOK_JOB_STARTED",
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SHELL",
        "USER",
    ];
    assert_eq!(names, expected);
    assert!(world.seen("id").contains(&format!("({})", crate::world::runner_user())), "{}", world.seen("id"));
    assert!(!world.seen("id").contains("(root)"), "{}", world.seen("id"));
    assert_eq!(world.seen("umask").trim(), "0022");
    assert_eq!(world.seen("oom").trim(), "0");
    // Standard input, output and error, and what bash holds itself: its script.
    let fds = world.seen("fds");
    let inherited: Vec<&str> =
        fds.lines().filter(|line| line.contains(" -> ") && !line.ends_with("bin/Runner.Listener")).collect();
    assert_eq!(inherited.len(), 3, "{fds}");
    assert_eq!(world.seen("files").matches("-rw-------").count(), 2, "{}", world.seen("files"));
    assert!(world.seen("credentials").contains(crate::world::SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_not_needed_ends_without_a_job() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'").await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"finished".into(), &"runner_exited".into()));
    assert!(message.get("job").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_crashes_is_told_with_its_exit_code() {
    let mut world = World::new(usual(), "echo 'Failed to create a session.' >&2; exit 1").await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"failed".into(), &"runner_failed".into()));
    assert_eq!(message["exit_code"], 1);
    assert!(world.log().contains("Failed to create a session."), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_its_job_leaves_the_job_without_a_result() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'; say 'Running job: x'; sleep 0.1; kill -9 $$").await;
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"failed".into(), &"runner_failed".into()));
    assert_eq!(message["job"], serde_json::json!({"name": "x"}));
    assert_eq!(message["detail"], "the runner was ended by signal 9 during a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_asks_for_it_is_started_again() {
    let runner = "[ -e again ] && { say 'Listening for Jobs'; job x Failed; exit 0; }; touch again; exit 2";
    let mut world = World::new(usual(), runner).await;
    let message = world.start().ended().await;
    assert_eq!(message["reason"], "job_done");
    assert_eq!(message["job"]["result"], "Failed");
    assert_eq!(message["exit_code"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updating_runner_is_waited_for() {
    let runner = "[ -e new ] && { say 'Listening for Jobs'; job x Succeeded; exit 0; }
        (exec >/dev/null 2>&1 </dev/null; sleep 0.5; touch new update.finished) & exit 3";
    let mut world = World::new(usual(), runner).await;
    let message = world.start().ended().await;
    assert_eq!(message["reason"], "job_done");
    assert!(!world.runner_directory().join("update.finished").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_runner_is_told() {
    let mut world = World::new(usual(), "").await;
    std::fs::remove_file(world.runner_directory().join("bin/Runner.Listener")).unwrap();
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"failed".into(), &"runner_unusable".into()));
    assert!(message["detail"].as_str().unwrap().starts_with("runner.directory "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_can_not_be_executed_is_told() {
    let mut world = World::new(usual(), "").await;
    std::fs::write(world.runner_directory().join("bin/Runner.Listener"), "#!/nonexistent/shell\n").unwrap();
    let message = world.start().ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"failed".into(), &"runner_unusable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_does_not_exist_is_told() {
    let mut world = World::new(usual(), "").await;
    // With capital letters, so that it can't be created either.
    let message = world.set("DAYFLY_RUNNER_USER", "Nobody-Of-That-Name").start().ended().await;
    assert_eq!(message["reason"], "runner_unusable");
    assert!(message["detail"].as_str().unwrap().contains("Nobody-Of-That-Name"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_runner_leaves_behind_is_killed() {
    let runner = "say 'Listening for Jobs'; sleep 1000 & disown; job x Succeeded";
    let mut world = World::new(usual(), runner).await;
    world.start().ended().await;
    // `World` looks for it when dropped.
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_runner_is_stopped_by_sigterm() {
    let mut world =
        World::new(usual(), "trap 'exit 0' INT; say 'Listening for Jobs'; while :; do sleep 0.05; done").await;
    world.start().wait_for_log("Listening for Jobs").await;
    world.signal(Signal::SIGTERM);
    let message = world.ended().await;
    assert_eq!((&message["kind"], &message["reason"]), (&"finished".into(), &"stopped".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_by_sigterm_and_told() {
    let runner = "trap 'say \"Job x completed with result: Canceled\"; exit 0' INT
        say 'Listening for Jobs'; say 'Running job: x'; while :; do sleep 0.05; done";
    let mut config = crate::world::config();
    // Of the 90 s that a SIGTERM leaves it runs on for one.
    config["interruption_grace_seconds"] = 89.into();
    let script = Script { user_data: Some(config.to_string().into_bytes()), ..usual() };
    let mut world = World::new(script, runner).await;
    world.start().wait_for_log("Running job: x").await;
    world.signal(Signal::SIGTERM);
    let message = world.ended().await;
    assert_eq!(world.messages("interrupted").len(), 1);
    assert_eq!((&message["kind"], &message["reason"]), (&"finished".into(), &"stopped".into()));
    assert_eq!(message["job"], serde_json::json!({"name": "x", "result": "Canceled"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_kills_a_runner_that_will_not_stop() {
    let mut world =
        World::new(usual(), "trap '' INT TERM; say 'Listening for Jobs'; while :; do sleep 0.05; done").await;
    world.start().wait_for_log("Listening for Jobs").await;
    world.signal(Signal::SIGTERM);
    world.wait_for_log("The runner was sent SIGINT").await;
    world.signal(Signal::SIGTERM);
    let message = world.ended().await;
    assert_eq!(message["reason"], "stopped");
    assert!(world.log().contains("SIGKILL"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_is_small_and_sleeps() {
    let mut world =
        World::new(usual(), "trap 'exit 0' INT; say 'Listening for Jobs'; while :; do sleep 0.05; done").await;
    world.start().wait_for_log("Listening for Jobs").await;
    let proc = format!("/proc/{}", world.pid());
    let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    println!("{rss} {}", if geteuid().is_root() { "(as root)" } else { "" });
    let anonymous: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|text| text.trim().strip_suffix(" kB"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(anonymous < 15 * 1024, "{status}");
    // It has told so, which costs some.
    world.wait_for("its word", |world| !world.messages("listening").is_empty()).await;
    // Idle: over half a second it uses no measurable time (10 ms ticks, fields 14 and 15 of stat). In four one after the other
    // that is, of some: what it began before may go on for a while on a busy machine.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("{proc}/stat")).unwrap();
        let fields: Vec<u64> =
            stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).map(|t| t.parse().unwrap()).collect();
        fields[0] + fields[1]
    };
    let mut used = Vec::new();
    while used.len() < 4 || used.iter().rev().take(4).any(|ticks| *ticks > 1) {
        assert!(used.len() < 40, "ticks used, each half a second: {used:?}");
        let before = ticks();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        used.push(ticks() - before);
    }
    world.signal(Signal::SIGTERM);
    world.ended().await;
}
