//! The AWS SDK, set up once for each process, and what a handler reads at its start.

pub mod calls;
pub mod reads_only;

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use secrecy::SecretString;

use crate::{config::S3Object, report::BoxError};

/// Something a handler needs at its start could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {what}")]
pub struct ReadError {
    what: String,
    #[source]
    source: BoxError,
}

/// Attempts at each call. SSM takes three writes a second, so a burst of registrations is throttled as a matter of
/// course, and the SDK's backoff spreads it.
const ATTEMPTS: u32 = 8;
/// The longest wait between two. The SDK's own 20 s outlast the invocation, which is then killed over a call that would have
/// had its turn long before.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Region, credentials and endpoints from the environment, as the SDK has it; one HTTP client for all services.
pub async fn config() -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(15))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_BACKOFF))
        .load()
        .await
}

/// The client of S3. Path-style addresses work with any endpoint, and with bucket names that hold dots.
#[must_use]
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A `SecureString` parameter, decrypted.
pub async fn secret(client: &aws_sdk_ssm::Client, name: &str) -> Result<SecretString, ReadError> {
    let failed = |source| ReadError { what: format!("the parameter {name}"), source };
    let answer = client.get_parameter().name(name).with_decryption(true).send().await;
    let value = answer.map_err(|error| failed(error.into()))?.parameter.and_then(|parameter| parameter.value);
    value.map(SecretString::from).ok_or_else(|| failed("it has no value".into()))
}

/// An object of S3 as text.
pub async fn text(client: &aws_sdk_s3::Client, object: &S3Object) -> Result<String, ReadError> {
    let failed = |source| ReadError { what: format!("s3://{}/{}", object.bucket, object.key), source };
    let answer = client.get_object().bucket(&object.bucket).key(&object.key).send().await;
    let body = answer.map_err(|error| failed(error.into()))?.body;
    let bytes = body.collect().await.map_err(|error| failed(error.into()))?.into_bytes();
    String::from_utf8(bytes.to_vec()).map_err(|error| failed(error.into()))
}
