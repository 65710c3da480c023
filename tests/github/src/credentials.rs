//! What the emulator hands out to be shown again: installation tokens, and tokens to register or remove a runner.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::model::Owner;

/// Permissions by name, each `read` or `write`.
pub(crate) type Permissions = BTreeMap<String, String>;

/// What an installation token may do.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) installation: u64,
    pub(crate) permissions: Permissions,
    /// Repositories (`owner/name`) it is limited to.
    pub(crate) repositories: Option<Vec<String>>,
    pub(crate) expires_at: Timestamp,
}

/// What a runner token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register,
    Remove,
}

#[derive(Clone, Debug)]
struct RunnerToken {
    purpose: Purpose,
    owner: Owner,
    expires_at: Timestamp,
}

/// All tokens that were handed out. No `Debug`: the keys are secrets.
#[derive(Default)]
pub(crate) struct Credentials {
    installation: HashMap<String, Grant>,
    runner: HashMap<String, RunnerToken>,
    jwts: HashSet<String>,
}

impl Credentials {
    pub(crate) fn issue(&mut self, token: String, grant: Grant) {
        self.installation.insert(token, grant);
    }

    /// The grant of a token that is still good.
    pub(crate) fn grant(&self, token: &str, now: Timestamp) -> Option<Grant> {
        self.installation.get(token).filter(|grant| now < grant.expires_at).cloned()
    }

    pub(crate) fn issue_runner_token(&mut self, token: String, purpose: Purpose, owner: Owner, expires_at: Timestamp) {
        self.runner.insert(token, RunnerToken { purpose, owner, expires_at });
    }

    /// Whose runners a token may register or remove, while it is good. Like GitHub's, it can be used many times.
    pub(crate) fn runner_token(&self, token: &str, purpose: Purpose, now: Timestamp) -> Option<&Owner> {
        let found = self.runner.get(token)?;
        (found.purpose == purpose && now < found.expires_at).then_some(&found.owner)
    }

    /// Notes a JWT; false if it was seen before.
    pub(crate) fn first_seen(&mut self, jwt: &str) -> bool {
        self.jwts.insert(jwt.to_owned())
    }
}

/// What the App's installation may do: what Dayfly asks its users to grant.
pub(crate) fn app_permissions() -> Permissions {
    [
        ("actions", "write"),
        ("administration", "write"),
        ("checks", "read"),
        ("metadata", "read"),
        ("organization_hooks", "write"),
        ("organization_self_hosted_runners", "write"),
        ("repository_hooks", "write"),
    ]
    .map(|(name, level)| (name.to_owned(), level.to_owned()))
    .into()
}

/// Whether `have` covers `want`.
pub(crate) fn covers(have: &Permissions, name: &str, want: &str) -> bool {
    have.get(name).is_some_and(|level| level == want || level == "write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_covers_read_and_not_the_other_way_round() {
        let have: Permissions = [("a".to_owned(), "write".to_owned()), ("b".to_owned(), "read".to_owned())].into();
        assert!(covers(&have, "a", "read") && covers(&have, "a", "write") && covers(&have, "b", "read"));
        assert!(!covers(&have, "b", "write") && !covers(&have, "c", "read"));
    }
}
