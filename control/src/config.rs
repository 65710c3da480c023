//! What the environment tells a handler. The variables are an argument, every mistake is told at once, and each
//! handler requires only what it uses.

mod keepers;
mod reader;

use std::collections::BTreeMap;

use dayfly_contract::{Problem, Problems, names};

use crate::{
    decide::bucket::Limits,
    fleets::{Fleets, Handover},
    github::{authorities::Authorities, watch::Hook},
};
pub use keepers::{HousekeepConfig, SyncConfig};
use reader::{PARAMETER, Reader, is_parameter, is_url, registration_objects};

/// Which of the functions this process is: Lambda's handler name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes GitHub's webhooks.
    Webhook,
    /// Launches what is missing.
    ScaleUp,
    /// Hears from the instances.
    Lifecycle,
    /// Puts right what nobody told of.
    Reconcile,
    /// Keeps releases of the runner in S3.
    SyncRunner,
    /// Clears away what nobody needs.
    Housekeep,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Webhook, Self::ScaleUp, Self::Lifecycle, Self::Reconcile, Self::SyncRunner, Self::Housekeep];
    /// Those that work with the ledger; the keepers do without.
    const WITH_LEDGER: [Self; 4] = [Self::Webhook, Self::ScaleUp, Self::Lifecycle, Self::Reconcile];

    /// The handler's name, as in `_HANDLER`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ScaleUp => "scale-up",
            Self::Lifecycle => "lifecycle",
            Self::Reconcile => "reconcile",
            Self::SyncRunner => "sync-runner",
            Self::Housekeep => "housekeep",
        }
    }
}

/// A handler's configuration. What the role does not use is empty where it was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The handler.
    pub role: Role,
    /// Name of this installation of Dayfly.
    pub deployment: String,
    /// The ledger's DynamoDB table.
    pub table: String,
    /// The SQS queue that wakes scale-up.
    pub wake_queue_url: String,
    /// The dead-letter queue of the queue that feeds the handler, where it may send to it.
    pub dead_letter_queue_url: Option<String>,
    /// Where the fleets document is.
    pub fleets: S3Object,
    /// SSM parameter with the webhook secret.
    pub webhook_secret_parameter: String,
    /// How to be known at GitHub.
    pub github: GitHubConfig,
    /// EventBridge bus that GitHub's events about jobs are put on; none for no bus.
    pub event_bus: Option<String>,
    /// SSM path under which registrations are handed over.
    pub registration_prefix: String,
    /// Where registrations are handed over by S3.
    pub registration_objects: RegistrationObjects,
    /// KMS key by which registrations are encrypted, where it is not AWS's own.
    pub registration_kms_key: Option<String>,
    /// How fast services may be called.
    pub limits: Limits,
    /// For so many seconds an agent may be silent before its instance is looked after.
    pub silence_seconds: u64,
    /// Hooks of organizations and repositories that tell of jobs, beside those of the Apps.
    pub hooks: Vec<Hook>,
    /// What sync-runner keeps; none for others.
    pub sync: Option<SyncConfig>,
    /// What housekeep clears away; none for others.
    pub housekeep: Option<HousekeepConfig>,
    /// Log filter in `tracing`'s syntax.
    pub log: String,
}

/// An object in S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Object {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// Where registrations are in S3. The bucket is empty where no fleet hands over by S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationObjects {
    /// Bucket.
    pub bucket: String,
    /// What each key begins with, before the instance's id.
    pub prefix: String,
}

/// Who asks GitHub, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubConfig {
    /// The Apps; several share the work by their limits.
    pub apps: Vec<AppConfig>,
    /// Parameter with a token that is used in place of Apps.
    pub token_parameter: Option<String>,
    /// Base of the REST API.
    pub url: String,
    /// The CAs that the server's certificate may be of.
    pub authorities: Authorities,
}

/// A GitHub App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppConfig {
    /// Its id or client id, the `iss` of its JWT.
    pub id: String,
    /// SSM parameter with its private key.
    pub key_parameter: String,
}

