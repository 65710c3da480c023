//! All that control writes and the agent reads, and back.
//!
//! An image ages while the control plane is deployed weekly, so an old agent meets a new control plane. Hence the
//! rules of this crate:
//!
//! - Every document carries `version`. A reader refuses a newer one by name and number, never by accident.
//! - Within a version only optional fields are added. A reader passes over fields it does not know.
//! - `golden/` holds one file per document and version; they are read and written in tests, and never edited.
//!
//! [`AgentConfig`] travels in user-data, [`Registration`] through SSM Parameter Store or S3, [`RunnerRelease`] through S3,
//! [`Lifecycle`] through SQS; [`names`] holds the tags, paths and keys both sides agree on.

mod config;
mod fields;
mod lifecycle;
pub mod names;
mod problem;
mod registration;
mod release;
mod runner;
mod timeline;

pub use config::{AgentConfig, BeforeEnd, MetadataAccess, Pool};
pub use fields::Fields;
pub use lifecycle::{Job, JobFacts, Kind, Lifecycle, Reason};
pub use problem::{Problem, Problems};
pub use registration::{Grant, Registration, RegistrationError};
pub use release::{Archive, ArchiveFormat, RunnerRelease};
pub use runner::{LATEST, RunnerConfig, RunnerSource, is_script, is_version, version_numbers};
pub use timeline::{Phase, Timeline};

/// The version of the documents this crate writes, and the newest it reads.
pub const VERSION: u32 = 1;
