//! Credentials of the instance's role.

use std::error::Error;
use std::fmt;
use std::sync::Mutex;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};

use super::imds::{Imds, is_refused};

/// Reads the role's credentials from the metadata service each time it is asked; the SDK keeps them until they are
/// about to end.
#[derive(Clone, Debug)]
pub struct RoleCredentials(Imds);

impl RoleCredentials {
    pub(super) fn new(imds: Imds) -> Self {
        Self(imds)
    }

    async fn read(&self) -> Result {
        let session = self.0.session();
        // Made anew each time: one that is kept would answer a refused token with credentials of long ago.
        let provider = |client| ImdsCredentialsProvider::builder().imds_client(client).build();
        match provider(session.client.clone()).provide_credentials().await {
            Err(error) if is_token_refused(&error) => {
                self.0.renew(&session);
                provider(self.0.session().client).provide_credentials().await
            }
            answer => answer,
        }
    }
}

fn is_token_refused(error: &CredentialsError) -> bool {
    error.source().and_then(|source| source.downcast_ref::<ImdsError>()).is_some_and(is_refused)
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

/// Answers the first call with credentials that were fetched while the agent waited for other metadata.
pub(super) struct Prefetched {
    first: Mutex<Option<Credentials>>,
    provider: RoleCredentials,
}

impl Prefetched {
    pub(super) fn new(first: Option<Credentials>, provider: RoleCredentials) -> Self {
        Self { first: Mutex::new(first), provider }
    }
}

impl fmt::Debug for Prefetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prefetched")
    }
}

impl ProvideCredentials for Prefetched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        // A poisoned lock only means that somebody panicked between lock and take; the provider still answers.
        let first = self.first.lock().ok().and_then(|mut first| first.take());
        match first {
            Some(credentials) => future::ProvideCredentials::ready(Ok(credentials)),
            None => self.provider.provide_credentials(),
        }
    }
}
