use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{MOST_VALUES, Metric, Metrics, NAMESPACE, invocation};
use crate::simulation::{
    runtime::run,
    world::{self},
};

const UNITS: [&str; 2] = ["Count", "Milliseconds"];

fn lines(metrics: &Metrics) -> Vec<Value> {
    metrics.take(1_795_000_000_000).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the specification demands of a line.
fn check(line: &Value) {
    let aws = line["_aws"].as_object().unwrap();
    assert!(aws["Timestamp"].is_u64());
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1);
    let directive = &directives[0];
    assert_eq!(directive["Namespace"], NAMESPACE);
    let sets = directive["Dimensions"].as_array().unwrap();
    assert_eq!(sets.len(), 1);
    let set = sets[0].as_array().unwrap();
    assert!((1..=30).contains(&set.len()), "{set:?}");
    for name in set {
        let value = line[name.as_str().unwrap()].as_str().unwrap();
        assert!((1..=1024).contains(&value.len()), "{name}: {value}");
    }
    let metrics = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&metrics.len()));
    for metric in metrics {
        assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric}");
        match &line[metric["Name"].as_str().unwrap()] {
            Value::Array(values) => {
                assert!((2..=100).contains(&values.len()) && values.iter().all(Value::is_number), "{values:?}");
            }
            value => assert!(value.is_number(), "{value}"),
        }
    }
}

#[test]
fn counts_are_summed_and_distributions_keep_their_values() {
    let metrics = Metrics::new("main", "webhook");
    let fleet = [("Fleet", "linux-x64")];
    for value in [3, 4] {
        metrics.add(Metric::InstancesLaunched, value, &fleet);
        metrics.add(Metric::QueueTime, value * 1000, &fleet);
    }
    metrics.refused("signature");
    let lines = lines(&metrics);
    lines.iter().for_each(check);
    let expected = json!({
        "_aws": {"Timestamp": 1_795_000_000_000_u64, "CloudWatchMetrics": [{
            "Namespace": "Dayfly",
            "Dimensions": [["Deployment", "Fleet"]],
            "Metrics": [
                {"Name": "QueueTime", "Unit": "Milliseconds"},
                {"Name": "InstancesLaunched", "Unit": "Count"},
            ],
        }]},
        "Deployment": "main", "Fleet": "linux-x64", "InstancesLaunched": 7, "QueueTime": [3000, 4000],
    });
    assert_eq!(lines[0], expected);
    let of_reason = (&lines[1]["Function"], &lines[1]["Reason"], &lines[1]["Refused"]);
    assert_eq!(of_reason, (&json!("webhook"), &json!("signature"), &json!(1)));
    assert_eq!(lines.len(), 2);
    assert!(metrics.take(0).is_empty(), "taken once");
}

#[test]
fn a_line_has_no_more_values_than_cloudwatch_takes() {
    let metrics = Metrics::new("main", "webhook");
    for value in 0..250 {
        metrics.add(Metric::QueueTime, value, &[("Fleet", "a")]);
        metrics.add(Metric::Jobs, 1, &[("Fleet", "a")]);
    }
    let lines = lines(&metrics);
    lines.iter().for_each(check);
    let sizes: Vec<usize> = lines.iter().map(|line| line["QueueTime"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [MOST_VALUES, MOST_VALUES, 50]);
    assert_eq!(lines.iter().filter_map(|line| line["Jobs"].as_u64()).sum::<u64>(), 250, "once in all");
}

#[test]
fn no_dimension_is_empty_and_no_name_is_taken_twice() {
    let metrics = Metrics::new("main", "scale-up");
    metrics.add(Metric::CapacityErrors, 1, &[("InstanceType", ""), ("Zone", "eu-west-1a")]);
    let lines = lines(&metrics);
    lines.iter().for_each(check);
    assert_eq!(lines[0]["InstanceType"], "unknown");
    let names: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(names.len(), Metric::ALL.len());
}

#[test]
fn an_invocation_tells_how_long_it_took_and_what_it_measured() {
    let port = world::world(1);
    let metrics = Metrics::new("main", "lifecycle");
    let mut out = Vec::new();
    let answer = run(invocation(&metrics, &port, &mut out, async {
        port.0.now.set(port.0.now.get() + 42);
        metrics.refused("unreadable");
        7
    }));
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(check);
    assert_eq!((answer, lines.len()), (7, 2));
    assert_eq!((&lines[0]["Duration"], &lines[0]["Function"]), (&json!(42), &json!("lifecycle")));
}
