//! The one-use registration, handed to one instance through SSM Parameter Store.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::VERSION;

/// What control puts at `<registration_prefix>/<instance id>` for one instance to claim, once.
///
/// `Debug` shows no secret; only [`Registration::write`] does, for the parameter's value.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Registration {
    /// Version of this document.
    pub version: u32,
    /// The reservation in the ledger that this instance was launched under.
    pub reservation: String,
    /// The runner's id at GitHub.
    pub runner_id: u64,
    /// The runner's name at GitHub.
    pub runner_name: String,
    /// GitHub's `encoded_jit_config`.
    #[serde(serialize_with = "exposed")]
    pub jit_config: SecretString,
}

/// Why a registration was refused. Never quotes the document: it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not JSON, or a field is missing or of another type.
    #[error("registration is unreadable at line {line}, column {column}")]
    Unreadable {
        /// Line of the first mistake.
        line: usize,
        /// Column of the first mistake.
        column: usize,
    },
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
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            None | Some(0) => return Err(RegistrationError::NoVersion),
            Some(found) if found > u64::from(VERSION) => return Err(RegistrationError::TooNew { found }),
            Some(_) => {}
        }
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }

    /// The document with its secret, for the parameter's value and nothing else.
    pub fn write(&self) -> Result<SecretString, serde_json::Error> {
        Ok(SecretString::from(serde_json::to_string(self)?))
    }
}

/// serde's messages can quote values, and here every value may be a secret: only the place is kept.
fn unreadable(error: &serde_json::Error) -> RegistrationError {
    RegistrationError::Unreadable { line: error.line(), column: error.column() }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
