//! How a registration gets to its instance: by SSM Parameter Store ([`ssm`]) or S3 ([`s3`]), as its fleet says
//! ([`stores`]). Either way the one instance alone may read and delete it.

pub mod leftovers;
pub mod s3;
pub mod ssm;
pub mod stores;

use dayfly_contract::Registration;

use crate::{fleets, report::Failure};

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

/// What the handlers need of the stores. `by` is the fleet's choice of one.
pub trait Handover {
    /// Puts the registration of `instance`, if there is none.
    fn put(
        &self,
        by: fleets::Handover,
        instance: &str,
        it: &Registration,
    ) -> impl Future<Output = Result<(), HandoverError>>;
    /// Whether a registration of `instance` is there, unclaimed.
    fn exists(&self, by: fleets::Handover, instance: &str) -> impl Future<Output = Result<bool, HandoverError>>;
    /// Deletes the registration of `instance`, wherever it is, if it is there: the fleet may have changed its choice, and
    /// whoever hears of an instance's end does not know it.
    fn delete(&self, instance: &str) -> impl Future<Output = Result<(), HandoverError>>;
}
