//! The instance's own metadata service, by IMDSv2 only.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::Builder;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use dayfly_contract::names;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::RoleCredentials;
use crate::errors::chain;

/// Who this instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `i-` and hexadecimal digits.
    pub instance_id: String,
    /// Where it runs; AWS is asked there.
    pub region: String,
    /// The image it was launched from: `ami-` and hexadecimal digits.
    #[serde(default)]
    pub image_id: Option<String>,
    /// Its type, such as `m7i.large`.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Its zone, such as `eu-west-1a`.
    #[serde(default)]
    pub availability_zone: Option<String>,
}

/// What user-data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserData {
    /// None was given.
    Absent,
    /// Text.
    Text(String),
    /// Something packed that cloud-init may understand.
    Binary,
}

/// Why the metadata service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It could not be asked, or answered with an error.
    #[error("asking the metadata service for {path}: {why}")]
    NoAnswer {
        /// What was asked for.
        path: &'static str,
        /// What happened.
        why: String,
    },
    /// Where it is to be asked is no URL.
    #[error("the metadata service can't be at {found:?}, which is no URL: {why}")]
    Endpoint {
        /// What was given instead.
        found: String,
        /// What is wrong with it.
        why: String,
    },
    /// The identity document is not what it should be.
    #[error("reading {IDENTITY} of the metadata service: {why}")]
    Identity {
        /// What is wrong with it.
        why: String,
    },
}

const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const USER_DATA: &str = "/latest/user-data";
const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
const SPOT_ACTION: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const MAINTENANCE: &str = "/latest/meta-data/events/maintenance/scheduled";

/// A client of the metadata service. Copies share their connection and its token.
///
/// The token is fetched, kept and renewed before its time by the SDK. What the SDK does not do is to fetch another one
/// when the service refuses it early with 401 (a time of day that was stepped back, an instance that was stopped or
/// hibernated between): it would show the same one until its six hours are over. So a refused token is dropped here,
/// with the client that keeps it.
#[derive(Clone)]
pub struct Imds(Arc<Shared>);

struct Shared {
    builder: Builder,
    session: Mutex<Session>,
}

/// A client of the SDK's, and with it a token.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Client,
    number: u64,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Imds")
    }
}

