//! Where instances come from: EC2 ([`ec2`]).

pub mod ec2;

use crate::{
    decide::{errors::Class, launch::LaunchRequest},
    report::BoxError,
};

/// What came of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// Ids of the instances.
    pub instances: Vec<String>,
    /// Why there are not as many as asked for.
    pub shortfalls: Vec<Shortfall>,
}

/// Why an offer gave no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What its error means.
    pub class: Class,
    /// EC2's code and message.
    pub reason: String,
}

/// A launch that EC2 refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("launching instances under {token}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct LaunchError {
    /// The reservation.
    pub token: String,
    /// What the error means. After a transient one, instances may have been launched.
    pub class: Class,
    /// EC2's code, if it answered.
    pub code: Option<String>,
    /// Why.
    #[source]
    pub source: BoxError,
}

/// What the handlers need of EC2.
pub trait Compute {
    /// Launches instances at once. The same token again gives the same instances.
    fn launch(&self, request: &LaunchRequest) -> impl Future<Output = Result<Launched, LaunchError>>;
    /// Instances pending or running that carry the tag of reservation `id`.
    fn find(&self, id: &str) -> impl Future<Output = Result<Vec<String>, LaunchError>>;
}
