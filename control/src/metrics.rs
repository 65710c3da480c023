//! Metrics in CloudWatch's embedded metric format: JSON lines on stdout, from which CloudWatch Logs makes metrics, so
//! that a metric costs no call.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! A plain value that handlers collect into and the invocation's end renders. The crate `metrics_cloudwatch_embedded`
//! does the same through the global recorder of `metrics`, which tests that run beside each other share; what it would
//! save is less than what stands here.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use crate::clock::{Clock, Millis};

/// CloudWatch's namespace of all metrics.
pub const NAMESPACE: &str = "Dayfly";
/// The most values of one metric in one line, by the specification.
const MOST_VALUES: usize = 100;
/// The most metrics in one line, by the specification.
const MOST_METRICS: usize = 100;

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// `workflow_job` events that changed a job, by `Fleet` and `Action`.
    Jobs,
    /// Milliseconds from queued to running, each job's, by `Fleet`.
    QueueTime,
    /// Milliseconds that a fleet's oldest queued job has waited so far, each minute while there is one, by `Fleet`.
    OldestQueued,
    /// Runners that a fleet has, each minute, by `Fleet` and `State`.
    Runners,
    /// Instances that EC2 was asked for, by `Fleet`.
    InstancesAsked,
    /// Instances that EC2 launched, by `Fleet`.
    InstancesLaunched,
    /// Offers that EC2 had no capacity for, by `InstanceType` and `Zone`.
    CapacityErrors,
    /// Launches and offers that EC2 refused for other reasons, by `Fleet` and `Reason` (EC2's code).
    LaunchErrors,
    /// Runners that got their registration, by `Fleet`.
    Registrations,
    /// Instances of a pool that were given to jobs, by `Fleet`.
    PoolClaims,
    /// Requests that GitHub still allows in this hour.
    GitHubRemaining,
    /// Milliseconds of each invocation.
    Duration,
    /// What was dropped or refused, by `Reason`. There is a log line for each.
    Refused,
    /// What reconcile put right, by `Reason`. There is a log line for each.
    Mended,
    /// Interrupted jobs that were run again or were not, by `Fleet` and `Action` (`again`, or why not).
    Reruns,
    /// Releases of the runner that were stored, made the latest or deleted, by `Platform` and `Action`.
    RunnerReleases,
    /// Images, snapshots and leftovers that went or stay, by `Kind` and `Action`.
    Housekeeping,
}