impl Imds {
    /// At `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or else at 169.254.169.254.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Client::builder())
    }

    /// At `endpoint`, a URL. Fails where it is none.
    pub fn at(endpoint: &str) -> Result<Self, MetadataError> {
        let builder = Client::builder().endpoint(endpoint);
        let builder =
            builder.map_err(|error| MetadataError::Endpoint { found: endpoint.to_owned(), why: error.to_string() })?;
        Ok(Self::of(builder))
    }

    fn of(builder: Builder) -> Self {
        // Plain HTTP: no TLS roots are loaded for it. No proxy either, whatever the environment says: a link-local
        // address means this machine, and a proxy would ask its own. One attempt: the caller tries again, sooner than
        // the SDK would.
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = ProviderConfig::without_region().with_http_client(http);
        let builder = builder
            .configure(&config)
            .max_attempts(1)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(2))
            // Both the token's call and the one it is for have these; an answer that stalls half-way ends by them.
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(6));
        let session = Session { client: builder.clone().build(), number: 0 };
        Self(Arc::new(Shared { builder, session: Mutex::new(session) }))
    }

    /// Credentials of the instance's role, read when asked for.
    #[must_use]
    pub fn credentials(&self) -> RoleCredentials {
        RoleCredentials::new(self.clone())
    }

    /// Who this instance is.
    pub async fn identity(&self) -> Result<Identity, MetadataError> {
        let text =
            self.get(IDENTITY).await?.ok_or(MetadataError::NoAnswer { path: IDENTITY, why: "404".to_owned() })?;
        let identity: Identity =
            serde_json::from_str(&text).map_err(|error| MetadataError::Identity { why: error.to_string() })?;
        if !names::is_instance_id(&identity.instance_id) {
            return Err(MetadataError::Identity { why: format!("{:?} is no instance id", identity.instance_id) });
        }
        Ok(identity)
    }

    /// The instance's user-data.
    pub async fn user_data(&self) -> Result<UserData, MetadataError> {
        match self.ask(USER_DATA).await {
            Ok(Some(text)) => Ok(UserData::Text(text)),
            Ok(None) => Ok(UserData::Absent),
            // The client answers in text alone and has no variant for anything else.
            Err(error @ ImdsError::Unexpected(_)) if chain(&error).contains("UTF-8") => Ok(UserData::Binary),
            Err(error) => Err(no_answer(USER_DATA, &error)),
        }
    }

    /// How the instance was bought: `spot`, `on-demand` and others.
    pub async fn life_cycle(&self) -> Result<Option<String>, MetadataError> {
        self.get(LIFE_CYCLE).await
    }

    /// What EC2 is about to do to a spot instance, as a JSON document; none while it may stay.
    pub async fn spot_action(&self) -> Result<Option<String>, MetadataError> {
        self.get(SPOT_ACTION).await
    }

    /// Since when EC2 expects to take a spot instance back, as a JSON document; none while it does not.
    pub async fn rebalance(&self) -> Result<Option<String>, MetadataError> {
        self.get(REBALANCE).await
    }

    /// What EC2 has scheduled for the instance, as a JSON document.
    pub async fn maintenance(&self) -> Result<Option<String>, MetadataError> {
        self.get(MAINTENANCE).await
    }

    pub(super) fn session(&self) -> Session {
        self.lock().clone()
    }

    /// Drops the token of `refused`, unless somebody else has done it meanwhile.
    pub(super) fn renew(&self, refused: &Session) {
        let mut session = self.lock();
        if session.number == refused.number {
            info!("The metadata service refuses its token; another one is fetched");
            *session = Session { client: self.0.builder.clone().build(), number: refused.number + 1 };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get(&self, path: &'static str) -> Result<Option<String>, MetadataError> {
        self.ask(path).await.map_err(|error| no_answer(path, &error))
    }

    /// The text at `path`, if there is one; with another token where the first is refused.
    async fn ask(&self, path: &'static str) -> Result<Option<String>, ImdsError> {
        let session = self.session();
        let mut answer = session.client.get(path).await;
        if answer.as_ref().is_err_and(is_refused) {
            self.renew(&session);
            answer = self.session().client.get(path).await;
        }
        match answer {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Default for Imds {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the service does not take the token that it was shown.
pub(super) fn is_refused(error: &ImdsError) -> bool {
    status(error) == Some(401)
}

fn status(error: &ImdsError) -> Option<u16> {
    match error {
        ImdsError::ErrorResponse(answer) => Some(answer.response().status().as_u16()),
        _ => None,
    }
}

fn no_answer(path: &'static str, error: &ImdsError) -> MetadataError {
    let why = match status(error) {
        // Its Display quotes the whole answer.
        Some(status) => format!("status {status}"),
        None => chain(error),
    };
    MetadataError::NoAnswer { path, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_document_is_read_with_and_without_its_details() {
        let whole = r#"{"accountId": "1", "architecture": "arm64", "availabilityZone": "eu-west-1b",
            "imageId": "ami-0a", "instanceId": "i-01", "instanceType": "m7g.large", "region": "eu-west-1"}"#;
        let identity: Identity = serde_json::from_str(whole).unwrap();
        assert_eq!(identity.image_id.as_deref(), Some("ami-0a"));
        assert_eq!(identity.instance_type.as_deref(), Some("m7g.large"));
        assert_eq!(identity.availability_zone.as_deref(), Some("eu-west-1b"));
        let least: Identity = serde_json::from_str(r#"{"instanceId": "i-01", "region": "eu-west-1"}"#).unwrap();
        assert_eq!((least.instance_id.as_str(), least.image_id), ("i-01", None));
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_refused() {
        let error = Imds::at("http://a b").unwrap_err().to_string();
        assert!(error.starts_with("the metadata service can't be at \"http://a b\", which is no URL:"), "{error}");
    }
}
