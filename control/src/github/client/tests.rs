//! The client against an HTTP server that answers what it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{body::Bytes, http::Uri, response::IntoResponse};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Client, Identity};
use crate::{
    clock::{Clock, Millis, SystemClock},
    fleets::Target,
    github::{Deletion, Found, GitHub, GitHubError, NewRunner, jwt::AppKey, jwt::tests::PKCS1},
    ledger::{LedgerError, Notes},
    report::Chain,
};

#[derive(Clone, Debug)]
pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Millis {
        1_795_000_000_000
    }

    fn random(&self) -> u128 {
        SystemClock.random()
    }

    async fn sleep(&self, _: std::time::Duration) {}
}

/// The ledger's notes, shared as by processes one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted(Arc<Mutex<BTreeMap<String, u64>>>);

impl Notes for Noted {
    async fn recall(&self, key: &str) -> Result<Option<u64>, LedgerError> {
        if key.contains("orgs/broken") {
            return Err(LedgerError::new("recalling", "a fault"));
        }
        Ok(self.0.lock().unwrap().get(key).copied())
    }

    async fn remember(&self, key: &str, value: u64, expires: u64) -> Result<(), LedgerError> {
        assert!(expires > FixedClock.now() / 1000, "in seconds");
        self.recall(key).await?;
        self.0.lock().unwrap().insert(key.to_owned(), value);
        Ok(())
    }

    async fn claim(&self, _: &str, _: u64, _: u64) -> Result<bool, LedgerError> {
        unreachable!("nothing is claimed here")
    }
}

pub(crate) type Answer = (u16, Vec<(&'static str, String)>, Value);

/// What was asked (method, path, authorization, body; ETags apart) and what is to be answered.
#[derive(Default)]
pub(crate) struct Script {
    asked: Vec<(String, String, Value)>,
    etags: Vec<Option<String>>,
    answers: VecDeque<Answer>,
}

pub(crate) struct Stage {
    pub(crate) app: Client<FixedClock, Noted>,
    pub(crate) url: String,
    pub(crate) script: Arc<Mutex<Script>>,
}

pub(crate) fn app_key(id: &str) -> Identity {
    Identity::App(Box::new(AppKey::from_pem(id, &SecretString::from(PKCS1)).unwrap()))
}

/// A server under `base` that gives these answers one after the other.
pub(crate) async fn stage(base: &str, answers: impl IntoIterator<Item = Answer>) -> Stage {
    let script = Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() }));
    let seen = Arc::clone(&script);
    let serve = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let mut script = seen.lock().unwrap();
        let bearer = headers["authorization"].to_str().unwrap().to_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        script.etags.push(headers.get("if-none-match").map(|etag| etag.to_str().unwrap().to_owned()));
        script.asked.push((format!("{method} {uri}"), bearer, body));
        let (status, headers, body) = script.answers.pop_front().expect("an answer for each request");
        let mut headers: HeaderMap =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        // Of the time that the client takes it to be, where nothing else is told.
        headers.entry("date").or_insert_with(|| "Wed, 18 Nov 2026 11:06:40 GMT".parse().unwrap());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{base}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await.unwrap() });
    Stage { app: Client::new(&url, app_key("4711"), FixedClock, Noted::default()).unwrap(), url, script }
}

impl Stage {
    pub(crate) fn bearers(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.iter().map(|(_, bearer, _)| bearer.clone()).collect()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.iter().map(|(what, ..)| what.clone()).collect()
    }
}

pub(crate) fn target(installation: Option<u64>) -> Target {
    Target { scope: "orgs/octo-org".parse().unwrap(), installation }
}

pub(crate) fn runner() -> NewRunner {
    NewRunner { name: "linux-x64-i-1".into(), labels: vec!["self-hosted".into(), "linux".into()], group: 4 }
}

pub(crate) fn ok(status: u16, body: Value) -> Answer {
    (status, vec![], body)
}

pub(crate) fn token(secret: &str) -> Answer {
    // An hour after the clock's now.
    ok(201, json!({"token": secret, "expires_at": "2026-11-18T12:06:40Z"}))
}

pub(crate) fn jit(id: u64) -> Answer {
    ok(201, json!({"runner": {"id": id, "name": "x", "os": "unknown"}, "encoded_jit_config": "a-jit-config"}))
}

pub(crate) const TOKEN: &str = "POST /app/installations/77/access_tokens";
pub(crate) const JIT: &str = "POST /orgs/octo-org/actions/runners/generate-jitconfig";