/// What a metric counts in, by CloudWatch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Count,
    Milliseconds,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 17] = [
        Self::Jobs,
        Self::QueueTime,
        Self::OldestQueued,
        Self::Runners,
        Self::InstancesAsked,
        Self::InstancesLaunched,
        Self::CapacityErrors,
        Self::LaunchErrors,
        Self::Registrations,
        Self::PoolClaims,
        Self::GitHubRemaining,
        Self::Duration,
        Self::Refused,
        Self::Mended,
        Self::Reruns,
        Self::RunnerReleases,
        Self::Housekeeping,
    ];

    /// Its name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::QueueTime => "QueueTime",
            Self::OldestQueued => "OldestQueued",
            Self::Runners => "Runners",
            Self::InstancesAsked => "InstancesAsked",
            Self::InstancesLaunched => "InstancesLaunched",
            Self::CapacityErrors => "CapacityErrors",
            Self::LaunchErrors => "LaunchErrors",
            Self::Registrations => "Registrations",
            Self::PoolClaims => "PoolClaims",
            Self::GitHubRemaining => "GitHubRemaining",
            Self::Duration => "Duration",
            Self::Refused => "Refused",
            Self::Mended => "Mended",
            Self::Reruns => "Reruns",
            Self::RunnerReleases => "RunnerReleases",
            Self::Housekeeping => "Housekeeping",
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::QueueTime | Self::OldestQueued | Self::Duration => Unit::Milliseconds,
            _ => Unit::Count,
        }
    }

    /// Whether values are kept apart, for percentiles; else they are summed up.
    const fn is_distribution(self) -> bool {
        matches!(self, Self::QueueTime | Self::Duration | Self::GitHubRemaining)
    }
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Dimensions of a metric and their values, beside `Deployment` and `Function`.
type Dimensions = Vec<(&'static str, String)>;

/// What an invocation measured so far.
#[derive(Debug, Default)]
pub struct Metrics {
    deployment: String,
    function: &'static str,
    collected: Mutex<BTreeMap<Dimensions, BTreeMap<Metric, Vec<u64>>>>,
}

impl Metrics {
    /// Metrics of one function of a deployment.
    #[must_use]
    pub fn new(deployment: impl Into<String>, function: &'static str) -> Self {
        Self { deployment: deployment.into(), function, collected: Mutex::default() }
    }

    /// Adds `value` to `metric` with these dimensions.
    pub fn add(&self, metric: Metric, value: u64, dimensions: &[(&'static str, &str)]) {
        // CloudWatch takes no empty dimension.
        let text = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
        let dimensions = dimensions.iter().map(|(name, value)| (*name, text(value))).collect();
        let mut collected = self.lock();
        let values = collected.entry(dimensions).or_default().entry(metric).or_default();
        match values.first_mut() {
            Some(sum) if !metric.is_distribution() => *sum += value,
            _ => values.push(value),
        }
    }

    /// Counts something that was dropped or refused for `reason`.
    pub fn refused(&self, reason: &'static str) {
        self.add(Metric::Refused, 1, &[("Reason", reason)]);
    }

    /// Counts something that was not as it should be and was put right, for `reason`.
    pub fn mended(&self, reason: &'static str) {
        self.add(Metric::Mended, 1, &[("Reason", reason)]);
    }

    /// The lines of what was collected, which is forgotten.
    #[must_use]
    pub fn take(&self, now: Millis) -> Vec<String> {
        let collected = std::mem::take(&mut *self.lock());
        collected.iter().flat_map(|(dimensions, metrics)| self.lines(dimensions, metrics, now)).collect()
    }

    fn lines(&self, dimensions: &Dimensions, metrics: &BTreeMap<Metric, Vec<u64>>, now: Millis) -> Vec<String> {
        let parts = metrics.values().map(|values| values.len().div_ceil(MOST_VALUES)).max().unwrap_or(0);
        let mut lines = Vec::new();
        for part in 0..parts {
            let of_part = |(metric, values): (&Metric, &Vec<u64>)| {
                let values: Vec<u64> = values.chunks(MOST_VALUES).nth(part)?.to_vec();
                Some((*metric, values))
            };
            let of_part: Vec<(Metric, Vec<u64>)> = metrics.iter().filter_map(of_part).collect();
            lines.extend(of_part.chunks(MOST_METRICS).map(|metrics| self.line(dimensions, metrics, now)));
        }
        lines
    }

    fn line(&self, dimensions: &Dimensions, metrics: &[(Metric, Vec<u64>)], now: Millis) -> String {
        let mut root = Map::new();
        root.insert("Deployment".to_owned(), json!(self.deployment));
        // Not for what is asked of a fleet, whichever function measured it.
        let of_function = dimensions.is_empty() || dimensions.iter().any(|(name, _)| *name == "Reason");
        let mut names = vec!["Deployment"];
        if of_function {
            root.insert("Function".to_owned(), json!(self.function));
            names.push("Function");
        }
        for (name, value) in dimensions {
            root.insert((*name).to_owned(), json!(value));
            names.push(name);
        }
        let definitions: Vec<Value> =
            metrics.iter().map(|(it, _)| json!({"Name": it.name(), "Unit": it.unit().name()})).collect();
        for (metric, values) in metrics {
            let value = if let [one] = values[..] { json!(one) } else { json!(values) };
            root.insert(metric.name().to_owned(), value);
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions});
        root.insert("_aws".to_owned(), json!({"Timestamp": now, "CloudWatchMetrics": [directive]}));
        Value::Object(root).to_string()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Dimensions, BTreeMap<Metric, Vec<u64>>>> {
        // Whoever panicked left whole numbers behind.
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the `work` of one invocation, measures how long it takes, and writes all that was collected to `out`.
pub async fn invocation<F: Future>(metrics: &Metrics, clock: &impl Clock, out: impl Write, work: F) -> F::Output {
    let started = clock.now();
    let done = work.await;
    let now = clock.now();
    metrics.add(Metric::Duration, now.saturating_sub(started), &[]);
    if let Err(error) = write(out, &metrics.take(now)) {
        tracing::warn!(error = %error, "The metrics of this invocation are lost");
    }
    done
}

fn write(mut out: impl Write, lines: &[String]) -> io::Result<()> {
    // In one write each, so that no log line comes between.
    lines.iter().try_for_each(|line| out.write_all(format!("{line}\n").as_bytes()))?;
    out.flush()
}

#[cfg(test)]
mod tests;
