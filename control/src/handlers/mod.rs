//! The Lambda functions: each reads, asks [`crate::decide`], writes, and tells. Their dependencies are arguments, so
//! that tests and the simulation call the same functions.

pub(crate) mod asking;
pub mod batch;
mod ending;
mod forks;
pub mod housekeep;
pub mod lifecycle;
mod raising;
pub mod reconcile;
pub mod retire;
pub mod scale_up;
pub mod sync_runner;
pub mod webhook;
