//! The instance's own metadata service, by IMDSv2 only.

use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use dayfly_contract::names;
use serde::{Deserialize, Serialize};

use crate::errors::chain;

/// Who this instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `i-` and hexadecimal digits.
    pub instance_id: String,
    /// Where it runs; AWS is asked there.
    pub region: String,
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
    /// The identity document is not what it should be.
    #[error("reading {IDENTITY} of the metadata service: {why}")]
    Identity {
        /// What is wrong with it.
        why: String,
    },
}

const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const USER_DATA: &str = "/latest/user-data";

/// A client of the metadata service.
#[derive(Clone, Debug)]
pub struct Imds(aws_config::imds::Client);

impl Imds {
    /// At `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or else at 169.254.169.254.
    #[must_use]
    pub fn new() -> Self {
        // Plain HTTP: no TLS roots are loaded for it. One attempt: the caller tries again, sooner than the SDK would.
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = ProviderConfig::without_region().with_http_client(http);
        let client = aws_config::imds::Client::builder()
            .configure(&config)
            .max_attempts(1)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(2))
            .build();
        Self(client)
    }

    /// Credentials of the instance's role, read when asked for.
    #[must_use]
    pub fn credentials(&self) -> ImdsCredentialsProvider {
        ImdsCredentialsProvider::builder().imds_client(self.0.clone()).build()
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
        match self.0.get(USER_DATA).await {
            Ok(text) => Ok(UserData::Text(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(UserData::Absent),
            // The client answers in text alone and has no variant for anything else.
            Err(error @ ImdsError::Unexpected(_)) if chain(&error).contains("UTF-8") => Ok(UserData::Binary),
            Err(error) => Err(no_answer(USER_DATA, &error)),
        }
    }

    async fn get(&self, path: &'static str) -> Result<Option<String>, MetadataError> {
        match self.0.get(path).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(no_answer(path, &error)),
        }
    }
}

impl Default for Imds {
    fn default() -> Self {
        Self::new()
    }
}

fn no_answer(path: &'static str, error: &ImdsError) -> MetadataError {
    let why = match error {
        // Its Display quotes the whole answer.
        ImdsError::ErrorResponse(answer) => format!("status {}", answer.response().status().as_u16()),
        other => chain(other),
    };
    MetadataError::NoAnswer { path, why }
}
