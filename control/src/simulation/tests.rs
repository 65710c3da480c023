//! Thousands of runs of the model.

mod capacity;
mod pools;

use super::model::{Model, Setting};
use crate::{
    decide::bucket::Limits,
    fleets::tests::{fleet, fleets},
};

/// Runs of most settings. Seeds are fixed, so a failure is the same everywhere.
const RUNS: u64 = 1500;
/// Runs with many jobs each.
const LARGE_RUNS: u64 = 100;

fn setting(max: u64, jobs: u64, lateness: u64) -> Setting {
    let mut fleet = fleet("linux-x64");
    fleet.max = max;
    Setting {
        fleets: fleets([fleet]),
        labels: vec![vec!["self-hosted", "linux"]],
        jobs,
        lateness,
        longest_job: 60_000,
        quiet: false,
        crashes: 0,
        kill_at: None,
        limits: Limits::NONE,
        dry: vec![],
    }
}

fn play(runs: u64, make: impl Fn(u64) -> Setting, exact: bool) {
    for seed in 0..runs {
        let setting = make(seed);
        let jobs = setting.jobs;
        let mut model = Model::new(setting, seed);
        let ended = model.play().and_then(|()| model.check_end());
        assert!(ended.is_ok(), "seed {seed}: {}", ended.unwrap_err());
        let launches = model.launches() as u64;
        assert!(!exact || launches == jobs, "seed {seed}: {launches} launches for {jobs} jobs");
    }
}

#[test]
fn late_doubled_and_shuffled_each_job_costs_one_launch() {
    play(RUNS, |seed| setting(100, 1 + seed % 12, 120_000), true);
}

#[test]
fn in_a_burst_each_job_costs_one_launch() {
    play(LARGE_RUNS, |seed| setting(100, 30 + seed % 30, 200), true);
}

#[test]
fn a_small_max_is_kept_and_every_job_gets_its_turn() {
    play(RUNS, |seed| setting(1 + seed % 3, 1 + seed % 12, 30_000), true);
}

/// No webhook tells that a job has begun, and jobs last longer than a boot may take.
fn quiet(setting: Setting) -> Setting {
    let mut fleets = setting.fleets.clone();
    for fleet in &mut fleets.fleets {
        fleet.boot_seconds = 60;
    }
    Setting { fleets, quiet: true, longest_job: 900_000, ..setting }
}

#[test]
fn a_job_whose_beginning_nobody_tells_costs_one_launch() {
    play(RUNS / 3, |seed| quiet(setting(100, 1 + seed % 12, 5_000)), true);
}

#[test]
fn killed_anywhere_a_job_whose_beginning_nobody_tells_runs_once() {
    let crashes = |seed| 1 + u32::try_from(seed % 6).unwrap();
    play(RUNS / 3, |seed| Setting { crashes: crashes(seed), ..quiet(setting(3, 1 + seed % 8, 60_000)) }, false);
}

#[test]
fn killed_anywhere_every_job_runs_once_and_nothing_is_left() {
    play(
        RUNS,
        |seed| Setting { crashes: 1 + u32::try_from(seed % 8).unwrap(), ..setting(100, 1 + seed % 12, 60_000) },
        false,
    );
}

#[test]
fn one_job_alone_survives_a_kill_at_every_step() {
    for seed in 0..20 {
        let mut steps = 1;
        for kill_at in 1.. {
            if kill_at > steps {
                break;
            }
            let mut model = Model::new(Setting { kill_at: Some(kill_at), ..setting(100, 1, 0) }, seed);
            let ended = model.play().and_then(|()| model.check_end());
            assert!(ended.is_ok(), "seed {seed}, killed at {kill_at}: {}", ended.unwrap_err());
            steps = model.steps;
        }
    }
}

#[test]
fn killed_anywhere_with_a_small_max() {
    play(
        RUNS,
        |seed| Setting { crashes: 1 + u32::try_from(seed % 5).unwrap(), ..setting(2, 1 + seed % 8, 60_000) },
        false,
    );
}

#[test]
fn runners_that_are_taken_by_jobs_of_another_fleet_are_replaced() {
    let mut big = fleet("big");
    big.labels.push("big".into());
    let fleets = fleets([fleet("linux-x64"), big]);
    let labels = vec![vec!["self-hosted", "linux"], vec!["self-hosted", "linux", "big"]];
    play(
        RUNS,
        |seed| Setting {
            fleets: fleets.clone(),
            labels: labels.clone(),
            crashes: u32::try_from(seed % 3).unwrap(),
            ..setting(100, 1 + seed % 12, 60_000)
        },
        false,
    );
}

fn reusable(setting: Setting) -> Setting {
    let mut fleets = setting.fleets.clone();
    for fleet in &mut fleets.fleets {
        fleet.ephemeral = false;
    }
    Setting { fleets, ..setting }
}

#[test]
fn reusable_runners_take_every_job_once_and_leave_nothing() {
    play(RUNS / 3, |seed| reusable(setting(1 + seed % 20, 1 + seed % 12, 60_000)), false);
}

#[test]
fn reusable_runners_of_two_fleets_survive_kills_anywhere() {
    let mut big = fleet("big");
    big.labels.push("big".into());
    (big.ephemeral, big.max) = (false, 3);
    let fleets = fleets([fleet("linux-x64"), big]);
    let labels = vec![vec!["self-hosted", "linux"], vec!["self-hosted", "linux", "big"]];
    play(
        RUNS / 3,
        |seed| Setting {
            fleets: fleets.clone(),
            labels: labels.clone(),
            crashes: 1 + u32::try_from(seed % 8).unwrap(),
            ..setting(100, 1 + seed % 12, 60_000)
        },
        false,
    );
}

#[test]
fn one_job_on_a_reusable_runner_survives_a_kill_at_every_step() {
    for seed in 0..10 {
        let mut steps = 1;
        for kill_at in 1.. {
            if kill_at > steps {
                break;
            }
            let mut model = Model::new(Setting { kill_at: Some(kill_at), ..reusable(setting(100, 1, 0)) }, seed);
            let ended = model.play().and_then(|()| model.check_end());
            assert!(ended.is_ok(), "seed {seed}, killed at {kill_at}: {}", ended.unwrap_err());
            steps = model.steps;
        }
    }
}

#[test]
fn reusable_runners_are_used_again() {
    let (mut launches, mut jobs) = (0, 0);
    for seed in 0..50 {
        let mut model = Model::new(reusable(setting(4, 12, 5_000)), seed);
        model.play().and_then(|()| model.check_end()).unwrap();
        (launches, jobs) = (launches + model.launches(), jobs + 12);
    }
    assert!(launches * 2 < jobs, "{launches} launches for {jobs} jobs");
}
