//! Runs in which EC2 has not everything, and not all at once.

use super::{Limits, Model, RUNS, Setting, fleet, fleets, play, setting};
use crate::fleets::{Fleet, Instances, Market};

/// Two types in two subnets, spot, and on-demand where there is none.
fn offers() -> Fleet {
    let mut fleet = fleet("linux-x64");
    fleet.launch.market = Market::Spot;
    fleet.launch.on_demand_fallback = true;
    fleet.launch.on_demand_base = 2;
    fleet.launch.subnets = vec!["subnet-1".into(), "subnet-2".into()];
    fleet.launch.instances = Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
    fleet
}

/// Half of the offers, or more, have nothing for up to three minutes.
fn dry(seed: u64) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for market in ["spot", "on-demand"] {
        for pool in ["subnet-1/c7i.large", "subnet-1/m7i.large", "subnet-2/c7i.large", "subnet-2/m7i.large"] {
            all.push(format!("{market}/{pool}"));
        }
    }
    let half = (0..).zip(all).filter(|(i, _)| (seed >> i) & 1 == 0 || seed.is_multiple_of(7));
    half.map(|(i, offer)| (offer, 20_000 + (seed * 31 + i * 17) % 160 * 1000)).collect()
}

fn scarce(seed: u64, max: u64, jobs: u64) -> Setting {
    let fleet = Fleet { max, cooldown_seconds: seed % 2 * 10, ..offers() };
    Setting { fleets: fleets([fleet]), dry: dry(seed), ..setting(max, jobs, 30_000) }
}

#[test]
fn with_half_of_the_offers_dry_each_job_costs_one_launch() {
    play(RUNS / 5, |seed| scarce(seed, 100, 1 + seed % 12), true);
}

#[test]
fn with_half_of_the_offers_dry_a_small_max_is_kept() {
    play(RUNS / 5, |seed| scarce(seed, 1 + seed % 3, 1 + seed % 8), true);
}

#[test]
fn with_half_of_the_offers_dry_and_killed_anywhere_nothing_is_left() {
    play(
        RUNS / 5,
        |seed| Setting { crashes: 1 + u32::try_from(seed % 6).unwrap(), ..scarce(seed, 4, 1 + seed % 10) },
        false,
    );
}

#[test]
fn a_fallback_survives_a_kill_at_every_step() {
    for seed in 0..6 {
        let mut steps = 1;
        for kill_at in 1.. {
            if kill_at > steps {
                break;
            }
            let mut fleet = offers();
            fleet.launch.on_demand_base = 0;
            let spot = |(offer, lasts): (String, u64)| offer.starts_with("spot").then_some((offer, lasts));
            let dry = dry(0).into_iter().filter_map(spot).collect();
            let setting = Setting { fleets: fleets([fleet]), dry, kill_at: Some(kill_at), ..setting(100, 2, 0) };
            let mut model = Model::new(setting, seed);
            let ended = model.play().and_then(|()| model.check_end());
            assert!(ended.is_ok(), "seed {seed}, killed at {kill_at}: {}", ended.unwrap_err());
            steps = model.steps;
        }
    }
}

#[test]
fn at_the_pace_of_a_small_account_everything_is_done_all_the_same() {
    play(
        40,
        |seed| Setting {
            limits: Limits { ec2: 1, ssm: 1, github: 40 },
            crashes: u32::try_from(seed % 3).unwrap(),
            ..setting(100, 20 + seed % 30, 5_000)
        },
        false,
    );
}

#[test]
fn pinned_jobs_and_plain_ones_side_by_side() {
    let mut fleet = offers();
    fleet.steering.pin = true;
    let fleets = fleets([fleet]);
    let pinned = |pin| vec!["self-hosted", "linux", pin];
    let labels = vec![vec!["self-hosted", "linux"], pinned("dayfly-pin=a"), pinned("dayfly-pin=b")];
    play(
        RUNS / 5,
        |seed| Setting {
            fleets: fleets.clone(),
            labels: labels.clone(),
            crashes: u32::try_from(seed % 3).unwrap(),
            ..setting(100, 1 + seed % 10, 60_000)
        },
        false,
    );
}
