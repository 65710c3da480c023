//! The one-use registration, handed to one instance through SSM Parameter Store or S3.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::VERSION;

/// What control puts where one instance alone can claim it, once.
///
/// `Debug` shows no secret; only [`Registration::write`] does, for the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Registration {
    /// Version of this document.
    pub version: u32,
    /// The reservation in the ledger that this instance was launched under.
    pub reservation: String,
    /// The runner's name at GitHub.
    pub runner_name: String,
    /// The X-Ray trace of the webhook that the instance was launched for, for log lines alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What lets it in.
    #[serde(flatten)]
    pub grant: Grant,
}

/// What lets a runner in at GitHub. In the document its fields stand beside the others; it is told by the one that is
/// secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Grant {
    /// An ephemeral runner, which exists at GitHub already.
    Jit {
        /// The runner's id at GitHub.
        runner_id: u64,
        /// GitHub's `encoded_jit_config`.
        #[serde(serialize_with = "exposed")]
        jit_config: SecretString,
    },
    /// A reusable runner, which registers itself, as its `config.sh` would.
    Token {
        /// GitHub's registration token: good for an hour.
        #[serde(serialize_with = "exposed")]
        registration_token: SecretString,
        /// The organization, repository or enterprise, as `config.sh` wants it: `https://github.com/octo-org`.
        url: String,
        /// The runner's labels.
        labels: Vec<String>,
        /// The name of its group; GitHub's default where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runner_group: Option<String>,
    },
    /// None: no job is to come, and the instance, which stands by, ends itself.
    Leave {
        /// Why, in a word.
        leave: String,
    },
}

/// Why a registration was refused. Never quotes the document: it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not JSON.
    #[error("registration is unreadable at line {line}, column {column}")]
    Unreadable {
        /// Line of the first mistake.
        line: usize,
        /// Column of the first mistake.
        column: usize,
    },
    /// A field is missing or of another type.
    #[error(
        "registration has not the fields of one: reservation, runner_name and either runner_id and jit_config, or \
             registration_token, url and labels, or leave"
    )]
    Fields,
    /// Written by a control plane that is newer than this agent.
    #[error("registration is version {found}; this agent reads up to {VERSION}: build a newer image")]
    TooNew {
        /// The version found.
        found: u64,
    },
    /// Version 0, or none.
    #[error("registration has no version")]
    NoVersion,
}

impl Registration {
    /// Reads a registration of any version up to [`VERSION`].
    pub fn read(text: &str) -> Result<Self, RegistrationError> {
        // The version decides before the fields do: a newer document may have other fields.
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            // serde's messages can quote values, and here every value may be a secret: only the place is kept.
            RegistrationError::Unreadable { line: error.line(), column: error.column() }
        })?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            None | Some(0) => return Err(RegistrationError::NoVersion),
            Some(found) if found > u64::from(VERSION) => return Err(RegistrationError::TooNew { found }),
            Some(_) => {}
        }
        serde_json::from_value(value).map_err(|_quotes| RegistrationError::Fields)
    }

    /// The document with its secret, for the store and nothing else.
    pub fn write(&self) -> Result<SecretString, serde_json::Error> {
        Ok(SecretString::from(serde_json::to_string(self)?))
    }

    /// The runner's id at GitHub, where it has one already.
    #[must_use]
    pub fn runner_id(&self) -> Option<u64> {
        match self.grant {
            Grant::Jit { runner_id, .. } => Some(runner_id),
            Grant::Token { .. } | Grant::Leave { .. } => None,
        }
    }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
