//! Registrations in SSM Parameter Store.

use aws_sdk_ssm::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{ParameterTier, ParameterType, Tag},
};
use dayfly_contract::{Registration, names};
use secrecy::ExposeSecret;

use super::{Handover, HandoverError};
use crate::report::Failure;

/// Parameters under one path.
#[derive(Clone, Debug)]
pub struct SsmHandover {
    client: Client,
    prefix: String,
}

impl SsmHandover {
    /// Parameters under `prefix`.
    #[must_use]
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { client, prefix: prefix.into() }
    }

    fn name(&self, instance: &str) -> String {
        names::registration_parameter(&self.prefix, instance)
    }
}

impl Handover for SsmHandover {
    async fn put(&self, instance: &str, it: &Registration) -> Result<(), HandoverError> {
        let doing = || format!("handing the registration of {instance} over");
        let value = it.write().map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let owner = Tag::builder().key(names::TAG_INSTANCE_ID).value(instance).build();
        let owner = owner.map_err(|error| HandoverError::Permanent(Failure::new(doing(), error)))?;
        let sent = self
            .client
            .put_parameter()
            .name(self.name(instance))
            .value(value.expose_secret())
            .r#type(ParameterType::SecureString)
            .overwrite(false)
            // A JIT config comes near the 4 KiB of the standard tier.
            .tier(ParameterTier::IntelligentTiering)
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

    async fn exists(&self, instance: &str) -> Result<bool, HandoverError> {
        // Without decryption: what it says is none of our business.
        let sent = self.client.get_parameter().name(self.name(instance)).with_decryption(false).send().await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(false),
            Err(error) => Err(failed(format!("looking for the registration of {instance}"), error)),
        }
    }

    async fn delete(&self, instance: &str) -> Result<(), HandoverError> {
        let sent = self.client.delete_parameter().name(self.name(instance)).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(()),
            Err(error) => Err(failed(format!("deleting the registration of {instance}"), error)),
        }
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
