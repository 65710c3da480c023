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
    fleets::{Fleets, Owner, SCHEMA, unknown_fields},
    report::counted,
};
use serde_json::{Value, json};

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
    /// The job's repository, `owner/repo`. Without it, it is not looked at whose jobs are taken.
    #[arg(long, value_parser = repository)]
    repository: Option<String>,
    /// The repository is a person's, not an organization's.
    #[arg(long)]
    personal: bool,
    /// The slug of the repository's enterprise. Without it, an enterprise's runners may be given its jobs.
    #[arg(long)]
    enterprise: Option<String>,
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
    say(&format!("{}, no mistakes", counted(fleets.fleets.len(), "fleet")));
    ExitCode::SUCCESS
}

fn tell_route(fleets: &Fleets, job: &JobArguments, json: bool) -> ExitCode {
    let labels: Vec<String> = job.labels.iter().filter(|label| !label.is_empty()).cloned().collect();
    let owner = Owner { is_person: job.personal, enterprise: job.enterprise.clone() };
    let repository = job.repository.as_deref();
    let job = Job { id: job.job_id, labels: &labels, repository, owner: &owner, public_fork: job.public_fork };
    let decision = route(fleets, &job);
    if json {
        let mut answer = decision.json();
        answer["repository"] = json!(repository);
        say(&answer.to_string());
    } else {
        if repository.is_none() {
            complain("whose jobs a fleet takes is not looked at without --repository");
        }
        for candidate in &decision.candidates {
            complain(&candidate.to_string());
        }
        if let Some(fleet) = decision.fleet {
            say(&fleet.name);
        } else {
            let whose = repository.map_or_else(String::new, |repository| format!(" of {repository}"));
            complain(&format!("no fleet takes a job{whose} with the labels {}", labels.join(", ")));
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
