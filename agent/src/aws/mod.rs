//! AWS as far as the agent needs it: one file per service, each as wide as its caller.
//!
//! Region and credentials come from the instance's metadata alone; nothing else is searched. Endpoints are the SDK's
//! own settings (`AWS_ENDPOINT_URL`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`).

mod connect;
mod error;
pub mod imds;
mod queue;
mod registrations;
mod terminator;

pub use connect::{connect, https};
pub use error::{CallError, Fault};
pub use queue::LifecycleQueue;
pub use registrations::SsmRegistrations;
pub use terminator::Ec2Terminator;
