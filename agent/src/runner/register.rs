//! Registers a reusable runner at GitHub, by a token: `bin/Runner.Listener configure`, which is what `config.sh` calls when
//! it has looked for libraries and written down the environment of whoever called it.
//!
//! The token is on no command line. It is in the environment of that one process, which takes it out of what it hands on;
//! `/proc/<pid>/environ`, which would still show it to the same user, is gone with the process, which ends before the
//! runner is started, and so before there is a job.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tracing::info;

use super::account::Account;
use super::environment::Environment;
use super::launch::{Surroundings, runner_command};
use super::tools;

/// What it is told by.
const TOKEN: &str = "ACTIONS_RUNNER_INPUT_TOKEN";
/// It makes a key and asks GitHub a few times.
const LIMIT: Duration = Duration::from_mins(2);
/// Of its output, in an error: the last lines, of these so many bytes.
const TOLD_LINES: usize = 12;
const TOLD_BYTES: u64 = 4000;

/// The files of a registration. The migrated ones, where there are any, win over the others.
const FILES: [&str; 5] =
    [".runner", ".runner_migrated", ".credentials", ".credentials_migrated", ".credentials_rsaparams"];

/// What a runner shall be at GitHub. `Debug` shows no token.
#[derive(Debug)]
pub struct NewRunner<'a> {
    /// The organization, repository or enterprise: `https://github.com/octo-org`.
    pub url: &'a str,
    /// GitHub's registration token.
    pub token: &'a SecretString,
    /// Its name; an older runner of that name is replaced.
    pub name: &'a str,
    /// Its labels, and no others.
    pub labels: &'a [String],
    /// Its group; GitHub's default where absent.
    pub group: Option<&'a str>,
    /// The folder in which jobs work.
    pub work_folder: &'a str,
    /// Whether it may not replace itself by a newer version.
    pub disable_update: bool,
    /// Whether it takes one job only.
    pub ephemeral: bool,
}

/// Why a runner was not registered. Never quotes the token.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// What it shall be can't be said on the runner's command line.
    #[error("registration.{field}: found {found:?}, expected {allowed}")]
    Field {
        /// The field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What may.
        allowed: &'static str,
    },
    /// A file of an earlier registration can't be removed, or the program can't be started.
    #[error("registering the runner: {doing}")]
    Local {
        /// What failed.
        doing: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not come to an end.
    #[error("registering the runner took more than {} s; the last it told: {told}", LIMIT.as_secs())]
    Slow {
        /// The last lines of its output.
        told: String,
    },
    /// It failed.
    #[error("registering the runner failed ({how}); the last it told: {told}")]
    Failed {
        /// The exit code or signal.
        how: String,
        /// The last lines of its output.
        told: String,
    },
}

