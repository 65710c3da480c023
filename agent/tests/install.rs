//! Installs a runner, and claims a registration, through the real client of S3 from a server that speaks as much S3.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use dayfly_agent::aws::{Fault, Network, S3Objects, S3Registrations, s3};
use dayfly_agent::effects::Registrations;
use dayfly_agent::install::{InstallError, Objects, Ready, Wanted, ready};
use dayfly_contract::RunnerSource;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::time::sleep;

const BUCKET: &str = "dayfly.runners";
const KEY: &str = "linux-x64/actions-runner.tar.gz";

/// What the server does besides.
#[derive(Default)]
struct Script {
    objects: BTreeMap<String, Bytes>,
    /// Connections that are cut after this many bytes of a range.
    cuts: Vec<usize>,
    /// Says `AccessDenied` for what is not there.
    denies_absent: bool,
    /// Waits in the middle of a body.
    pause: Duration,
    /// Method, key and range of each request.
    calls: Vec<(Method, String, Option<Range<usize>>)>,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Script>>);

impl Server {
    fn new(objects: &[(&str, Bytes)]) -> Self {
        let server = Self::default();
        server.0.lock().unwrap().objects =
            objects.iter().map(|(key, bytes)| ((*key).to_owned(), bytes.clone())).collect();
        server
    }

    async fn client(&self) -> aws_sdk_s3::Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(700)).build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("ASIATEST", "secret", None, None, "test"))
            .http_client(Network::default().client())
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts)
            .endpoint_url(url)
            .load()
            .await;
        s3(&config)
    }

    async fn objects(&self) -> Arc<dyn Objects> {
        Arc::new(S3Objects::new(self.client().await, BUCKET.to_owned()))
    }

    fn ranges(&self) -> Vec<Range<usize>> {
        self.0.lock().unwrap().calls.iter().filter_map(|(_, _, range)| range.clone()).collect()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response<Body> {
    let mut script = server.0.lock().unwrap();
    let key = request.uri().path().strip_prefix(&format!("/{BUCKET}/")).unwrap().replace("%3A", ":");
    assert!(request.headers().contains_key("authorization"));
    let range = request.headers().get("range").map(|range| {
        let (first, last) = range.to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
    });
    script.calls.push((request.method().clone(), key.clone(), range.clone()));
    if request.method() == Method::DELETE {
        script.objects.remove(&key);
        return Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty()).unwrap();
    }
    let Some(object) = script.objects.get(&key).cloned() else {
        let denied = (StatusCode::FORBIDDEN, "AccessDenied");
        return failure(if script.denies_absent { denied } else { (StatusCode::NOT_FOUND, "NoSuchKey") });
    };
    let Some(range) = range else { return Response::new(Body::from(object)) };
    if range.start >= object.len() {
        return failure((StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"));
    }
    let range = range.start..range.end.min(object.len());
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, object.len());
    let part = object.slice(range);
    let cut = if script.cuts.is_empty() { None } else { Some(script.cuts.remove(0).min(part.len())) };
    Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header("content-range", content_range)
        .header("content-length", part.len())
        .body(body(&part, cut, script.pause))
        .unwrap()
}

/// `part`, in two halves with a pause between them; cut off after so many bytes.
fn body(part: &Bytes, cut: Option<usize>, pause: Duration) -> Body {
    let end = cut.unwrap_or(part.len());
    let halves = [part.slice(..end / 2), part.slice(end / 2..end)].into_iter().enumerate();
    let halves = stream::iter(halves).then(move |(number, half)| async move {
        if number == 1 {
            sleep(pause).await;
        }
        Ok(half)
    });
    let cut = cut.map(|_| Err(std::io::Error::other("cut by the test")));
    Body::from_stream(halves.chain(stream::iter(cut)))
}

fn failure((status, code): (StatusCode, &str)) -> Response<Body> {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the test</Message></Error>");
    Response::builder().status(status).body(Body::from(xml)).unwrap()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

/// More than one range long, for it does not compress.
const NODE: usize = 9_000_000;

fn archive() -> Bytes {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], flate2::Compression::none()));
    for (name, content) in [("bin/Runner.Listener", b"#!/bin/sh".to_vec()), ("externals/node", noise(NODE))] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    let mut gzip = tar.into_inner().unwrap();
    gzip.flush().unwrap();
    gzip.finish().unwrap().into()
}

