//! `laptop demo` runs jobs for a person to watch, `laptop e2e` the end-to-end tests, `laptop image` has Packer make an image and boots it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use laptop::{Wanted, demo, e2e, image, program, stop};

/// Everything of Dayfly on one machine.
#[derive(Debug, Parser)]
#[command(name = "laptop", version)]
struct Arguments {
    #[command(flatten)]
    options: program::Options,
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
    },
    /// Has Packer make an image, boots it and a stock one, and tells how long each took.
    Image {
        /// How often each is booted.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
        times: u16,
    },
    /// Runs the end-to-end tests.
    E2e {
        /// Run only tests whose name contains this.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { mut options, command } = Arguments::parse();
    options.images = match command {
        What::Demo { .. } => Wanted::Usual,
        What::E2e { .. } | What::Image { .. } => Wanted::All,
    };
    program::main(&options, async |run| match command {
        What::Demo { jobs, keep } => demo::run(run, jobs.into(), keep).await,
        What::Image { times } => stop::or(image::run(run, times.into())).await,
        What::E2e { filter } => stop::or(e2e::run(run, filter.as_deref())).await,
    })
}
