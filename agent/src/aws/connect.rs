//! One SDK configuration for all clients.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

use super::credentials::Prefetched;
use super::{Network, RoleCredentials};

/// The configuration for `region`, by way of `network`, with credentials from `provider`; `first` are some it has given
/// already.
pub async fn connect_through(
    network: &Network,
    region: String,
    provider: RoleCredentials,
    first: Option<Credentials>,
) -> SdkConfig {
    // Callers try again themselves, with a limit. The SDK's own second attempt mends a clock that is wrong at boot
    // and a connection that was closed while idle.
    let retry = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
    let timeout = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(5))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(Prefetched::new(first, provider))
        .http_client(network.client())
        .retry_config(retry)
        .timeout_config(timeout)
        .load()
        .await
}
