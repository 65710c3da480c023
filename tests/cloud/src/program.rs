//! What programs on top of the cloud have in common: the way into a private world, the run's folder and log, its end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use laptop_ec2::world::{self, Place};

use crate::images::{self, Images, Wanted};
use crate::{folder, paths, terraform, ui};

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Machines {
    /// A Debian with systemd. Needs root.
    Systemd,
    /// The agent as a plain process.
    Process,
}

/// Options of every such program.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// What a machine is; default: systemd as root, else process.
    #[arg(long, value_enum, global = true)]
    pub machines: Option<Machines>,
    /// Which images there must be.
    #[arg(skip)]
    pub images: Wanted,
}

/// One run of such a program.
#[derive(Debug)]
pub struct Run {
    /// What a machine is.
    pub machines: Machines,
    /// Where it keeps its logs, state and machines. It goes when the run ends well.
    pub folder: PathBuf,
    /// The images, for machines with systemd.
    pub images: Option<Images>,
}

/// Does `work`, and tells why it failed. Machines with systemd live in a private world, for which the program is run
/// again with the same arguments: nothing but reading these may come before.
pub fn main(options: &Options, work: impl AsyncFnOnce(&Run) -> Result<()>) -> ExitCode {
    match enter_and_run(options, work) {
        Ok(code) => code,
        Err(error) => {
            ui::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn enter_and_run(options: &Options, work: impl AsyncFnOnce(&Run) -> Result<()>) -> Result<ExitCode> {
    let default = if nix::unistd::geteuid().is_root() { Machines::Systemd } else { Machines::Process };
    let machines = options.machines.unwrap_or(default);
    let images = prepare(machines, options.images)?;
    if machines == Machines::Systemd {
        let again: Vec<OsString> = std::env::args_os().skip(1).collect();
        if let Place::Left(left) = world::enter(&again)? {
            ensure!(left.leftovers.is_empty(), "left on this machine:\n  {}", left.leftovers.join("\n  "));
            return Ok(ExitCode::from(u8::try_from(left.code).unwrap_or(1)));
        }
    }
    let run = Run { machines, folder: folder::make(machines)?, images };
    // The hosts' own log, beside those of what they host.
    let log = std::fs::File::create(run.folder.join("laptop.log"))?;
    tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(log)).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work(&run));
    // A test in the middle of its wait need not be waited for.
    runtime.shutdown_background();
    if outcome.is_err() {
        ui::complain(&format!("logs are in {}", run.folder.display()));
    } else {
        std::fs::remove_dir_all(&run.folder).with_context(|| format!("removing {}", run.folder.display()))?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What needs the network, which the private world has not: done before it is entered, and once.
fn prepare(machines: Machines, wanted: Wanted) -> Result<Option<Images>> {
    let cache = paths::cache();
    std::fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    if !world::is_inside() {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(terraform::init())?;
    }
    if machines == Machines::Process {
        return Ok(None);
    }
    images::prepare(&cache, wanted).map(Some)
}
