//! A running emulator with a clock to turn, a client that checks what it gets, a webhook receiver and a runner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use laptop_github::{Config, Github, JobSpec, LAPTOP_APP_ID, LAPTOP_APP_KEY, ManualClock, Webhook};
use reqwest::{Client, Method};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::openapi::OpenApi;

pub(crate) const ORG: &str = "octo-org";
pub(crate) const REPO: &str = "octo-org/octo-repo";
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Who a request is from.
#[derive(Clone, Debug)]
pub(crate) enum As {
    Nobody,
    App,
    Installation,
    /// Whatever stands in the header.
    Shown(String),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

pub(crate) struct Lab {
    pub(crate) github: Github,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
    pub(crate) api: OpenApi,
    token: SecretString,
}

impl Lab {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::at("2026-11-20T14:00:00Z".parse()?));
        let mut config = Config { clock: clock.clone(), poll_wait: Duration::from_millis(300), ..Config::default() };
        change(&mut config);
        let github = Github::start(config).await?;
        let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
        let token = github.installation_token();
        Ok(Self { github, clock, client, api: OpenApi::load()?, token })
    }

    /// A JWT of the App that is good now.
    pub(crate) fn jwt(&self) -> String {
        use laptop_github::Clock;
        let now = self.clock.now().as_second();
        sign(&json!({ "iat": now - 30, "exp": now + 540, "iss": LAPTOP_APP_ID.to_string() }))
    }

    fn authorization(&self, who: &As) -> Option<String> {
        match who {
            As::Nobody => None,
            As::App => Some(format!("Bearer {}", self.jwt())),
            As::Installation => Some(format!("Bearer {}", self.token.expose_secret())),
            As::Shown(text) => Some(text.clone()),
        }
    }

    /// Calls without holding anything against the description.
    pub(crate) async fn call_anyhow(
        &self,
        method: &str,
        path: &str,
        who: As,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let url = format!("{}{path}", self.github.url());
        let mut request = self.client.request(Method::from_bytes(method.as_bytes())?, url);
        if let Some(value) = self.authorization(&who) {
            request = request.header("authorization", value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let bytes = response.bytes().await?;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        Ok(Reply { status, headers, body })
    }

    /// Calls, and holds the answer against GitHub's description.
    pub(crate) async fn call_badly(
        &self,
        method: &str,
        path: &str,
        who: As,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let reply = self.call_anyhow(method, path, who, body).await?;
        let bare = path.split('?').next().unwrap_or_default();
        let body = (!reply.body.is_null()).then_some(&reply.body);
        self.api
            .check_answer(method, bare, reply.status, body)
            .with_context(|| format!("answer {} to {method} {path}", reply.status))?;
        for name in ["limit", "remaining", "used", "reset", "resource"] {
            let name = format!("x-ratelimit-{name}");
            ensure!(!reply.header(&name).is_empty(), "{method} {path} answers without {name}");
        }
        Ok(reply)
    }

    /// Calls, and holds request and answer against GitHub's description.
    pub(crate) async fn call(&self, method: &str, path: &str, who: As, body: Option<Value>) -> anyhow::Result<Reply> {
        if let Some(body) = &body {
            let bare = path.split('?').next().unwrap_or_default();
            self.api.check_request(method, bare, body).with_context(|| format!("request {method} {path}"))?;
        }
        self.call_badly(method, path, who, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.call("GET", path, As::Installation, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> anyhow::Result<Reply> {
        self.call("POST", path, As::Installation, body).await
    }

    /// Registers a runner of the organization by JIT config.
    pub(crate) async fn jit(&self, name: &str, labels: &[&str]) -> anyhow::Result<Runner> {
        self.jit_in(&format!("/orgs/{ORG}"), name, 1, labels).await
    }

    pub(crate) async fn jit_in(&self, owner: &str, name: &str, group: u64, labels: &[&str]) -> anyhow::Result<Runner> {
        let body = json!({ "name": name, "runner_group_id": group, "labels": labels, "work_folder": "_work" });
        let reply = self.post(&format!("{owner}/actions/runners/generate-jitconfig"), Some(body)).await?;
        ensure!(reply.status == 201, "{reply:?}");
        let encoded = reply.body["encoded_jit_config"].as_str().context("no encoded_jit_config")?;
        let files: Value = serde_json::from_slice(&STANDARD.decode(encoded)?)?;
        Runner::of(self.client.clone(), &files)
    }

    pub(crate) fn queue(&self, labels: &[&str]) -> anyhow::Result<u64> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(self.github.queue_job(JobSpec { labels, ..JobSpec::default() })?.id)
    }

    /// Runs a job from queue to end, on a runner of its own.
    pub(crate) async fn run_a_job(&self, result: &str) -> anyhow::Result<u64> {
        let job = self.queue(&["linux"])?;
        let mut runner = self.jit(&format!("for-{job}"), &["linux"]).await?;
        runner.connect().await?;
        let got = runner.job().await?.context("the runner got no job")?;
        ensure!(got["id"] == job, "{got}");
        runner.complete(job, result).await?;
        Ok(job)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.github.stop();
    }
}

pub(crate) fn sign(claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "RS256", "typ": "JWT" })), encode(claims));
    let PrivateKeyDer::Pkcs1(der) = PrivateKeyDer::from_pem_slice(LAPTOP_APP_KEY.as_bytes()).unwrap() else {
        panic!("the laptop's key is PKCS#1")
    };
    let pair = RsaKeyPair::from_der(der.secret_pkcs1_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A runner that speaks the private protocol.
pub(crate) struct Runner {
    client: Client,
    pub(crate) id: u64,
    pub(crate) settings: Value,
    base: String,
    token: String,
    session: String,
}

impl Runner {
    /// Takes the three files, as they stand in a JIT config.
    pub(crate) fn of(client: Client, files: &Value) -> anyhow::Result<Self> {
        let file = |name: &str| -> anyhow::Result<Value> {
            let text = files[name].as_str().with_context(|| format!("no {name}"))?;
            Ok(serde_json::from_slice(&STANDARD.decode(text)?)?)
        };
        let (settings, credentials) = (file(".runner")?, file(".credentials")?);
        file(".credentials_rsaparams")?;
        Ok(Self {
            client,
            id: settings["agentId"].as_u64().context("no agentId")?,
            base: settings["serverUrl"].as_str().context("no serverUrl")?.to_owned(),
            token: credentials["data"]["token"].as_str().context("no token")?.to_owned(),
            settings,
            session: String::new(),
        })
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(Method::from_bytes(method.as_bytes())?, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    pub(crate) async fn open(&mut self) -> anyhow::Result<u16> {
        let body = json!({ "agentId": self.id, "version": "2.336.0" });
        let (status, body) = self.call("POST", "session", Some(body)).await?;
        if let Some(session) = body["sessionId"].as_str() {
            session.clone_into(&mut self.session);
        }
        Ok(status)
    }

    pub(crate) async fn connect(&mut self) -> anyhow::Result<()> {
        let status = self.open().await?;
        ensure!(status == 200, "opening a session: {status}");
        Ok(())
    }

    pub(crate) async fn message(&self) -> anyhow::Result<(u16, Value)> {
        self.call("GET", &format!("message?session={}", self.session), None).await
    }

    /// Asks once; the job, if there was one.
    pub(crate) async fn job(&self) -> anyhow::Result<Option<Value>> {
        match self.message().await? {
            (200, body) => Ok(Some(body["job"].clone())),
            (202, _) => Ok(None),
            (status, body) => bail!("asking for a message: {status} {body}"),
        }
    }

    pub(crate) async fn complete(&self, job: u64, result: &str) -> anyhow::Result<()> {
        let (status, body) =
            self.call("POST", &format!("jobs/{job}/completed"), Some(json!({ "result": result }))).await?;
        ensure!(status == 200, "reporting {result}: {status} {body}");
        Ok(())
    }

    pub(crate) async fn close(&self) -> anyhow::Result<u16> {
        Ok(self.call("DELETE", &format!("session?session={}", self.session), None).await?.0)
    }
}

/// A webhook that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Vec<u8>,
    pub(crate) body: Value,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn action(&self) -> &str {
        self.body["action"].as_str().unwrap_or_default()
    }
}

/// Receives webhooks, and answers what it is told to.
#[derive(Clone)]
pub(crate) struct Receiver {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answer: Arc<Mutex<StatusCode>>,
    pub(crate) secret: SecretString,
}

impl Receiver {
    /// Starts one and makes it the emulator's.
    pub(crate) async fn of(github: &Github) -> anyhow::Result<Self> {
        let secret = SecretString::from("It's a Secret to Everybody");
        let receiver = Self {
            arrived: Arc::default(),
            answer: Arc::new(Mutex::new(StatusCode::ACCEPTED)),
            secret: secret.clone(),
        };
        let app = Router::new().route("/webhook", post(receive)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhook", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        github.set_webhook(Webhook { url, secret });
        Ok(receiver)
    }

    pub(crate) fn answer_with(&self, status: StatusCode) {
        *self.answer.lock().unwrap() = status;
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Waits until so many have arrived and none is on its way.
    pub(crate) async fn wait(&self, github: &Github, count: usize) -> anyhow::Result<Vec<Arrived>> {
        wait_for("webhooks", || {
            let (arrived, pending) = (self.arrived(), github.deliveries_pending());
            if arrived.len() >= count && pending == 0 {
                Ok(arrived)
            } else {
                Err(format!("{} of {count} arrived, {pending} pending", arrived.len()))
            }
        })
        .await
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&raw).unwrap_or_default();
    receiver.arrived.lock().unwrap().push(Arrived { headers, raw: raw.to_vec(), body });
    *receiver.answer.lock().unwrap()
}

/// Asks again until it is so, or says how it was last.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(status) if begun.elapsed() > LIMIT => bail!("timed out waiting for {what}: {status}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
