//! Picks the role by the name it was started as, as a release has several programs in `bin/`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use laptop_runner::{
    listener,
    pack::{self, Plan},
    worker,
};

const USAGE: &str = "usage: standin-runner install --to DIR | standin-runner pack --to FILE.tar.gz [--full] [--seed N]";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let argv0 = PathBuf::from(args.next().unwrap_or_default());
    let args: Vec<OsString> = args.collect();
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let name = argv0.file_name().map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        Some("Runner.Listener") => ExitCode::from(listener::main(&argv0, &args, env)),
        Some("Runner.Worker") => ExitCode::from(worker::main(&argv0, env)),
        _ => match tool(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::from(2)
            }
        },
    }
}

/// `install` and `pack`: what the laptop cloud and tests call.
fn tool(args: &[OsString]) -> anyhow::Result<()> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let command = args.next().context(USAGE)?;
    let (mut to, mut full, mut seed) = (None, false, 0);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--to" => to = args.next(),
            "--full" if command == "pack" => full = true,
            "--seed" if command == "pack" => {
                let text = args.next().unwrap_or_default();
                seed = text.parse().with_context(|| format!("--seed is {text:?}; allowed is a whole number"))?;
            }
            other => bail!("unknown argument {other:?}; {USAGE}"),
        }
    }
    let to = to.context("--to is missing: say where to write")?;
    let exe = std::env::current_exe().context("finding this program's own file")?;
    match command.as_str() {
        "install" => pack::install(&exe, Path::new(&to)),
        "pack" => {
            let size = if full { pack::Size::Full } else { pack::Size::Small };
            report(&pack::pack(&exe, &Plan { size, seed }, Path::new(&to))?, &to);
            Ok(())
        }
        other => bail!("unknown command {other:?}; {USAGE}"),
    }
}

#[expect(clippy::print_stdout, reason = "the tool's answer to a person")]
fn report(summary: &pack::Summary, to: &str) {
    println!("{}", summary.tell(to));
}

#[expect(clippy::print_stderr, reason = "the one place where the tool's error is told")]
fn complain(error: &anyhow::Error) {
    eprintln!("standin-runner: {error:#}");
}
