//! What the functions did, in numbers.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use crate::{
    ending::{Ending, Run},
    lock,
};

/// One function's numbers since the host started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionStats {
    /// Invocations that have ended, however.
    pub invocations: u64,
    /// Those that started a process.
    pub cold_starts: u64,
    /// Those that did not succeed: the function's own errors, crashes, timeouts and kills.
    pub errors: u64,
    /// Those that took too long, in init or in the invocation.
    pub timeouts: u64,
    /// Those whose process ended by itself.
    pub crashes: u64,
    /// Those that were killed as asked by [`crate::LambdaHost::kill_once`].
    pub kills: u64,
    /// Invocations refused as too many were running.
    pub throttles: u64,
    /// How long each invocation took, init left out, in the order of their ends.
    pub durations: Vec<Duration>,
    /// How long each process took to ask for its first event.
    pub inits: Vec<Duration>,
    /// The most memory a process held, in bytes.
    pub max_memory: u64,
}

impl FunctionStats {
    /// The duration that `share` (0 to 1) of the invocations did not exceed; none without invocations.
    #[must_use]
    pub fn duration_at(&self, share: f64) -> Option<Duration> {
        at(&self.durations, share)
    }

    /// The same of inits.
    #[must_use]
    pub fn init_at(&self, share: f64) -> Option<Duration> {
        at(&self.inits, share)
    }

    fn add(&mut self, run: &Run) {
        self.invocations += 1;
        self.cold_starts += u64::from(run.cold);
        self.errors += u64::from(!matches!(run.ending, Ending::Success(_)));
        self.timeouts += u64::from(matches!(run.ending, Ending::TimedOut | Ending::InitTimedOut));
        self.crashes += u64::from(matches!(run.ending, Ending::Exited(_)));
        self.kills += u64::from(run.ending == Ending::Killed);
        self.durations.push(run.duration);
        self.inits.extend(run.init);
        self.max_memory = self.max_memory.max(run.max_memory);
    }
}

/// Nearest-rank percentile.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rank within a list's length, from a share within 0 to 1"
)]
fn at(times: &[Duration], share: f64) -> Option<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (share.clamp(0.0, 1.0) * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied()
}

/// All functions' numbers.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<String, FunctionStats>>);

impl Stats {
    /// Counts an invocation.
    pub(crate) fn ran(&self, function: &str, run: &Run) {
        lock(&self.0).entry(function.to_owned()).or_default().add(run);
    }

    /// Counts a refusal.
    pub(crate) fn throttled(&self, function: &str) {
        lock(&self.0).entry(function.to_owned()).or_default().throttles += 1;
    }

    /// The numbers so far.
    pub(crate) fn all(&self) -> BTreeMap<String, FunctionStats> {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    #[test]
    fn each_ending_is_counted_once_where_it_belongs() {
        let stats = Stats::default();
        for (millis, ending) in [
            (1, Ending::Success(Vec::new())),
            (2, Ending::Failure(Vec::new())),
            (3, Ending::TimedOut),
            (4, Ending::InitTimedOut),
            (5, Ending::Exited(ExitStatus::from_raw(0))),
            (6, Ending::Killed),
        ] {
            let duration = Duration::from_millis(millis);
            let cold = millis == 1;
            stats.ran("f", &Run { ending, cold, init: cold.then_some(duration), duration, max_memory: millis });
        }
        stats.throttled("f");
        let f = &stats.all()["f"];
        assert_eq!((f.invocations, f.cold_starts, f.errors), (6, 1, 5));
        assert_eq!((f.timeouts, f.crashes, f.kills, f.throttles, f.max_memory), (2, 1, 1, 1, 6));
        assert_eq!(f.duration_at(0.5), Some(Duration::from_millis(3)));
        assert_eq!(f.duration_at(1.0), Some(Duration::from_millis(6)));
        assert_eq!(f.init_at(0.99), Some(Duration::from_millis(1)));
        assert_eq!(FunctionStats::default().duration_at(0.5), None);
    }
}
