//! The agent: runs one GitHub Actions job on the EC2 instance it was booted on, then ends the instance.
//!
//! Start at [`driver::run`]: `sources` make events, [`core`] decides, [`effects`] acts.
//!
//! - [`boot`] learns who the instance is and reads its config: metadata ([`aws::imds`]), [`user_data`], [`settings`].
//! - [`core`] is pure: [`core::step`] takes a state, an event and the uptime, and answers a state and actions.
//! - [`sources`] are signals and the runner's output and exit; deadlines are the state's own.
//! - [`effects`] is one match over the actions, with a trait for each part of the outside. [`aws`] and [`runner`]
//!   are the real outside.
//! - [`memory`] keeps the state for an agent that systemd restarts.
//! - [`clock`], [`backoff`], [`errors`] and [`logging`] serve all of them.
//!
//! A life, briefly: boot, claim the registration from SSM and delete it, give it to the runner, start the runner, follow
//! its output through one job, send one lifecycle message, have EC2 terminate the instance. Every way through ends the
//! instance: by the EC2 API, else by power-off, else by the exit code, on which the unit powers the machine off.

pub mod aws;
pub mod backoff;
pub mod boot;
pub mod clock;
pub mod core;
pub mod driver;
pub mod effects;
pub mod errors;
pub mod logging;
pub mod memory;
pub mod runner;
pub mod settings;
pub mod sources;
pub mod user_data;
