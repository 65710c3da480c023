//! A program that enters a private world, for this crate's own tests: what it prints and leaves is examined from outside.
//!
//! `exit N` ends at once; `hold` stays with a child, a daemon and a mount until SIGTERM or SIGINT, which it says and
//! exits 5 on.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use laptop_ec2::world::{self, Place};
use nix::sys::signal::{SigSet, Signal};

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match world::enter(&args)? {
        Place::Left(left) => {
            say(&format!("left code={} leftovers={:?}", left.code, left.leftovers))?;
            Ok(ExitCode::from(u8::try_from(left.code).unwrap_or(u8::MAX)))
        }
        Place::Inside => inside(&args.iter().filter_map(|arg| arg.to_str()).collect::<Vec<_>>()),
    }
}

fn inside(args: &[&str]) -> anyhow::Result<ExitCode> {
    say(&format!("inside world={} pid={}", world::id(), std::process::id()))?;
    match args {
        ["exit", code] => Ok(ExitCode::from(code.parse::<u8>().context("an exit code")?)),
        ["hold", marker] => {
            let addresses = Command::new("ip").args(["-brief", "address"]).output().context("starting ip")?;
            say(&String::from_utf8_lossy(&addresses.stdout))?;
            let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
            Command::new("sh").args(["-c", "setsid sleep 2000 & exec sleep 2001"]).env("MARKER", marker).spawn()?;
            let before = SigSet::thread_get_mask()?;
            ensure!(!before.contains(Signal::SIGINT) && !before.contains(Signal::SIGTERM), "blocked: {before:?}");
            signals.thread_block()?;
            say("holding")?;
            let signal = signals.wait()?;
            say(&format!("got {signal}"))?;
            Ok(ExitCode::from(5))
        }
        other => bail!("found {other:?}, expected exit N or hold MARKER"),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing")
}