#[tokio::test]
async fn one_runner_is_one_call_beyond_a_token() {
    let stage = stage("", [token("t1"), jit(1), jit(2), jit(3)]).await;
    let (app, target, runner) = (&stage.app, target(Some(77)), runner());
    app.authorize(&target).await.unwrap();
    let all = futures::future::try_join_all((0..3).map(|_| app.jit_config(&target, &runner))).await.unwrap();
    assert!(all.iter().all(|it| it.config.expose_secret() == "a-jit-config"));
    assert_eq!((stage.asked(), app.calls()), (vec![TOKEN.into(), JIT.into(), JIT.into(), JIT.into()], 4));
    let script = stage.script.lock().unwrap();
    assert!(script.asked[0].1.starts_with("Bearer eyJ"), "as the App");
    assert_eq!(script.asked[1].1, "Bearer t1");
    let expected = json!({"name": "linux-x64-i-1", "runner_group_id": 4, "labels": ["self-hosted", "linux"],
                          "work_folder": "_work"});
    assert_eq!(script.asked[1].2, expected);
    assert!(!format!("{:?} {:?}", all[0], stage.app).contains("a-jit-config"), "Debug shows no secret");
}

#[tokio::test]
async fn ghes_has_its_path_before_every_other() {
    let stage = stage("/api/v3", [token("t1"), jit(1)]).await;
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(stage.asked(), [TOKEN, JIT].map(|it| it.replace(" /", " /api/v3/")));
}

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
async fn errors_are_told_apart() {
    let cases = [
        (409, json!({"message": "Already exists"}), "taken"),
        (500, json!({}), "transient"),
        (503, Value::Null, "transient"),
        (404, json!({"message": "Not Found"}), "permanent"),
        (403, json!({"message": "Resource not accessible by integration"}), "permanent"),
        (422, json!({"message": "Validation Failed"}), "permanent"),
        (201, json!({"encoded_jit_config": "a-jit-config"}), "permanent"),
    ];
    for (status, body, expected) in cases {
        let stage = stage("", [token("t1"), ok(status, body), ok(200, json!({"id": 77}))]).await;
        let error = stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
        let kind = match &error {
            GitHubError::NameTaken { .. } => "taken",
            GitHubError::Limited { .. } => "limited",
            GitHubError::Transient(_) => "transient",
            GitHubError::Permanent(_) => "permanent",
        };
        assert_eq!(kind, expected, "{status}");
        let said = format!("{} {error:?}", Chain(&error));
        assert!(!said.contains("a-jit-config") && !said.contains("t1"), "{said}");
    }
}

#[tokio::test]
async fn nobody_is_asked_while_github_wants_to_be_left_alone() {
    let limited = (403, vec![("retry-after", "17".to_owned())], json!({"message": "secondary rate limit"}));
    let stage = stage("", [token("t1"), limited]).await;
    for _ in 0..5 {
        let error = stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
        assert!(matches!(&error, GitHubError::Limited { wait, .. } if wait.as_secs() == 17), "{error:?}");
    }
    assert_eq!(stage.asked(), [TOKEN, JIT]);
}

