//! The agent: runs one GitHub Actions job on the EC2 instance it was booted on, then ends the instance.
//!
//! Start at [`life::live`]: it learns who the instance is ([`boot`]: metadata by [`aws::imds`], [`user_data`],
//! [`settings`]), builds the outside and runs the loop ([`driver::run`]), in which [`sources`] make events, [`core`]
//! decides and [`effects`] acts.
//!
//! - [`core`] is pure: [`core::step`] takes a state, an event and the uptime, and answers a state and actions.
//! - [`sources`] are what happens outside; deadlines are the state's own.
//! - [`effects`] is one match over the actions, with a trait for each part of the outside. [`aws`], [`install`],
//!   [`runner`] and [`hook`] are the real outside, [`telling`] keeps what control could not be told yet.
//! - [`memory`] keeps the state for an agent that systemd restarts; [`watchdog`] has systemd see that it lives.
//! - [`cli`] is what people and image builds ask by hand.
//! - [`clock`], [`backoff`], [`errors`], [`harden`] and [`logging`] serve all of them.
//!
//! A life, briefly: boot; claim the registration and delete it, and make the runner's files ready meanwhile; start the
//! runner, watch it through its jobs; tell control; have EC2 terminate the instance. Every way through ends the
//! instance: by the EC2 API, else by power-off, else by the exit code, on which the unit powers the machine off.

pub mod aws;
pub mod backoff;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod core;
pub mod driver;
pub mod effects;
pub mod errors;
pub mod harden;
pub mod hook;
pub mod install;
pub mod life;
pub mod logging;
pub mod memory;
pub mod runner;
pub mod settings;
pub mod sources;
pub mod telling;
pub mod user_data;
pub mod watchdog;
