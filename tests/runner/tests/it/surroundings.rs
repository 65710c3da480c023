//! What lies beside the listener: `.env`, `.path`, `.setup_info`, the monitor.

use std::{fs, io::Read, net::TcpListener};

use serde_json::json;

use crate::{
    server::TOKEN,
    world::{World, job},
};

#[test]
fn env_and_path_reach_the_job_and_setup_info_its_log() {
    let world = World::new().configured();
    let tools = world.dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(world.file(".env"), "FROM_ENV_FILE=a=b\n").unwrap();
    fs::write(world.file(".path"), format!("{}:{}", tools.display(), std::env::var("PATH").unwrap())).unwrap();
    fs::write(world.file(".setup_info"), r#"[{"group":"Image","detail":"Version: 1\nKernel: 6"}]"#).unwrap();
    world.queue(job(1, &["echo $FROM_ENV_FILE $PATH"]));
    assert_eq!(world.run().code(), 0);
    let log = world.log(1);
    assert!(log.contains(&format!(" a=b {}:", tools.display())), "{log}");
    for line in ["##[group]Image", "Version: 1", "Kernel: 6", "Complete job name: build"] {
        assert!(log.contains(&format!(" {line}\n")), "no {line:?} in {log}");
    }
}

#[test]
fn the_monitor_hears_of_start_and_end() {
    let monitor = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = monitor.local_addr().unwrap().to_string();
    let world = World::with(json!({"ephemeral": true, "monitorSocketAddress": address})).configured();
    world.queue(job(1, &["true"]));
    let mut runner = world.run();
    let pid = runner.pid();
    let mut heard = String::new();
    monitor.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, format!("Start 1 {TOKEN} {}/_runner/ {pid}\nEnd {pid}\n", world.server.url()));
    assert_eq!(runner.code(), 0);
}

#[test]
fn logs_are_written_per_program() {
    let world = World::new().configured();
    world.queue(job(1, &["true"]));
    assert_eq!(world.run().code(), 0);
    let names: Vec<String> = fs::read_dir(world.file("_diag"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for area in ["Runner_2", "Worker_2"] {
        let count = names.iter().filter(|name| name.starts_with(area) && name.ends_with("-utc.log")).count();
        assert_eq!(count, 1, "{names:?}");
    }
}
