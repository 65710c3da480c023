//! `laptop demo` runs jobs for a person to watch, `laptop e2e` the end-to-end tests.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use laptop::{demo, e2e, program, stop};

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
    /// Runs the end-to-end tests.
    E2e {
        /// Run only tests whose name contains this.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { options, command } = Arguments::parse();
    program::main(&options, async |run| match command {
        What::Demo { jobs, keep } => demo::run(run, jobs.into(), keep).await,
        What::E2e { filter } => stop::or(e2e::run(run, filter.as_deref())).await,
    })
}
