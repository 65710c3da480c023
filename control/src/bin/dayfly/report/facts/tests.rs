use dayfly_control::{
    decide::{jobs::JobState, runners::RunnerState},
    fleets::Market,
    ledger::{Job, Life, Runner, Stops},
};
use proptest::prelude::*;

use super::{DAY, Facts, NO_JOB, Part, Report, report};
use crate::{jobs::tests::job, report::prices::Prices, runners::tests::runner};

const NOW: u64 = 1_795_000_000_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn instance(n: u64) -> String {
    format!("i-{n:017x}")
}

/// A job that waited for so long, ran for so long, and ended so long ago, on instance `n`.
fn ran(id: u64, n: u64, repository: &str, wait: u64, run: u64, ago: u64) -> Job {
    let done = NOW - ago;
    Job {
        repository: repository.into(),
        runner_name: Some(format!("linux-x64-{}", instance(n))),
        queued_at: Some(done - run - wait),
        running_at: Some(done - run),
        done_at: Some(done),
        ..job(id, JobState::Done)
    }
}

fn life(n: u64, lasted: u64, ago: u64, market: Market) -> Life {
    Life {
        fleet: "linux-x64".into(),
        instance: instance(n),
        instance_type: Some("c7i.large".into()),
        market: Some(market),
        launched_at: NOW - ago - lasted,
        ended_at: NOW - ago,
        stopped_ms: 0,
        expires: 0,
    }
}

fn facts(jobs: Vec<Job>, lives: Vec<Life>) -> Facts {
    Facts { jobs, lives, runners: vec![], since: NOW - 7 * DAY, until: NOW }
}

