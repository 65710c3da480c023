//! What machines with systemd boot from: a Debian root file system, cached as one file, and above it a layer with our own
//! files, as an AMI would hold them. Packer's instances have one with the packages that `packer/scripts` install.

mod base;
mod build;
mod layer;
mod recipe;

pub use base::ensure_base;
pub use build::{ensure_rootfs, ensure_stock};
pub use layer::{AmiFiles, ami_layer, files_layer};
pub use recipe::{RUNNER_ID, RUNNER_USER};
