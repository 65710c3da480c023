//! What came of a run, or of many.

use std::{collections::BTreeMap, fmt};

/// What came of a run, or of many.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Executions of jobs that have ended.
    pub jobs: u64,
    /// Instances.
    pub launches: u64,
    /// How long each job waited for its runner, in milliseconds.
    pub waits: Vec<u32>,
    /// Steps of invocations.
    pub steps: u64,
    /// Milliseconds of simulated time.
    pub lasted: u64,
    /// Faults by their kinds, and what followed.
    pub injected: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.launches += other.launches;
        self.steps += other.steps;
        self.lasted += other.lasted;
        self.waits.extend(&other.waits);
        for (what, count) in &other.injected {
            *self.injected.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1)));
        let seconds = |wait: Option<&u32>| f64::from(wait.copied().unwrap_or(0)) / 1000.0;
        writeln!(f, "jobs      {:>10}   launches {}", self.jobs, self.launches)?;
        let (half, most, longest) = (seconds(at(50)), seconds(at(99)), seconds(waits.last()));
        writeln!(f, "waited    p50 {half:.1} s, p99 {most:.1} s, at most {longest:.1} s")?;
        writeln!(f, "simulated {:>10} minutes, {} steps", self.lasted / 60_000, self.steps)?;
        for (what, count) in &self.injected {
            writeln!(f, "{count:>10} {what}")?;
        }
        Ok(())
    }
}
