//! Has the runner load and compile all its code once (`bin/Runner.Listener warmup`), for image builds: what it reads is
//! then in the image's snapshot as it will be read again, and mistakes of the image show here and not in the first job.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use dayfly_contract::Problems;

use super::local;
use crate::runner::account::{Account, AccountError};
use crate::runner::{LISTENER, listener};
use crate::settings::Settings;

/// Why the runner was not warmed up.
#[derive(Debug, thiserror::Error)]
pub enum WarmUpError {
    /// The machine's own config file has mistakes.
    #[error("config refused: {0}")]
    Config(Problems),
    /// There is nobody to run it.
    #[error("finding the runner's user")]
    User(#[from] AccountError),
    /// It could not be run.
    #[error("running {program} as {user}")]
    Run {
        /// The runner's program.
        program: String,
        /// Who was to run it.
        user: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has failed by itself; its output says why.
    #[error("{program} warmup failed ({ended}); its output is above")]
    Failed {
        /// The runner's program.
        program: String,
        /// Its exit status.
        ended: std::process::ExitStatus,
    },
}

/// Warms up the runner of this machine, and copies what it says to `out`.
pub fn run(settings: &Settings, out: &mut dyn Write) -> Result<(), WarmUpError> {
    let (config, _) = local::read(Path::new("/"), settings).map_err(WarmUpError::Config)?;
    let account = Account::find(&config.runner.user)?;
    warm_up(Path::new(&config.runner.directory), &account, out)
}

fn warm_up(directory: &Path, account: &Account, out: &mut dyn Write) -> Result<(), WarmUpError> {
    let program = directory.join(LISTENER).display().to_string();
    let failed = |source| WarmUpError::Run { program: program.clone(), user: account.name.clone(), source };
    let began = Instant::now();
    let mut child = {
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut command = listener(directory, account, "warmup").into_std();
        command.stdin(Stdio::null()).stderr(writer.try_clone().map_err(failed)?).stdout(writer);
        let child = command.spawn().map_err(failed)?;
        // Our own ends of the pipe, without which it would never come to its end.
        drop(command);
        copy(reader, out).map_err(failed)?;
        child
    };
    let ended = child.wait().map_err(failed)?;
    if !ended.success() {
        return Err(WarmUpError::Failed { program, ended });
    }
    writeln!(out, "The runner has loaded its code in {:.1} s", began.elapsed().as_secs_f64()).map_err(failed)
}

/// Hands on what comes as it comes.
fn copy(mut from: impl io::Read, out: &mut dyn Write) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        out.write_all(&chunk[..count])?;
        out.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::{User, geteuid};

    use super::*;

    /// Another user where we can become one.
    fn account() -> Account {
        let name =
            if geteuid().is_root() { "nobody".to_owned() } else { User::from_uid(geteuid()).unwrap().unwrap().name };
        Account::find(&name).unwrap()
    }

    fn runner(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        // tempfile keeps others out.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let program = folder.path().join(LISTENER);
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn warmed(directory: &Path) -> (Result<(), WarmUpError>, String) {
        let mut out = Vec::new();
        let result = warm_up(directory, &account(), &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_runner_is_run_as_its_user_and_heard() {
        let runner = runner("echo \"$1 $(id -u) $PWD $DAYFLY_X\"; echo oops >&2");
        let (result, out) = warmed(runner.path());
        result.unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0].trim_end(), format!("warmup {} {}", account().uid, runner.path().display()));
        assert_eq!(lines[1], "oops");
        assert!(lines[2].starts_with("The runner has loaded its code in "), "{out}");
    }

    #[test]
    fn failures_say_what_failed() {
        let broken = runner("echo no libicu; exit 3");
        let (result, out) = warmed(broken.path());
        let error = result.unwrap_err().to_string();
        assert!(
            out == "no libicu\n" && error.contains("bin/Runner.Listener warmup failed (exit status: 3)"),
            "{error}"
        );
        let empty = tempfile::tempdir().unwrap();
        let error = warmed(empty.path()).0.unwrap_err().to_string();
        assert!(error.starts_with("running ") && error.ends_with(&format!(" as {}", account().name)), "{error}");
    }
}
