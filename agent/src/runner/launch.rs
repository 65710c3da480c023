//! Starts `bin/Runner.Listener run`: without the `run.sh` around it, as another user, with nothing of the agent's.

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

use super::account::Account;

/// The runner's program, in its directory.
pub(super) const LISTENER: &str = "bin/Runner.Listener";

/// What Debian and Ubuntu give a login; the runner hands it on to jobs, unless a file `.path` beside it says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";

/// Starts the runner in `directory` as `account`; what it writes goes to the file `output`, which is made new.
pub(super) fn launch(directory: &Path, account: &Account, output: &Path) -> io::Result<Child> {
    let output = create(output)?;
    let mut command = Command::new(directory.join(LISTENER));
    command
        .arg("run")
        .current_dir(directory)
        .env_clear()
        .env("HOME", &account.home)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name)
        .env("SHELL", &account.shell)
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stderr(output.try_clone()?)
        .stdout(output)
        // A group of its own, so that it can be told from us and all of it killed.
        .process_group(0);
    let account = account.clone();
    // SAFETY: `become_runner` runs in the new process between fork and exec. It makes system calls on memory that was
    // prepared before, and neither allocates nor locks.
    unsafe { command.pre_exec(move || become_runner(&account).map_err(io::Error::from)) };
    command.spawn()
}

/// Only the agent may open it again: the runner and its jobs get descriptors that can but append.
fn create(output: &Path) -> io::Result<File> {
    drop(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(output)?);
    OpenOptions::new().append(true).open(output)
}

fn become_runner(account: &Account) -> Result<(), Errno> {
    // The unit protects the agent from the OOM killer, and children inherit that. Done first, as root still: another
    // user may raise it too, but not open the file of a process that has just changed its user.
    if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        // Where it can't be set the runner is as well protected as the agent, which is no reason not to run.
        let _unchanged = write(&file, b"0");
    }
    // Whatever the agent itself was left by whoever started it. Kernels before 5.11 don't know the flag, and ours are
    // closed by exec anyway.
    // SAFETY: close_range takes three integers and touches no memory of ours; with this flag it closes nothing now.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    umask(Mode::from_bits_truncate(0o022));
    if account.switch {
        setgroups(&account.groups)?;
        setresgid(account.gid, account.gid, account.gid)?;
        setresuid(account.uid, account.uid, account.uid)?;
    }
    Ok(())
}
