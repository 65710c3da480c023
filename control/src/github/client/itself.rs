//! Requests in the identity's own name.

use std::sync::atomic::Ordering;

use http::StatusCode;
use secrecy::SecretString;
use tracing::warn;

use super::Client;
use crate::{
    clock::{Clock, seconds},
    github::{
        jwt::AppKey,
        rest::{Answer, Ask, Failed},
        usage::Whose,
    },
    ledger::Notes,
};

impl<C: Clock, N: Notes> Client<C, N> {
    /// A request as the App itself; once more where it was refused and GitHub's clock may be why.
    pub(super) async fn as_app(&self, key: &AppKey, ask: Ask<'_>) -> Result<Answer, Failed> {
        let answer = self.as_itself(&self.bearer(key)?, ask).await;
        let theirs = match &answer {
            Err(Failed::Answered(refusal)) if refusal.status == StatusCode::UNAUTHORIZED => refusal.at,
            _ => None,
        };
        let now = seconds(self.rest.clock.now());
        if let Some(theirs) = theirs
            && self.skew.learn(theirs, now)
        {
            warn!(
                github.ahead_seconds = i128::from(theirs) - i128::from(now),
                "GitHub's clock is not ours; the App's token is made for GitHub's"
            );
            return self.as_itself(&self.bearer(key)?, ask).await;
        }
        answer
    }

    /// The App's own token for this moment.
    fn bearer(&self, key: &AppKey) -> Result<SecretString, Failed> {
        let now = self.skew.their_time(seconds(self.rest.clock.now()));
        key.token(now, &self.rest.clock.uuid()).map_err(|error| Failed::Unreached(error.into()))
    }

    /// A request with the identity's own `bearer`. It is noted whether GitHub knows it.
    pub(super) async fn as_itself(&self, bearer: &SecretString, ask: Ask<'_>) -> Result<Answer, Failed> {
        let answer = self.rest.send(bearer, &Whose::Own, ask).await;
        match &answer {
            Err(failed) if failed.is(StatusCode::UNAUTHORIZED) => self.disowned.store(true, Ordering::Relaxed),
            Ok(_) | Err(Failed::Answered(_)) => self.disowned.store(false, Ordering::Relaxed),
            // It was not asked.
            Err(_) => {}
        }
        answer
    }
}
