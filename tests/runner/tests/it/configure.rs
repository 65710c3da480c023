//! Registration by token.

use serde_json::json;

use crate::world::{World, job};

const ROOT: (&str, &str) = ("RUNNER_ALLOW_RUNASROOT", "1");

#[test]
fn config_run_and_remove_by_the_scripts() {
    let world = World::with(json!({"ephemeral": false}));
    let url = format!("{}/octo", world.server.url());
    let words = format!("--unattended --url {url} --name n1 --labels gpu,big --runnergroup G --work _w --replace");
    let args: Vec<&str> = words.split(' ').collect();
    let mut config = world.start("config.sh", &args, &[ROOT, ("ACTIONS_RUNNER_INPUT_TOKEN", "good")]);
    assert_eq!(config.code(), 0, "{}", config.stderr());
    assert!(config.stdout().contains("√ Runner successfully added"), "{}", config.stdout());
    let asked = world.server.seen().bodies[0].clone();
    let body = json!({
        "url": url, "token": "good", "name": "n1", "labels": ["self-hosted", "Linux", "X64", "gpu", "big"], "group": "G",
        "ephemeral": false, "replace": true,
    });
    assert_eq!(asked, ("POST register".to_owned(), body));
    assert!(std::fs::read_to_string(world.file(".path")).unwrap().contains("/bin"));

    let mut again = world.start("config.sh", &args, &[ROOT]);
    assert_eq!(again.code(), 1);
    assert!(again.stderr().contains("already configured"));

    world.queue(job(1, &["pwd"]));
    let mut run = world.start("run.sh", &["--once"], &[ROOT]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    assert!(run.stdout().contains("Exiting runner..."), "{}", run.stdout());
    assert!(world.log(1).contains("/_w/hello/hello"), "{}", world.log(1));

    let mut remove = world.start("config.sh", &["remove", "--token", "good"], &[ROOT]);
    assert_eq!(remove.code(), 0, "{}", remove.stderr());
    assert!(!world.file(".runner").exists());
    assert!(world.server.seen().bodies.contains(&("POST remove".to_owned(), json!({"token": "good", "agentId": 42}))));
}

#[test]
fn a_bad_token_leaves_nothing_behind() {
    let world = World::new();
    let url = format!("{}/octo", world.server.url());
    let mut config = world.listener(&["configure", "--unattended", "--url", &url, "--token", "bad-token"], &[]);
    assert_eq!(config.code(), 1);
    assert!(
        config.stderr().contains("refused the token") && !config.stderr().contains("bad-token"),
        "{}",
        config.stderr()
    );
    assert!(!world.file(".runner").exists());
}

#[test]
fn what_is_missing_is_named() {
    let world = World::new();
    let mut config = world.listener(&["configure", "--unattended"], &[]);
    assert_eq!(config.code(), 1);
    assert!(config.stderr().contains("--url is missing"), "{}", config.stderr());
}
