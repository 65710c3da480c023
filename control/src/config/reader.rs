//! The variables, and how one is read: what is wrong with any is collected, and told at the end.

use std::{collections::BTreeMap, ops::RangeInclusive};

use dayfly_contract::{Problem, Problems};

use super::{AppConfig, GitHubConfig, RegistrationObjects, Role};
use crate::github::{authorities::Authorities, watch::Hook};

const GITHUB_URL: &str = "https://api.github.com";

/// Every variable with the roles that require it. Those that none requires may be left out.
const VARIABLES: [(&str, &[Role]); 38] = [
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
    ("DAYFLY_GITHUB_CA", &[]),
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

/// Variables that stand beside a secret, or name where it is. It is easily put there itself, so their values are never
/// shown.
const BESIDE_SECRETS: [&str; 5] = [
    "DAYFLY_WEBHOOK_SECRET_PARAMETER",
    "DAYFLY_GITHUB_APPS",
    "DAYFLY_GITHUB_TOKEN_PARAMETER",
    "DAYFLY_GITHUB_CA",
    "DAYFLY_RELEASES_TOKEN_PARAMETER",
];

pub(super) const PARAMETER: &str = "an SSM parameter's name such as \"/dayfly/main/github/app-key\"";

/// Text of at least one App.
const APPS: &str = "<App's id or client id>=<SSM parameter with its key>, separated by commas";

pub(super) struct Reader<'a> {
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) role: Option<Role>,
    pub(super) problems: Problems,
}

impl Reader<'_> {
    pub(super) fn github(&mut self) -> GitHubConfig {
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
            authorities: self.authorities(),
        }
    }

    fn authorities(&mut self) -> Authorities {
        let read = |text: &str| text.parse().ok();
        let allowed = "certificates, each as PEM: -----BEGIN CERTIFICATE-----…";
        let text = self.optional("DAYFLY_GITHUB_CA", allowed, |text| read(text).is_some());
        text.and_then(|text| read(&text)).unwrap_or_default()
    }

    pub(super) fn silence(&mut self) -> u64 {
        // GitHub takes 15 minutes to give a runner up, and a heartbeat or two may be late.
        let number = |text: &str| text.parse::<u64>().ok().filter(|it| (120..=86_400).contains(it));
        let (name, allowed) = ("DAYFLY_SILENCE_SECONDS", "a whole number from 120 to 86400");
        number(&self.text_or(name, "600", allowed, |text| number(text).is_some())).unwrap_or(600)
    }

    pub(super) fn hooks(&mut self) -> Vec<Hook> {
        let read = |text: &str| text.split(',').map(|hook| Hook::read(hook.trim())).collect::<Option<Vec<Hook>>>();
        let allowed = "orgs/<login>/hooks/<id> or repos/<owner>/<repo>/hooks/<id>, separated by commas";
        let text = self.optional("DAYFLY_GITHUB_HOOKS", allowed, |text| read(text).is_some());
        text.and_then(|text| read(&text)).unwrap_or_default()
    }

    /// The variable `name`, where it is there.
    pub(super) fn optional(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> Option<String> {
        if self.variables.contains_key(name) { Some(self.text(name, allowed, good)) } else { None }
    }

    /// The variable `name`; where it is absent, a problem if the role requires it, and empty text if not.
    pub(super) fn text(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
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

    pub(super) fn text_or(&mut self, name: &str, default: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        if self.variables.contains_key(name) { self.text(name, allowed, good) } else { default.to_owned() }
    }

    pub(super) fn limit(&mut self, name: &str, default: u32) -> u32 {
        self.number(name, default, 0..=100_000, "a whole number from 0, for no limit, to 100000")
    }

    pub(super) fn number(&mut self, name: &str, default: u32, range: RangeInclusive<u32>, allowed: &str) -> u32 {
        let number = |text: &str| text.parse::<u32>().ok().filter(|it| range.contains(it));
        let text = self.text_or(name, &default.to_string(), allowed, |text| number(text).is_some());
        number(&text).unwrap_or(default)
    }

    /// A variable nobody reads is a misspelled one. Its value is not shown: it may be a secret in the wrong place.
    pub(super) fn refuse_unknown(&mut self) {
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
pub(super) fn registration_objects(reader: &mut Reader<'_>) -> RegistrationObjects {
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

pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && text.parse::<http::Uri>().is_ok())
}

/// The letters of SSM's names, and those that names in Secrets Manager have beside them.
pub(super) fn is_parameter(text: &str) -> bool {
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
