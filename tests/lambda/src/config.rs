//! What the host is told at its start.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Where moto is, where to listen, where to put things, and how fast to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// moto's base URL, such as `http://127.0.0.1:5000`.
    pub endpoint: String,
    /// The region whose functions are hosted.
    pub region: String,
    /// Where the HTTP API listens; port 0 takes a free one.
    pub http_bind: SocketAddr,
    /// Unpacked code goes to `code/` in here, function logs to `logs/<function>.log`.
    pub work_dir: PathBuf,
    /// Environment that every function gets beside its own, such as `AWS_ENDPOINT_URL`. Its own wins. No
    /// place for secrets: this is shown by `Debug`.
    pub environment: BTreeMap<String, String>,
    /// How often moto is asked what there is, beside [`crate::LambdaHost::refresh`].
    pub discovery_interval: Duration,
    /// How fast things go.
    pub speed: Speed,
}

/// Times and widths that AWS fixes and a test wants smaller.
#[derive(Clone, Debug)]
pub struct Speed {
    /// A process without an invocation for this long is ended.
    pub idle_after: Duration,
    /// A process that has not asked for its first event by then is killed. AWS: 10 s.
    pub init_limit: Duration,
    /// Concurrent executions of all functions together. AWS: 1,000 per account.
    pub account_concurrency: usize,
    /// The longest the HTTP API waits for a function. AWS: 30 s.
    pub integration_limit: Duration,
    /// Long poll of a queue, in whole seconds. AWS: 20 s.
    pub poll_wait: Duration,
    /// Invocations a mapping without `maximum_concurrency` runs at once. AWS starts with 5.
    pub mapping_concurrency: usize,
    /// First wait after a throttled invocation of a queue's batch, or a receive that failed; doubles up to 20 times
    /// this.
    pub backoff: Duration,
}

impl Config {
    /// A host of moto at `endpoint` with AWS's own times, a free port on loopback, and nothing in the environment but
    /// the endpoint.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, region: impl Into<String>, work_dir: impl Into<PathBuf>) -> Self {
        let endpoint = endpoint.into();
        Self {
            environment: BTreeMap::from([("AWS_ENDPOINT_URL".to_owned(), endpoint.clone())]),
            endpoint,
            region: region.into(),
            http_bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            work_dir: work_dir.into(),
            discovery_interval: Duration::from_secs(10),
            speed: Speed::default(),
        }
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            idle_after: Duration::from_mins(5),
            init_limit: Duration::from_secs(10),
            account_concurrency: 1000,
            integration_limit: Duration::from_secs(30),
            poll_wait: Duration::from_secs(20),
            mapping_concurrency: 5,
            backoff: Duration::from_millis(100),
        }
    }
}
