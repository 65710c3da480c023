//! Discovery, new versions, idle processes, and the end.

use std::time::Duration;

use laptop_lambda::{Config, LambdaHost, Outcome};
use serde_json::{Value, json};

use crate::{World, cloud, lives, wait_until};

fn pid(answer: &Value) -> u64 {
    answer["pid"].as_u64().unwrap()
}

#[tokio::test]
async fn new_code_or_environment_ends_the_old_processes() {
    let world = World::new(|cloud| cloud.add_function("f", &[("V", "1")])).await;
    let first = world.ask("f", json!({})).await;
    world.host.refresh().await.unwrap();
    assert_eq!(world.ask("f", json!({})).await["pid"], first["pid"], "nothing changed");

    world.cloud.change("f", |function| function.zip = cloud::echo_zip("2"));
    // One that is busy finishes its work first.
    let (busy, ()) = futures::future::join(world.ask("f", json!({"ms": 300})), async {
        wait_until("one running", 1, || world.host.activity().running.len()).await;
        world.host.refresh().await.unwrap();
    })
    .await;
    assert_eq!(busy["pid"], first["pid"]);
    wait_until("the old process gone", false, || lives(pid(&first))).await;
    let second = world.ask("f", json!({})).await;
    assert_ne!(second["cwd"], first["cwd"]);
    assert_eq!(std::fs::read_to_string(format!("{}/version", second["cwd"].as_str().unwrap())).unwrap(), "2");

    world.cloud.change("f", |function| {
        function.environment.insert("V".to_owned(), "2".to_owned());
    });
    world.host.refresh().await.unwrap();
    wait_until("the old process gone", false, || lives(pid(&second))).await;
    let third = world.ask("f", json!({})).await;
    assert_eq!((&third["env"]["V"], &third["count"]), (&json!("2"), &json!(1)));
}

#[tokio::test]
async fn functions_are_found_without_being_told() {
    let world = World::with(|_| {}, |config| config.discovery_interval = Duration::from_millis(50)).await;
    assert!(world.host.invoke("f", &json!({})).await.is_err());
    world.cloud.add_function("f", &[]);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while let Err(error) = world.host.invoke("f", &json!({})).await {
        assert!(std::time::Instant::now() < until, "f is still not found: {error:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn moto_may_be_away_for_a_while_but_not_at_the_start() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    world.cloud.things().down = true;
    let error = world.host.refresh().await.unwrap_err();
    assert!(format!("{error:#}").contains("503"), "{error:#}");
    world.ask("f", json!({})).await;
    let config = Config::new(world.cloud.url(), "eu-west-1", world.folder.path());
    let error = LambdaHost::start(config).await.unwrap_err();
    assert!(format!("{error:#}").contains("first look"), "{error:#}");
    let config = Config::new("https://moto", "eu-west-1", world.folder.path());
    let error = LambdaHost::start(config).await.unwrap_err();
    assert!(format!("{error:#}").contains("\"https://moto\""), "{error:#}");
}

#[tokio::test]
async fn what_can_not_be_hosted_is_told() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_function("broken", &[]);
        cloud.change("broken", |function| function.zip = b"not a zip".to_vec());
        cloud.add_route("POST /x", "nobody");
        cloud.add_queue("q", "nobody", 1, Duration::from_secs(1));
    })
    .await;
    let found = world.host.refresh().await.unwrap();
    assert_eq!(found.functions, ["f"]);
    assert!(found.queues.is_empty() && found.routes.is_empty());
    let problems = found.problems.join("\n");
    for part in ["function broken", "route POST /x", "event source mapping q", "nobody, which does not exist"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}

#[tokio::test]
async fn idle_processes_are_ended() {
    let world = World::with(
        |cloud| cloud.add_function("f", &[]),
        |config| config.speed.idle_after = Duration::from_millis(100),
    )
    .await;
    let first = world.ask("f", json!({})).await;
    wait_until("no process", 0, || world.host.processes().len()).await;
    assert!(!lives(pid(&first)));
    assert_eq!(world.ask("f", json!({})).await["count"], 1);
}

