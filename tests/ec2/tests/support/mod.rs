//! A stand-in for moto's control channel, and what the tests wait with.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::expect_used, clippy::panic, reason = "programs without the usual harness are tests too")]

pub(crate) mod machines;
pub(crate) mod processes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// Keeps instances as moto's wrapper does, in the same states.
#[derive(Clone, Default)]
pub(crate) struct FakeMoto {
    shared: Arc<Mutex<Shared>>,
    pub(crate) url: String,
}

#[derive(Default)]
struct Shared {
    instances: BTreeMap<String, Value>,
    /// What the host told, in order: `i-… running`, `i-… shutdown: reason`.
    told: Vec<String>,
    /// So many posts are answered with 500 yet.
    failures: u32,
}

impl FakeMoto {
    pub(crate) async fn start() -> Self {
        let mut moto = Self::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        moto.url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/_laptop/instances", get(list))
            .route("/_laptop/instances/{id}/state", post(state))
            .route("/_laptop/instances/{id}/shutdown", post(shutdown))
            .with_state(moto.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        moto
    }

    /// Launches instance number `number`.
    pub(crate) fn launch(&self, number: u16, user_data: &str) -> String {
        self.launch_of("ami-1", number, user_data)
    }

    /// Launches it of another image.
    pub(crate) fn launch_of(&self, image: &str, number: u16, user_data: &str) -> String {
        let id = format!("i-{number:017x}");
        let [high, low] = number.to_be_bytes();
        let instance = json!({
            "id": id, "state": "pending", "image_id": image, "instance_type": "c7i.large",
            "private_ip": format!("10.0.{high}.{low}"), "subnet_id": "subnet-1", "availability_zone": "eu-west-1a",
            "region": "eu-west-1", "user_data": BASE64_STANDARD.encode(user_data),
            "tags": {"dayfly:fleet": "linux"}, "lifecycle": "on-demand", "instance_profile": "runner",
            "shutdown_behavior": "terminate", "launched_at": 1_790_000_000.25,
            "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 1,
                "instance_metadata_tags": "enabled"},
        });
        self.shared.lock().expect("no panic").instances.insert(id.clone(), instance);
        id
    }

    /// `TerminateInstances` or `StopInstances`.
    pub(crate) fn set(&self, id: &str, state: &str) {
        self.shared.lock().expect("no panic").instances.get_mut(id).expect("a known instance")["state"] = state.into();
    }

    /// `CreateImage`, several times.
    pub(crate) fn create_images(&self, id: &str, images: &[&str]) {
        self.shared.lock().expect("no panic").instances.get_mut(id).expect("a known instance")["images"] =
            json!(images);
    }

    pub(crate) fn state(&self, id: &str) -> String {
        self.shared.lock().expect("no panic").instances[id]["state"].as_str().expect("a state").to_owned()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.shared.lock().expect("no panic").told.clone()
    }

    pub(crate) fn fail_next(&self, posts: u32) {
        self.shared.lock().expect("no panic").failures = posts;
    }

    pub(crate) async fn wait_state(&self, id: &str, state: &str) {
        wait_for(&format!("{id} is {state}"), 30, || (self.state(id) == state).then_some(()), || self.state(id)).await;
    }

    fn change(&self, id: &str, told: String, state: &str) -> StatusCode {
        let mut shared = self.shared.lock().expect("no panic");
        // One that was terminated meanwhile does not come back.
        let pending = shared.instances.get(id).is_some_and(|instance| instance["state"] == "pending");
        if state == "running" && !pending {
            return StatusCode::NO_CONTENT;
        }
        if shared.failures > 0 {
            shared.failures -= 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        shared.told.push(told);
        let Some(instance) = shared.instances.get_mut(id) else { return StatusCode::NOT_FOUND };
        instance["state"] = state.into();
        StatusCode::NO_CONTENT
    }
}

async fn list(State(moto): State<FakeMoto>) -> Json<Vec<Value>> {
    Json(moto.shared.lock().expect("no panic").instances.values().cloned().collect())
}

async fn state(State(moto): State<FakeMoto>, Path(id): Path<String>, Json(body): Json<Value>) -> StatusCode {
    let state = body["state"].as_str().expect("a state");
    moto.change(&id, format!("{id} {state}"), state)
}

async fn shutdown(State(moto): State<FakeMoto>, Path(id): Path<String>, Json(body): Json<Value>) -> StatusCode {
    let reason = body["reason"].as_str().expect("a reason");
    moto.change(&id, format!("{id} shutdown: {reason}"), "terminated")
}

/// Waits for a fact; a failure tells the last status.
pub(crate) async fn wait_for<T>(
    what: &str,
    seconds: u64,
    mut fact: impl FnMut() -> Option<T>,
    status: impl Fn() -> String,
) -> T {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(Instant::now() < until, "timed out waiting that {what}: {}", status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where the Debian image is kept between test runs.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("DAYFLY_CACHE")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/laptop"), PathBuf::from)
}

/// Processes whose environment or command line holds `text`, this one aside.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own)
        .filter(|pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(text)
            })
        })
        .map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// The control groups of this name, in every hierarchy.
pub(crate) fn groups(name: &str) -> Vec<String> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(&root).expect("control groups").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<String> = hierarchies
        .chain([root])
        .map(|hierarchy| hierarchy.join(name))
        .filter(|group| group.join("cgroup.procs").exists())
        .map(|group| group.display().to_string())
        .collect();
    found.sort();
    found
}
