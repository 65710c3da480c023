//! Who is asked as whom: installations and their tokens.

use super::*;
use crate::github::watch::{Hook, Redelivery, Watch};

#[tokio::test]
async fn an_installation_that_is_missing_or_stale_is_asked_for_once() {
    let ask = "GET /orgs/octo-org/installation";
    for installation in [None, Some(0)] {
        let stage = stage("", [ok(200, json!({"id": 77})), token("t1"), jit(1), jit(2)]).await;
        stage.app.jit_config(&target(installation), &runner()).await.unwrap();
        stage.app.jit_config(&target(installation), &runner()).await.unwrap();
        assert_eq!(stage.asked(), [ask, TOKEN, JIT, JIT]);
    }
    let stale = stage("", [ok(404, json!({"message": "Not Found"})), ok(200, json!({"id": 77})), token("t1")]).await;
    stale.app.authorize(&target(Some(5))).await.unwrap();
    assert_eq!(stale.asked(), ["POST /app/installations/5/access_tokens", ask, TOKEN]);
    let nowhere = stage("", [ok(404, json!({"message": "Not Found"}))]).await;
    let error = nowhere.app.authorize(&target(None)).await.unwrap_err();
    assert!(matches!(error, GitHubError::Permanent(_)));
    assert_eq!(Chain(&error).to_string(), "getting a token for orgs/octo-org: 404 Not Found: Not Found");
}

