//! EC2's notices, and what a metadata service may do besides answering: a small one that does as it is told.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aws_credential_types::provider::ProvideCredentials;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use dayfly_agent::aws::imds::Imds;
use dayfly_agent::sources::notices::{Notice, NoticeKind, Pace, watch_notices};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
const SPOT_ACTION: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const MAINTENANCE: &str = "/latest/meta-data/events/maintenance/scheduled";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Script {
    /// What stands where; 404 elsewhere.
    texts: BTreeMap<&'static str, String>,
    /// The only token that is taken; another one each time that one is fetched.
    token: u32,
    /// Answers all but tokens with this.
    failure: Option<StatusCode>,
    /// Never answers.
    is_hung: bool,
    /// How often it did not.
    hung: u32,
    /// What was asked for, tokens by `token`.
    asked: Vec<String>,
}

#[derive(Clone)]
struct Metadata {
    script: Arc<Mutex<Script>>,
    url: String,
}

impl Metadata {
    async fn start(texts: &[(&'static str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let texts = texts.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        let metadata = Self { script: Arc::new(Mutex::new(Script { texts, ..Script::default() })), url };
        let router = Router::new().fallback(answer).with_state(metadata.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        metadata
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn set(&self, path: &'static str, text: &str) {
        self.script().texts.insert(path, text.to_owned());
    }

    /// The token that was given out is taken no more.
    fn refuse_token(&self) {
        self.script().token += 1;
    }

    fn asked(&self, path: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == path).count()
    }

    async fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let held = timeout(LIMIT, async {
            while !holds(self) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(held.await.is_ok(), "timed out waiting for {what}: {:?}", self.script().asked);
    }
}

async fn answer(State(metadata): State<Metadata>, request: Request) -> Response<Body> {
    let is_hung = metadata.script().is_hung;
    if is_hung {
        metadata.script().hung += 1;
        std::future::pending::<()>().await;
    }
    let path = request.uri().path().to_owned();
    let mut script = metadata.script();
    if path == "/latest/api/token" {
        script.asked.push("token".to_owned());
        script.token += 1;
        let token = format!("token-{}", script.token);
        let ttl = request.headers()["x-aws-ec2-metadata-token-ttl-seconds"].clone();
        let response = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", ttl);
        return response.body(Body::from(token)).unwrap();
    }
    script.asked.push(path.clone());
    let shown = request.headers().get("x-aws-ec2-metadata-token").and_then(|token| token.to_str().ok());
    let status = |status| Response::builder().status(status).body(Body::empty()).unwrap();
    if shown != Some(&format!("token-{}", script.token)) {
        return status(StatusCode::UNAUTHORIZED);
    }
    match (script.failure, script.texts.get(path.as_str())) {
        (Some(failure), _) => status(failure),
        (None, Some(text)) => Response::new(Body::from(text.clone())),
        (None, None) => status(StatusCode::NOT_FOUND),
    }
}

const QUICK: Pace = Pace { spot: Duration::from_millis(20), maintenance: Duration::from_millis(200) };

fn watch(metadata: &Metadata, pace: Pace) -> (UnboundedReceiver<Notice>, JoinHandle<()>) {
    let imds = Imds::at(&metadata.url).unwrap();
    let (sender, receiver) = unbounded_channel();
    let watching = tokio::spawn(watch_notices(imds, pace, move |notice| sender.send(notice).unwrap()));
    (receiver, watching)
}

async fn told(notices: &mut UnboundedReceiver<Notice>) -> Notice {
    timeout(LIMIT, notices.recv()).await.expect("a notice in time").unwrap()
}

#[tokio::test]
async fn each_notice_is_told_once() {
    let metadata = Metadata::start(&[(LIFE_CYCLE, "spot"), (MAINTENANCE, "[]")]).await;
    let (mut notices, _watching) = watch(&metadata, QUICK);
    metadata.wait_for("a few looks", |metadata| metadata.asked(SPOT_ACTION) > 2).await;
    metadata.set(REBALANCE, r#"{"noticeTime": "2026-11-20T14:00:00Z"}"#);
    let notice = told(&mut notices).await;
    assert_eq!((notice.kind, notice.at), (NoticeKind::Rebalance, Some(1_795_183_200_000)));
    metadata.set(SPOT_ACTION, r#"{"action": "terminate", "time": "2026-11-20T14:02:00Z"}"#);
    let notice = told(&mut notices).await;
    assert_eq!((notice.kind, notice.at), (NoticeKind::Spot, Some(1_795_183_320_000)));
    metadata
        .set(MAINTENANCE, r#"[{"NotBefore": "20 Nov 2026 15:00:00 GMT", "Code": "instance-stop", "State": "active"}]"#);
    let notice = told(&mut notices).await;
    assert_eq!((notice.kind, notice.at), (NoticeKind::Maintenance, Some(1_795_186_800_000)));
    let before = metadata.asked(SPOT_ACTION);
    metadata.wait_for("more looks", |metadata| metadata.asked(SPOT_ACTION) > before + 3).await;
    assert_eq!(notices.try_recv().ok(), None);
    // Another time is another notice.
    metadata.set(SPOT_ACTION, r#"{"action": "terminate", "time": "2026-11-20T14:05:00Z"}"#);
    assert_eq!(told(&mut notices).await.at, Some(1_795_183_500_000));
    assert_eq!(metadata.asked("token"), 1);
    assert_eq!(metadata.asked(LIFE_CYCLE), 1);
}

#[tokio::test]
async fn an_instance_that_is_not_spot_is_asked_about_maintenance_alone() {
    let metadata = Metadata::start(&[(LIFE_CYCLE, "on-demand")]).await;
    let pace = Pace { spot: Duration::from_millis(10), maintenance: Duration::from_millis(50) };
    let (mut notices, _watching) = watch(&metadata, pace);
    metadata.wait_for("a few looks", |metadata| metadata.asked(MAINTENANCE) > 2).await;
    metadata.set(MAINTENANCE, r#"[{"Code": "instance-retirement", "State": "active"}]"#);
    assert_eq!(told(&mut notices).await.kind, NoticeKind::Maintenance);
    assert_eq!(metadata.asked(SPOT_ACTION) + metadata.asked(REBALANCE), 0);
}

#[tokio::test]
async fn failures_are_tried_over() {
    let metadata = Metadata::start(&[(LIFE_CYCLE, "spot")]).await;
    metadata.script().failure = Some(StatusCode::SERVICE_UNAVAILABLE);
    let (mut notices, _watching) = watch(&metadata, QUICK);
    // Also what the instance is, is not known then.
    metadata.wait_for("a few looks", |metadata| metadata.asked(SPOT_ACTION) > 2).await;
    metadata.set(SPOT_ACTION, r#"{"action": "stop", "time": "2026-11-20T14:02:00Z"}"#);
    metadata.script().failure = None;
    assert_eq!(told(&mut notices).await.kind, NoticeKind::Spot);
}

#[tokio::test]
async fn a_service_that_hangs_is_asked_again() {
    let metadata = Metadata::start(&[(LIFE_CYCLE, "spot")]).await;
    let (mut notices, _watching) = watch(&metadata, QUICK);
    metadata.wait_for("a look", |metadata| metadata.asked(SPOT_ACTION) > 0).await;
    metadata.script().is_hung = true;
    metadata.set(SPOT_ACTION, r#"{"action": "stop", "time": "2026-11-20T14:02:00Z"}"#);
    metadata.wait_for("a second call", |metadata| metadata.script().hung > 1).await;
    metadata.script().is_hung = false;
    assert_eq!(told(&mut notices).await.kind, NoticeKind::Spot);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew() {
    let metadata = Metadata::start(&[(LIFE_CYCLE, "spot")]).await;
    let (mut notices, _watching) = watch(&metadata, QUICK);
    metadata.wait_for("a look", |metadata| metadata.asked(REBALANCE) > 0).await;
    for minute in 0..2 {
        let tokens = metadata.asked("token");
        metadata.refuse_token();
        metadata.set(SPOT_ACTION, &format!(r#"{{"action": "stop", "time": "2026-11-20T14:0{minute}:00Z"}}"#));
        assert_eq!(told(&mut notices).await.kind, NoticeKind::Spot);
        assert_eq!(metadata.asked("token"), tokens + 1);
    }
}

#[tokio::test]
async fn credentials_are_read_with_another_token_too() {
    let metadata = Metadata::start(&[(ROLE, "runner-role")]).await;
    let credentials = r#"{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-20T00:00:00Z", "AccessKeyId": "one",
        "SecretAccessKey": "secret", "Token": "token", "Expiration": "2099-01-01T00:00:00Z"}"#;
    metadata.set("/latest/meta-data/iam/security-credentials/runner-role", credentials);
    let provider = Imds::at(&metadata.url).unwrap().credentials();
    assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), "one");
    metadata.refuse_token();
    let other = credentials.replace("one", "two");
    metadata.set("/latest/meta-data/iam/security-credentials/runner-role", &other);
    assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), "two");
    assert_eq!(metadata.asked("token"), 2);
    metadata.script().failure = Some(StatusCode::SERVICE_UNAVAILABLE);
    assert!(provider.provide_credentials().await.is_err());
}

#[tokio::test]
async fn one_call_has_a_deadline() {
    let metadata = Metadata::start(&[]).await;
    metadata.script().is_hung = true;
    let began = Instant::now();
    let error = Imds::at(&metadata.url).unwrap().spot_action().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(error.to_string().starts_with("asking the metadata service for /latest/meta-data/spot/"), "{error}");
}
