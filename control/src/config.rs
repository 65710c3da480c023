//! What the environment tells a handler. The variables are an argument, every mistake is told at once, and each
//! handler requires only what it uses.

use std::collections::BTreeMap;

use dayfly_contract::{Problem, Problems, names};

/// Which of the functions this process is: Lambda's handler name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes GitHub's webhooks.
    Webhook,
    /// Launches what is missing.
    ScaleUp,
    /// Hears from the instances.
    Lifecycle,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::ScaleUp, Self::Lifecycle];

    /// The handler's name, as in `_HANDLER`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ScaleUp => "scale-up",
            Self::Lifecycle => "lifecycle",
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
    /// Where the fleets document is.
    pub fleets: S3Object,
    /// SSM parameter with the webhook secret.
    pub webhook_secret_parameter: String,
    /// How to be the GitHub App.
    pub github: GitHubConfig,
    /// SSM path under which registrations are handed over.
    pub registration_prefix: String,
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

/// The GitHub App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubConfig {
    /// Its id or client id, the `iss` of its JWT.
    pub app_id: String,
    /// SSM parameter with its private key (PEM).
    pub key_parameter: String,
    /// Base of the REST API.
    pub url: String,
}

const GITHUB_URL: &str = "https://api.github.com";

/// Every variable with the roles that require it. `DAYFLY_GITHUB_URL` and `DAYFLY_LOG` have defaults.
const VARIABLES: [(&str, &[Role]); 10] = [
    ("DAYFLY_DEPLOYMENT", &Role::ALL),
    ("DAYFLY_TABLE", &Role::ALL),
    ("DAYFLY_WAKE_QUEUE_URL", &Role::ALL),
    ("DAYFLY_FLEETS", &[Role::Webhook, Role::ScaleUp]),
    ("DAYFLY_WEBHOOK_SECRET_PARAMETER", &[Role::Webhook]),
    ("DAYFLY_GITHUB_APP_ID", &[Role::ScaleUp, Role::Lifecycle]),
    ("DAYFLY_GITHUB_KEY_PARAMETER", &[Role::ScaleUp, Role::Lifecycle]),
    ("DAYFLY_GITHUB_URL", &[]),
    ("DAYFLY_REGISTRATION_PREFIX", &[Role::ScaleUp, Role::Lifecycle]),
    ("DAYFLY_LOG", &[]),
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
            problems.0.push(Problem::new("_HANDLER", found, "\"webhook\", \"scale-up\" or \"lifecycle\""));
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
            fleets: s3_object(&reader.text("DAYFLY_FLEETS", "s3://bucket/key", |text| s3_object(text).is_some()))
                .unwrap_or_default(),
            webhook_secret_parameter: reader.text("DAYFLY_WEBHOOK_SECRET_PARAMETER", PARAMETER, is_parameter),
            github: GitHubConfig {
                app_id: reader.text("DAYFLY_GITHUB_APP_ID", "an App's id or client id", |id| {
                    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
                }),
                key_parameter: reader.text("DAYFLY_GITHUB_KEY_PARAMETER", PARAMETER, is_parameter),
                url: reader.text_or(
                    "DAYFLY_GITHUB_URL",
                    GITHUB_URL,
                    "the REST API's URL such as \"https://api.github.com\" or \"https://ghes.example/api/v3\"",
                    is_url,
                ),
            },
            registration_prefix: reader.text(
                "DAYFLY_REGISTRATION_PREFIX",
                "an SSM path such as \"/dayfly/main/registrations\"",
                |path| path.len() > 1 && path.starts_with('/') && !path.ends_with('/'),
            ),
            log: reader.text_or("DAYFLY_LOG", "info", "a log filter such as \"info\"", crate::logging::is_filter),
        };
        reader.refuse_unknown();
        reader.problems.or(config)
    }
}

const PARAMETER: &str = "an SSM parameter's name such as \"/dayfly/main/github/app-key\"";

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    role: Option<Role>,
    problems: Problems,
}

impl Reader<'_> {
    /// The variable `name`; where it is absent, a problem if the role requires it, and empty text if not.
    fn text(&mut self, name: &str, allowed: &str, good: impl Fn(&str) -> bool) -> String {
        let required = VARIABLES.iter().any(|(it, roles)| *it == name && roles.iter().any(|r| Some(*r) == self.role));
        match self.variables.get(name) {
            Some(value) if good(value) => value.clone(),
            None if !required => String::new(),
            Some(value) => {
                self.problems.0.push(Problem::new(name, format!("\"{value}\""), allowed));
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

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && text.parse::<http::Uri>().is_ok())
}

fn is_parameter(text: &str) -> bool {
    text.len() > 1 && text.starts_with('/') && !text.ends_with('/')
}

fn s3_object(text: &str) -> Option<S3Object> {
    let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
    let whole = !bucket.is_empty() && !key.is_empty();
    whole.then(|| S3Object { bucket: bucket.to_owned(), key: key.to_owned() })
}

#[cfg(test)]
mod tests;
