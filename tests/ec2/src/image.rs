//! What machines with systemd boot from: a Debian root file system, cached as one file, and above it a layer with our own
//! files, as an AMI would hold them.

mod build;
mod layer;
mod recipe;

pub use build::ensure_rootfs;
pub use layer::{AmiFiles, ami_layer};
pub use recipe::{RUNNER_ID, RUNNER_USER};
