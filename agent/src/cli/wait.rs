//! Waits until no job runs: when the agent can't be kept alive, its job shall still come to its end before the machine
//! does. As little as can be is relied on: whatever can't be known counts as no job, and the machine may end.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use crate::core::RunnerId;
use crate::memory::Memory;
use crate::settings::Settings;
use crate::sources::worker;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// So many looks without a Worker in a row: between two jobs there is none either, but nobody is left to retire the
/// runner, so it must not be waited for long.
const LOOKS: u32 = 3;

/// Waits while the runner that the agent of this boot has noted has a Worker.
pub fn for_job(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let state = Memory::of(&settings.state_dir).load();
    let Some(runner) = state.and_then(|state| state.facts.runner) else {
        return writeln!(out, "no runner is known");
    };
    writeln!(out, "waiting for the job of runner {}", runner.pid)?;
    wait(runner, worker::has_worker, || sleep(LOOK));
    writeln!(out, "no job runs any more")
}

fn wait(runner: RunnerId, has_worker: impl Fn(RunnerId) -> bool, mut pause: impl FnMut()) {
    let mut without = 0;
    while without < LOOKS {
        without = if has_worker(runner) { 0 } else { without + 1 };
        if without < LOOKS {
            pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_job_is_waited_for_and_a_gap_in_it_survived() {
        let seen = Cell::new(0);
        let looks = [true, true, false, true, false, false, false, true];
        let has_worker = |_| {
            seen.set(seen.get() + 1);
            looks[seen.get() - 1]
        };
        wait(RunnerId { pid: 7, start_ticks: 9 }, has_worker, || {});
        assert_eq!(seen.get(), 7);
    }

    #[test]
    fn what_is_not_known_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        for_job(&crate::cli::tests::settings(folder.path()), &mut out).unwrap();
        assert_eq!(out, b"no runner is known\n");
    }
}
