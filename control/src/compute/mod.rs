//! Where instances come from: EC2 ([`ec2`]).

pub mod ec2;
mod images;
pub mod instances;

pub use crate::decide::answer::{Launched, Shortfall};
use crate::{
    decide::{errors::Class, launch::LaunchRequest},
    report::BoxError,
};

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

/// Instances could not be ended.
#[derive(Debug, thiserror::Error)]
#[error("ending {}", instances.join(", "))]
pub struct TerminateError {
    /// The instances.
    pub instances: Vec<String>,
    /// Why.
    #[source]
    pub source: BoxError,
}

/// Instances could not be stopped or started.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}{}", instances.join(", "), code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct PowerError {
    /// `stopping` or `starting`.
    pub doing: &'static str,
    /// The instances.
    pub instances: Vec<String>,
    /// What the error means. After a transient one it may have been done.
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
    /// Instances pending or running that carry the tag of the reservation's `token`.
    fn find(&self, token: &str) -> impl Future<Output = Result<Vec<String>, LaunchError>>;
    /// Ends instances, which never had a job, at once. Those that are gone already are no error.
    fn terminate(&self, instances: &[String]) -> impl Future<Output = Result<(), TerminateError>>;
    /// Has these instances, which never had a job, stopped: all or none. What is stopped already is no error.
    fn stop(&self, instances: &[String]) -> impl Future<Output = Result<(), PowerError>>;
    /// Has a stopped instance started. One that runs already is no error; one that has ended, or is still being stopped, is.
    fn start(&self, instance: &str) -> impl Future<Output = Result<(), PowerError>>;
}
