//! What the environment tells a handler. The variables are an argument, every mistake is told at once, and each
//! handler requires only what it uses.

mod keepers;

use std::{collections::BTreeMap, ops::RangeInclusive};

use dayfly_contract::{Problem, Problems, names};

use crate::{
    decide::bucket::Limits,
    fleets::{Fleets, Handover},
    github::watch::Hook,
};
pub use keepers::{HousekeepConfig, SyncConfig};

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
}

/// A GitHub App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppConfig {
    /// Its id or client id, the `iss` of its JWT.
    pub id: String,
    /// SSM parameter with its private key.
    pub key_parameter: String,
}

const GITHUB_URL: &str = "https://api.github.com";

/// Every variable with the roles that require it. Those that none requires may be left out.
const VARIABLES: [(&str, &[Role]); 37] = [
    ("DAYFLY_DEPLOYMENT", &Role::ALL),
    ("DAYFLY_TABLE", &Role::WITH_LEDGER),
    ("DAYFLY_WAKE_QUEUE_URL", &Role::WITH_LEDGER),
    ("DAYFLY_DEAD_LETTER_QUEUE_URL", &[]),
    ("DAYFLY_FLEETS", &[Role::Webhook, Role::ScaleUp, Role::Lifecycle, Role::Reconcile, Role::Housekeep]),
    ("DAYFLY_WEBHOOK_SECRET_PARAMETER", &[Role::Webhook]),
    // Or the token; the webhook asks GitHub only about some jobs.
    ("DAYFLY_GITHUB_APPS", &[Role::ScaleUp, Role::Lifecycle, Role::Reconcile]),
    ("DAYFLY_GITHUB_TOKEN_PARAMETER", &[]),
    ("DAYFLY_GITHUB_URL", &[]),
    ("DAYFLY_REGISTRATION_PREFIX", &[Role::ScaleUp, Role::Lifecycle, Role::Reconcile, Role::Housekeep]),
    ("DAYFLY_REGISTRATION_BUCKET", &[]),
    ("DAYFLY_REGISTRATION_BUCKET_PREFIX", &[]),
    ("DAYFLY_REGISTRATION_KMS_KEY", &[]),
    ("DAYFLY_LIMIT_EC2_PER_SECOND", &[]),
    ("DAYFLY_LIMIT_SSM_PER_SECOND", &[]),
    ("DAYFLY_LIMIT_GITHUB_PER_MINUTE", &[]),
    ("DAYFLY_EVENT_BUS", &[]),
    ("DAYFLY_SILENCE_SECONDS", &[]),
    ("DAYFLY_GITHUB_HOOKS", &[]),
    ("DAYFLY_RUNNERS", &[Role::SyncRunner]),
    ("DAYFLY_RUNNER_PLATFORMS", &[]),
    ("DAYFLY_RUNNER_VERSION", &[]),
    ("DAYFLY_RUNNER_DELAY_HOURS", &[]),
    ("DAYFLY_RUNNER_ALSO", &[]),
    ("DAYFLY_RUNNER_KEEP", &[]),
    ("DAYFLY_RELEASES_URL", &[]),
    ("DAYFLY_RELEASES_TOKEN_PARAMETER", &[]),
    ("DAYFLY_REPORTS", &[Role::Housekeep]),
    ("DAYFLY_HOUSEKEEP_DRY_RUN", &[]),
    ("DAYFLY_HOUSEKEEP_IMAGE_TAGS", &[]),
    ("DAYFLY_HOUSEKEEP_IMAGE_DAYS", &[]),
    ("DAYFLY_HOUSEKEEP_IMAGE_KEEP", &[]),
    ("DAYFLY_HOUSEKEEP_LEFTOVER_HOURS", &[]),
    ("DAYFLY_HOUSEKEEP_MOST", &[]),
    ("DAYFLY_HOUSEKEEP_PARAMETERS", &[]),
    ("DAYFLY_RUNNER_SECURITY_GROUP", &[]),
    ("DAYFLY_LOG", &[]),
];

/// Variables that name where a secret is. It is easily put there itself, so their values are never shown.
const BESIDE_SECRETS: [&str; 4] = [
    "DAYFLY_WEBHOOK_SECRET_PARAMETER",
    "DAYFLY_GITHUB_APPS",
    "DAYFLY_GITHUB_TOKEN_PARAMETER",
    "DAYFLY_RELEASES_TOKEN_PARAMETER",
];

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

const PARAMETER: &str = "an SSM parameter's name such as \"/dayfly/main/github/app-key\"";

/// Text of at least one App.
const APPS: &str = "<App's id or client id>=<SSM parameter with its key>, separated by commas";

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    role: Option<Role>,
    problems: Problems,
}

