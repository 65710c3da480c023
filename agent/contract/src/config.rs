//! What an agent is told by user-data: where its registration comes from and whom it reports to. No secrets.

use serde::Serialize;
use serde_json::Value;

use crate::{Fields, Problem, Problems, RunnerConfig, VERSION};

/// `/etc/dayfly/agent.json`: written by Terraform into user-data, read by the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentConfig {
    /// Version of this document.
    pub version: u32,
    /// Name of the installation of Dayfly this instance belongs to.
    pub deployment: String,
    /// The fleet it was launched for.
    pub fleet: String,
    /// SSM path under which the registration of instance `i` is the parameter `<registration_prefix>/<i>`. With a
    /// [`AgentConfig::registration_bucket`]: what the object's key begins with, `<registration_prefix><i>`.
    pub registration_prefix: String,
    /// S3 bucket that holds the registrations in place of SSM, which takes 3 writes a second by default. An instance's
    /// role may read `<prefix>${aws:userid}`, so that the prefix ends in `<role id>:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_bucket: Option<String>,
    /// SQS queue that takes [`crate::Lifecycle`] messages.
    pub lifecycle_queue_url: String,
    /// Seconds after the agent's start by which the registration must have come. GitHub wants a JIT config used
    /// within about 300 s.
    pub claim_seconds: u64,
    /// Seconds a runner that was asked to stop (SIGINT) may take before it is killed; it may need 30 s.
    pub stop_seconds: u64,
    /// Seconds without a job after which a runner retires.
    pub idle_seconds: u64,
    /// Seconds that a reusable runner listens at least before it retires for having no job.
    pub minimum_running_seconds: u64,
    /// Seconds after the agent's start at which the runner retires, whatever it has done; 0 for never.
    pub max_lifetime_seconds: u64,
    /// Seconds that a job may still run when [`AgentConfig::max_lifetime_seconds`] are over. GitHub ends jobs after 6 h
    /// by default, 5 days at most.
    pub job_seconds: u64,
    /// Seconds before an announced end of the instance at which a running job is asked to stop.
    pub interruption_grace_seconds: u64,
    /// Seconds that control may take to delete a retiring runner at GitHub; then the agent stops it itself.
    pub retire_seconds: u64,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// A disk with less free MiB takes no further job; 0 for any.
    pub disk_free_mib: u64,
    /// Who may ask the metadata service, and with it for the instance role's credentials.
    pub metadata_access: MetadataAccess,
    /// What is run before the instance ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_end: Option<BeforeEnd>,
    /// Configuration of the CloudWatch agent (`ssm:<parameter>` or `file:<path>`), which is started once the runner
    /// listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloudwatch_agent: Option<String>,
    /// What the instance may be kept ready for, before a job comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The runner on this image.
    pub runner: RunnerConfig,
    /// Log filter, in `tracing`'s syntax: `info`, `debug`, `dayfly_agent=debug`.
    pub log: String,
}

/// Who may ask the instance's metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataAccess {
    /// Neither the runner's user nor containers.
    Agent,
    /// Everybody.
    All,
}

