//! Installation tokens, kept across invocations and fetched once however many ask.

use std::{collections::HashMap, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::{clock::Millis, fleets::Scope};

/// A token of an installation is not used in its last minutes: what it was fetched for may take some.
pub const MARGIN: Millis = 5 * 60 * 1000;
/// A registration token goes to an instance that may still have to boot.
pub const REGISTRATION_MARGIN: Millis = 10 * 60 * 1000;

/// A token that GitHub gave for a time: an installation's, or one to register runners with.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub secret: SecretString,
    /// When it expires.
    pub expires_at: Millis,
    /// The installation it is for; 0 where there is none.
    pub installation: u64,
}

/// One slot for each scope. A slot's lock is held while its token is fetched, so that others wait for that one.
#[derive(Debug)]
pub struct Tokens {
    /// Milliseconds that a token must have left to be used.
    margin: Millis,
    slots: Mutex<HashMap<Scope, Arc<Mutex<Option<Token>>>>>,
}

impl Tokens {
    /// No tokens yet. One is replaced once it has `margin` milliseconds left or less.
    #[must_use]
    pub fn new(margin: Millis) -> Self {
        Self { margin, slots: Mutex::default() }
    }

    /// The token for `scope`: the one kept, or a new one by `fetch`.
    pub async fn get<E>(
        &self,
        scope: &Scope,
        now: Millis,
        fetch: impl AsyncFnOnce() -> Result<Token, E>,
    ) -> Result<Token, E> {
        let slot = self.slot(scope).await;
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref().filter(|token| token.expires_at > now.saturating_add(self.margin)) {
            return Ok(token.clone());
        }
        let token = fetch().await?;
        *slot = Some(token.clone());
        Ok(token)
    }

    /// Forgets the token for `scope` that GitHub refused, unless it was replaced meanwhile.
    pub async fn forget(&self, scope: &Scope, refused: &SecretString) {
        let slot = self.slot(scope).await;
        let mut slot = slot.lock().await;
        if slot.as_ref().is_some_and(|token| token.secret.expose_secret() == refused.expose_secret()) {
            *slot = None;
        }
    }

    async fn slot(&self, scope: &Scope) -> Arc<Mutex<Option<Token>>> {
        Arc::clone(self.slots.lock().await.entry(scope.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use secrecy::ExposeSecret;

    use super::{MARGIN, Scope, SecretString, Token, Tokens};

    async fn ask(tokens: &Tokens, scope: &str, now: u64, fetched: &Cell<u32>) -> Result<String, &'static str> {
        let scope: Scope = scope.parse().unwrap();
        let secret = tokens.get(&scope, now, async || {
            tokio::task::yield_now().await;
            fetched.set(fetched.get() + 1);
            if fetched.get() == 99 {
                return Err("refused");
            }
            let secret = SecretString::from(format!("t{}", fetched.get()));
            Ok(Token { secret, expires_at: now + 3_600_000, installation: 77 })
        });
        Ok(secret.await?.secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn many_askers_fetch_one_token_for_each_scope() {
        let (tokens, fetched) = (Tokens::new(MARGIN), Cell::new(0));
        let asks = (0..20).map(|_| ask(&tokens, "orgs/a", 0, &fetched));
        let all = futures::future::join_all(asks).await;
        assert!(all.iter().all(|token| token == &Ok("t1".to_owned())), "{all:?}");
        assert_eq!(ask(&tokens, "orgs/b", 0, &fetched).await, Ok("t2".to_owned()));
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_it_expires_and_after_it_was_refused() {
        let (tokens, fetched) = (Tokens::new(MARGIN), Cell::new(0));
        let last = 3_600_000 - MARGIN;
        ask(&tokens, "orgs/a", 0, &fetched).await.unwrap();
        assert_eq!(ask(&tokens, "orgs/a", last - 1, &fetched).await, Ok("t1".to_owned()));
        assert_eq!(ask(&tokens, "orgs/a", last, &fetched).await, Ok("t2".to_owned()));
        let scope = "orgs/a".parse().unwrap();
        tokens.forget(&scope, &SecretString::from("t1")).await;
        assert_eq!(ask(&tokens, "orgs/a", last, &fetched).await, Ok("t2".to_owned()), "it was replaced meanwhile");
        tokens.forget(&scope, &SecretString::from("t2")).await;
        assert_eq!(ask(&tokens, "orgs/a", last, &fetched).await, Ok("t3".to_owned()));
    }

    #[tokio::test]
    async fn a_failed_fetch_leaves_nothing_behind() {
        let (tokens, fetched) = (Tokens::new(MARGIN), Cell::new(98));
        assert_eq!(ask(&tokens, "orgs/a", 0, &fetched).await, Err("refused"));
        assert_eq!(ask(&tokens, "orgs/a", 0, &fetched).await, Ok("t100".to_owned()));
    }
}