#[tokio::test]
async fn an_installation_that_is_another_owners_is_asked_for_once() {
    let refused = |status| ok(status, json!({"message": "Resource not accessible by integration"}));
    let (wrong, ask) = ("POST /app/installations/5/access_tokens", "GET /orgs/octo-org/installation");
    for status in [403, 404] {
        let found = ok(200, json!({"id": 77}));
        let stage =
            stage("", [token("t1"), refused(status), found, token("t2"), jit(1), jit(2), refused(status)]).await;
        let (app, target) = (&stage.app, target(Some(5)));
        for _ in 0..2 {
            app.jit_config(&target, &runner()).await.unwrap();
        }
        let error = app.jit_config(&target, &runner()).await.unwrap_err();
        assert!(matches!(error, GitHubError::Permanent(_)), "of the right one it is meant");
        assert_eq!(stage.asked(), [wrong, JIT, ask, TOKEN, JIT, JIT, JIT]);
        assert_eq!(stage.script.lock().unwrap().asked[4].1, "Bearer t2");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let refused = || ok(401, json!({"message": "Bad credentials"}));
    let stage = stage("", [token("t1"), refused(), token("t2"), jit(1)]).await;
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(stage.asked(), [TOKEN, JIT, TOKEN, JIT]);
    assert_eq!(stage.script.lock().unwrap().asked[3].1, "Bearer t2");
}

/// The time in a JWT for which it was made.
fn made_at(bearer: &str) -> u64 {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = URL_SAFE_NO_PAD.decode(bearer.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["iat"].as_u64().unwrap()
}

#[tokio::test]
async fn a_token_of_the_app_is_made_for_githubs_clock() {
    let refused = |at: &str| (401, vec![("date", at.to_owned())], json!({"message": "'Issued at' claim"}));
    // Five minutes behind us, and found to be so once.
    let at = "Wed, 18 Nov 2026 11:01:40 GMT";
    let stage = stage("", [refused(at), token("t1"), jit(1), token("t2"), jit(2)]).await;
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    stage.app.tokens.forget(&target(None).scope, &SecretString::from("t1")).await;
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(stage.asked(), [TOKEN, TOKEN, JIT, TOKEN, JIT]);
    let bearers = stage.bearers();
    let ours = made_at(&bearers[0]);
    assert_eq!([&bearers[1], &bearers[3]].map(|it| made_at(it)), [ours - 300; 2]);
}

#[tokio::test]
async fn the_apps_deliveries_are_asked_for_by_githubs_clock_too() {
    let at = "Wed, 18 Nov 2026 11:01:40 GMT";
    let refused = (401, vec![("date", at.to_owned())], json!({"message": "'Issued at' claim"}));
    let stage = stage("", [refused, ok(200, json!([])), ok(202, Value::Null)]).await;
    let hook = Hook::App("4711".into());
    assert!(stage.app.failed(&hook, None).await.unwrap().failed.is_empty());
    assert_eq!(stage.app.redeliver(&hook, 5).await.unwrap(), Redelivery::Accepted);
    let made: Vec<u64> = stage.bearers().iter().map(|it| made_at(it)).collect();
    assert_eq!(made, [made[0], made[0] - 300, made[0] - 300]);
}

#[tokio::test]
async fn an_app_that_is_refused_for_another_reason_is_not_tried_again() {
    for at in ["Wed, 18 Nov 2026 11:06:30 GMT", "yesterday"] {
        let refused = (401, vec![("date", at.to_owned())], json!({"message": "Bad credentials"}));
        let stage = stage("", [refused]).await;
        stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
        assert_eq!(stage.asked(), [TOKEN], "{at}");
        assert!(stage.app.is_disowned());
    }
}

#[tokio::test]
async fn an_installation_that_was_asked_for_is_known_to_the_next_process() {
    let stage = stage("", [ok(200, json!({"id": 77})), token("t1"), token("t2")]).await;
    stage.app.authorize(&target(None)).await.unwrap();
    let notes = stage.app.notes.clone();
    let next = Client::new(&stage.url, &Authorities::default(), app_key("4711"), FixedClock, notes.clone()).unwrap();
    // What was found counts more than what a webhook names.
    next.authorize(&target(Some(5))).await.unwrap();
    assert_eq!(stage.asked(), ["GET /orgs/octo-org/installation", TOKEN, TOKEN]);
    let other = Client::new(&stage.url, &Authorities::default(), app_key("4712"), FixedClock, notes).unwrap();
    stage.script.lock().unwrap().answers.extend([token("t3")]);
    other.authorize(&target(Some(5))).await.unwrap();
    assert_eq!(stage.asked()[3..], ["POST /app/installations/5/access_tokens"], "another App has another installation");
}

#[tokio::test]
async fn a_ledger_that_fails_is_done_without() {
    let stage = stage("", [ok(200, json!({"id": 77})), token("t1")]).await;
    let target = Target { scope: "orgs/broken".parse().unwrap(), installation: None };
    stage.app.authorize(&target).await.unwrap();
    assert_eq!(stage.asked(), ["GET /orgs/broken/installation", TOKEN]);
}

#[tokio::test]
async fn a_token_of_a_persons_needs_no_installation() {
    let stage = stage("", [jit(1), ok(401, json!({"message": "Bad credentials"}))]).await;
    let identity = Identity::Token(SecretString::from("a-persons-token"));
    let client = Client::new(&stage.url, &Authorities::default(), identity, FixedClock, Noted::default()).unwrap();
    client.authorize(&target(None)).await.unwrap();
    client.jit_config(&target(Some(5)), &runner()).await.unwrap();
    let error = client.jit_config(&target(Some(5)), &runner()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Permanent(_)), "there is no other token");
    assert_eq!(stage.asked(), [JIT, JIT]);
    assert_eq!(stage.script.lock().unwrap().asked[0].1, "Bearer a-persons-token");
    assert!(!format!("{client:?} {}", Chain(&error)).contains("a-persons-token"));
}

#[tokio::test]
async fn a_registration_token_is_used_until_it_has_ten_minutes_left() {
    let in_an_hour =
        || ok(201, json!({"token": "AABF3JGZDX3P5PMEXLND6TS6FCWO6", "expires_at": "2026-11-18T12:06:40Z"}));
    // 2026-11-18T11:16:40Z is ten minutes after the clock's now.
    let soon = ok(201, json!({"token": "SHORT", "expires_at": "2026-11-18T11:16:40Z"}));
    let stage = stage("", [token("t1"), soon, in_an_hour()]).await;
    let get = async || stage.app.registration_token(&target(Some(77))).await.unwrap().expose_secret().to_owned();
    assert_eq!(get().await, "SHORT", "GitHub gave no better one");
    for _ in 0..3 {
        assert_eq!(get().await, "AABF3JGZDX3P5PMEXLND6TS6FCWO6");
    }
    let ask = "POST /orgs/octo-org/actions/runners/registration-token";
    assert_eq!(stage.asked(), [TOKEN, ask, ask]);
    assert!(!format!("{:?}", stage.app).contains("AABF3"), "Debug shows no secret");
}
