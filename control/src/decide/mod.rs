//! What to do, as pure functions: no clock, no chance, no service.
//!
//! - [`route`]: which fleet a job belongs to.
//! - [`jobs`], [`runners`]: the two state machines.
//! - [`events`]: what a webhook or a lifecycle message changes in the ledger, by these machines.
//! - [`plan`]: how many instances are missing.
//! - [`launch`]: what EC2 is asked for.
//! - [`errors`]: what EC2's errors mean.

pub mod errors;
pub mod events;
pub mod jobs;
pub mod launch;
pub mod plan;
pub mod route;
pub mod runners;
