//! AWS as far as the agent needs it: one file per service, each as wide as its caller.
//!
//! Region and credentials come from the instance's metadata alone; nothing else is searched. Endpoints are the SDK's
//! own settings (`AWS_ENDPOINT_URL`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`); proxies and trusted certificates are
//! [`Network`]'s, and the metadata service is asked without them.

mod connect;
mod credentials;
mod error;
pub mod imds;
mod network;
mod objects;
mod queue;
mod registrations;
mod s3_registrations;
mod terminator;

pub use connect::connect_through;
pub use credentials::RoleCredentials;
pub use error::{CallError, Fault};
pub use network::Network;
pub use objects::{S3Objects, s3};
pub use queue::LifecycleQueue;
pub use registrations::SsmRegistrations;
pub use s3_registrations::S3Registrations;
pub use terminator::Ec2Terminator;
