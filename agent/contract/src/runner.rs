//! The part of the agent's config that is about the runner.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::Fields;
use crate::config::{ABSOLUTE, is_absolute, is_bucket};

/// Where the runner is, where it comes from, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerConfig {
    /// Absolute path of the folder that holds `bin/Runner.Listener`.
    pub directory: String,
    /// Name of the user that runs it; created where it is missing. `root` where jobs are to be root.
    pub user: String,
    /// Where it is installed from if the image has none, or none that is new enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<RunnerSource>,
    /// The oldest version of the image's runner that is used as it is; any where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<String>,
    /// Whether the runner may not replace itself by a newer version.
    pub disable_update: bool,
    /// The folder in which jobs work: absolute, or below the runner's own.
    pub work_folder: String,
    /// Environment variables of the runner, and so of its jobs. No secrets: user-data can be read by every job.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// A script of the user's that runs as the first step of each job; absolute path, ending in `.sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_started: Option<String>,
    /// A script of the user's that runs as the last step of each job; absolute path, ending in `.sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_completed: Option<String>,
}

/// Runner releases in S3, as `sync-runner` puts them there: [`crate::RunnerRelease`] documents beside packed runners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunnerSource {
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with, such as `runner/linux-x64`; the release's document is `<prefix>/<version>.json`.
    pub prefix: String,
    /// `latest`, or one version.
    pub version: String,
}

impl RunnerConfig {
    /// Where jobs work unless the config says otherwise; it is what control asks GitHub for.
    pub const WORK_FOLDER: &str = "_work";

    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            directory: fields.text_or("directory", "/opt/actions-runner", ABSOLUTE, is_absolute),
            user: fields.text_or("user", "runner", "the name of a user", |user| !user.is_empty()),
            source: RunnerSource::read(fields),
            minimum_version: fields.optional("minimum_version", VERSION, is_version),
            disable_update: fields.flag_or("disable_update", false),
            work_folder: fields.text_or("work_folder", Self::WORK_FOLDER, "a path", |path| !path.is_empty()),
            environment: environment(fields),
            hook_started: fields.optional("hook_started", SCRIPT, is_script),
            hook_completed: fields.optional("hook_completed", SCRIPT, is_script),
        }
    }
}

impl RunnerSource {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.get("source")?;
        let mut fields = fields.object("source");
        Some(Self {
            bucket: fields.text("bucket", "the name of an S3 bucket", is_bucket),
            prefix: fields.text("prefix", "the beginning of an S3 key such as \"runner/linux-x64\"", |prefix| {
                !prefix.is_empty() && !prefix.starts_with('/') && !prefix.ends_with('/')
            }),
            version: fields.text_or("version", LATEST, "\"latest\" or a version such as \"2.336.0\"", |version| {
                version == LATEST || is_version(version)
            }),
        })
    }
}

/// The newest version there is.
pub const LATEST: &str = "latest";
const VERSION: &str = "a version such as \"2.336.0\"";
const SCRIPT: &str = "an absolute path that ends in .sh";

/// Whether `text` is a version of the runner: three numbers.
#[must_use]
pub fn is_version(text: &str) -> bool {
    version_numbers(text).is_some()
}

/// The numbers of a runner's version, which compare as versions do; `None` where it is none.
#[must_use]
pub fn version_numbers(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text
        .split('.')
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Whether `path` may be a job's hook: an absolute path that ends in `.sh`.
#[must_use]
pub fn is_script(path: &str) -> bool {
    // The path becomes a line of a shell script, in single quotes.
    is_absolute(path)
        && Path::new(path).extension().is_some_and(|end| end == "sh")
        && !path.contains(['\'', '\n', '\0'])
}

fn environment(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let allowed = "an object of texts under names of letters, digits and _";
    let Some(value) = fields.get("environment") else { return BTreeMap::new() };
    let entry = |(name, value): (&String, &Value)| {
        let value = value.as_str().filter(|text| !text.contains('\0'))?;
        is_variable(name).then(|| (name.clone(), value.to_owned()))
    };
    let read: Option<BTreeMap<String, String>> =
        value.as_object().and_then(|object| object.iter().map(entry).collect());
    read.unwrap_or_else(|| {
        fields.refuse("environment", allowed);
        BTreeMap::new()
    })
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
