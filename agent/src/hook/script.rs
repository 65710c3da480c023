//! Writes the scripts that the runner runs as a job's first and last step: they call us, then the user's own hook.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{HookWord, SOCKET, own_folder};

/// The scripts, for `ACTIONS_RUNNER_HOOK_JOB_STARTED` and `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripts {
    /// Runs as a job's first step.
    pub started: PathBuf,
    /// Runs as a job's last step.
    pub completed: PathBuf,
}

impl Scripts {
    /// Where they are in `folder`, written or not.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let script = |word: HookWord| folder.join(format!("{}.sh", word.name()));
        Self { started: script(HookWord::Started), completed: script(HookWord::Completed) }
    }
}

/// The user's own hooks: absolute paths of `.sh` files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserHooks {
    /// The one for a job's first step.
    pub started: Option<String>,
    /// The one for a job's last step.
    pub completed: Option<String>,
}

/// Writes both scripts to `folder`, which is made where it is missing; the job's user can run them, not change them.
/// `agent` is our own program, which that user must be able to run.
pub fn write(folder: &Path, agent: &Path, hooks: &UserHooks) -> io::Result<Scripts> {
    own_folder(folder)?;
    let socket = folder.join(SOCKET);
    let scripts = Scripts::of(folder);
    let put = |path: &Path, word, user: Option<&str>| replace(path, &render(word, agent, &socket, user));
    put(&scripts.started, HookWord::Started, hooks.started.as_deref())?;
    put(&scripts.completed, HookWord::Completed, hooks.completed.as_deref())?;
    Ok(scripts)
}

/// The script's text.
fn render(word: HookWord, agent: &Path, socket: &Path, user: Option<&str>) -> Vec<u8> {
    let (agent, socket) = (quote(agent.as_os_str()), quote(socket.as_os_str()));
    let mut text =
        b"#!/bin/sh\n# Written by dayfly-agent, which is told of the job here. That never fails the job.\n".to_vec();
    text.extend(
        [&agent, &b" hook "[..], word.name().as_bytes(), b" --socket ", &socket, b" < /dev/null || :\n"].concat(),
    );
    if let Some(user) = user {
        // As the runner itself would run it: bash where there is one, with these options.
        // https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ScriptHandlerHelpers.cs
        let user = quote(OsStr::new(user));
        text.extend_from_slice(b"if command -v bash > /dev/null; then\n  exec bash --noprofile --norc -e -o pipefail ");
        text.extend([&user, &b"\nfi\nexec sh -e "[..], &user, b"\n"].concat());
    }
    text
}

/// `text` as one word of a shell, whatever stands in it.
fn quote(text: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for &byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            byte => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

/// All or nothing: a runner that an earlier agent has started may be about to run it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&new)?;
    file.write_all(text)?;
    file.set_permissions(Permissions::from_mode(0o755))?;
    drop(file);
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Makes a program that runs `text`.
    fn program(path: &Path, text: &str) -> PathBuf {
        replace(path, format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
        path.to_owned()
    }

    /// Runs a script as the runner does, and answers its exit code and what it has written.
    fn run(script: &Path) -> (Option<i32>, String) {
        let args = ["--noprofile", "--norc", "-e", "-o", "pipefail"];
        let output = Command::new("bash").args(args).arg(script).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_text_is_the_one_that_shellcheck_has_seen() {
        let text = render(
            HookWord::Started,
            Path::new("/usr/local/bin/dayfly-agent"),
            Path::new("/run/dayfly-hook/hook.sock"),
            Some("/opt/it's/started.sh"),
        );
        assert_eq!(String::from_utf8(text).unwrap(), include_str!("example.sh"));
    }

    #[test]
    fn the_agent_is_told_and_the_user_decides() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("it's a folder");
        fs::create_dir(&folder).unwrap();
        let agent = program(&folder.join("agent"), "echo \"agent: $*\"; exit 3");
        let user = program(&folder.join("user's.sh"), "echo \"user: $GITHUB_JOB\"; false | true; exit 7");
        let hooks = UserHooks { started: user.to_str().map(str::to_owned), completed: None };
        let scripts = write(&folder.join("hook"), &agent, &hooks).unwrap();

        let socket = folder.join("hook/hook.sock");
        let told = |word: &str| format!("agent: hook {word} --socket {}\n", socket.display());
        // With pipefail, as the runner has it, the user's script ends at its pipe.
        assert_eq!(run(&scripts.started), (Some(1), format!("{}user: \n", told("started"))));
        assert_eq!(run(&scripts.completed), (Some(0), told("completed")));
        program(&user, "exit 42");
        assert_eq!(run(&scripts.started).0, Some(42));
        let mode = fs::metadata(&scripts.started).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn a_missing_agent_fails_no_job() {
        let home = tempfile::tempdir().unwrap();
        let scripts = write(&home.path().join("hook"), &home.path().join("gone"), &UserHooks::default()).unwrap();
        assert_eq!(run(&scripts.started).0, Some(0));
    }

    #[test]
    fn scripts_of_an_earlier_agent_are_replaced() {
        let home = tempfile::tempdir().unwrap();
        let hooks = UserHooks { started: Some("/old.sh".to_owned()), completed: None };
        write(home.path(), Path::new("/agent"), &hooks).unwrap();
        let scripts = write(home.path(), Path::new("/agent"), &UserHooks::default()).unwrap();
        assert!(!fs::read_to_string(scripts.started).unwrap().contains("old.sh"));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing is left of the writing");
    }
}
