//! The laptop cloud: everything of Dayfly on one machine.
//!
//! A program begins with [`program::main`], which enters a private world where machines have systemd, and starts a
//! [`Cloud`]: moto, the GitHub emulator, Terraform, the Lambda host and the EC2 host, each in its own crate or file.
//! `laptop` has three parts: [`demo`] runs jobs for a person to watch, [`e2e`] is the end-to-end tests, [`image`] has
//! Packer make an image, and boots it. What else is measured is in `tests/bench`.

pub mod artifacts;
mod aws;
mod cloud;
pub mod demo;
mod deployed;
pub mod e2e;
mod folder;
pub mod image;
mod images;
pub mod leftovers;
pub mod life;
mod moto;
mod packer;
pub mod paths;
pub mod program;
pub mod stop;
mod terraform;
pub mod ui;

pub use aws::Aws;
pub use cloud::{BURST_FLEETS, Cloud, FLEET, LABELS, job, wait_for};
pub use images::Wanted;
pub use terraform::Outputs;
