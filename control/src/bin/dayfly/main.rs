//! `dayfly`: the operator's command line.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a text is written once for a person: how its code reads counts, not what it costs"
)]

mod deployed;
mod doctor;
mod drain;
mod explain;
mod fleets;
mod jobs;
mod launch;
mod output;
mod place;
mod reconcile;
mod report;
mod retire;
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
    /// Looks at everything that a deployment needs.
    Doctor(doctor::Doctor),
    /// Retires a runner that has no job.
    Retire(retire::Retire),
    /// Lets a fleet launch nothing more.
    Drain(drain::Drain),
    /// Reports queue times, jobs and costs.
    Report(report::ReportCommand),
    /// Tells what reconcile would do, and why.
    Reconcile(reconcile::Reconcile),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Fleets(command) => fleets::run(&command),
        Command::Jobs(command) => output::finish(jobs::run(&command)),
        Command::Runners(command) => output::finish(runners::run(&command)),
        Command::Launch(command) => output::finish(launch::run(&command)),
        Command::Explain(command) => output::finish(explain::run(&command)),
        Command::Doctor(command) => doctor::run(&command),
        Command::Retire(command) => output::finish(retire::run(&command)),
        Command::Drain(command) => output::finish(drain::run(&command)),
        Command::Report(command) => output::finish(report::run(&command)),
        Command::Reconcile(command) => output::finish(reconcile::run(&command)),
    }
}
