//! The client against an HTTP server that answers what it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{body::Bytes, http::Uri, response::IntoResponse};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Authorities, Client, Identity};
use crate::{
    clock::{Clock, Millis, SystemClock},
    fleets::Target,
    github::{Deletion, Found, GitHub, GitHubError, NewRunner, jwt::AppKey, jwt::tests::PKCS1},
    ledger::{LedgerError, Notes},
    report::Chain,
};

mod groups;
mod limits;
mod tokens;

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
    Stage {
        app: Client::new(&url, &Authorities::default(), app_key("4711"), FixedClock, Noted::default()).unwrap(),
        url,
        script,
    }
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
    // Bound, and nobody listens: no other test's server gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    let app = Client::new(&url, &Authorities::default(), app_key("4711"), FixedClock, Noted::default()).unwrap();
    let error = app.authorize(&target(Some(77))).await.unwrap_err();
    assert!(matches!(error, GitHubError::Transient(_)), "{error:?}");
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