#[tokio::test]
async fn runners_are_found_by_their_whole_name_and_deleted() {
    let list = json!({"total_count": 2, "runners": [
        {"id": 1, "name": "linux-x64-i-12", "status": "online"}, {"id": 2, "name": "linux-x64-i-1", "status": "offline"}
    ]});
    let nothing = ok(204, Value::Null);
    let answers = [token("t1"), ok(200, list), nothing, ok(404, json!({})), ok(422, json!({})), ok(500, json!({}))];
    let stage = stage("", answers).await;
    let (app, target) = (&stage.app, target(Some(77)));
    assert_eq!(
        app.find_runner(&target, "linux-x64-i-1").await.unwrap(),
        Some(Found { id: 2, online: false, busy: false })
    );
    assert_eq!(app.delete_runner(&target, 2).await.unwrap(), Deletion::Gone);
    assert_eq!(app.delete_runner(&target, 2).await.unwrap(), Deletion::Gone);
    assert_eq!(app.delete_runner(&target, 2).await.unwrap(), Deletion::Busy);
    assert!(matches!(app.delete_runner(&target, 2).await, Err(GitHubError::Transient(_))));
    let delete = "DELETE /orgs/octo-org/actions/runners/2";
    let asked = stage.asked();
    assert_eq!(asked[1], "GET /orgs/octo-org/actions/runners?name=linux-x64-i-1");
    assert_eq!(asked[2..], [delete; 4]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_passing_failure() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let app = Client::new(&url, app_key("4711"), FixedClock, Noted::default()).unwrap();
    let error = app.authorize(&target(Some(77))).await.unwrap_err();
    assert!(matches!(error, GitHubError::Transient(_)), "{error:?}");
}

#[tokio::test]
async fn an_installation_that_was_asked_for_is_known_to_the_next_process() {
    let stage = stage("", [ok(200, json!({"id": 77})), token("t1"), token("t2")]).await;
    stage.app.authorize(&target(None)).await.unwrap();
    let notes = stage.app.notes.clone();
    let next = Client::new(&stage.url, app_key("4711"), FixedClock, notes.clone()).unwrap();
    // What was found counts more than what a webhook names.
    next.authorize(&target(Some(5))).await.unwrap();
    assert_eq!(stage.asked(), ["GET /orgs/octo-org/installation", TOKEN, TOKEN]);
    let other = Client::new(&stage.url, app_key("4712"), FixedClock, notes).unwrap();
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
    let client = Client::new(&stage.url, identity, FixedClock, Noted::default()).unwrap();
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

fn groups(etag: &str, groups: &[(u64, String)]) -> Answer {
    let listed: Vec<Value> = groups.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    (200, vec![("etag", etag.to_owned())], json!({"total_count": 101, "runner_groups": listed}))
}

#[tokio::test]
async fn a_group_is_found_on_any_page_and_asked_for_once() {
    let first: Vec<(u64, String)> = (1..=100).map(|id| (id, format!("group {id}"))).collect();
    let second = [(101, "Größe XL".to_owned())];
    let stage = stage("", [token("t1"), groups("\"a\"", &first), groups("\"b\"", &second)]).await;
    let (app, at) = (&stage.app, target(Some(77)));
    for _ in 0..3 {
        assert_eq!(app.group(&at, "Größe XL").await.unwrap(), 101);
    }
    assert_eq!(app.group(&at, "group 7").await.unwrap(), 7);
    let page = |n| format!("GET /orgs/octo-org/actions/runner-groups?per_page=100&page={n}");
    assert_eq!(stage.asked(), [TOKEN.to_owned(), page(1), page(2)]);
    // Missing: known for a minute, and the error tells what there is.
    let error = app.group(&at, "gpu").await.unwrap_err();
    let said = Chain(&error).to_string();
    assert!(matches!(error, GitHubError::Permanent(_)), "{said}");
    let expected =
        "looking for a runner group at orgs/octo-org: there is no runner group \"gpu\"; there are \"group 1\", ";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(stage.asked().len(), 3);
}

#[tokio::test]
async fn groups_are_asked_for_again_by_etag_and_known_ones_outlive_a_failure() {
    let list = [(1, "Default".to_owned()), (4, "gpu".to_owned())];
    let unchanged = (304, vec![("etag", "\"a\"".to_owned())], Value::Null);
    let stage =
        stage("", [token("t1"), groups("\"a\"", &list), unchanged, ok(502, json!({})), ok(502, json!({}))]).await;
    let (app, at) = (&stage.app, target(Some(77)));
    let age = async || app.groups.lock().await.get_mut(&at.scope).unwrap().checked_at = Some(0);
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4);
    age().await;
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "unchanged");
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "and fresh again");
    age().await;
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "GitHub is down");
    assert!(matches!(app.group(&at, "cpu").await, Err(GitHubError::Transient(_))), "nothing is known of this one");
    let script = stage.script.lock().unwrap();
    assert_eq!(
        script.etags,
        [None, None, Some("\"a\"".to_owned()), Some("\"a\"".to_owned()), Some("\"a\"".to_owned())]
    );
}

#[tokio::test]
async fn a_repository_has_the_default_group_and_an_enterprise_its_own() {
    let stage = stage("", [ok(200, json!({"id": 77})), token("t1"), groups("\"a\"", &[(9, "big".to_owned())])]).await;
    let at = |scope: &str| Target { scope: scope.parse().unwrap(), installation: None };
    assert_eq!(stage.app.group(&at("repos/octo-org/octo-repo"), "default").await.unwrap(), 1);
    assert!(matches!(stage.app.group(&at("repos/o/r"), "gpu").await, Err(GitHubError::Permanent(_))));
    assert_eq!(stage.app.group(&at("enterprises/octo"), "big").await.unwrap(), 9);
    let asked = stage.asked();
    assert_eq!(asked[0], "GET /enterprises/octo/installation");
    assert_eq!(asked[2], "GET /enterprises/octo/actions/runner-groups?per_page=100&page=1");
}

