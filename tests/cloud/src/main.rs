//! The laptop cloud: everything of Dayfly on one machine.
//!
//! `laptop demo` runs jobs for a person to watch, `laptop e2e` the end-to-end tests, `laptop bench` measures. All start a [`cloud::Cloud`]:
//! moto, the GitHub emulator, Terraform, the Lambda host and the EC2 host, each in its own crate or file. As root all of
//! it runs in a private world, which the program enters first.

mod artifacts;
mod aws;
mod bench;
mod cloud;
mod demo;
mod deployed;
mod e2e;
mod folder;
mod leftovers;
mod life;
mod moto;
mod paths;
mod stop;
mod terraform;
mod ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use laptop_ec2::world::{self, Place};

use crate::cloud::Machines;

/// Everything of Dayfly on one machine.
#[derive(Debug, Parser)]
#[command(name = "laptop", version)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs jobs from webhook to the instances' end, and shows it.
    Demo {
        /// How many jobs to queue at once.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
        jobs: u16,
        /// Leave everything up, and print the addresses.
        #[arg(long)]
        keep: bool,
        /// What a machine is; default: systemd as root, else process.
        #[arg(long, value_enum)]
        machines: Option<Machines>,
    },
    /// Measures the programs beside ones that do nothing.
    Bench {
        /// What a machine is; default: systemd as root, else process.
        #[arg(long, value_enum)]
        machines: Option<Machines>,
    },
    /// Runs the end-to-end tests.
    E2e {
        /// What a machine is; default: systemd as root, else process.
        #[arg(long, value_enum, alias = "mode")]
        machines: Option<Machines>,
        /// Run only tests whose name contains this.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            ui::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen = match &arguments.command {
        What::Demo { machines, .. } | What::Bench { machines } | What::E2e { machines, .. } => *machines,
    };
    let default = if nix::unistd::geteuid().is_root() { Machines::Systemd } else { Machines::Process };
    let machines = chosen.unwrap_or(default);
    let rootfs = prepare(machines)?;
    if machines == Machines::Systemd {
        let again: Vec<OsString> = std::env::args_os().skip(1).collect();
        if let Place::Left(left) = world::enter(&again)? {
            anyhow::ensure!(left.leftovers.is_empty(), "left on this machine:\n  {}", left.leftovers.join("\n  "));
            return Ok(ExitCode::from(u8::try_from(left.code).unwrap_or(1)));
        }
    }
    let folder = folder::make(machines)?;
    // The hosts' own log, beside those of what they host.
    let log = std::fs::File::create(folder.join("laptop.log"))?;
    tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(log)).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match arguments.command {
            What::Demo { jobs, keep, .. } => {
                demo::run(jobs.into(), keep, machines, &folder, rootfs.as_deref()).await.map(|()| ExitCode::SUCCESS)
            }
            What::Bench { .. } => {
                stop::or(bench::run(machines, &folder, rootfs.as_deref())).await.map(|()| ExitCode::SUCCESS)
            }
            What::E2e { filter, .. } => {
                stop::or(e2e::run(machines, filter.as_deref(), &folder, rootfs.as_deref())).await
            }
        }
    });
    // A test in the middle of its wait need not be waited for.
    runtime.shutdown_background();
    match &outcome {
        Ok(code) if *code == ExitCode::SUCCESS => {
            std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        _ => ui::complain(&format!("logs are in {}", folder.display())),
    }
    outcome
}

/// What needs the network, which the private world has not: done before it is entered, and once.
fn prepare(machines: Machines) -> Result<Option<PathBuf>> {
    let cache = paths::cache();
    std::fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    if !world::is_inside() {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(terraform::init())?;
    }
    if machines == Machines::Process {
        return Ok(None);
    }
    laptop_ec2::image::ensure_rootfs(&cache, &mut |line| ui::complain(line)).map(Some)
}