/// Removes what an earlier registration has left beside the runner in `directory`, such as that of the machine an image
/// was made from.
pub fn remove_leftovers(directory: &Path) -> Result<(), RegisterError> {
    for name in FILES {
        match fs::remove_file(directory.join(name)) {
            Ok(()) => info!(file = name, "A file of an earlier registration was removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RegisterError::Local { doing: format!("removing {name}"), source }),
        }
    }
    Ok(())
}

/// Registers the runner in `directory`, as `account`. Its files are then beside it, for `account` alone.
pub async fn register(
    directory: &Path,
    account: &Account,
    environment: &Environment,
    runner: &NewRunner<'_>,
) -> Result<(), RegisterError> {
    register_within(LIMIT, directory, account, environment, runner).await
}

async fn register_within(
    limit: Duration,
    directory: &Path,
    account: &Account,
    environment: &Environment,
    runner: &NewRunner<'_>,
) -> Result<(), RegisterError> {
    let args = arguments(runner)?;
    remove_leftovers(directory)?;
    let failed = |doing: &str| {
        let doing = doing.to_owned();
        move |source| RegisterError::Local { doing, source }
    };
    // A file in memory: nothing that it may leave behind and that holds on to it is waited for.
    let mut output = tools::file().map_err(failed("making a file for its output"))?;
    let copy = |file: &fs::File| file.try_clone().map_err(failed("making a file for its output"));
    // Nobody else shall read its credentials; the listener itself makes files for all to read.
    let surroundings = Surroundings { environment, cgroup: None, umask: Mode::from_bits_truncate(0o077) };
    let mut command = runner_command(directory, account, &surroundings);
    command
        .arg("configure")
        .args(args)
        .env(TOKEN, runner.token.expose_secret())
        .stdin(Stdio::null())
        .stdout(copy(&output)?)
        .stderr(copy(&output)?)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed("starting bin/Runner.Listener"))?;
    // The command has a copy of the token.
    drop(command);
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let waited = timeout(limit, child.wait()).await;
    if waited.is_err() {
        // Not yet waited for, so that its number is still its own.
        let _gone = group.map(|group| killpg(group, Signal::SIGKILL));
        let _reaped = child.wait().await;
    }
    let told = last_lines(&tools::last(&mut output, TOLD_BYTES).unwrap_or_default(), runner.token);
    let Ok(status) = waited else { return Err(RegisterError::Slow { told }) };
    let status = status.map_err(failed("waiting for it"))?;
    if !status.success() {
        let how = status.code().map_or_else(
            || format!("signal {}", status.signal().unwrap_or_default()),
            |code| format!("exit code {code}"),
        );
        return Err(RegisterError::Failed { how, told });
    }
    if !directory.join(".runner").exists() {
        return Err(RegisterError::Failed { how: "it has written no .runner".to_owned(), told });
    }
    info!(runner.name = runner.name, "The runner is registered");
    Ok(())
}

fn arguments(runner: &NewRunner<'_>) -> Result<Vec<String>, RegisterError> {
    // It would take a value that begins so for the next option's name.
    let value = |field: &'static str, value: &str| {
        if value.is_empty() || value.starts_with('-') {
            let allowed = "a text that does not begin with -";
            return Err(RegisterError::Field { field, found: value.to_owned(), allowed });
        }
        Ok(value.to_owned())
    };
    if runner.labels.is_empty() || runner.labels.iter().any(|label| label.trim().is_empty() || label.contains(',')) {
        let allowed = "at least one label, and none empty or with a comma";
        return Err(RegisterError::Field { field: "labels", found: runner.labels.join(" "), allowed });
    }
    let mut args = vec!["--unattended".to_owned()];
    let mut option = |name: &str, value: String| args.extend([format!("--{name}"), value]);
    option("url", value("url", runner.url)?);
    option("name", value("runner_name", runner.name)?);
    option("labels", value("labels", &runner.labels.join(","))?);
    option("work", value("work_folder", runner.work_folder)?);
    if let Some(group) = runner.group {
        option("runnergroup", value("runner_group", group)?);
    }
    args.extend(["--no-default-labels", "--replace"].map(str::to_owned));
    args.extend(runner.disable_update.then(|| "--disableupdate".to_owned()));
    args.extend(runner.ephemeral.then(|| "--ephemeral".to_owned()));
    Ok(args)
}

