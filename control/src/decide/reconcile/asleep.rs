//! What becomes of instances that are to be stopped, or are: no agent tells of them, so EC2 is asked.
//!
//! | ledger | EC2 | verdict |
//! |---|---|---|
//! | stopping | stopped, and nobody is at it | note: jobs may have it from now on |
//! | stopping | runs, and has had its time | end: it can't be stopped, and its agent may be gone |
//! | stopped | runs | end: somebody else has started it, and it costs. It has no registration, and so no job |
//! | any | gone | forget |
//! | any | otherwise, or not asked | keep |
//!
//! All of it is written on condition that no job was given the instance meanwhile.

use super::deaths::AtEc2;
use crate::{clock::Millis, decide::runners::RunnerState, ledger::Runner};

/// What becomes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Keep,
    /// It is noted as stopped.
    Note,
    /// It is taken out of the ledger.
    Forget,
    /// It is taken out of the ledger, and ended.
    End,
}

/// Judges `runner`, of whose instance EC2 says this, by the table above.
#[must_use]
pub fn fate(runner: &Runner, ec2: AtEc2, now: Millis) -> Fate {
    match (runner.state, ec2) {
        (RunnerState::Stopping | RunnerState::Stopped, AtEc2::Gone) => Fate::Forget,
        // Whoever asks EC2 to stop it may still repeat that, after a lost answer, and would stop it under a job.
        (RunnerState::Stopping, AtEc2::Stopped) if runner.lease_until <= now => Fate::Note,
        (RunnerState::Stopping, AtEc2::Running) if runner.boot_deadline <= now => Fate::End,
        (RunnerState::Stopped, AtEc2::Running) => Fate::End,
        _ => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::{AtEc2, Fate, Runner, RunnerState, fate};
    use crate::ledger::tests::runner;

    #[test]
    fn every_pair_is_judged_by_the_table() {
        let all = [AtEc2::Running, AtEc2::Stopped, AtEc2::Ending, AtEc2::Gone, AtEc2::Unasked];
        for state in RunnerState::ALL {
            for ec2 in all {
                for (overdue, leased) in [(false, false), (false, true), (true, false), (true, true)] {
                    let now = if overdue { 100 } else { 99 };
                    let lease_until = if leased { now + 1 } else { now };
                    let it = Runner { state, boot_deadline: 100, lease_until, ..runner("linux-x64", 1) };
                    let expected = match (state, ec2, overdue) {
                        (RunnerState::Stopping, AtEc2::Stopped, _) if !leased => Fate::Note,
                        (RunnerState::Stopping, AtEc2::Running, true) | (RunnerState::Stopped, AtEc2::Running, _) => {
                            Fate::End
                        }
                        (RunnerState::Stopping | RunnerState::Stopped, AtEc2::Gone, _) => Fate::Forget,
                        _ => Fate::Keep,
                    };
                    assert_eq!(fate(&it, ec2, now), expected, "{state:?} {ec2:?} {overdue} {leased}");
                }
            }
        }
    }
}
