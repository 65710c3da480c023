//! How a fleet stands, as metrics.

use serde_json::Value;

use super::*;

/// What one run tells of `metric`: state and value.
fn told(metrics: &[String], metric: &str) -> Vec<(String, u64)> {
    let lines = metrics.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |line: Value| Some((line["State"].as_str().unwrap_or_default().to_owned(), line[metric].as_u64()?));
    lines.filter_map(of).collect()
}

#[test]
fn each_minute_tells_of_runners_by_state_and_of_the_oldest_queued_job() {
    let port = world();
    let idle = measured(&port);
    assert_eq!((told(&idle, "Runners"), told(&idle, "OldestQueued")), (vec![], vec![]), "of nothing, nothing");

    for (n, state) in [(1, RunnerState::Launched), (2, RunnerState::Busy), (3, RunnerState::Busy)] {
        runner_of(&port, n, state, MINUTE);
        instance_of(&port, n, AtEc2::Running, MINUTE);
        at_github(&port, n, true, state == RunnerState::Busy);
        hear(&port, n);
    }
    job_of(&port, 7, JobState::Queued, 3 * MINUTE);
    job_of(&port, 8, JobState::Queued, MINUTE);
    let busy = measured(&port);
    assert_eq!(told(&busy, "Runners"), [("busy".to_owned(), 2), ("launched".to_owned(), 1)]);
    assert_eq!(told(&busy, "OldestQueued"), [(String::new(), 3 * MINUTE)]);
}
