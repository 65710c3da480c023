//! Starts `bin/Runner.Listener`: without the scripts around it, as another user, with nothing of the agent's.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{setgroups, setresgid, setresuid, write};
use tokio::process::{Child, Command};
use tracing::warn;

use super::account::Account;
use super::cgroup::{self, RunnerCgroup};
use super::environment::{Environment, environment};
use crate::harden::{self, CoreLimit};

/// The runner's program, in its directory.
pub(crate) const LISTENER: &str = "bin/Runner.Listener";

/// What a process of the runner's is given beside its user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// Its environment, and nothing else of ours.
    pub(super) environment: &'a Environment,
    /// Its cgroup, where it has one of its own.
    pub(super) cgroup: Option<&'a RunnerCgroup>,
    /// What its files are not allowed to.
    pub(super) umask: Mode,
}

/// Starts the runner in `directory` as `account`; what it writes goes to the file `output`, which is made new.
pub(super) fn launch(
    directory: &Path,
    account: &Account,
    output: &Path,
    environment: &Environment,
    cgroup: Option<&RunnerCgroup>,
) -> io::Result<Child> {
    let output = create(output)?;
    let surroundings = Surroundings { environment, cgroup, umask: Mode::from_bits_truncate(0o022) };
    let child = runner_command(directory, account, &surroundings)
        .arg("run")
        .stdin(Stdio::null())
        .stderr(output.try_clone()?)
        .stdout(output)
        .spawn()?;
    // Between fork and exec nothing can be told.
    if let (Some(cgroup), Some(pid)) = (cgroup, child.id().and_then(|pid| i32::try_from(pid).ok()))
        && !cgroup.pids().contains(&pid)
    {
        warn!(runner.pid = pid, "The runner is not in its cgroup; what leaves its process group can't be killed");
    }
    Ok(child)
}

/// The runner's program in `directory`, to be run as `account` in a process group of its own.
pub(super) fn runner_command(directory: &Path, account: &Account, surroundings: &Surroundings<'_>) -> Command {
    let entrance = surroundings.cgroup.and_then(|cgroup| {
        cgroup.entrance().inspect_err(|error| warn!(%error, "The runner's cgroup can't be entered")).ok()
    });
    let mut command = Command::new(directory.join(LISTENER));
    command
        .current_dir(directory)
        .env_clear()
        .envs(surroundings.environment)
        // A group of its own, so that it can be told from us and all of it killed.
        .process_group(0);
    let start =
        Start { entrance, core_limit: harden::core_limit(), umask: surroundings.umask, account: account.clone() };
    // SAFETY: `become_runner` runs in the new process between fork and exec. It makes system calls on memory that was
    // prepared before, and neither allocates nor locks.
    unsafe { command.pre_exec(move || become_runner(&start).map_err(io::Error::from)) };
    command
}

/// The listener in `directory` with the argument `word`, as `account`, in the environment of a login.
pub(crate) fn listener(directory: &Path, account: &Account, word: &str) -> Command {
    let environment = environment(account, &BTreeMap::new(), None, std::env::vars_os());
    let umask = Mode::from_bits_truncate(0o022);
    let mut command =
        runner_command(directory, account, &Surroundings { environment: &environment, cgroup: None, umask });
    command.arg(word);
    command
}

/// Only the agent may open it again: the runner and its jobs get descriptors that can but append.
fn create(output: &Path) -> io::Result<File> {
    drop(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(output)?);
    OpenOptions::new().append(true).open(output)
}

/// What the new process needs between fork and exec.
struct Start {
    entrance: Option<File>,
    core_limit: Option<CoreLimit>,
    umask: Mode,
    account: Account,
}

fn become_runner(start: &Start) -> Result<(), Errno> {
    // First, as root still, and before anything is done that could be left outside. A runner in the agent's cgroup is as
    // good a runner.
    if let Some(entrance) = &start.entrance {
        let _stayed = cgroup::enter(entrance);
    }
    // The unit protects the agent from the OOM killer, and children inherit that. As root still: another user may raise
    // it too, but not open the file of a process that has just changed its user, or that may not be dumped.
    if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        // Where it can't be set the runner is as well protected as the agent, which is no reason not to run.
        let _unchanged = write(&file, b"0");
    }
    // The agent leaves no core dump; what jobs leave is theirs. The soft limit alone was lowered, so that this needs no
    // privilege.
    if let Some(limit) = start.core_limit {
        let _unchanged = limit.set();
    }
    // Whatever the agent itself was left by whoever started it. Kernels before 5.11 don't know the flag, and ours are
    // closed by exec anyway.
    // SAFETY: close_range takes three integers and touches no memory of ours; with this flag it closes nothing now.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    umask(start.umask);
    let account = &start.account;
    if account.switch {
        setgroups(&account.groups)?;
        setresgid(account.gid, account.gid, account.gid)?;
        setresuid(account.uid, account.uid, account.uid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_runner_gets_its_surroundings_and_nothing_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("runner");
        fs::create_dir_all(directory.join("bin")).unwrap();
        let program = directory.join(LISTENER);
        // `env` of its own accord adds nothing, where a shell would.
        fs::write(&program, "#!/bin/sh\necho \"$@\" $(umask) $(ps -o pgid= -p $$ || true) $$\nexec env\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // What the new process writes into its cgroup's file is to be seen.
        let service = folder.path().join("systemd/agent.service");
        fs::create_dir_all(service.join("runner")).unwrap();
        fs::write(service.join("runner/cgroup.procs"), "").unwrap();
        let cgroup = RunnerCgroup::create_in(folder.path(), "1:name=systemd:/agent.service").unwrap();
        let output = folder.path().join("output");
        let environment = Environment::from([("PATH".into(), "/usr/bin:/bin".into()), ("ONE".into(), "1".into())]);
        let me = Account::for_tests();
        let mut child = launch(&directory, &me, &output, &environment, Some(&cgroup)).unwrap();
        let pid = child.id().unwrap();
        assert!(child.wait().await.unwrap().success());
        let text = fs::read_to_string(output).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("run 0022 {pid} {pid}"));
        let mut names: Vec<&str> = rest.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.retain(|name| !["_", "OLDPWD", "PWD", "SHLVL"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["ONE", "PATH"]);
        assert_eq!(fs::read_to_string(service.join("runner/cgroup.procs")).unwrap(), "0");
    }
}