fn release(archive: &[u8], unpacked: u64) -> Bytes {
    let document = json!({
        "version": 1, "runner_version": "2.336.0",
        "archives": [{"format": "tar.gz", "key": KEY, "size": archive.len(), "unpacked_size": unpacked,
            "sha256": hex::encode(Sha256::digest(archive))}],
    });
    document.to_string().into_bytes().into()
}

async fn install(server: &Server, directory: &Path) -> Result<Ready, InstallError> {
    let source =
        RunnerSource { bucket: BUCKET.to_owned(), prefix: "linux-x64".to_owned(), version: "latest".to_owned() };
    let wanted = Wanted { directory: directory.to_owned(), source: Some(source), minimum_version: None, owner: None };
    ready(&wanted, Some(server.objects().await), async { None }).await
}

#[tokio::test]
async fn a_runner_comes_in_ranges_through_cuts_and_pauses() {
    let archive = archive();
    let size = archive.len();
    let server = Server::new(&[("linux-x64/latest.json", release(&archive, 9_000_100)), (KEY, archive)]);
    // The pause is longer than an attempt may take to answer, but then the body has begun.
    server.0.lock().unwrap().cuts = vec![1_000_000, 100_000];
    server.0.lock().unwrap().pause = Duration::from_secs(1);
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runner");
    let installed = install(&server, &directory).await.unwrap().installed.unwrap();
    assert_eq!((installed.bytes, installed.files), (size as u64, 2));
    assert!(fs::read(directory.join("externals/node")).unwrap() == noise(NODE));
    let ranges = server.ranges();
    let step = 8 * 1024 * 1024;
    assert!(ranges.contains(&(0..step)) && ranges.contains(&(step..size)), "{ranges:?}");
    assert_eq!(ranges.len(), 4, "{ranges:?}");
    assert!(ranges[2..].iter().all(|range| range.start % step > 0), "they go on where they were cut: {ranges:?}");
}

#[tokio::test]
async fn what_is_wrong_in_the_bucket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runner");
    let told = async |server: &Server| dayfly_agent::errors::chain(&install(server, &directory).await.unwrap_err());
    let server = Server::new(&[]);
    let absent = told(&server).await;
    assert!(absent.ends_with("reading linux-x64/latest.json: there is no such object"), "{absent}");
    server.0.lock().unwrap().denies_absent = true;
    let denied = told(&server).await;
    assert!(
        denied.ends_with("reading s3://dayfly.runners/linux-x64/latest.json: AccessDenied (by the test)"),
        "{denied}"
    );
    let server = Server::new(&[("linux-x64/latest.json", release(&[0; 10], 10))]);
    let no_archive = told(&server).await;
    assert!(no_archive.starts_with(&format!("downloading {KEY}: 0 of 10 bytes, and no more in ")), "{no_archive}");
    assert!(no_archive.contains("NoSuchKey"), "{no_archive}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_registration_is_read_once_and_deleted() {
    let key = "registrations/AROATEST:i-0123456789abcdef0";
    let server = Server::new(&[(key, Bytes::from_static(b"{\"jit_config\": \"secret\"}"))]);
    let store = S3Registrations::new(server.client().await, BUCKET.to_owned(), key.to_owned());
    assert_eq!(store.get().await.unwrap().unwrap().expose_secret(), "{\"jit_config\": \"secret\"}");
    store.delete().await.unwrap();
    assert!(store.get().await.unwrap().is_none());
    store.delete().await.unwrap();
    let calls: Vec<_> =
        server.0.lock().unwrap().calls.iter().map(|(method, key, _)| format!("{method} {key}")).collect();
    let expected = ["GET", "DELETE", "GET", "DELETE"].map(|method| format!("{method} {key}"));
    assert_eq!(calls, expected);
    // A role without s3:ListBucket is not told that there is nothing.
    server.0.lock().unwrap().denies_absent = true;
    assert_eq!(store.get().await.unwrap_err().fault, Fault::Denied);
}
