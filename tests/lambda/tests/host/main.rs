//! The host with a cloud that these tests play and a function that does what it is told.

#![expect(clippy::unwrap_used, reason = "tests end where something is not as it must be")]

mod chaos;
mod cloud;
mod http;
mod invoke;
mod lifecycle;
mod queue;
mod schedule;

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use cloud::Cloud;
use laptop_lambda::{Config, LambdaHost};
use serde_json::Value;
use tempfile::TempDir;

/// A cloud, a host and its folder.
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) host: LambdaHost,
    pub(crate) folder: TempDir,
}

impl World {
    /// A host of a cloud that `prepare` has filled.
    pub(crate) async fn new(prepare: impl FnOnce(&Cloud)) -> Self {
        Self::with(prepare, |_| {}).await
    }

    /// The same, with another configuration.
    pub(crate) async fn with(prepare: impl FnOnce(&Cloud), configure: impl FnOnce(&mut Config)) -> Self {
        let cloud = Cloud::start().await;
        prepare(&cloud);
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(cloud.url(), "eu-west-1", folder.path());
        config.discovery_interval = Duration::from_secs(1000);
        config.speed.poll_wait = Duration::from_secs(1);
        config.speed.backoff = Duration::from_millis(20);
        configure(&mut config);
        let host = LambdaHost::start(config).await.unwrap();
        Self { cloud, host, folder }
    }

    /// Invokes a function that succeeds.
    pub(crate) async fn ask(&self, function: &str, event: Value) -> Value {
        self.host.invoke(function, &event).await.unwrap().success().unwrap()
    }

    pub(crate) fn log(&self, function: &str) -> String {
        std::fs::read_to_string(self.host.log_path(function)).unwrap_or_default()
    }
}

/// Waits for a fact, with a limit and the last thing seen.
pub(crate) async fn wait_for<T: Debug>(what: &str, mut look: impl FnMut() -> Result<(), T>) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match look() {
            Ok(()) => return,
            Err(seen) => assert!(Instant::now() < until, "waited for {what}, still {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `seen` gives `wanted`.
pub(crate) async fn wait_until<T: Debug + PartialEq>(what: &str, wanted: T, mut seen: impl FnMut() -> T) {
    wait_for(what, || {
        let now = seen();
        if now == wanted { Ok(()) } else { Err(now) }
    })
    .await;
}

/// Whether a process exists and is not just waiting to be reaped.
pub(crate) fn lives(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
