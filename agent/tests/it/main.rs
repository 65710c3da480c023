//! The shipped binary in a fake world: metadata service, SSM, SQS and EC2 over HTTP, and a runner written in bash that
//! prints what the real one prints.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]
#![expect(unreachable_pub, reason = "modules of a test binary share freely")]

mod by_hand;
mod claim;
mod cloud;
mod config;
mod ending;
mod job;
mod restart;
mod secrets;
mod telling;
mod world;
