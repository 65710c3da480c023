//! The runner on this machine: who runs it, what it is given, its process, its files.
//!
//! [`LocalRunner`] is what `effects` sees. [`account`] looks its user up, [`jit`] writes its registration, [`launch`]
//! makes the process, [`process`] names and signals it, [`read_ahead`] warms its files, [`local`] puts them together.

pub mod account;
pub mod jit;
mod launch;
mod local;
mod power;
pub mod process;
pub mod read_ahead;

pub use local::LocalRunner;
