//! What machines with systemd boot from: a Debian root file system, cached as one file, and above it a layer with our own
//! files, as an AMI would hold them. A baked image has them within: `packer/scripts` have made it of a stock one.

mod baked;
mod build;
mod layer;
mod recipe;

pub use baked::{Provisioning, ensure_baked};
pub use build::{ensure_rootfs, ensure_stock};
pub use layer::{AmiFiles, ami_layer, settings_layer};
pub use recipe::{RUNNER_ID, RUNNER_USER};
