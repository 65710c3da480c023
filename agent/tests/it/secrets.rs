//! No secret is ever logged, kept in the agent's state, or shown in an argument list.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::cloud::Script;
use crate::world::{SECRET, World, registration, usual};

/// The registration's secrets in every form the agent handles: as sent, decoded once, and each file.
fn secrets() -> Vec<String> {
    let jit = registration()["jit_config"].as_str().unwrap().to_owned();
    let json = String::from_utf8(BASE64.decode(&jit).unwrap()).unwrap();
    let files: Value = serde_json::from_str(&json).unwrap();
    let mut secrets = vec![jit, SECRET.to_owned(), "role-secret-key".to_owned(), "role-session-token".to_owned()];
    secrets.extend(files.as_object().unwrap().values().map(|file| file.as_str().unwrap().to_owned()));
    // A part would do harm too.
    secrets.iter().map(|secret| secret.chars().skip(4).take(24).collect::<String>()).filter(|s| s.len() > 9).collect()
}

fn check(world: &World) {
    let mut texts = vec![("log", world.log()), ("argv", world.seen("argv")), ("env", world.seen("env"))];
    let state = world.path().join("state/state.json");
    texts.push(("state", std::fs::read_to_string(state).unwrap()));
    texts.push(("message", world.cloud.script().messages[0].to_string()));
    for (place, text) in texts {
        for secret in secrets() {
            assert!(!text.contains(&secret), "{secret} in {place}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_shows_at_the_finest_log_level() {
    assert!(secrets().len() >= 6, "{:?}", secrets());
    let delete_errors = vec!["AccessDeniedException"];
    let script = Script { delete_errors, ..usual() };
    let mut world = World::new(script, "say 'Listening for Jobs'; job build Succeeded").await;
    world.set("DAYFLY_LOG", "trace").start().ended().await;
    assert!(world.log().contains("\"level\":\"DEBUG\""), "the level had no effect: {}", world.log());
    check(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_shows_when_the_registration_is_refused() {
    let mut document = registration();
    document["runner_id"] = json!("twenty-three");
    let mut world = World::new(Script { registration: Some(document.to_string()), ..usual() }, "").await;
    world.set("DAYFLY_LOG", "trace").start().ended().await;
    check(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_shows_when_the_sdk_is_asked_to_tell_all() {
    let mut world = World::new(usual(), "say 'Listening for Jobs'").await;
    let all = "trace,aws_smithy_runtime=trace,aws_smithy_runtime::client=trace,hyper_util=trace,aws_config=trace";
    world.set("DAYFLY_LOG", all).start().ended().await;
    check(&world);
}