fn prices() -> Prices {
    Prices::read(r#"{"on_demand": {"c7i.large": 0.6}, "spot_factor": 0.5}"#).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn an_instance_is_not_paid_for_while_it_is_stopped() {
    let jobs = vec![ran(1, 1, "o/a", 30_000, 8 * MINUTE, HOUR)];
    // Launched three days ago, and stopped but for ten minutes.
    let once = Life { stopped_ms: 3 * DAY - 10 * MINUTE, ..life(1, 3 * DAY, HOUR, Market::OnDemand) };
    let stops = Stops { at: Some(NOW - HOUR), started_at: None, before: 0 };
    let asleep = Runner {
        instance: instance(2),
        launched_at: NOW - HOUR - 2 * MINUTE,
        instance_type: Some("c7i.large".into()),
        market: Some(Market::OnDemand),
        stops,
        ..runner(RunnerState::Stopped)
    };
    let facts = Facts { runners: vec![asleep], ..facts(jobs, vec![once]) };
    let report = report(&facts, &prices());
    assert!(near(report.all.minutes, 12.0), "{}", report.all.minutes);
    assert!(near(report.repositories["o/a"].minutes, 10.0) && near(report.repositories[NO_JOB].minutes, 2.0));
    let dollars = 12.0 / 60.0 * 0.6;
    assert!(near(report.all.dollars, dollars), "{}", report.all.dollars);
    let by_day: f64 = report.days.values().map(|day| day.minutes).sum();
    assert!(near(by_day, 12.0), "{by_day}");
}

#[test]
fn an_instance_is_paid_for_from_launch_to_end_by_the_repository_of_its_job() {
    let jobs = vec![ran(1, 1, "o/a", 30_000, 8 * MINUTE, HOUR), ran(2, 2, "o/b", 10_000, MINUTE, HOUR)];
    let lives = vec![
        life(1, 10 * MINUTE, HOUR, Market::OnDemand),
        life(2, 10 * MINUTE, HOUR, Market::Spot),
        // Nobody had it.
        life(3, 5 * MINUTE, HOUR, Market::OnDemand),
    ];
    let it = report(&facts(jobs, lives), &prices());
    assert!(near(it.all.minutes, 25.0) && near(it.all.dollars, 0.1 + 0.05 + 0.05), "{it:?}");
    assert!(near(it.repositories["o/a"].dollars, 0.1) && near(it.repositories["o/b"].dollars, 0.05), "{it:?}");
    assert!(near(it.repositories[NO_JOB].minutes, 5.0) && it.repositories[NO_JOB].jobs == 0);
    assert_eq!((it.all.jobs, it.all.instances, it.fleets["linux-x64"].instances), (2, 3, 3));
    assert!(it.unpriced.is_empty());
}

#[test]
fn a_reusable_instance_is_shared_by_how_long_each_job_ran() {
    let jobs = vec![
        ran(1, 1, "o/a", 0, 3 * MINUTE, HOUR + 10 * MINUTE),
        ran(2, 1, "o/b", 0, MINUTE, HOUR + 5 * MINUTE),
        ran(3, 1, "o/b", 0, 2 * MINUTE, HOUR),
    ];
    let it = report(&facts(jobs, vec![life(1, 60 * MINUTE, HOUR, Market::OnDemand)]), &prices());
    assert!(near(it.repositories["o/a"].minutes, 30.0) && near(it.repositories["o/b"].dollars, 0.3), "{it:?}");
    assert!(!it.repositories.contains_key(NO_JOB));
}

#[test]
fn what_has_no_price_is_counted_in_minutes_and_named() {
    let unknown = Life { instance_type: None, market: None, ..life(2, MINUTE, HOUR, Market::Spot) };
    let lives = vec![life(1, 10 * MINUTE, HOUR, Market::OnDemand), unknown];
    let it = report(&facts(vec![], lives), &Prices::default());
    assert!(near(it.all.dollars, 0.0) && near(it.all.unpriced_minutes, 11.0));
    let named: Vec<(&str, f64)> = it.unpriced.iter().map(|(name, minutes)| (name.as_str(), *minutes)).collect();
    assert_eq!(named, [("c7i.large on-demand", 10.0), ("unknown unknown market", 1.0)]);
}

#[test]
fn waits_are_of_jobs_that_began_and_percentiles_are_nearest_rank() {
    let mut jobs: Vec<Job> = (1..=100).map(|n| ran(n, n, "o/a", n * 1000, MINUTE, HOUR)).collect();
    jobs.push(Job { done_at: Some(NOW - HOUR), queued_at: Some(NOW - 2 * HOUR), ..job(101, JobState::Done) });
    let it = report(&facts(jobs, vec![]), &prices()).all;
    assert_eq!((it.jobs, it.waits.len(), it.without_runner), (101, 100, 1));
    assert_eq!([50, 90, 99].map(|percent| it.wait(percent)), [Some(50_000), Some(90_000), Some(99_000)]);
    assert_eq!(Part::default().wait(50), None);
    assert_eq!(Part { waits: vec![7], ..Part::default() }.wait(99), Some(7));
}

#[test]
fn only_what_lies_in_the_time_counts() {
    let old = ran(1, 1, "o/a", 1000, MINUTE, 3 * DAY);
    let lives = vec![life(1, MINUTE, 3 * DAY, Market::OnDemand), life(2, 2 * DAY, HOUR, Market::OnDemand)];
    let facts = Facts { since: NOW - DAY, ..facts(vec![old], lives) };
    let it = report(&facts, &prices());
    assert_eq!((it.all.jobs, it.all.instances), (0, 1));
    assert!(near(it.all.minutes, 23.0 * 60.0), "{}", it.all.minutes);
}

#[test]
fn an_instance_that_lives_counts_until_now_and_none_twice() {
    let lives = |n, state| Runner {
        instance: instance(n),
        launched_at: NOW - 10 * MINUTE,
        market: Some(Market::OnDemand),
        ..runner(state)
    };
    let runners = vec![
        lives(1, RunnerState::Busy),
        lives(2, RunnerState::Spent),
        // It has ended since it was read.
        lives(3, RunnerState::Busy),
    ];
    let ended = life(3, 9 * MINUTE, MINUTE, Market::OnDemand);
    let it = report(&Facts { runners, ..facts(vec![], vec![ended]) }, &prices());
    assert_eq!(it.all.instances, 2);
    assert!(near(it.all.minutes, 19.0), "{}", it.all.minutes);
}

#[test]
fn a_day_has_its_own_part_of_a_life() {
    // NOW is 11:06:40.
    let it = report(&facts(vec![], vec![life(1, 20 * HOUR, 0, Market::OnDemand)]), &prices());
    let days: Vec<(&str, f64)> = it.days.iter().map(|(day, part)| (day.as_str(), part.minutes.round())).collect();
    assert_eq!(days, [("2026-11-17", 533.0), ("2026-11-18", 667.0)]);
}

fn sums(it: &Report) -> [f64; 4] {
    let sum = |parts: &std::collections::BTreeMap<String, Part>| parts.values().map(|part| part.dollars).sum::<f64>();
    let minutes = it.repositories.values().map(|part| part.minutes).sum();
    [sum(&it.fleets), sum(&it.repositories), sum(&it.days), minutes]
}

proptest! {
    /// Whatever happened, nothing is lost or paid twice.
    #[test]
    fn every_part_comes_to_the_whole(
        lives in prop::collection::vec((1_u64..40, 0_u64..200, 0_u64..20_000, any::<bool>()), 0..40),
        jobs in prop::collection::vec((1_u64..60, 0_u64..3, 0_u64..500, 0_u64..100, 0_u64..20_000), 0..60),
    ) {
        let market = |spot| if spot { Market::Spot } else { Market::OnDemand };
        let lives = lives.into_iter().map(|(n, lasted, ago, spot)| life(n, lasted * MINUTE, ago * MINUTE, market(spot)));
        let jobs = (1..).zip(jobs).map(|(id, (n, repository, wait, run, ago))| {
            ran(id, n, &format!("o/{repository}"), wait * 1000, run * MINUTE, ago * MINUTE)
        });
        let it = report(&facts(jobs.collect(), lives.collect()), &prices());
        let [fleets, repositories, days, minutes] = sums(&it);
        for sum in [fleets, repositories, days] {
            prop_assert!((sum - it.all.dollars).abs() < 1e-6, "{sum} of {}", it.all.dollars);
        }
        prop_assert!((minutes - it.all.minutes).abs() < 1e-6);
        prop_assert!(it.all.waits.is_sorted());
        let of_repositories: u64 = it.repositories.values().map(|part| part.jobs).sum();
        prop_assert_eq!(of_repositories, it.all.jobs);
    }
}
