//! What an agent is told by user-data: where its registration comes from and whom it reports to. No secrets.

use serde::Serialize;
use serde_json::Value;

use crate::{Fields, Problem, Problems, VERSION};

/// `/etc/dayfly/agent.json`: written by Terraform into user-data, read by the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentConfig {
    /// Version of this document.
    pub version: u32,
    /// Name of the installation of Dayfly this instance belongs to.
    pub deployment: String,
    /// The fleet it was launched for.
    pub fleet: String,
    /// SSM path under which the registration of instance `i` is the parameter `<registration_prefix>/<i>`.
    pub registration_prefix: String,
    /// SQS queue that takes [`crate::Lifecycle`] messages.
    pub lifecycle_queue_url: String,
    /// Seconds after the agent's start by which the registration must have come. GitHub wants a JIT config used
    /// within about 300 s.
    pub claim_seconds: u64,
    /// Seconds a runner that was asked to stop (SIGINT) may take before it is killed; it may need 30 s.
    pub stop_seconds: u64,
    /// The runner on this image.
    pub runner: RunnerConfig,
    /// Log filter, in `tracing`'s syntax: `info`, `debug`, `dayfly_agent=debug`.
    pub log: String,
}

/// Where the runner is and who runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerConfig {
    /// Absolute path of the folder that holds `bin/Runner.Listener`.
    pub directory: String,
    /// Name of the user that runs it; where it is the agent's own user nothing is switched. Never `root`.
    pub user: String,
}

impl AgentConfig {
    /// Reads the document and tells every mistake at once.
    pub fn read(text: &str) -> Result<Self, Problems> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Problems(vec![Problem::new("(document)", text, format!("JSON ({error})"))]))?;
        let mut problems = Problems::default();
        let mut root = Fields::of(&value, "", &mut problems);
        let config = Self {
            version: root.version(VERSION),
            deployment: root.text("deployment", NAME, is_name),
            fleet: root.text("fleet", NAME, is_name),
            registration_prefix: root.text(
                "registration_prefix",
                "an SSM path such as \"/dayfly/main/registrations\"",
                |path| path.len() > 1 && path.starts_with('/') && !path.ends_with('/'),
            ),
            lifecycle_queue_url: root.text("lifecycle_queue_url", "an SQS queue URL", |url| {
                url.starts_with("https://") || url.starts_with("http://")
            }),
            claim_seconds: root.number_or("claim_seconds", 120, 1..=3600),
            stop_seconds: root.number_or("stop_seconds", 30, 1..=600),
            log: root.text_or("log", "info", "a log filter such as \"info\"", |filter| !filter.is_empty()),
            runner: RunnerConfig::read(&mut root.object("runner")),
        };
        problems.or(config)
    }
}

impl RunnerConfig {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            directory: fields
                .text_or("directory", "/opt/actions-runner", "an absolute path", |path| path.starts_with('/')),
            user: fields.text_or("user", "runner", "the name of a user other than root", |user| {
                !user.is_empty() && user != "root"
            }),
        }
    }
}

/// What a deployment's or fleet's name may be: it becomes part of AWS names, tags, paths and runner names.
pub(crate) const NAME: &str = "1 to 40 of a-z, 0-9 and -, starting with a letter";

/// Whether `text` may name a deployment or a fleet.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
