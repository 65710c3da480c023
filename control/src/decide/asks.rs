//! What a job asks for beyond its fleet: the labels that the fleet's runners do not carry by themselves.
//!
//! GitHub gives a job only to a runner that carries all of its labels. So a runner for a job that steers its launch
//! (`dayfly-cpu=8`), pins itself to one runner (`dayfly-pin=…`) or has labels of which the fleet knows only some
//! (`matching` is `any`) is registered with these labels too, and is counted apart from the others.

use std::collections::BTreeSet;

use super::wishes;
use crate::fleets::Fleet;

/// What of a job's `labels` the runners of `fleet` do not carry: in lower case, sorted, each once.
#[must_use]
pub fn asks(fleet: &Fleet, labels: &[String]) -> Vec<String> {
    let carried: BTreeSet<String> = fleet.labels.iter().map(|label| label.to_lowercase()).collect();
    let asked: BTreeSet<String> = labels.iter().map(|label| label.to_lowercase()).collect();
    asked.into_iter().filter(|label| wishes::is_wish(label) || !carried.contains(label)).collect()
}

/// The labels of a runner of `fleet` for a job with these `asks`.
#[must_use]
pub fn labels(fleet: &Fleet, asks: &[String]) -> Vec<String> {
    let own = |ask: &&String| fleet.labels.iter().any(|label| label.to_lowercase() == **ask);
    fleet.labels.iter().chain(asks.iter().filter(|ask| !own(ask))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{asks, labels};
    use crate::fleets::tests::fleet;

    fn texts(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.into()).collect()
    }

    #[test]
    fn what_the_fleet_does_not_carry_is_asked_for() {
        let mut fleet = fleet("linux-x64");
        fleet.labels.push("dayfly-disk=9".into());
        let cases: [(&[&str], &[&str]); 5] = [
            (&["Linux", "SELF-hosted"], &[]),
            (&[], &[]),
            (&["linux", "Dayfly-CPU=8", "dayfly-cpu=8"], &["dayfly-cpu=8"]),
            (&["zebra", "linux", "GPU"], &["gpu", "zebra"]),
            (&["dayfly-disk=9"], &["dayfly-disk=9"]),
        ];
        for (asked, expected) in cases {
            assert_eq!(asks(&fleet, &texts(asked)), texts(expected), "{asked:?}");
        }
    }

    #[test]
    fn a_runner_carries_every_label_of_its_job_once() {
        let mut fleet = fleet("linux-x64");
        fleet.labels.push("Dayfly-Disk=9".into());
        let job = texts(&["LINUX", "dayfly-disk=9", "GPU"]);
        let carried = labels(&fleet, &asks(&fleet, &job));
        assert_eq!(carried, texts(&["self-hosted", "linux", "Dayfly-Disk=9", "gpu"]));
        assert!(job.iter().all(|label| carried.iter().any(|it| it.eq_ignore_ascii_case(label))));
    }
}
