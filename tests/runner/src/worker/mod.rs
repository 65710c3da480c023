//! `Runner.Worker`: runs one job, which the listener hands over as one line of JSON on standard input.
//!
//! [`plan`] says what runs and what is skipped, [`context`] prepares folders and variables, [`child`] runs one process
//! and stops it where the job is cancelled, [`commands`] reads what a step wrote for the next ones, [`log`] sends the
//! job's log to the server. The exit code is 100 and the result's number, as with the real one.

pub mod child;
pub mod commands;
pub mod context;
pub mod log;
pub mod plan;
mod run;
pub mod stop;

use std::{
    io::{BufRead, Read},
    path::Path,
    thread,
};

use anyhow::Context as _;
use child::{Happening, Happenings};
use jiff::Timestamp;

use crate::{
    diag::Diag,
    input::Env,
    job::{Assignment, JobResult},
    knobs::Knobs,
    root::Root,
    server::Server,
    signals,
};

/// The program; answers with its exit code.
#[must_use]
pub fn main(argv0: &Path, env: Env) -> u8 {
    let Ok(root) = std::env::current_dir().context("cwd").and_then(|cwd| Root::of(argv0, &cwd)) else {
        return JobResult::Failed.exit_code();
    };
    let diag = Diag::open(&root, "Worker", Timestamp::now());
    let result = work(&root, env, &diag).unwrap_or_else(|error| {
        diag.info(&format!("failed: {error:#}"));
        JobResult::Failed
    });
    diag.info(&format!("Job completed with result: {}", result.word()));
    result.exit_code()
}

fn work(root: &Root, env: Env, diag: &Diag) -> anyhow::Result<JobResult> {
    let happenings = Happenings::new();
    let cancel = happenings.sender();
    signals::watch(move |_| drop(cancel.send(Happening::Cancel))).context("watching for signals")?;
    let assignment = read(&happenings)?;
    diag.info(&format!("Job ID {}", assignment.job.id));
    let server = Server::new(&assignment.server, assignment.token.clone());
    let log = log::Log::start(server, assignment.job.id.clone());
    let knobs = Knobs::of(&env);
    let result = run::Run::new(root, env, &assignment, &log, diag, knobs, happenings).job();
    log.finish();
    Ok(result)
}

/// Reads the job. The pipe stays open as long as the listener lives, so its end means: nobody waits for this job.
fn read(happenings: &Happenings) -> anyhow::Result<Assignment> {
    let mut line = Vec::new();
    let mut input = std::io::stdin().lock();
    input.read_until(b'\n', &mut line).context("reading the job")?;
    drop(input);
    // The text holds a token, so the error tells the place only.
    let assignment = serde_json::from_slice(&line)
        .map_err(|error| anyhow::anyhow!("the job is unreadable at column {}", error.column()))?;
    let cancel = happenings.sender();
    thread::spawn(move || {
        drop(std::io::stdin().lock().read_to_end(&mut Vec::new()));
        drop(cancel.send(Happening::Cancel));
    });
    Ok(assignment)
}