/// The last lines of `text`, in one line, without the token.
fn last_lines(text: &str, token: &SecretString) -> String {
    let secret = token.expose_secret();
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(TOLD_LINES);
    match lines.get(first..) {
        Some(lines) if !lines.is_empty() => lines.join(" | "),
        _ => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    const SECRET: &str = "AABF3JGZDX3P5PMEXLND6TS6FCWO6";

    fn fake(script: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let program = folder.path().join("bin/Runner.Listener");
        fs::write(&program, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    async fn run(folder: &TempDir, limit: Duration, labels: &[&str]) -> Result<(), RegisterError> {
        let token = SecretString::from(SECRET);
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let runner = NewRunner {
            url: "https://github.com/octo-org",
            token: &token,
            name: "linux-x64-i-0123",
            labels: &labels,
            group: Some("Big ones"),
            work_folder: "_work",
            disable_update: true,
            ephemeral: false,
        };
        assert!(!format!("{runner:?}").contains(SECRET));
        let environment = Environment::from([("PATH".into(), tools::PATH.into()), ("HOME".into(), "/h".into())]);
        register_within(limit, folder.path(), &Account::for_tests(), &environment, &runner).await
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn the_token_is_in_the_environment_alone() {
        let folder = fake(
            "printf '%s\\n' \"$@\" > args; ls .credentials 2> /dev/null; tr '\\0' '\\n' < /proc/$$/environ > env\n\
             tr '\\0' '\\n' < /proc/$$/cmdline > cmdline; echo {} > .runner",
        );
        fs::write(folder.path().join(".credentials"), "old").unwrap();
        fs::write(folder.path().join(".credentials_migrated"), "old").unwrap();
        run(&folder, LONG, &["dayfly", "linux"]).await.unwrap();
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        let expected = "configure --unattended --url https://github.com/octo-org --name linux-x64-i-0123 --labels \
                        dayfly,linux --work _work --runnergroup Big_ones --no-default-labels --replace --disableupdate";
        assert_eq!(read("args").replace(' ', "_").trim_end().replace('\n', " "), expected);
        assert!(!read("cmdline").contains(SECRET), "{}", read("cmdline"));
        assert!(read("env").contains(&format!("{TOKEN}={SECRET}\n")), "{}", read("env"));
        assert!(read("env").contains("HOME=/h\n") && !read("env").contains("CARGO"), "{}", read("env"));
        for old in [".credentials", ".credentials_migrated"] {
            assert!(!folder.path().join(old).exists(), "{old}");
        }
        let mode = fs::metadata(folder.path().join(".runner")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_failure_tells_the_last_lines_without_the_token() {
        let folder = fake(&format!(
            "seq 100; echo; echo \"Http response code: NotFound for $ {TOKEN}\"; echo ${TOKEN} >&2; exit 1"
        ));
        let error = run(&folder, LONG, &["a"]).await.unwrap_err().to_string();
        let start = "registering the runner failed (exit code 1); the last it told: 91 | 92 |";
        assert!(error.starts_with(start), "{error}");
        assert!(error.ends_with("| *** ") || error.ends_with("| ***"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_its_group() {
        let folder = fake("echo begun; sleep 62 & echo $! > child; wait");
        // On a busy machine the program may come to nothing within the first limit.
        let mut limit = Duration::from_millis(500);
        let pid = loop {
            let error = run(&folder, limit, &["a"]).await.unwrap_err();
            let child = fs::read_to_string(folder.path().join("child")).unwrap_or_default();
            if let Some(pid) = child.strip_suffix('\n') {
                assert!(matches!(&error, RegisterError::Slow { told } if told == "begun"), "{error}");
                break pid.parse().unwrap();
            }
            assert!(matches!(&error, RegisterError::Slow { .. }) && limit < LONG, "it never began: {error}");
            limit *= 4;
        };
        let deadline = std::time::Instant::now() + LONG;
        while super::super::process::identify(pid).is_some() {
            assert!(std::time::Instant::now() < deadline, "timed out: {pid} lives on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn success_without_a_registration_is_a_failure() {
        let error = run(&fake("exit 0"), LONG, &["a"]).await.unwrap_err().to_string();
        assert!(error.contains("(it has written no .runner); the last it told: nothing"), "{error}");
        let error = run(&tempfile::tempdir().unwrap(), LONG, &["a"]).await.unwrap_err();
        assert!(matches!(error, RegisterError::Local { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_can_not_be_said_is_refused_before_anything_is_done() {
        let folder = fake("echo {} > .runner");
        fs::write(folder.path().join(".credentials"), "old").unwrap();
        for labels in [&[][..], &["a,b"], &[""], &["--ephemeral"]] {
            let error = run(&folder, LONG, labels).await.unwrap_err();
            assert!(matches!(error, RegisterError::Field { field: "labels", .. }), "{error}");
        }
        assert!(folder.path().join(".credentials").exists() && !folder.path().join(".runner").exists());
    }
}
