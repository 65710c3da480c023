//! How a fleet stands, as metrics: what alarms and graphs can't make of events alone.

use std::collections::BTreeMap;

use crate::{
    clock::Millis,
    ledger::View,
    metrics::{Metric, Metrics},
};

/// Tells how many runners of each state the fleet `name` has, and for how long its oldest job has been queued. Of what
/// there is none nothing is told: a metric costs for each hour in which it is told of.
pub(super) fn tell(metrics: &Metrics, name: &str, view: &View, now: Millis) {
    let mut states: BTreeMap<&'static str, u64> = BTreeMap::new();
    for runner in &view.runners {
        *states.entry(runner.state.name()).or_default() += 1;
    }
    for (state, count) in states {
        metrics.add(Metric::Runners, count, &[("Fleet", name), ("State", state)]);
    }
    if let Some(since) = view.queued.iter().map(|job| job.queued_at).min() {
        metrics.add(Metric::OldestQueued, now.saturating_sub(since), &[("Fleet", name)]);
    }
}
