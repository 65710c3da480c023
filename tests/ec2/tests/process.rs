//! Machines as plain processes, which need no root.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use laptop_ec2::{Config, Ec2Host, Happened, Mode, Phase, ProcessMode};
use support::processes::{process, start, start_with};
use support::{processes_with, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_its_metadata_and_its_exit_is_the_power_off() {
    let setup = start("").await;
    let mut events = setup.host.events();
    let id = setup.moto.launch(1, "off");
    setup.moto.wait_state(&id, "terminated").await;
    setup.host.wait_idle(LIMIT).await.expect("idle");

    let console = setup.console(&id, "user-data=off").await;
    assert!(console.contains(&format!("probe instance-id={id}")), "{console}");
    assert!(console.contains("probe endpoint=http://127.0.0.1:5000"), "{console}");
    let record = setup.host.machine(&id).expect("a machine").record();
    assert_eq!((record.exit_code, record.phase()), (Some(0), Phase::Gone));
    let told = setup.moto.told();
    assert!(told.last().expect("a word").ends_with("shutdown: powered itself off, exit code 0"), "{told:?}");
    let paths: Vec<String> = setup.host.imds().requests(&id).into_iter().map(|request| request.path).collect();
    assert_eq!(paths[..2], ["/latest/api/token", "/latest/meta-data/instance-id"]);

    let mut happened = Vec::new();
    while let Ok(event) = events.try_recv() {
        happened.push(event.what);
    }
    assert_eq!(happened.first(), Some(&Happened::Reached(Phase::Queued)));
    let reason = "powered itself off, exit code 0".to_owned();
    assert_eq!(happened.last(), Some(&Happened::Ended { reason }));
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_machine_is_told_and_terminated() {
    let script = "trap 'echo got TERM; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let setup = start_with(script, |config, _| config.grace = Duration::from_secs(20)).await;
    let id = setup.moto.launch(2, "");
    setup.moto.wait_state(&id, "running").await;
    setup.console(&id, "ready").await;
    assert!(!setup.host.idle());
    setup.moto.set(&id, "shutting-down");
    setup.moto.wait_state(&id, "terminated").await;
    let machine = setup.host.machine(&id).expect("a machine");
    assert!(machine.console().contains("got TERM"));
    assert_eq!(machine.record().exit_code, Some(3));
    assert_eq!(setup.moto.told(), [format!("{id} running"), format!("{id} terminated")]);
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_stay_pending_while_boots_are_held() {
    let setup = start("").await;
    setup.host.hold_boots(true);
    let held = setup.moto.launch(7, "off");
    let ended = setup.moto.launch(8, "off");
    setup.moto.set(&ended, "shutting-down");
    // Seen by the same look or a later one.
    setup.moto.wait_state(&ended, "terminated").await;
    assert!(setup.host.machine(&held).is_none());
    setup.host.hold_boots(false);
    setup.moto.wait_state(&held, "terminated").await;
    assert!(setup.host.machine(&held).is_some());
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ignores_sigterm_is_killed_with_all_its_children() {
    let script =
        "trap '' TERM; setsid sleep 1000 & env -i setsid sleep 1001 & echo ready; while :; do sleep 0.05; done";
    let setup = start(script).await;
    let id = setup.moto.launch(3, "");
    setup.console(&id, "ready").await;
    setup.moto.set(&id, "shutting-down");
    setup.moto.wait_state(&id, "terminated").await;
    assert_eq!(setup.host.machine(&id).expect("a machine").record().exit_code, Some(128 + 9));
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_leaves_running_dies_with_its_machine() {
    // A daemon in a session of its own, one without an environment but with its folder here, and one in the agent's
    // session with nothing else in common.
    let setup = start(
        "setsid bash -c 'sleep 1100 & sleep 1101' & (cd run && env -i setsid sleep 1102) & \
         (cd / && env -i sleep 1103) & sleep 0.2; echo bye",
    )
    .await;
    let id = setup.moto.launch(4, "");
    setup.moto.wait_state(&id, "terminated").await;
    for seconds in ["1100", "1101", "1102", "1103"] {
        let left = processes_with(&format!("sleep\0{seconds}"));
        assert_eq!(left, [""; 0]);
    }
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_machine_has_a_folder_a_runner_and_user_data_of_its_own() {
    let script = "echo dir=$(pwd) home=$HOME; ls actions-runner/bin; actions-runner/run.sh; sleep 1000";
    let setup = start_with(script, |config, dir| {
        let runner = dir.join("runner");
        std::fs::create_dir_all(runner.join("bin")).expect("bin");
        std::fs::write(runner.join("bin/Runner.Listener"), vec![b'x'; 100_000]).expect("a listener");
        std::fs::write(runner.join("run.sh"), "#!/bin/sh\necho runner in $0\n").expect("a script");
        std::fs::set_permissions(runner.join("run.sh"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        process(config).runner = Some(runner);
    })
    .await;
    let ids: Vec<String> =
        (5..8).map(|number| setup.moto.launch(number, r#"{"directory":"/opt/actions-runner"}"#)).collect();
    for id in &ids {
        let folder = setup.work.join(id).display().to_string();
        let console = setup.console(id, "runner in").await;
        assert!(console.contains(&format!("dir={folder} home={folder}/home")), "{console}");
        assert!(console.contains("Runner.Listener"), "{console}");
        let output = setup.host.machine(id).expect("a machine").exec(&["ls"]).await.expect("ls");
        assert!(String::from_utf8_lossy(&output.stdout).contains("actions-runner"));
    }
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_names_the_machines_own_runner() {
    let setup = start("exec sleep 1000").await;
    let id = setup.moto.launch(9, r#"{"directory":"/opt/actions-runner"}"#);
    setup.moto.wait_state(&id, "running").await;
    let machine = setup.host.machine(&id).expect("a machine");
    let leader = machine.record().leader.expect("a leader");
    // It is empty while a program of the machine's beginning gives way to the next.
    let read =
        || String::from_utf8_lossy(&std::fs::read(format!("/proc/{leader}/environ")).unwrap_or_default()).into_owned();
    let whole = || Some(read()).filter(|environ| environ.contains("AWS_EC2_METADATA_SERVICE_ENDPOINT="));
    let environ = wait_for("its environment", 20, whole, read).await;
    let endpoint = environ
        .split('\0')
        .find_map(|entry| entry.strip_prefix("AWS_EC2_METADATA_SERVICE_ENDPOINT="))
        .expect("an endpoint")
        .to_owned();
    for host in ["CARGO_MANIFEST_DIR=", "AWS_ACCESS_KEY_ID=", "USER="] {
        assert!(!environ.contains(host), "{host} came through");
    }
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let token = http
        .put(format!("{endpoint}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a token");
    let request = http.get(format!("{endpoint}/latest/user-data")).header("X-aws-ec2-metadata-token", token);
    let text = request.send().await.expect("an answer").text().await.expect("user-data");
    assert_eq!(text, format!(r#"{{"directory":"{}/{id}/actions-runner"}}"#, setup.work.display()));
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_can_be_frozen_thawed_and_unplugged() {
    let setup = start("trap '' TERM; while :; do echo tick; sleep 0.02; done").await;
    let id = setup.moto.launch(10, "");
    setup.console(&id, "tick").await;
    let machine = setup.host.machine(&id).expect("a machine");
    machine.freeze().await.expect("frozen");
    let leader = machine.record().leader.expect("a leader");
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{leader}/stat")).expect("a stat");
        stat.rsplit_once(") ").expect("a state").1.chars().next().expect("a state")
    };
    wait_for("the agent is stopped", 20, || (state() == 'T').then_some(()), || state().to_string()).await;
    let before = machine.console().len();
    machine.thaw().await.expect("thawed");
    let grown = || (machine.console().len() > before).then_some(());
    wait_for("the console goes on", 20, grown, || "silent".to_owned()).await;
    assert!(machine.cut_network().await.is_err());
    machine.pull_plug();
    setup.moto.wait_state(&id, "terminated").await;
    assert_eq!(machine.record().exit_code, Some(128 + 9));
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_moto_did_not_take_is_told_again() {
    let setup = start("echo hello").await;
    setup.moto.fail_next(3);
    let id = setup.moto.launch(11, "");
    setup.moto.wait_state(&id, "terminated").await;
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_boot_is_over_and_says_why() {
    let setup = start_with("", |config, _| process(config).runner = Some("/nonexistent/runner".into())).await;
    let id = setup.moto.launch(12, "wait");
    setup.moto.wait_state(&id, "terminated").await;
    let told = setup.moto.told();
    assert!(told[0].contains("failed: ") && told[0].contains("/nonexistent/runner"), "{told:?}");
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_instance_that_is_started_gets_a_new_machine_with_its_disk_and_nothing_of_its_last_boot() {
    let setup = start("ls run home > found; touch run/boot home/disk; exec sleep 1000").await;
    let id = setup.moto.launch(13, "");
    setup.moto.wait_state(&id, "running").await;
    // It runs before its agent has done a thing.
    let first = setup.host.machine(&id).expect("a machine").disk_path();
    let written = || first.join("home/disk").exists().then_some(());
    wait_for("its disk is written", 20, written, || first.display().to_string()).await;
    setup.moto.set(&id, "stopping");
    setup.moto.wait_state(&id, "stopped").await;
    setup.host.wait_idle(LIMIT).await.expect("idle");
    setup.moto.set(&id, "pending");
    setup.moto.wait_state(&id, "running").await;
    assert_eq!(setup.host.machines().len(), 2);
    let disk = setup.host.machine(&id).expect("a machine").disk_path();
    let found = || std::fs::read_to_string(disk.join("found")).unwrap_or_default();
    wait_for("it has looked around", 20, || disk.join("run/boot").exists().then_some(()), found).await;
    assert_eq!(found(), "home:\ndisk\n\nrun:\n", "its disk is kept, and what a boot begins without is not");
    // Stopped and never started again, it takes its disk along.
    setup.moto.set(&id, "stopping");
    setup.moto.wait_state(&id, "stopped").await;
    setup.host.wait_idle(LIMIT).await.expect("idle");
    assert!(disk.join("home/disk").exists());
    setup.moto.set(&id, "terminated");
    wait_for("its disk is gone", 20, || (!disk.exists()).then_some(()), || disk.display().to_string()).await;
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_fifty_machines_and_leaves_nothing() {
    let setup = start_with("setsid sleep 1200 & exec sleep 1201", |config, _| config.boot_limit = 4).await;
    let ids: Vec<String> = (100..150).map(|number| setup.moto.launch(number, "")).collect();
    for id in &ids {
        setup.moto.wait_state(id, "running").await;
    }
    assert_eq!(setup.host.machines().len(), 50);
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_folder_that_is_not_ours_is_refused_and_one_of_a_killed_host_is_swept() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("precious"), "").expect("a file");
    let mode = || Mode::Process(ProcessMode::new(Path::new("/bin/true"), ""));
    let error = Ec2Host::start(Config::new("http://127.0.0.1:1", mode(), dir.path())).await.expect_err("not ours");
    assert!(error.to_string().starts_with("work_dir:"), "{error}");
    assert!(dir.path().join("precious").exists());

    let work = dir.path().join("work");
    std::fs::create_dir_all(work.join("i-1/run")).expect("folders");
    std::fs::write(work.join(".laptop-ec2"), "").expect("a mark");
    let mut orphan = std::process::Command::new("setsid")
        .args(["sleep", "1300"])
        .current_dir(work.join("i-1/run"))
        .spawn()
        .expect("a process");
    let host = Ec2Host::start(Config::new("http://127.0.0.1:1", mode(), &work)).await.expect("a host");
    assert!(!work.join("i-1").exists());
    assert!(!orphan.wait().expect("an end").success());
    assert_eq!(host.shutdown().await, [""; 0]);
}

/// As when a panic goes through: nobody calls shutdown.
#[test]
fn a_host_that_is_dropped_takes_its_machines_along() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (work, _dir) = runtime.block_on(async {
        let setup = start("env -i setsid sleep 1400 & setsid sleep 1401 & echo ready; exec sleep 1402").await;
        let id = setup.moto.launch(16, "");
        setup.console(&id, "ready").await;
        (setup.work, setup.dir)
    });
    assert!(work.exists());
    drop(runtime);
    assert!(!work.exists());
    assert_eq!(processes_with(&work.display().to_string()), [""; 0]);
    for seconds in ["1400", "1401", "1402"] {
        assert_eq!(processes_with(&format!("sleep\0{seconds}")), [""; 0]);
    }
}

/// Not a test: the host that the next one kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by agents_are_told_when_their_host_is_killed"]
async fn host_to_be_killed() {
    let log = std::env::var("LAPTOP_TEST_LOG").expect("run by another test");
    let setup =
        start(&format!("trap 'echo got TERM > {log}; exit 0' TERM; echo ready; while :; do sleep 0.05; done")).await;
    let id = setup.moto.launch(15, "");
    setup.console(&id, "ready").await;
    std::fs::write(&log, "up").expect("a log");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_told_when_their_host_is_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let mut host = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "host_to_be_killed", "--ignored"])
        .env("LAPTOP_TEST_LOG", &log)
        .env("TMPDIR", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a host");
    wait_for("the agent is up", 20, || (read() == "up").then_some(()), read).await;
    host.kill().expect("killed");
    host.wait().expect("an end");
    wait_for("the agent is told", 20, || (read() == "got TERM\n").then_some(()), read).await;
    let left = || processes_with(&dir.path().display().to_string());
    wait_for("it is gone", 20, || left().is_empty().then_some(()), || left().join(", ")).await;
}
