//! What keeps the agent's memory, which holds secrets, from a file and from other processes.

use std::sync::OnceLock;

use nix::errno::Errno;
use tracing::debug;

/// The limit that the agent was started with.
static BEFORE: OnceLock<CoreLimit> = OnceLock::new();

/// How large a core dump may be: `RLIMIT_CORE`, getrlimit(2).
#[derive(Clone, Copy, Debug)]
pub struct CoreLimit(libc::rlimit);

/// The agent leaves no core dump, and no other process of its user may look into its memory.
///
/// Both, as each has a gap: a `core_pattern` with a pipe passes the limit by, and `PR_SET_DUMPABLE` is undone where a
/// process executes another program. Programs that the agent starts are dumpable again, but may leave no dump either,
/// except for the runner, which gets back what [`core_limit`] tells.
pub fn no_core_dumps() {
    // SAFETY: prctl with this operation takes integers and touches no memory of ours.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        debug!(error = %Errno::last(), "The agent's memory can be dumped");
    }
    let Some(limit) = current() else { return };
    // A second call must not take the first one's doing for what was before.
    let before = BEFORE.get_or_init(|| limit);
    // The soft limit alone: without root, the hard one could not be raised again for the runner.
    if CoreLimit(libc::rlimit { rlim_cur: 0, ..before.0 }).set().is_err() {
        debug!("The agent may leave a core dump");
    }
}

/// What the limit was before [`no_core_dumps`]; `None` where that was not called.
#[must_use]
pub fn core_limit() -> Option<CoreLimit> {
    BEFORE.get().copied()
}

impl CoreLimit {
    /// Makes it this process's own. One system call: may be called between fork and exec.
    pub fn set(self) -> Result<(), Errno> {
        // SAFETY: the pointer is to a live structure that is only read.
        Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const self.0) }).map(drop)
    }
}

fn current() -> Option<CoreLimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live structure that the call fills in.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    (result == 0).then_some(CoreLimit(limit))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    fn soft_limit(before_exec: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -c"]);
        // SAFETY: the closures below make one system call, or none.
        unsafe { command.pre_exec(before_exec) };
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn the_agent_leaves_no_dump_and_its_child_may() {
        // Something to be told from 0, wherever this test runs.
        let hard = current().unwrap().0.rlim_max;
        CoreLimit(libc::rlimit { rlim_cur: hard, rlim_max: hard }).set().unwrap();
        let before = soft_limit(|| Ok(()));
        no_core_dumps();
        no_core_dumps();
        // SAFETY: prctl with this operation takes no further argument and touches no memory of ours.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
        assert_eq!(current().unwrap().0.rlim_cur, 0);
        assert_eq!(soft_limit(|| Ok(())), "0\n");
        let limit = core_limit().unwrap();
        assert_eq!(soft_limit(move || limit.set().map_err(std::io::Error::from)), before);
    }
}