impl Config {
    /// Reads the configuration from environment variables. Variables that do not start with `DAYFLY_` are passed over,
    /// save `_HANDLER`; unknown ones that do are mistakes.
    pub fn read(variables: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let handler = variables.get("_HANDLER").map(String::as_str);
        let role = Role::ALL.into_iter().find(|role| handler == Some(role.name()));
        if role.is_none() {
            let found = handler.map_or_else(|| "nothing".to_owned(), |name| format!("\"{name}\""));
            let names = Role::ALL.map(|role| format!("\"{}\"", role.name())).join(", ");
            problems.0.push(Problem::new("_HANDLER", found, format!("one of {names}")));
        }
        let mut reader = Reader { variables, role, problems };
        let config = Self {
            // Never used when there was none: the problem above is returned.
            role: role.unwrap_or(Role::Webhook),
            deployment: reader.text(
                "DAYFLY_DEPLOYMENT",
                "1 to 40 of a-z, 0-9 and -, starting with a letter",
                names::is_name,
            ),
            table: reader.text("DAYFLY_TABLE", "a DynamoDB table's name", |name| !name.is_empty()),
            wake_queue_url: reader.text("DAYFLY_WAKE_QUEUE_URL", "an SQS queue's URL", is_url),
            dead_letter_queue_url: reader.optional("DAYFLY_DEAD_LETTER_QUEUE_URL", "an SQS queue's URL", is_url),
            fleets: s3_object(&reader.text("DAYFLY_FLEETS", "s3://bucket/key", |text| s3_object(text).is_some()))
                .unwrap_or_default(),
            webhook_secret_parameter: reader.text("DAYFLY_WEBHOOK_SECRET_PARAMETER", PARAMETER, is_parameter),
            github: reader.github(),
            registration_prefix: reader.text(
                "DAYFLY_REGISTRATION_PREFIX",
                "an SSM path such as \"/dayfly/main/registrations\"",
                |path| path.len() > 1 && path.starts_with('/') && !path.ends_with('/'),
            ),
            registration_objects: registration_objects(&mut reader),
            registration_kms_key: Some(reader.text(
                "DAYFLY_REGISTRATION_KMS_KEY",
                "a KMS key's id, alias or ARN",
                |key| !key.is_empty(),
            ))
            .filter(|key| !key.is_empty()),
            limits: Limits {
                ec2: reader.limit("DAYFLY_LIMIT_EC2_PER_SECOND", Limits::default().ec2),
                ssm: reader.limit("DAYFLY_LIMIT_SSM_PER_SECOND", Limits::default().ssm),
                github: reader.limit("DAYFLY_LIMIT_GITHUB_PER_MINUTE", Limits::default().github),
            },
            event_bus: reader.optional("DAYFLY_EVENT_BUS", "an EventBridge bus's name or ARN", |name| {
                !name.is_empty() && name.len() <= 1600
            }),
            silence_seconds: reader.silence(),
            hooks: reader.hooks(),
            sync: keepers::sync(&mut reader),
            housekeep: keepers::housekeep(&mut reader),
            log: reader.text_or("DAYFLY_LOG", "info", "a log filter such as \"info\"", crate::logging::is_filter),
        };
        reader.refuse_unknown();
        reader.problems.or(config)
    }

    /// Whether registrations can be handed over as each of `fleets` says: by S3 takes a bucket.
    pub fn serves(&self, fleets: &Fleets) -> Result<(), Problems> {
        let by_s3 = fleets.fleets.iter().find(|fleet| fleet.handover == Handover::S3);
        match by_s3.filter(|_| self.registration_objects.bucket.is_empty()) {
            None => Ok(()),
            Some(fleet) => {
                let allowed = format!("an S3 bucket's name, since fleet \"{}\" hands over by S3", fleet.name);
                Err(Problems(vec![Problem::missing("DAYFLY_REGISTRATION_BUCKET", allowed)]))
            }
        }
    }
}

/// The object that `s3://bucket/key` means; `None` where `text` is not of that form.
#[must_use]
pub fn s3_object(text: &str) -> Option<S3Object> {
    let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
    let whole = !bucket.is_empty() && !key.is_empty();
    whole.then(|| S3Object { bucket: bucket.to_owned(), key: key.to_owned() })
}

#[cfg(test)]
mod tests;
