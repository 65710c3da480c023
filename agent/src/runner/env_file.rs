//! Hooks in `.env`, which the runner lays over the environment that it is started with.
//!
//! An image may name its own hooks there, and they would win over the agent's, which run the user's after their own work.
//! So these lines are taken out and their scripts handed to the agent's hooks, where no hook of the config's comes first.
//! They stay in the file as remarks, which [`take_hooks`] reads again: a listener that is started anew has the same hooks.
//! A hook that is no shell script is left alone and wins, as the agent's hook, a shell script, could not run it; jobs are
//! then watched by the agent's other sources alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use dayfly_contract::is_script;
use tracing::{info, warn};

use super::account::Account;
use super::environment::{HOOK_COMPLETED, HOOK_STARTED};
use super::files::replace;
use crate::hook::script::UserHooks;

const NAME: &str = ".env";
/// Begins a line that was taken out. Without a `=`, as the runner reads each line that has one as a variable.
const TAKEN: &str = "# taken by dayfly: ";
/// A longer one is not read; the runner's own has some lines.
const LARGEST: u64 = 1 << 20;

/// The user's hooks: `configured`, else those in the `.env` of the runner in `directory`, which is changed so that the
/// runner does not take them from there.
pub fn take_hooks(directory: &Path, account: &Account, configured: &UserHooks) -> io::Result<UserHooks> {
    let path = directory.join(NAME);
    let Some(text) = read(&path)? else { return Ok(configured.clone()) };
    let (changed, hooks) = taken(&text, configured);
    if changed != text {
        // All or nothing: the next agent may have to read it.
        let new = directory.join(".env.dayfly");
        replace(&new, changed.as_bytes(), 0o644, account)?;
        fs::rename(new, path)?;
        info!("Hooks in .env are run by the agent's");
    }
    Ok(hooks)
}

/// `None` where there is none. It may have come from a job that shared the runner: no device or pipe is read.
fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other(format!("{} is no file of {LARGEST} bytes at most", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// `text` without its hooks, and the hooks to run.
fn taken(text: &str, configured: &UserHooks) -> (String, UserHooks) {
    let mut found = UserHooks::default();
    let lines = text.split_inclusive('\n').map(|line| {
        let bare = line.trim_end_matches(['\r', '\n']);
        let (entry, remark) = match bare.strip_prefix(TAKEN) {
            Some(entry) => (entry.split_once(": "), true),
            None => (bare.split_once('='), false),
        };
        let Some((name, value)) = entry else { return line.to_owned() };
        let (configured, found) = match name.trim_start_matches('\u{feff}') {
            HOOK_STARTED => (&configured.started, &mut found.started),
            HOOK_COMPLETED => (&configured.completed, &mut found.completed),
            _ => return line.to_owned(),
        };
        let script = is_script(value);
        if script {
            // The last line counts, as it does for the runner.
            *found = Some(value.to_owned());
        } else if configured.is_none() && !value.is_empty() {
            warn!(name, "A hook in .env is no shell script: it runs in the place of the agent's");
            return line.to_owned();
        }
        if remark { line.to_owned() } else { format!("{TAKEN}{}: {value}\n", name.trim_start_matches('\u{feff}')) }
    });
    let text = lines.collect();
    let UserHooks { started, completed } = configured.clone();
    (text, UserHooks { started: started.or(found.started), completed: completed.or(found.completed) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(started: Option<&str>, completed: Option<&str>) -> UserHooks {
        UserHooks { started: started.map(str::to_owned), completed: completed.map(str::to_owned) }
    }

    const TEXT: &str = "LANG=C\nACTIONS_RUNNER_HOOK_JOB_STARTED=/a.sh\r\nX=ACTIONS_RUNNER_HOOK_JOB_STARTED=1\n\
                        ACTIONS_RUNNER_HOOK_JOB_COMPLETED=/b.sh";
    const LEFT: &str = "LANG=C\n# taken by dayfly: ACTIONS_RUNNER_HOOK_JOB_STARTED: /a.sh\n\
                        X=ACTIONS_RUNNER_HOOK_JOB_STARTED=1\n# taken by dayfly: ACTIONS_RUNNER_HOOK_JOB_COMPLETED: /b.sh\n";

    #[test]
    fn hooks_are_taken_out_and_found_again() {
        let both = hooks(Some("/a.sh"), Some("/b.sh"));
        assert_eq!(taken(TEXT, &UserHooks::default()), (LEFT.to_owned(), both.clone()));
        assert_eq!(taken(LEFT, &UserHooks::default()), (LEFT.to_owned(), both));
    }

    #[test]
    fn the_configs_hooks_come_first() {
        let mine = hooks(Some("/mine.sh"), None);
        assert_eq!(taken(TEXT, &mine), (LEFT.to_owned(), hooks(Some("/mine.sh"), Some("/b.sh"))));
    }

    #[test]
    fn what_is_no_shell_script_wins_unless_the_config_has_one() {
        for value in ["/a.js", "a.sh", "/it's.sh"] {
            let text = format!("ACTIONS_RUNNER_HOOK_JOB_STARTED={value}\n");
            assert_eq!(taken(&text, &UserHooks::default()), (text.clone(), UserHooks::default()));
            let mine = hooks(Some("/mine.sh"), None);
            let (left, found) = taken(&text, &mine);
            assert!(left.starts_with(TAKEN) && !left.contains('='), "{left}");
            assert_eq!(found, mine);
        }
    }

    #[test]
    fn the_file_is_changed_once_and_its_other_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let me = Account::for_tests();
        let none = UserHooks::default();
        assert_eq!(take_hooks(folder.path(), &me, &none).unwrap(), none);
        let path = folder.path().join(".env");
        fs::write(&path, TEXT).unwrap();
        let both = hooks(Some("/a.sh"), Some("/b.sh"));
        assert_eq!(take_hooks(folder.path(), &me, &none).unwrap(), both);
        assert_eq!(fs::read_to_string(&path).unwrap(), LEFT);
        assert_eq!(take_hooks(folder.path(), &me, &none).unwrap(), both);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_in_its_place_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&folder.path().join(".env"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = take_hooks(folder.path(), &Account::for_tests(), &UserHooks::default()).unwrap_err();
        assert!(error.to_string().contains("is no file"), "{error}");
    }
}
