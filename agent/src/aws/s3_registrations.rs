//! This instance's registration in S3, for deployments that launch more at a time than SSM takes.

use aws_sdk_s3::Client;
use futures::future::BoxFuture;
use secrecy::SecretString;

use super::{CallError, objects};
use crate::effects::Registrations;

/// The object of one instance, which its role may read and delete by the `${aws:userid}` in its key.
///
/// Without `s3:ListBucket` S3 says `AccessDenied` for what is not there, as SSM does for another reason; whoever claims
/// takes both for "not yet". Deleting is allowed by the key alone, and S3 says nothing of whether there was an object,
/// so that a delete whose answer was lost is simply done again.
#[derive(Clone, Debug)]
pub struct S3Registrations {
    client: Client,
    bucket: String,
    key: String,
}

impl S3Registrations {
    /// The registration under `key`; `client` is one of [`super::s3`].
    #[must_use]
    pub fn new(client: Client, bucket: String, key: String) -> Self {
        Self { client, bucket, key }
    }
}

impl Registrations for S3Registrations {
    fn get(&self) -> BoxFuture<'_, Result<Option<SecretString>, CallError>> {
        Box::pin(async {
            let text = objects::text(&self.client, &self.bucket, &self.key).await?;
            Ok(text.map(SecretString::from))
        })
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async {
            let answer = self.client.delete_object().bucket(&self.bucket).key(&self.key).send().await;
            answer
                .map(|_| ())
                .map_err(|error| CallError::new(format!("deleting s3://{}/{}", self.bucket, self.key), &error))
        })
    }
}
