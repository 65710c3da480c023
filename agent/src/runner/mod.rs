//! The runner on this machine: who runs it, what it is given, its process, its files.
//!
//! [`LocalRunner`] is what `effects` sees. [`account`] looks its user up, [`jit`] writes its registration, [`launch`]
//! makes the process, [`process`] names and signals it, [`read_ahead`] warms its files, `installing` gives it what it needs,
//! `local` puts all of it together as the [`Plan`] says.

pub mod access;
pub mod account;
pub mod cgroup;
pub mod cloudwatch;
pub mod env_file;
pub mod environment;
mod files;
mod installing;
pub mod jit;
mod launch;
mod local;
mod plan;
mod power;
pub mod process;
pub mod read_ahead;
pub mod register;
pub mod script;
pub mod setup_info;
pub mod tools;
pub mod work_folder;

pub(crate) use launch::{LISTENER, listener};
pub use local::LocalRunner;
pub use plan::Plan;
