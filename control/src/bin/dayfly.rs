//! `dayfly`: the operator's command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use dayfly_contract::names;
use dayfly_control::{decide::route::route, fleets::Fleets};

/// Checks and asks what the control plane would do, by the control plane's own code.
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
    Fleets(FleetsCommand),
}

#[derive(Debug, Subcommand)]
enum FleetsCommand {
    /// Tells every mistake in a fleets document.
    Check {
        /// The document (JSON).
        file: PathBuf,
    },
    /// Tells which fleet takes a job.
    Match {
        /// The document (JSON).
        file: PathBuf,
        /// The labels in the job's `runs-on`.
        #[arg(long, value_delimiter = ',', required = true)]
        labels: Vec<String>,
        /// The job's repository, `owner/repo`.
        #[arg(long, default_value = "any/any")]
        repository: String,
    },
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line's answers and errors")]
fn main() -> ExitCode {
    let Arguments { command: Command::Fleets(command) } = Arguments::parse();
    let (FleetsCommand::Check { file } | FleetsCommand::Match { file, .. }) = &command;
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("reading {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    };
    let fleets = match Fleets::read(&text) {
        Ok(fleets) => fleets,
        Err(problems) => {
            for problem in &problems.0 {
                eprintln!("{}: {problem}", file.display());
            }
            return ExitCode::from(names::EXIT_CONFIG);
        }
    };
    match &command {
        FleetsCommand::Check { .. } => {
            println!("{} fleets, no mistakes", fleets.0.len());
            ExitCode::SUCCESS
        }
        FleetsCommand::Match { labels, repository, .. } => {
            if let Some(fleet) = route(&fleets.0, labels, repository) {
                println!("{}", fleet.name);
                return ExitCode::SUCCESS;
            }
            eprintln!("no fleet takes a job of {repository} with the labels {}", labels.join(", "));
            ExitCode::FAILURE
        }
    }
}
