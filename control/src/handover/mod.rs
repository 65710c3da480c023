//! How a registration gets to its instance: SSM Parameter Store ([`ssm`]), one parameter that this instance alone may
//! read and delete.

pub mod ssm;

use dayfly_contract::Registration;

use crate::report::Failure;

/// A registration could not be handed over or taken back. Never quotes the registration.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// There is one already.
    #[error("a registration for {instance} is there already")]
    Exists {
        /// The instance.
        instance: String,
    },
    /// The store failed or is throttled; the same again may do.
    #[error(transparent)]
    Transient(Failure),
    /// The store refuses.
    #[error(transparent)]
    Permanent(Failure),
}

/// What the handlers need of the store.
pub trait Handover {
    /// Puts the registration of `instance`, if there is none.
    fn put(&self, instance: &str, it: &Registration) -> impl Future<Output = Result<(), HandoverError>>;
    /// Whether a registration of `instance` is there, unclaimed.
    fn exists(&self, instance: &str) -> impl Future<Output = Result<bool, HandoverError>>;
    /// Deletes the registration of `instance`, if it is there.
    fn delete(&self, instance: &str) -> impl Future<Output = Result<(), HandoverError>>;
}
