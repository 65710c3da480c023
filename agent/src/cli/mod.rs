//! `dayfly-agent` by hand. Without a command it is the agent itself, as the unit starts it.
//!
//! [`status`] tells of the agent that runs here; [`check`], [`warm_up`] and [`version`] are for image builds; `hook` is
//! what our job hooks call. What is asked for goes to standard output, what went wrong to standard error.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::errors::chain;
use crate::hook::client::{self, HookError};
use crate::hook::{FOLDER, HookWord, SOCKET};
use crate::settings::Settings;

pub mod check;
mod local;
pub mod status;
pub mod version;
pub mod wait;
pub mod warm_up;

/// The command line. Wrong usage ends the process with 2.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "dayfly-agent", version, about = "Runs GitHub Actions jobs on this EC2 instance, then ends it")]
pub struct Cli {
    /// What to do; without it the agent runs, as its systemd unit starts it.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be asked for by hand.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Tell what the agent on this machine is doing (needs root).
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check whether this machine, or an image of one, is fit to run jobs.
    Check {
        /// A JSON list.
        #[arg(long)]
        json: bool,
        /// Root folder of the image.
        #[arg(long, value_name = "FOLDER", default_value = "/")]
        root: PathBuf,
    },
    /// Have the runner load all its code once, so that it starts faster later; for image builds.
    WarmUp,
    /// Tell which build of the agent this is.
    Version,
    /// Wait until no job runs any more, whether an agent lives or not; for the unit that ends the machine then.
    #[command(hide = true)]
    WaitForJob,
    /// Tell the agent of a job; called by its own job hooks.
    #[command(hide = true)]
    Hook {
        /// Which hook runs.
        #[arg(value_enum)]
        word: HookWord,
        /// The agent's socket.
        #[arg(long, value_name = "PATH", default_value_os_t = PathBuf::from(FOLDER).join(SOCKET))]
        socket: PathBuf,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Status(#[from] status::NoStatus),
    #[error(transparent)]
    WarmUp(#[from] warm_up::WarmUpError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("writing the answer")]
    Output(#[from] io::Error),
}

/// Does what `command` asks for, to the process's own outputs. Exit code 0 for well done, 1 for an image that is not fit
/// and for anything that failed.
#[must_use]
pub fn run(command: &Command, settings: &Settings) -> ExitCode {
    ExitCode::from(answer(command, settings, &mut io::stdout().lock(), &mut io::stderr().lock()))
}

fn answer(command: &Command, settings: &Settings, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match carry_out(command, settings, out) {
        Ok(well) => u8::from(!well),
        Err(error) => {
            // With standard error gone there is nobody to tell.
            let _unheard = writeln!(err, "dayfly-agent: {}", chain(&error));
            1
        }
    }
}

fn carry_out(command: &Command, settings: &Settings, out: &mut dyn Write) -> Result<bool, CliError> {
    match command {
        Command::Status { json } => {
            let status = status::read(settings)?;
            if *json {
                write_json(out, &status)?;
            } else {
                status.write(out)?;
            }
            Ok(true)
        }
        Command::Check { json, root } => {
            let findings = check::check(root, settings);
            if *json {
                write_json(out, &findings)?;
            } else {
                check::write(&findings, out)?;
            }
            Ok(check::is_fit(&findings))
        }
        Command::WarmUp => Ok(warm_up::run(settings, out).map(|()| true)?),
        Command::WaitForJob => {
            wait::for_job(settings, out)?;
            Ok(true)
        }
        Command::Version => Ok(version::write(out).map(|()| true)?),
        Command::Hook { word, socket } => {
            Ok(client::call(*word, socket, |name| std::env::var(name).ok()).map(|()| true)?)
        }
    }
}

fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Command>, i32> {
        let args = [&["dayfly-agent"], args].concat();
        Cli::try_parse_from(args).map(|cli| cli.command).map_err(|error| error.exit_code())
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read_and_others_refused() {
        assert_eq!(parse(&[]), Ok(None), "the agent itself");
        assert_eq!(parse(&["status", "--json"]), Ok(Some(Command::Status { json: true })));
        assert_eq!(parse(&["check"]), Ok(Some(Command::Check { json: false, root: "/".into() })));
        assert_eq!(parse(&["warm-up"]), Ok(Some(Command::WarmUp)));
        let socket = PathBuf::from("/run/dayfly-hook/hook.sock");
        assert_eq!(parse(&["hook", "started"]), Ok(Some(Command::Hook { word: HookWord::Started, socket })));
        let hook = Command::Hook { word: HookWord::Completed, socket: "/x".into() };
        assert_eq!(parse(&["hook", "completed", "--socket", "/x"]), Ok(Some(hook)));
        for wrong in [&["hook"][..], &["hook", "paused"], &["stats"], &["status", "now"], &["--json"]] {
            assert_eq!(parse(wrong), Err(2), "{wrong:?}");
        }
    }

    #[test]
    fn a_hook_is_not_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("warm-up") && !help.contains("hook"), "{help}");
    }

    #[test]
    fn what_fails_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let told = |command: &Command| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = answer(command, &settings(folder.path()), &mut out, &mut err);
            (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
        };
        let (code, out, err) = told(&Command::Status { json: false });
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("dayfly-agent: no agent has run here") && err.lines().count() == 1, "{err}");
        let (code, out, err) = told(&Command::Check { json: true, root: folder.path().to_owned() });
        assert_eq!((code, err.as_str()), (1, ""), "an empty folder is no fit image");
        let list: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
        assert!(list.iter().any(|finding| finding["name"] == "runner" && finding["verdict"] == "missing"), "{out}");
        assert_eq!(told(&Command::Version).0, 0);
    }

    /// Settings whose folders are all in `folder`.
    pub(super) fn settings(folder: &Path) -> Settings {
        let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let vars =
            [("DAYFLY_STATE_DIR".to_owned(), inside("state")), ("DAYFLY_CONFIG_FILE".to_owned(), inside("agent.json"))];
        Settings::read(vars).0
    }
}
