//! What GitHub answers, as far as it is used.

use secrecy::SecretString;
use serde::Deserialize;

use crate::github::{groups::Group, tokens::Token};

#[derive(Deserialize)]
pub(super) struct AccessToken {
    pub(super) token: SecretString,
    pub(super) expires_at: jiff::Timestamp,
}

#[derive(Deserialize)]
pub(super) struct WithId {
    pub(super) id: u64,
}

#[derive(Deserialize)]
pub(super) struct JitAnswer {
    pub(super) runner: WithId,
    pub(super) encoded_jit_config: SecretString,
}

#[derive(Deserialize)]
pub(super) struct RunnerList {
    pub(super) runners: Vec<ListedRunner>,
}

#[derive(Deserialize)]
pub(super) struct ListedRunner {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) busy: bool,
}

#[derive(Deserialize)]
pub(super) struct GroupList {
    pub(super) runner_groups: Vec<Group>,
}

#[derive(Deserialize)]
pub(super) struct RunAnswer {
    pub(super) event: String,
    pub(super) head_repository: Option<Named>,
    pub(super) repository: Option<Own>,
}

#[derive(Deserialize)]
pub(super) struct Own {
    /// Also of one that is internal.
    #[serde(default)]
    pub(super) private: bool,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) full_name: String,
}

impl AccessToken {
    pub(super) fn into_token(self, installation: u64) -> Token {
        let expires_at = u64::try_from(self.expires_at.as_millisecond()).unwrap_or(0);
        Token { secret: self.token, expires_at, installation }
    }
}