impl Reader<'_> {
    fn github(&mut self) -> GitHubConfig {
        let (apps, token) = ("DAYFLY_GITHUB_APPS", "DAYFLY_GITHUB_TOKEN_PARAMETER");
        let token_parameter = self.optional(token, PARAMETER, is_parameter);
        if self.variables.contains_key(token) && self.variables.contains_key(apps) {
            self.problems.0.push(Problem::new(token, format!("{apps} beside it"), "Apps or a token, not both"));
        }
        let listed = if self.variables.contains_key(token) {
            self.optional(apps, APPS, |text| read_apps(text).is_some()).unwrap_or_default()
        } else {
            self.text(apps, APPS, |text| read_apps(text).is_some())
        };
        GitHubConfig {
            apps: read_apps(&listed).unwrap_or_default(),
            token_parameter,
            url: self.text_or(
                "DAYFLY_GITHUB_URL",
                GITHUB_URL,
                "the REST API's URL such as \"https://api.github.com\" or \"https://ghes.example/api/v3\"",
                is_url,
            ),
        }
    }

    fn silence(&mut self) -> u64 {
        // GitHub takes 15 minutes to give a runner up, and a heartbeat or two may be late.
        let number = |text: &str| text.parse::<u64>().ok().filter(|it| (120..=86_400).contains(it));
        let (name, allowed) = ("DAYFLY_SILENCE_SECONDS", "a whole number from 120 to 86400");
        number(&self.text_or(name, "600", allowed, |text| number(text).is_some())).unwrap_or(600)
    }

    fn hooks(&mut self) -> Vec<Hook> {
        let read = |text: &str| text.split(',').map(|hook| Hook::read(hook.trim())).collect::<Option<Vec<Hook>>>();
        let allowed = "orgs/<login>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>, separated by commas";
        let text = self.optional("DAYFLY_GITHUB_HOOKS", allowed, |text| read(text).is_some());
        text.and_then(|text| read(&text)).unwrap_or_default()
    }

    /// The variable `name`, where it is there.
    fn optional(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Option<String> {
        if self.variables.contains_key(name) { Some(self.text(name, allowed, good)) } else { None }
    }

    /// The variable `name`; where it is absent, a problem if the role requires it, and empty text if not.
    fn text(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        let required = VARIABLES.iter().any(|(it, roles)| *it == name && roles.iter().any(|r| Some(*r) == self.role));
        match self.variables.get(name) {
            Some(value) if good(value) => value.clone(),
            None if !required => String::new(),
            Some(value) => {
                self.problems.0.push(Problem::new(name, shown(name, value), allowed));
                String::new()
            }
            None => {
                self.problems.0.push(Problem::missing(name, allowed));
                String::new()
            }
        }
    }

    fn text_or(&mut self, name: &str, default: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        if self.variables.contains_key(name) { self.text(name, allowed, good) } else { default.to_owned() }
    }

    fn limit(&mut self, name: &str, default: u32) -> u32 {
        self.number(name, default, 0..=100_000, "a whole number from 0, for no limit, to 100000")
    }

    fn number(&mut self, name: &str, default: u32, range: RangeInclusive<u32>, allowed: &str) -> u32 {
        let number = |text: &str| text.parse::<u32>().ok().filter(|it| range.contains(it));
        let text = self.text_or(name, &default.to_string(), allowed, |text| number(text).is_some());
        number(&text).unwrap_or(default)
    }

    /// A variable nobody reads is a misspelled one. Its value is not shown: it may be a secret in the wrong place.
    fn refuse_unknown(&mut self) {
        let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        for name in self.variables.keys().filter(|name| name.starts_with("DAYFLY_")) {
            if !known.contains(&name.as_str()) {
                let allowed = format!("one of {}", known.join(", "));
                self.problems.0.push(Problem::new(name, "a variable of this name", allowed));
            }
        }
    }
}

/// A wrong value as the error has it.
fn shown(name: &str, value: &str) -> String {
    if BESIDE_SECRETS.contains(&name) {
        format!("{} characters that are not shown, as they may be a secret", value.chars().count())
    } else {
        format!("\"{value}\"")
    }
}

/// Bucket and prefix, of which neither is of use without the other.
fn registration_objects(reader: &mut Reader<'_>) -> RegistrationObjects {
    let (bucket, prefix) = ("DAYFLY_REGISTRATION_BUCKET", "DAYFLY_REGISTRATION_BUCKET_PREFIX");
    let beginning = "the beginning of an S3 key such as \"registrations/AROA…:\"";
    let it = RegistrationObjects {
        bucket: reader.text(bucket, "an S3 bucket's name", |name| !name.is_empty() && !name.contains('/')),
        prefix: reader.text(prefix, beginning, |key| !key.is_empty() && !key.starts_with('/')),
    };
    let given = |name| reader.variables.contains_key(name);
    match (given(bucket), given(prefix)) {
        (true, false) => reader.problems.0.push(Problem::missing(prefix, beginning)),
        (false, true) => reader.problems.0.push(Problem::missing(bucket, "an S3 bucket's name")),
        _ => {}
    }
    it
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && text.parse::<http::Uri>().is_ok())
}

/// The letters of SSM's names, and those that names in Secrets Manager have beside them.
fn is_parameter(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_.-+=@:".contains(&b);
    text.len() > 1 && text.starts_with('/') && !text.ends_with('/') && text.bytes().all(allowed)
}

fn read_apps(text: &str) -> Option<Vec<AppConfig>> {
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let app = |text: &str| {
        let (id, parameter) = text.trim().split_once('=')?;
        (is_id(id) && is_parameter(parameter))
            .then(|| AppConfig { id: id.to_owned(), key_parameter: parameter.to_owned() })
    };
    text.split(',').map(app).collect()
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
