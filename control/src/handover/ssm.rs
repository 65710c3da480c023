//! Registrations in SSM Parameter Store.

use aws_sdk_ssm::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{ParameterTier, ParameterType, Tag},
};
use dayfly_contract::{Registration, names};
use secrecy::ExposeSecret;

use super::HandoverError;
use crate::report::Failure;

/// Parameters under one path.
#[derive(Clone, Debug)]
pub struct SsmHandover {
    client: Client,
    prefix: String,
    kms_key: Option<String>,
}

/// The largest value of a standard parameter, which costs nothing, and of an advanced one, in bytes.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>
const STANDARD: usize = 4096;
const ADVANCED: usize = 8192;

impl SsmHandover {
    /// Parameters under `prefix`, encrypted by `kms_key` (its id, alias or ARN), else by AWS's own key for SSM.
    #[must_use]
    pub fn new(client: Client, prefix: &str, kms_key: Option<&str>) -> Self {
        Self { client, prefix: prefix.to_owned(), kms_key: kms_key.map(str::to_owned) }
    }

    pub(super) fn parts(&self) -> (&Client, &str) {
        (&self.client, &self.prefix)
    }

    fn name(&self, instance: &str) -> String {
        names::registration_parameter(&self.prefix, instance)
    }

    /// Puts the registration of `instance`, if there is none.
    pub async fn put(&self, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        let doing = || format!("handing the registration of {instance} over");
        let value = it.write().map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let tier = tier(value.expose_secret().len())
            .map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let owner = Tag::builder().key(names::TAG_INSTANCE_ID).value(instance).build();
        let owner = owner.map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let sent = self
            .client
            .put_parameter()
            .name(self.name(instance))
            .value(value.expose_secret())
            .r#type(ParameterType::SecureString)
            .overwrite(false)
            .tier(tier)
            .set_key_id(self.kms_key.clone())
            .tags(owner)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ParameterAlreadyExists") => {
                Err(HandoverError::Exists { instance: instance.to_owned() })
            }
            Err(error) => Err(failed(doing(), error)),
        }
    }

    /// Whether a registration of `instance` is there, unclaimed.
    pub async fn exists(&self, instance: &str) -> Result<bool, HandoverError> {
        // Without decryption: what it says is none of our business.
        let sent = self.client.get_parameter().name(self.name(instance)).with_decryption(false).send().await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(false),
            Err(error) => Err(failed(format!("looking for the registration of {instance}"), error)),
        }
    }

    /// Deletes the registration of `instance`, if it is there.
    pub async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        let sent = self.client.delete_parameter().name(self.name(instance)).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(()),
            Err(error) => Err(failed(format!("deleting the registration of {instance}"), error)),
        }
    }
}

/// A registration that SSM takes in no tier.
#[derive(Debug, thiserror::Error)]
#[error("it has {0} bytes, and SSM takes {ADVANCED}; let the fleet's handover be \"s3\"")]
struct TooLong(usize);

/// The tier for a value of `size` bytes. A JIT config comes near the limit of the first.
fn tier(size: usize) -> Result<ParameterTier, TooLong> {
    if size <= STANDARD {
        Ok(ParameterTier::Standard)
    } else if size <= ADVANCED {
        Ok(ParameterTier::Advanced)
    } else {
        Err(TooLong(size))
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
    // Throttling comes as 400 with one of these codes; TooManyUpdates is two writers of one parameter.
    let passes = matches!(code, "ThrottlingException" | "TooManyUpdates" | "InternalServerError") || status >= 500;
    let failure = Failure::new(doing, error);
    if refused && !passes { HandoverError::Permanent(failure) } else { HandoverError::Transient(failure) }
}

#[cfg(test)]
mod tests {
    use super::{ParameterTier, tier};

    #[test]
    fn the_tier_goes_by_the_size() {
        for (size, expected) in [
            (0, Some(ParameterTier::Standard)),
            (4096, Some(ParameterTier::Standard)),
            (4097, Some(ParameterTier::Advanced)),
            (8192, Some(ParameterTier::Advanced)),
            (8193, None),
        ] {
            assert_eq!(tier(size).ok(), expected, "{size}");
        }
        let error = tier(9000).unwrap_err().to_string();
        assert_eq!(error, "it has 9000 bytes, and SSM takes 8192; let the fleet's handover be \"s3\"");
    }
}
