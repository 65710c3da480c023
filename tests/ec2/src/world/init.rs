//! The first process inside: sets the world up, runs the program, collects orphans.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{ADDRESSES, BRIDGE, NOTIFY, PLACE, Place};
use crate::tools;

/// Never returns `Ok`: ends with the program's exit code, which ends the world.
pub(super) fn run(world: &str, args: &[OsString]) -> anyhow::Result<Place> {
    set_up()?;
    // Before the program is there to be waited for: to the first process of a world a signal that it neither blocks nor
    // handles is lost.
    let signals = signals();
    signals.thread_block().context("blocking signals")?;
    let program = std::env::current_exe().context("finding the current program")?;
    let child = Command::new(program)
        .args(args)
        .env(PLACE, format!("inside:{world}"))
        // A group of its own: signals reach it once, through us.
        .process_group(0)
        .spawn()
        .context("starting the program inside the world")?;
    let program = Pid::from_raw(i32::try_from(child.id()).context("a process id fits")?);
    let code = tend(program, signals)?;
    std::process::exit(code)
}

/// What the first process waits for, and its program inherits blocked: what is passed on, and ends of processes.
pub(super) fn signals() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD].into_iter().collect()
}

/// Passes signals on and collects every process that ends, until the program does.
fn tend(program: Pid, signals: SigSet) -> anyhow::Result<i32> {
    loop {
        if let Some(code) = collect(program)? {
            return Ok(code);
        }
        let signal = signals.wait().context("waiting for a signal")?;
        if signal != Signal::SIGCHLD {
            // One that has just ended is collected above.
            let _ = kill(program, signal);
        }
    }
}

/// Collects what has ended; the program's exit code if it has.
fn collect(program: Pid) -> anyhow::Result<Option<i32>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return Ok(Some(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => return Ok(Some(128 + signal as i32)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("waiting for the program"),
        }
    }
}

fn set_up() -> anyhow::Result<()> {
    // systemd-nspawn refuses to remove its scratch folder on a disk's file system.
    for folder in ["/run/netns", "/run/systemd/nspawn"] {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {folder}"))?;
        mount(Some("dayfly-world"), Path::new(folder), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("mounting {folder}"))?;
    }
    std::fs::create_dir_all(NOTIFY).with_context(|| format!("creating {NOTIFY}"))?;
    let mut batch = vec![
        "link set lo up".to_owned(),
        // A fixed address: else the bridge takes the lowest of its cables', changes it as machines come and go, and
        // the others lose the gateway for seconds.
        format!("link add {BRIDGE} address 02:ec:00:00:00:01 type bridge"),
    ];
    batch.extend(ADDRESSES.iter().map(|address| format!("addr add {address}/32 dev {BRIDGE}")));
    batch.push(format!("link set {BRIDGE} up"));
    for line in batch {
        let output = Command::new("ip").args(line.split(' ')).output().context("starting ip")?;
        tools::checked(&format!("ip {line}"), &output)?;
    }
    // From machine to machine; this setting is the world's own.
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switching on forwarding")
}