impl MetadataAccess {
    /// The words for it.
    pub const WORDS: [(&'static str, Self); 2] = [("agent", Self::Agent), ("all", Self::All)];
}

/// What a fleet's instances may be kept ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Pool {
    /// A registration may come long after the boot: [`AgentConfig::claim_seconds`] do not count.
    Standby {
        /// Seconds after the agent's start at which an instance that has no registration ends.
        lifetime_seconds: u64,
    },
    /// The same, until control stops the instance (`StopInstances`) once it has said that it stands by, and starts it again
    /// when a job comes. An agent without a registration that is told to end by such a stop says nothing and ends nothing.
    Stopped {
        /// Seconds after the agent's start at which an instance that has no registration ends, where nobody stops it.
        lifetime_seconds: u64,
    },
    /// Control decides whether a reusable runner without a job retires, and says nothing where it is to stay: then it
    /// listens on and asks again after [`AgentConfig::idle_seconds`], until its [`AgentConfig::max_lifetime_seconds`].
    Idle,
}

/// A script that the agent runs, as root, when the runner is gone and the instance is about to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BeforeEnd {
    /// Absolute path of a program.
    pub script: String,
    /// Seconds it may take.
    pub seconds: u64,
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
            registration_prefix: prefix(&mut root),
            registration_bucket: root.optional("registration_bucket", "the name of an S3 bucket", is_bucket),
            lifecycle_queue_url: root.text("lifecycle_queue_url", "an SQS queue URL", |url| {
                url.starts_with("https://") || url.starts_with("http://")
            }),
            claim_seconds: root.number_or("claim_seconds", 120, 1..=3600),
            stop_seconds: root.number_or("stop_seconds", 30, 1..=600),
            idle_seconds: root.number_or("idle_seconds", 300, 1..=WEEK),
            minimum_running_seconds: root.number_or("minimum_running_seconds", 0, 0..=WEEK),
            max_lifetime_seconds: root.number_or("max_lifetime_seconds", 0, 0..=30 * DAY),
            job_seconds: root.number_or("job_seconds", 6 * 3600, 1..=WEEK),
            interruption_grace_seconds: root.number_or("interruption_grace_seconds", 30, 1..=110),
            retire_seconds: root.number_or("retire_seconds", 60, 1..=3600),
            heartbeat_seconds: root.number_or("heartbeat_seconds", 60, 1..=3600),
            disk_free_mib: root.number_or("disk_free_mib", 256, 0..=1 << 40),
            metadata_access: root.choice_or("metadata_access", MetadataAccess::Agent, &MetadataAccess::WORDS),
            before_end: before_end(&mut root),
            pool: pool(&mut root),
            cloudwatch_agent: root.optional("cloudwatch_agent", "\"ssm:<parameter>\" or \"file:<path>\"", |text| {
                text.strip_prefix("ssm:").or(text.strip_prefix("file:")).is_some_and(|rest| !rest.is_empty())
            }),
            log: root.text_or("log", "info", "a log filter such as \"info\"", |filter| !filter.is_empty()),
            runner: RunnerConfig::read(&mut root.object("runner")),
        };
        if config.pool == Some(Pool::Idle) && config.max_lifetime_seconds == 0 {
            root.refuse(
                "max_lifetime_seconds",
                "a whole number from 1 where pool.kind is \"idle\": nothing else ends it",
            );
        }
        if config.runner.user == "root" && config.metadata_access == MetadataAccess::Agent {
            root.refuse("metadata_access", "\"all\" where runner.user is root, whom nothing can keep out");
        }
        problems.or(config)
    }
}

const DAY: u64 = 24 * 3600;
const WEEK: u64 = 7 * DAY;

/// A path in SSM, or the beginning of a key in S3.
fn prefix(root: &mut Fields<'_>) -> String {
    if root.get("registration_bucket").is_some() {
        return root.text(
            "registration_prefix",
            "the beginning of an S3 key such as \"registrations/AROA…:\"",
            |key| !key.is_empty() && !key.starts_with('/'),
        );
    }
    root.text("registration_prefix", "an SSM path such as \"/dayfly/main/registrations\"", |path| {
        path.len() > 1 && path.starts_with('/') && !path.ends_with('/')
    })
}

/// The kinds of [`Pool`].
#[derive(Clone, Copy)]
enum Kind {
    Standby,
    Stopped,
    Idle,
}

fn pool(root: &mut Fields<'_>) -> Option<Pool> {
    root.get("pool")?;
    let mut fields = root.object("pool");
    if fields.get("kind").is_none() {
        fields.refuse("kind", "\"standby\", \"stopped\" or \"idle\"");
    }
    let kinds = [("standby", Kind::Standby), ("stopped", Kind::Stopped), ("idle", Kind::Idle)];
    Some(match fields.choice_or("kind", Kind::Standby, &kinds) {
        Kind::Standby => Pool::Standby { lifetime_seconds: fields.number("lifetime_seconds", 1..=WEEK) },
        Kind::Stopped => Pool::Stopped { lifetime_seconds: fields.number("lifetime_seconds", 1..=WEEK) },
        Kind::Idle => Pool::Idle,
    })
}

fn before_end(root: &mut Fields<'_>) -> Option<BeforeEnd> {
    root.get("before_end")?;
    let mut fields = root.object("before_end");
    Some(BeforeEnd {
        script: fields.text("script", ABSOLUTE, is_absolute),
        seconds: fields.number_or("seconds", 30, 1..=3600),
    })
}

/// What [`is_absolute`] allows.
pub(crate) const ABSOLUTE: &str = "an absolute path";

pub(crate) fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// Whether `text` may name an S3 bucket.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(crate) fn is_bucket(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (3..=63).contains(&text.len()) && text.bytes().all(inner)
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
