//! Why a call to AWS failed, without the answer's body.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::errors::chain;

/// A failed call. Holds text only: the SDK's errors carry whole answers, and an answer of SSM is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {why}")]
pub struct CallError {
    /// What was being done.
    pub doing: String,
    /// The service's error code, or what kept the call from reaching it.
    pub why: String,
    /// What the caller can make of it.
    pub fault: Fault,
}

/// Kinds of failures, by what a caller does about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The service asks for fewer calls.
    Throttled,
    /// The role may not do that, or not to what it named.
    Denied,
    /// The service refuses this call, and will again.
    Refused,
    /// No answer came, or none of the service's own will: it may work the next time.
    Passing,
}

impl Fault {
    /// Of an answer with this status and error code.
    fn of(status: Option<u16>, code: Option<&str>) -> Self {
        const THROTTLING: [&str; 8] = [
            "SlowDown",
            "ThrottlingException",
            "Throttling",
            "RequestLimitExceeded",
            "TooManyUpdates",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequestsException",
        ];
        const DENYING: [&str; 3] = ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"];
        match (status, code) {
            (_, Some(code)) if THROTTLING.contains(&code) => Self::Throttled,
            (Some(429), _) => Self::Throttled,
            (_, Some(code)) if DENYING.contains(&code) => Self::Denied,
            (Some(400..=499), Some(_)) => Self::Refused,
            _ => Self::Passing,
        }
    }

    /// Whether the next try will not do either.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Denied | Self::Refused)
    }
}

impl CallError {
    /// Explains `error`, which came of `doing`.
    pub fn new<E>(doing: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        let fault = Fault::of(error.raw_response().map(|response| response.status().as_u16()), code);
        let why = match error {
            SdkError::ServiceError(context) => {
                let code = code.unwrap_or("error without a code");
                match context.err().message() {
                    Some(message) => format!("{code} ({message})"),
                    None => code.to_owned(),
                }
            }
            SdkError::ResponseError(_) => "the answer can't be read".to_owned(),
            SdkError::DispatchFailure(failure) => {
                failure.as_connector_error().map_or_else(|| "no answer".to_owned(), |error| chain(error))
            }
            other => chain_of(other),
        };
        Self { doing: doing.into(), why, fault }
    }
}

fn chain_of<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + 'static,
{
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(Fault::of(Some(400), Some("ThrottlingException")), Fault::Throttled);
        assert_eq!(Fault::of(Some(503), Some("SlowDown")), Fault::Throttled);
        assert_eq!(Fault::of(Some(503), Some("RequestLimitExceeded")), Fault::Throttled);
        assert_eq!(Fault::of(Some(400), Some("AccessDeniedException")), Fault::Denied);
        assert_eq!(Fault::of(Some(403), Some("UnauthorizedOperation")), Fault::Denied);
        assert_eq!(Fault::of(Some(400), Some("OperationNotPermitted")), Fault::Refused);
        assert_eq!(Fault::of(Some(500), Some("InternalServerError")), Fault::Passing);
        // A proxy in between, perhaps.
        assert_eq!(Fault::of(Some(404), None), Fault::Passing);
        assert_eq!(Fault::of(None, None), Fault::Passing);
    }
}
