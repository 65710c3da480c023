//! What the account has ([`aws`]): images, what names them, and what instances left behind.

pub mod aws;

use std::collections::BTreeMap;

use crate::{
    decide::housekeeping::{Image, Leftover},
    report::Failure,
};

/// A call to EC2 or SSM failed, after the retries that the client makes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EstateError(#[from] pub Failure);

/// An instance that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The image it was launched from.
    pub image: String,
}

/// A version of a launch template that names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateVersion {
    /// The template's id.
    pub template: String,
    /// The version.
    pub version: String,
    /// The image's id, or `resolve:ssm:` and a parameter.
    pub image: String,
}

/// What the handler needs of the account. Each listing is whole, or fails.
pub trait Estate {
    /// The account's own images, whatever their tags.
    fn images(&self) -> impl Future<Output = Result<Vec<Image>, EstateError>>;
    /// All instances that have not ended.
    fn instances(&self) -> impl Future<Output = Result<Vec<Instance>, EstateError>>;
    /// All versions of all launch templates that name an image.
    fn template_versions(&self) -> impl Future<Output = Result<Vec<TemplateVersion>, EstateError>>;
    /// The names of all parameters that may be read by everybody who may read parameters: those that are no secrets.
    fn parameter_names(&self) -> impl Future<Output = Result<Vec<String>, EstateError>>;
    /// The values of these parameters, without those that do not exist (any more).
    fn parameters(&self, names: &[String]) -> impl Future<Output = Result<BTreeMap<String, String>, EstateError>>;
    /// Registrations in SSM, volumes that are attached to nothing, and requests for spot instances, of this deployment.
    fn leftovers(&self) -> impl Future<Output = Result<Vec<Leftover>, EstateError>>;
    /// Takes an image away. Its snapshots stay. One that is gone is no error.
    fn deregister(&self, image: &str) -> impl Future<Output = Result<(), EstateError>>;
    /// Deletes a snapshot; one that is gone is no error.
    fn delete_snapshot(&self, id: &str) -> impl Future<Output = Result<(), EstateError>>;
    /// Deletes, or cancels, a leftover that is not in S3; one that is gone is no error.
    fn delete(&self, it: &Leftover) -> impl Future<Output = Result<(), EstateError>>;
}
