//! `dayfly`: the operator's command line.

mod explain;
mod fleets;
mod jobs;
mod launch;
mod output;
mod place;
mod runners;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and asks what the control plane does, or would do, by the control plane's own code.
#[derive(Debug, Parser)]
#[command(name = "dayfly", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The fleets document.
    #[command(subcommand)]
    Fleets(fleets::FleetsCommand),
    /// Lists the jobs of the last week.
    Jobs(jobs::Jobs),
    /// Lists the runners.
    Runners(runners::Runners),
    /// Has runners ready that no job asked for.
    Launch(launch::Launch),
    /// Tells why a job has a runner, or none.
    Explain(explain::Explain),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Fleets(command) => fleets::run(&command),
        Command::Jobs(command) => output::finish(jobs::run(&command)),
        Command::Runners(command) => output::finish(runners::run(&command)),
        Command::Launch(command) => output::finish(launch::run(&command)),
        Command::Explain(command) => output::finish(explain::run(&command)),
    }
}
