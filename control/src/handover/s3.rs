//! Registrations in S3, for fleets that launch more at a time than SSM takes: it has no limit that a fleet would meet.
//!
//! The object's key ends in `<role id>:<instance id>`, which is `${aws:userid}` of the instance's role, so that a policy
//! can give each instance its own and no other. The bucket has no versions, or what is deleted would stay.

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::head_object::HeadObjectError,
    primitives::ByteStream,
    types::ServerSideEncryption,
};
use dayfly_contract::{Registration, names};
use secrecy::ExposeSecret;

use super::HandoverError;
use crate::report::Failure;

/// Objects of one bucket under one prefix.
#[derive(Clone, Debug)]
pub struct S3Handover {
    client: Client,
    bucket: String,
    prefix: String,
    kms_key: Option<String>,
}

impl S3Handover {
    /// Objects in `bucket` whose keys are `prefix` and the instance's id; encrypted by `kms_key` (its id, alias or ARN)
    /// where there is one, else as the bucket has it.
    #[must_use]
    pub fn new(client: Client, bucket: &str, prefix: &str, kms_key: Option<&str>) -> Self {
        Self { client, bucket: bucket.to_owned(), prefix: prefix.to_owned(), kms_key: kms_key.map(str::to_owned) }
    }

    pub(super) fn parts(&self) -> (&Client, &str, &str) {
        (&self.client, &self.bucket, &self.prefix)
    }

    fn key(&self, instance: &str) -> String {
        names::registration_object(&self.prefix, instance)
    }

    /// Puts the registration of `instance`, if there is none.
    pub async fn put(&self, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        let doing = || format!("handing the registration of {instance} over");
        let value = it.write().map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let sent = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(instance))
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
            .if_none_match("*")
            .content_type("application/json")
            .set_server_side_encryption(self.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(self.kms_key.clone())
            .body(ByteStream::from(value.expose_secret().as_bytes().to_vec()))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 412) => {
                Err(HandoverError::Exists { instance: instance.to_owned() })
            }
            Err(error) => Err(failed(doing(), error)),
        }
    }

    /// Whether a registration of `instance` is there. Takes `s3:ListBucket`: without it S3 says 403 for what is not.
    pub async fn exists(&self, instance: &str) -> Result<bool, HandoverError> {
        let sent = self.client.head_object().bucket(&self.bucket).key(self.key(instance)).send().await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(false),
            Err(error) => Err(failed(format!("looking for the registration of {instance}"), error)),
        }
    }

    /// Deletes the registration of `instance`; S3 does not say whether there was one.
    pub async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(self.key(instance)).send().await;
        sent.map(drop).map_err(|error| failed(format!("deleting the registration of {instance}"), error))
    }
}

/// The SDK has retried what can be retried; what is left is told apart by whether it may pass by itself.
fn failed<E>(doing: String, error: SdkError<E>) -> HandoverError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let refused = matches!(error, SdkError::ServiceError(_) | SdkError::ConstructionFailure(_));
    // 409 ConditionalRequestConflict: a delete of the same key went on at the same time.
    let passes = matches!(code, "SlowDown" | "RequestTimeout") || matches!(status, 409 | 429 | 500..);
    let failure = Failure::new(doing, error);
    if refused && !passes { HandoverError::Permanent(failure) } else { HandoverError::Transient(failure) }
}
