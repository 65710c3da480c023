//! Outside: starts the world, passes signals in, and looks for what is left when it has ended.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, Uid};

use super::{Left, PLACE, PREFIX, leftovers};
use crate::cgroup;
use crate::tools;

/// Signals that are passed in.
const PASSED: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// What is the world's own, for unshare.
const OWN: [&str; 9] =
    ["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
/// What does without a world.
const WAY_OUT: &str = "run with --machines process (make demo MACHINES=process)";
/// How long the kernel may take to drop what belonged to the world.
const VANISH: Duration = Duration::from_secs(10);

pub(super) fn run(args: &[OsString]) -> anyhow::Result<Left> {
    if !Uid::effective().is_root() {
        bail!("a private world needs root; without it {WAY_OUT}");
    }
    tools::require()?;
    require()?;
    sweep();
    let world = name(std::process::id()).context("reading /proc/self/stat")?;
    let program = std::env::current_exe().context("finding the current program")?;
    let mut child = Command::new("setpriv")
        // The world dies with us, however we end.
        .args(["--pdeathsig", "KILL", "--", "unshare"])
        .args(OWN)
        .arg(program)
        .args(args)
        .env(PLACE, format!("init:{world}"))
        // Not in the terminal's foreground group: Ctrl-C reaches the inside once, through us.
        .process_group(0)
        .spawn()
        .context("starting unshare")?;
    let code = wait(&mut child)?;
    Ok(Left { code, leftovers: leftovers::remove_and_list(&world, VANISH) })
}

/// Fails where root may not make a world. By a trial: in earnest, unshare's exit code could as well be the program's.
pub(crate) fn require() -> anyhow::Result<()> {
    let mut trial = Command::new("unshare");
    let output = trial.args(OWN).arg("true").stdin(Stdio::null()).output().context("starting unshare")?;
    judge(&output)
}

fn judge(trial: &Output) -> anyhow::Result<()> {
    if !trial.status.success() {
        let said = String::from_utf8_lossy(&trial.stderr);
        bail!(
            "a private world cannot be made here ({}; a container needs CAP_SYS_ADMIN for it): {WAY_OUT}",
            said.trim()
        );
    }
    Ok(())
}

/// Waits for the world's end.
fn wait(child: &mut Child) -> anyhow::Result<i32> {
    let group = Pid::from_raw(i32::try_from(child.id()).context("a process id fits")?);
    let mut signals: SigSet = PASSED.into_iter().collect();
    signals.add(Signal::SIGCHLD);
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).context("blocking signals")?;
    let status = loop {
        // Asked first: the end may have come before signals were blocked.
        if let Some(status) = child.try_wait().context("waiting for the world")? {
            break status;
        }
        let signal = signals.wait().context("waiting for a signal")?;
        if signal != Signal::SIGCHLD {
            // unshare itself blocks these; init passes them on. A world that has just ended needs none.
            let _ = killpg(group, signal);
        }
    };
    before.thread_set_mask().context("restoring the signal mask")?;
    Ok(crate::machine::exit_code(status))
}

/// A name that no other world on this computer has or had: process id and start time.
fn name(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The 22nd field, counted from the state, which follows the bracketed name as the third.
    let began = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{PREFIX}{pid}-{began}"))
}

/// Removes the control groups of worlds whose outside was killed.
fn sweep() {
    for group in cgroup::starting_with(PREFIX) {
        let pid = group.trim_start_matches(PREFIX).split('-').next().and_then(|pid| pid.parse().ok());
        if pid.and_then(name).as_deref() != Some(&group) {
            // One that is busy belongs to somebody after all.
            cgroup::remove(&group, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn where_no_world_can_be_made_the_way_out_is_named() {
        let trial = |status, said: &str| {
            judge(&Output { status: ExitStatus::from_raw(status), stdout: Vec::new(), stderr: said.into() })
        };
        trial(0, "").expect("a world");
        let error = trial(1 << 8, "unshare: unshare failed: Operation not permitted\n").expect_err("no world");
        assert_eq!(
            error.to_string(),
            "a private world cannot be made here (unshare: unshare failed: Operation not permitted; a container needs \
             CAP_SYS_ADMIN for it): run with --machines process (make demo MACHINES=process)"
        );
    }

    #[test]
    fn a_world_is_named_after_one_process_for_ever() {
        let own = std::process::id();
        let name = name(own).expect("our own name");
        assert!(name.starts_with(&format!("{PREFIX}{own}-")), "{name}");
        assert_eq!(super::name(own).as_ref(), Some(&name));
        assert_eq!(super::name(0), None);
    }
}
