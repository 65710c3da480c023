//! Powering the machine off.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Asks systemd for it. Where systemd does not run the machine, such as for an agent that is tried out on somebody's
/// desk, it is refused.
pub(super) fn power_off() -> io::Result<()> {
    // sd_booted(3)
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(io::Error::other("systemd does not run this machine"));
    }
    let status = Command::new("systemctl")
        .args(["--no-block", "poweroff"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("systemctl poweroff: {status}"))) }
}
