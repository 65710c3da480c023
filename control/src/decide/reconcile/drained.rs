//! Which runners of a drained fleet are to go: those that have no job. Their agents would retire them one after the
//! other once they have been idle for long enough; a person who drains a fleet does not want to wait for that.

use crate::{
    clock::Millis,
    decide::{runners::RunnerState, words},
    ledger::{Runner, View},
};

/// Why a runner is not retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// It has a job, by GitHub's webhooks.
    Busy,
    /// It has a job, by its agent's word.
    Working,
    /// Its instance boots, or waits for its registration.
    Starting,
    /// It stands by for its fleet's pool, which a drain or the pool's size withdraws it from.
    Ready,
    /// It has been told to go.
    Leaving,
    /// Its instance has ended.
    Ended,
}

/// Whether `runner` may be deleted at GitHub by the ledger. GitHub's own refusal of a busy one is not enough: its `DELETE`
/// has been seen to succeed on one.
pub fn may_retire(runner: &Runner) -> Result<(), Stays> {
    match runner.state {
        RunnerState::Busy => Err(Stays::Busy),
        RunnerState::Spent | RunnerState::Gone => Err(Stays::Ended),
        RunnerState::Registered if words::is_working(runner) => Err(Stays::Working),
        RunnerState::Registered => Ok(()),
        RunnerState::Launched => Err(Stays::Starting),
        RunnerState::Warming | RunnerState::Standby | RunnerState::Stopping | RunnerState::Stopped => Err(Stays::Ready),
        RunnerState::Withdrawn | RunnerState::Retiring => Err(Stays::Leaving),
    }
}

/// The runners to be retired of a fleet whose level is `view`, at most so many, the oldest first. While a job is queued, one
/// that counts on getting it is left to it: GitHub may have given it the job already, and the webhook is on its way.
#[must_use]
pub fn to_retire(view: &View, now: Millis, most: usize) -> Vec<Runner> {
    if view.meta.drained_at.is_none() {
        return Vec::new();
    }
    let free = |it: &&Runner| may_retire(it).is_ok() && (view.queued.is_empty() || it.boot_deadline <= now);
    let mut idle: Vec<&Runner> = view.runners.iter().filter(free).collect();
    idle.sort_by_key(|it| (it.launched_at, &it.instance));
    idle.into_iter().take(most).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{Stays, may_retire, to_retire};
    use crate::{
        decide::runners::RunnerState,
        ledger::{
            Meta, Reuse, Runner, View,
            tests::{marker, runner},
        },
    };

    const NOW: u64 = 2_000_000;

    fn it(n: u64, state: RunnerState) -> Runner {
        Runner { state, boot_deadline: NOW, ..runner("linux-x64", n) }
    }

    #[test]
    fn only_a_runner_without_any_sign_of_a_job_may_be_retired() {
        let mut working = it(1, RunnerState::Registered);
        working.history.add(5, "working", "by its agent's word");
        let cases = [
            (it(1, RunnerState::Launched), Err(Stays::Starting)),
            (it(1, RunnerState::Registered), Ok(())),
            (working, Err(Stays::Working)),
            (it(1, RunnerState::Busy), Err(Stays::Busy)),
            (it(1, RunnerState::Warming), Err(Stays::Ready)),
            (it(1, RunnerState::Standby), Err(Stays::Ready)),
            (it(1, RunnerState::Stopping), Err(Stays::Ready)),
            (it(1, RunnerState::Stopped), Err(Stays::Ready)),
            (it(1, RunnerState::Withdrawn), Err(Stays::Leaving)),
            (it(1, RunnerState::Retiring), Err(Stays::Leaving)),
            (it(1, RunnerState::Spent), Err(Stays::Ended)),
            (it(1, RunnerState::Gone), Err(Stays::Ended)),
            (Runner { reuse: Some(Reuse::default()), ..it(1, RunnerState::Registered) }, Ok(())),
            (Runner { reuse: Some(Reuse::default()), ..it(1, RunnerState::Busy) }, Err(Stays::Busy)),
        ];
        for (runner, expected) in cases {
            assert_eq!(may_retire(&runner), expected, "{runner:?}");
        }
    }

    #[test]
    fn a_drained_fleets_idle_runners_go_a_few_at_a_time() {
        let meta = Meta { drained_at: Some(5), ..Meta::default() };
        let mut runners: Vec<Runner> = RunnerState::ALL.into_iter().zip(1..).map(|(state, n)| it(n, state)).collect();
        runners.push(Runner { launched_at: 1, ..it(9, RunnerState::Registered) });
        runners.push(Runner { boot_deadline: NOW + 1, ..it(10, RunnerState::Registered) });
        let drained = View { meta, runners, ..View::default() };
        let waited_for = View { queued: vec![marker("linux-x64", 7)], ..drained.clone() };
        let named = |view: &View, most| -> Vec<u64> {
            let number = |it: Runner| u64::from_str_radix(&it.instance[2..], 16).unwrap();
            to_retire(view, NOW, most).into_iter().map(number).collect()
        };
        assert_eq!(named(&drained, 10), [9, 2, 10], "the oldest first; no other state");
        assert_eq!(named(&drained, 1), [9]);
        assert_eq!(named(&waited_for, 10), [9, 2], "10 may have the job");
        assert!(named(&View { meta: Meta::default(), ..drained }, 10).is_empty(), "a fleet that is not drained");
    }
}