#[tokio::test]
async fn what_a_process_leaves_behind_goes_with_it() {
    let world = World::with(
        |cloud| cloud.add_function("f", &[]),
        |config| config.speed.idle_after = Duration::from_millis(500),
    )
    .await;
    let child = world.ask("f", json!({"do": "child"})).await["child"].as_u64().unwrap();
    wait_until("its child gone", false, || lives(child)).await;
}

#[tokio::test]
async fn shutdown_kills_and_tells() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_queue("q", "f", 1, Duration::from_mins(1));
    })
    .await;
    let idle = pid(&world.ask("f", json!({})).await);
    world.cloud.send("q", &json!({"ms": 60_000}));
    wait_until("a message in flight", 1, || world.host.activity().messages).await;
    wait_until("an invocation running", 1, || world.host.activity().running.len()).await;
    let processes = world.host.processes();
    let left = world.host.shutdown().await;
    assert_eq!((left.interrupted.running["f"], left.interrupted.messages), (1, 1));
    assert!(left.processes.is_empty());
    assert!(!lives(idle) && processes.iter().all(|pid| !lives(u64::from(*pid))));
    assert_eq!(world.cloud.queue("q").0.len(), 1, "not deleted");
}

#[tokio::test]
async fn dropping_the_host_leaves_nothing() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let child = world.ask("f", json!({"do": "child"})).await["child"].as_u64().unwrap();
    let processes = world.host.processes();
    assert!(!processes.is_empty() && lives(child));
    drop(world.host);
    wait_until("all gone", false, || lives(child) || processes.iter().any(|pid| lives(u64::from(*pid)))).await;
}

#[test]
fn a_runtime_that_ends_leaves_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, pid) = runtime.block_on(async {
        let world = World::new(|cloud| cloud.add_function("f", &[])).await;
        let pid = pid(&world.ask("f", json!({})).await);
        (world, pid)
    });
    runtime.shutdown_background();
    drop(world);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while lives(pid) {
        assert!(std::time::Instant::now() < until, "process {pid} still lives");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs itself again as a host in a process of its own, and kills that.
#[test]
fn a_killed_host_leaves_nothing() {
    const FILE: &str = "LAPTOP_LAMBDA_TEST_PID_FILE";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(file) = std::env::var(FILE) {
        runtime.block_on(async {
            let world = World::new(|cloud| cloud.add_function("f", &[])).await;
            let pid = pid(&world.ask("f", json!({})).await);
            std::fs::write(format!("{file}.part"), pid.to_string()).unwrap();
            std::fs::rename(format!("{file}.part"), &file).unwrap();
            std::future::pending::<()>().await;
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::a_killed_host_leaves_nothing"])
        .env(FILE, &file)
        // Its own folder does not outlive this one.
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    runtime.block_on(async {
        wait_until("the host's function running", true, || file.exists()).await;
        let pid = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        assert!(lives(pid));
        host.kill().unwrap();
        host.wait().unwrap();
        wait_until("the function's process gone", false, || lives(pid)).await;
    });
}

#[tokio::test]
async fn the_next_invocation_can_be_made_a_cold_one() {
    let world = World::new(|cloud| {
        cloud.add_function("f", &[]);
        cloud.add_function("g", &[]);
    })
    .await;
    let (first, other) = (pid(&world.ask("f", json!({})).await), pid(&world.ask("g", json!({})).await));
    world.host.end_idle("f");
    wait_until("its process gone", false, || lives(first)).await;
    assert_ne!(pid(&world.ask("f", json!({})).await), first);
    assert_eq!(world.host.stats()["f"].cold_starts, 2);
    assert_eq!(pid(&world.ask("g", json!({})).await), other, "another function's stay");
}

#[tokio::test]
async fn a_deleted_function_is_no_more() {
    let world = World::new(|cloud| cloud.add_function("f", &[])).await;
    let pid = pid(&world.ask("f", json!({})).await);
    let event = json!({"ms": 300});
    let running = world.host.invoke("f", &event);
    let (answer, ()) = futures::future::join(running, async {
        wait_until("one running", 1, || world.host.activity().running.len()).await;
        world.cloud.things().functions.clear();
        world.host.refresh().await.unwrap();
        assert!(world.host.invoke("f", &json!({})).await.is_err());
    })
    .await;
    assert_eq!(answer.unwrap().outcome, Outcome::Success);
    wait_until("its process gone", false, || lives(pid)).await;
    assert!(world.host.idle());
}
