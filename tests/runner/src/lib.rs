//! A stand-in for `actions/runner`, with the real one's contract towards whoever runs it.
//!
//! One binary under three names, picked in `main.rs` by the name it was started as:
//!
//! - `bin/Runner.Listener`: [`input`] reads arguments and environment, [`settings`] the files that say who it is,
//!   [`listener`] waits for jobs ([`listener::core`] decides, the rest acts), [`configure`] is behind `config.sh`.
//! - `bin/Runner.Worker`: [`worker`] runs the steps of one job.
//! - `standin-runner`: [`pack`] writes the release tarball, or the same tree into a folder.
//!
//! [`server`] speaks the private protocol of the GitHub emulator; nothing else knows it. The texts and exit codes are
//! those of actions/runner 2.336.0; [`words`] and [`listener::exit`] hold them.

pub mod configure;
pub mod diag;
pub mod envfile;
pub mod input;
pub mod job;
pub mod knobs;
pub mod listener;
pub mod monitor;
pub mod pack;
pub mod root;
pub mod server;
pub mod settings;
pub mod signals;
pub mod tracking;
pub mod words;
pub mod worker;

/// The version of actions/runner that this stands in for.
pub const VERSION: &str = "2.336.0";
