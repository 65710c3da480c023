//! Runs with instances that stand by.

use super::{RUNS, Setting, play, setting};
use crate::{
    fleets::{Eviction, Pool, PoolKind, Schedule},
    simulation::model::Model,
};

/// So many stand by from the beginning, and none from 20 minutes later on.
fn pooled(setting: Setting, size: u64, eviction: Eviction) -> Setting {
    let at = |cron: &str, size| Schedule { cron: cron.parse().unwrap(), zone: jiff::tz::TimeZone::UTC, size };
    let pool = Pool {
        kind: PoolKind::Standby,
        size: 0,
        // Every run begins on 2026-11-18 at 11:06:40.
        schedules: vec![at("0 0 1 1 *", size), at("26 11 18 11 *", 0)],
        eviction,
        lifetime_seconds: 86_400,
        repository: Some("octo-org/octo-repo".into()),
    };
    let mut fleets = setting.fleets.clone();
    for fleet in &mut fleets.fleets {
        fleet.pool = Some(pool.clone());
    }
    Setting { fleets, ..setting }
}

#[test]
fn with_a_pool_every_job_runs_once_and_nothing_is_left() {
    let eviction = |seed| if seed % 2 == 0 { Eviction::Oldest } else { Eviction::Newest };
    play(RUNS / 10, |seed| pooled(setting(100, 1 + seed % 12, 600_000), 1 + seed % 4, eviction(seed)), false);
}

#[test]
fn a_small_max_is_kept_with_a_pool_and_no_job_waits_for_ever_behind_it() {
    play(RUNS / 10, |seed| pooled(setting(1 + seed % 3, 1 + seed % 8, 300_000), 1 + seed % 3, Eviction::Oldest), false);
}

#[test]
fn killed_anywhere_with_a_pool_nothing_is_left() {
    let crashes = |seed| 1 + u32::try_from(seed % 8).unwrap();
    play(
        RUNS / 10,
        |seed| {
            let setting = Setting { crashes: crashes(seed), ..setting(5, 1 + seed % 8, 300_000) };
            pooled(setting, 1 + seed % 3, Eviction::Newest)
        },
        false,
    );
}

#[test]
fn one_claim_survives_a_kill_at_every_step() {
    for seed in 0..6 {
        let mut steps = 1;
        for kill_at in 1.. {
            if kill_at > steps {
                break;
            }
            let setting = Setting { kill_at: Some(kill_at), ..setting(100, 1, 200_000) };
            let mut model = Model::new(pooled(setting, 1, Eviction::Oldest), seed);
            let ended = model.play().and_then(|()| model.check_end());
            assert!(ended.is_ok(), "seed {seed}, killed at {kill_at}: {}", ended.unwrap_err());
            steps = model.steps;
        }
    }
}

/// The same, stopped until a job comes.
fn stopped(setting: Setting, size: u64) -> Setting {
    let mut setting = pooled(setting, size, Eviction::Oldest);
    for fleet in &mut setting.fleets.fleets {
        fleet.pool.as_mut().unwrap().kind = PoolKind::Stopped;
    }
    setting
}

#[test]
fn with_a_pool_of_stopped_instances_every_job_runs_once_and_nothing_is_left() {
    play(RUNS / 10, |seed| stopped(setting(100, 1 + seed % 12, 600_000), 1 + seed % 4), false);
}

#[test]
fn a_small_max_is_kept_with_a_pool_of_stopped_instances() {
    play(RUNS / 10, |seed| stopped(setting(1 + seed % 3, 1 + seed % 8, 300_000), 1 + seed % 3), false);
}

#[test]
fn killed_anywhere_with_a_pool_of_stopped_instances_nothing_is_left() {
    let crashes = |seed| 1 + u32::try_from(seed % 8).unwrap();
    let of = |seed| stopped(Setting { crashes: crashes(seed), ..setting(5, 1 + seed % 8, 300_000) }, 1 + seed % 3);
    play(RUNS / 10, of, false);
}

#[test]
fn jobs_are_given_what_is_stopped() {
    let (mut starts, mut jobs) = (0, 0);
    for seed in 0..30 {
        let mut model = Model::new(stopped(setting(100, 6, 900_000), 3), seed);
        model.play().and_then(|()| model.check_end()).unwrap();
        starts += model.port.0.called("compute.start");
        jobs += 6;
    }
    assert!(starts * 3 > jobs, "{starts} of {jobs} jobs got what was stopped");
}

#[test]
fn jobs_are_given_what_stands_by() {
    let (mut claims, mut jobs) = (0, 0);
    for seed in 0..30 {
        let mut model = Model::new(pooled(setting(100, 6, 900_000), 3, Eviction::Oldest), seed);
        model.play().and_then(|()| model.check_end()).unwrap();
        let given = |line: &&String| line.contains("Advance") && line.contains("is launched");
        claims += model.port.0.log.borrow().iter().filter(given).count();
        jobs += 6;
    }
    assert!(claims * 2 > jobs, "{claims} of {jobs} jobs got what stood by");
}
