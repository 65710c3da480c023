//! This instance's registration in SSM Parameter Store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_ssm::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ssm::error::BoxError;
use aws_sdk_ssm::operation::delete_parameter::{DeleteParameterError, DeleteParameterOutput};
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use futures::future::BoxFuture;
use secrecy::SecretString;
use tracing::info;

use super::{CallError, Fault};
use crate::effects::Registrations;

/// The parameter of one instance, which its role may read and delete by IAM condition.
#[derive(Clone, Debug)]
pub struct SsmRegistrations {
    client: Client,
    parameter: String,
    deletes: Answers,
}

impl SsmRegistrations {
    /// The registration under the name `parameter`.
    #[must_use]
    pub fn new(client: Client, parameter: String) -> Self {
        Self { client, parameter, deletes: Answers::default() }
    }
}

impl SsmRegistrations {
    async fn delete_once(&self) -> Result<DeleteParameterOutput, SdkError<DeleteParameterError, HttpResponse>> {
        let call = self.client.delete_parameter().name(&self.parameter);
        call.customize().interceptor(self.deletes.clone()).send().await
    }
}

/// Counts requests that went out and answers of the service's own to them. One call may be two requests, of which the
/// SDK tells the last one's answer alone.
#[derive(Clone, Debug, Default)]
struct Answers {
    asked: Arc<AtomicU32>,
    answered: Arc<AtomicU32>,
}

impl Answers {
    fn is_one_missing(&self) -> bool {
        self.asked.load(Ordering::Relaxed) > self.answered.load(Ordering::Relaxed)
    }
}

impl Intercept for Answers {
    fn name(&self) -> &'static str {
        "Answers"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Something broke after the request had arrived: it may have been carried out.
        if !context.response().status().is_server_error() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Registrations for SsmRegistrations {
    fn get(&self) -> BoxFuture<'_, Result<Option<SecretString>, CallError>> {
        Box::pin(async {
            let answer = self.client.get_parameter().name(&self.parameter).with_decryption(true).send().await;
            match answer {
                Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value).map(SecretString::from)),
                Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                    Ok(None)
                }
                Err(error) => Err(CallError::new(format!("reading parameter {}", self.parameter), &error)),
            }
        })
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async {
            match self.delete_once().await {
                Ok(_) => Ok(()),
                // An earlier try may have deleted it without its answer reaching us.
                Err(error) if error.as_service_error().is_some_and(DeleteParameterError::is_parameter_not_found) => {
                    Ok(())
                }
                Err(error) => {
                    let error = CallError::new(format!("deleting parameter {}", self.parameter), &error);
                    // A parameter that is gone has no tag by which the role may touch it, so IAM denies before SSM looks.
                    if error.fault == Fault::Denied && self.deletes.is_one_missing() {
                        info!(%error, "The registration was deleted by a try whose answer was lost");
                        return Ok(());
                    }
                    Err(error)
                }
            }
        })
    }
}
