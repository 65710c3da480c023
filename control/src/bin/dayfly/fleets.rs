//! `dayfly fleets`: the fleets document, read and asked as the control plane does it.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use dayfly_contract::names;
use dayfly_control::{
    aws,
    config::s3_object,
    decide::route::{Job, route},
    fleets::{Fleets, SCHEMA, unknown_fields},
};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum FleetsCommand {
    /// Tells every mistake in a fleets document, and warns of what is hardly meant.
    Check(Document),
    /// Tells which fleet takes a job, and of each why or why not.
    Match {
        #[command(flatten)]
        document: Document,
        #[command(flatten)]
        job: JobArguments,
        /// Answers with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Prints the document's JSON Schema.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Document {
    /// The document (JSON): a file, - for standard input, or `s3://bucket/key`.
    #[arg(value_name = "FILE", env = "DAYFLY_FLEETS", default_value = "fleets.json")]
    file: String,
}

#[derive(Debug, Args)]
pub(crate) struct JobArguments {
    /// The labels in the job's `runs-on`, with commas between.
    #[arg(long, value_delimiter = ',', required = true)]
    labels: Vec<String>,
    /// The job's repository, `owner/repo`.
    #[arg(long, default_value = "any/any", value_parser = repository)]
    repository: String,
    /// The job runs what a fork of a public repository has.
    #[arg(long)]
    public_fork: bool,
    /// The job's id, which picks among equals where ties are spread.
    #[arg(long, default_value_t = 0)]
    job_id: u64,
}

fn repository(text: &str) -> Result<String, String> {
    let whole = text.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty());
    if whole { Ok(text.to_owned()) } else { Err("expected owner/repo".to_owned()) }
}

pub(crate) fn run(command: &FleetsCommand) -> ExitCode {
    match command {
        FleetsCommand::Check(document) => {
            read(document).map_or_else(|code| code, |(fleets, value)| check(&fleets, &value))
        }
        FleetsCommand::Match { document, job, json } => {
            read(document).map_or_else(|code| code, |(fleets, _)| tell_route(&fleets, job, *json))
        }
        FleetsCommand::Schema => {
            say(SCHEMA.trim_end());
            ExitCode::SUCCESS
        }
    }
}

/// The document as it is understood and as it is written, or how the command ends.
fn read(document: &Document) -> Result<(Fleets, Value), ExitCode> {
    let from = &document.file;
    let text = text(from).map_err(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })?;
    let fleets = Fleets::read(&text).map_err(|problems| {
        for problem in &problems.0 {
            complain(&format!("{from}: {problem}"));
        }
        ExitCode::from(names::EXIT_CONFIG)
    })?;
    // It has been read as JSON just now.
    Ok((fleets, serde_json::from_str(&text).unwrap_or_default()))
}

fn text(from: &str) -> anyhow::Result<String> {
    if from == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("reading standard input")?;
        return Ok(text);
    }
    let Some(object) = s3_object(from) else {
        return std::fs::read_to_string(from).with_context(|| format!("reading {from}"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(aws::text(&aws::s3(&aws::config().await), &object).await?) })
}

fn check(fleets: &Fleets, value: &Value) -> ExitCode {
    for field in unknown_fields(value) {
        complain(&format!("warning: {field}: nobody reads a field of that name"));
    }
    for warning in fleets.warnings() {
        complain(&format!("warning: {warning}"));
    }
    say(&format!("{} fleets, no mistakes", fleets.fleets.len()));
    ExitCode::SUCCESS
}

fn tell_route(fleets: &Fleets, job: &JobArguments, json: bool) -> ExitCode {
    let labels: Vec<String> = job.labels.iter().filter(|label| !label.is_empty()).cloned().collect();
    let job = Job { id: job.job_id, labels: &labels, repository: &job.repository, public_fork: job.public_fork };
    let decision = route(fleets, &job);
    if json {
        say(&decision.json().to_string());
    } else {
        for candidate in &decision.candidates {
            complain(&candidate.to_string());
        }
        match decision.fleet {
            Some(fleet) => say(&fleet.name),
            None => {
                complain(&format!("no fleet takes a job of {} with the labels {}", job.repository, labels.join(", ")));
            }
        }
    }
    if decision.fleet.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of the answer. Whoever reads it may have read enough.
fn say(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// A line beside the answer.
fn complain(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