#[tokio::test]
async fn jobs_and_runs_are_looked_up() {
    let job = json!({"id": 7, "run_id": 5, "run_attempt": 2, "status": "in_progress", "conclusion": null,
                     "labels": ["self-hosted"], "runner_id": 1, "runner_name": "linux-x64-i-1"});
    let run = |head: Value| {
        let own = json!({"full_name": "octo-org/octo-repo", "private": head.is_null()});
        ok(200, json!({"id": 5, "event": "pull_request", "head_repository": head, "repository": own}))
    };
    let fork = json!({"full_name": "mallory/octo-repo"});
    let stage = stage(
        "",
        [token("t1"), ok(200, job), run(fork), run(Value::Null), ok(404, json!({})), ok(200, json!({"id": 77}))],
    )
    .await;
    let (app, at) = (&stage.app, target(Some(77)));
    let found = app.job(&at, "octo-org/octo-repo", 7).await.unwrap();
    assert_eq!((found.run_id, found.run_attempt, found.runner_name.as_deref()), (5, 2, Some("linux-x64-i-1")));
    assert!(app.run(&at, "octo-org/octo-repo", 5).await.unwrap().is_of_public_fork("octo-org/octo-repo"));
    let private = app.run(&at, "octo-org/octo-repo", 5).await.unwrap();
    assert_eq!((private.head_repository, private.private), (None, true));
    assert!(matches!(app.job(&at, "octo-org/octo-repo", 8).await, Err(GitHubError::Permanent(_))));
    assert_eq!(
        stage.asked()[1..3],
        ["GET /repos/octo-org/octo-repo/actions/jobs/7", "GET /repos/octo-org/octo-repo/actions/runs/5"]
    );
}

#[tokio::test]
async fn what_is_left_of_the_limit_is_known_and_one_owners_limit_is_not_anothers() {
    let left = |n: u64| vec![("x-ratelimit-remaining", n.to_string()), ("x-ratelimit-reset", "1795003600".to_owned())];
    let with = |(status, _, body): Answer, n| (status, left(n), body);
    let limited = (403, left(0), json!({"message": "API rate limit exceeded"}));
    let stage = stage("", [token("t1"), with(jit(1), 4321), limited, token("t2"), with(jit(2), 12)]).await;
    assert_eq!(stage.app.remaining(), None);
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(stage.app.remaining(), Some(4321));
    let error = stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Limited { wait, .. } if wait.as_secs() == 3601), "{error:?}");
    assert_eq!(stage.app.remaining(), Some(0));
    let elsewhere = Target { scope: "orgs/other".parse().unwrap(), installation: Some(78) };
    stage.app.jit_config(&elsewhere, &runner()).await.unwrap();
}

#[tokio::test]
async fn repositories_of_one_installation_share_its_limit() {
    let limited = (403, vec![("retry-after", "17".to_owned())], json!({"message": "secondary rate limit"}));
    let stage = stage("", [token("t1"), limited, token("t2"), token("t3"), jit(1)]).await;
    let at = |repository: &str, installation| Target {
        scope: format!("repos/octo-org/{repository}").parse().unwrap(),
        installation: Some(installation),
    };
    for repository in ["a", "b", "b"] {
        let error = stage.app.jit_config(&at(repository, 77), &runner()).await.unwrap_err();
        assert!(matches!(&error, GitHubError::Limited { wait, .. } if wait.as_secs() == 17), "{error:?}");
    }
    let ask = |repository: &str| format!("POST /repos/octo-org/{repository}/actions/runners/generate-jitconfig");
    assert_eq!(stage.asked(), [TOKEN.to_owned(), ask("a"), TOKEN.to_owned()], "b's token, and no request with it");
    assert_eq!(stage.app.limited_at(&at("c", 77)).map(|wait| wait.as_secs()), Some(17), "known before it is asked");
    assert_eq!(stage.app.limited_at(&at("c", 78)), None);
    // Whose the token was counts, and not what a webhook named.
    for installation in [None, Some(78)] {
        let b = Target { installation, ..at("b", 77) };
        assert_eq!(stage.app.limited_at(&b).map(|wait| wait.as_secs()), Some(17), "{installation:?}");
    }
    stage.app.jit_config(&at("c", 78), &runner()).await.unwrap();
    assert_eq!(stage.asked()[3..], ["POST /app/installations/78/access_tokens".to_owned(), ask("c")]);
}

/// Everything that is logged, at every level, into one text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let bad = ok(422, json!({"message": "Validation Failed"}));
    let stage = stage("", [token("an-installation-token"), jit(1), bad]).await;
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
    drop(logging);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("generate-jitconfig"), "the requests were logged: {text}");
    for secret in ["an-installation-token", "a-jit-config", "Bearer ey"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
