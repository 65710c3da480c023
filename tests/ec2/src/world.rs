//! A private world for machines: own network, mounts and processes, so that the metadata address belongs to us and all
//! of it vanishes at once.
//!
//! [`enter`] runs the current program again, in three places: *outside* waits, passes signals in and looks for what is
//! left; *init* is the first process inside, sets the world up and collects orphans; *inside* is the program proper.
//! However init ends, the kernel kills every process of the world and drops its mounts and network. Only empty control
//! groups stay, and outside removes them.

mod init;
mod leftovers;
mod outside;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

pub(crate) use outside::require;

/// The world's own address and the machines' gateway: servers inside bind to it (or to 0.0.0.0) to be reached by all.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The gateway, and the link-local services: metadata, name server, time server.
pub(crate) const ADDRESSES: [Ipv4Addr; 4] =
    [GATEWAY, crate::imds::ADDRESS, Ipv4Addr::new(169, 254, 169, 253), Ipv4Addr::new(169, 254, 169, 123)];
/// The bridge that joins the machines.
pub(crate) const BRIDGE: &str = "dayfly0";
/// Prefix of the world's name, which its control group bears too.
const PREFIX: &str = "dayfly-world-";
/// Tells the program where it is: `init:<world>` or `inside:<world>`.
const PLACE: &str = "LAPTOP_WORLD";
/// Folder for notify sockets, in a file system that only this world sees.
const NOTIFY: &str = "/run/systemd/nspawn/notify";

/// Where [`enter`] returns.
#[derive(Debug)]
pub enum Place {
    /// In the world: go on with the program.
    Inside,
    /// Outside, after the world has ended.
    Left(Left),
}

/// What a world left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Exit code of the program inside; 128 + signal if it was killed.
    pub code: i32,
    /// Processes, mounts, loop devices and control groups that are still there, one line each. Should be empty.
    pub leftovers: Vec<String>,
}

/// Runs the current program again with `args` in a private world, or notes that it is there already.
///
/// Call it first in `main`, before there are other threads: the world dies with the thread that called. What needs the
/// internet has to be fetched before: inside there is none.
pub fn enter(args: &[OsString]) -> anyhow::Result<Place> {
    let place = std::env::var(PLACE).unwrap_or_default();
    match place.split_once(':') {
        None if place.is_empty() => outside::run(args).map(Place::Left),
        Some(("init", world)) => init::run(world, args),
        Some(("inside", _)) => {
            init::signals().thread_unblock().context("letting signals in")?;
            Ok(Place::Inside)
        }
        _ => bail!("{PLACE}: found {place:?}, expected nothing: it is set by this program alone"),
    }
}

/// Whether this process runs in a private world.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var(PLACE).is_ok_and(|place| place.starts_with("inside:"))
}

/// This world's name; empty outside.
#[must_use]
pub fn id() -> String {
    let place = std::env::var(PLACE).unwrap_or_default();
    place.split_once(':').map(|(_, world)| world.to_owned()).unwrap_or_default()
}

/// Where machine `id` reports its readiness.
pub(crate) fn notify_socket(id: &str) -> PathBuf {
    PathBuf::from(NOTIFY).join(id)
}
