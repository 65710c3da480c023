//! One SDK configuration for all clients.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// An HTTP client with rustls and ring.
#[must_use]
pub fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The configuration for `region`, with credentials from `provider`; `first` are some it has given already.
pub async fn connect(region: String, provider: ImdsCredentialsProvider, first: Option<Credentials>) -> SdkConfig {
    // Callers try again themselves, with a limit. The SDK's own second attempt mends a clock that is wrong at boot
    // and a connection that was closed while idle.
    let retry = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
    let timeout = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(5))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(Prefetched { first: Mutex::new(first), provider })
        .http_client(https())
        .retry_config(retry)
        .timeout_config(timeout)
        .load()
        .await
}

/// Answers the first call with credentials that were fetched while the agent waited for other metadata.
struct Prefetched {
    first: Mutex<Option<Credentials>>,
    provider: ImdsCredentialsProvider,
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
