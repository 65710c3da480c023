//! `Runner.Listener`: waits for jobs and has a worker run them.
//!
//! [`connection`] (a thread) and the signal thread report into one channel; [`run`] turns reports into events for
//! [`core::step`] and carries out what that decides.

pub mod assignment;
pub mod connection;
pub mod core;
pub mod exit;
pub mod report;
mod run;

use std::{ffi::OsString, path::Path};

use anyhow::Context;

use crate::{
    VERSION, configure, envfile,
    input::{Command, Env, Input},
    root::Root,
    settings::{self, Settings},
    words::{self, complain, say},
};

const USAGE: &str = "
Commands:
 ./config.sh         Configures the runner
 ./config.sh remove  Unconfigures the runner
 ./run.sh            Runs the runner interactively. Does not require any options.";

/// The program; answers with its exit code.
#[must_use]
pub fn main(argv0: &Path, args: &[OsString], env: Env) -> u8 {
    match dispatch(argv0, args, env) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            exit::TERMINATED
        }
    }
}

fn dispatch(argv0: &Path, args: &[OsString], env: Env) -> anyhow::Result<u8> {
    let mut input = Input::read(args, env)?;
    if input.flag("version") || input.flag("commit") {
        say(VERSION);
        return Ok(exit::SUCCESS);
    }
    if input.flag("help") {
        say(USAGE);
        return Ok(exit::SUCCESS);
    }
    let root = Root::of(argv0, &std::env::current_dir().context("finding the current folder")?)?;
    input.env = envfile::applied(&root, input.env);
    match input.command {
        Command::Configure => configure::configure(&root, &input).map(|()| exit::SUCCESS),
        Command::Remove => configure::remove(&root, &input).map(|()| exit::SUCCESS),
        Command::Warmup => warm_up(&root).map(|()| exit::SUCCESS),
        Command::Run => {
            if let Some(config) = input.value("jitconfig") {
                settings::write_jit(&root, config)?;
            }
            if !Settings::exist(&root) {
                complain(words::NOT_CONFIGURED);
                say(USAGE);
                return Ok(exit::TERMINATED);
            }
            let settings = Settings::load(&root)?;
            run::run(root, settings, input)
        }
    }
}

/// The real one loads and compiles its assemblies; reading all of `bin/` has the same effect on a cold disk.
fn warm_up(root: &Root) -> anyhow::Result<()> {
    let bin = root.join("bin");
    for entry in std::fs::read_dir(&bin).with_context(|| format!("listing {}", bin.display()))?.flatten() {
        if let Ok(mut file) = std::fs::File::open(entry.path()) {
            drop(std::io::copy(&mut file, &mut std::io::sink()));
        }
    }
    Ok(())
}
