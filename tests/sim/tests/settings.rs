//! Settings that are made by hand: each asks one thing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests end where something is not as it must be")]

use dayfly_control::{decide::bucket::Limits, fleets::Fleets};
use dayfly_sim::{
    Faults, Model, Setting, Summary,
    documents::{fleet, fleets, forks_allowed, idle_pool, pooled, spot, stopped, with},
    play,
};
use serde_json::json;

/// Runs of each.
const RUNS: u64 = 60;

/// Plays it; where it goes wrong, again with its story, which the test ends with.
fn told(setting: Setting, seed: u64, which: &str) -> Summary {
    play(setting.clone(), seed, false).unwrap_or_else(|_| panic!("{which}: {}", play(setting, seed, true).unwrap_err()))
}

fn all(runs: u64, make: impl Fn(u64) -> Setting) -> Summary {
    let mut sum = Summary::default();
    for seed in 0..runs {
        let summary = told(make(seed), seed, &format!("seed {seed}"));
        sum.add(&summary);
    }
    sum
}

fn exact(it: Setting) -> Setting {
    Setting { exact: true, ..it }
}

fn of(fleet: serde_json::Value) -> Fleets {
    fleets(&[fleet])
}

#[test]
fn late_doubled_and_shuffled_each_job_costs_one_launch() {
    all(RUNS, |seed| exact(Setting::calm(100, 1 + seed % 12, 120_000)));
}

#[test]
fn in_a_burst_each_job_costs_one_launch() {
    all(6, |seed| exact(Setting::calm(100, 30 + 5 * seed, 200)));
}

#[test]
fn a_small_max_is_kept_and_every_job_gets_its_turn() {
    all(RUNS, |seed| exact(Setting::calm(1 + seed % 3, 1 + seed % 12, 30_000)));
}

#[test]
fn a_job_whose_beginning_nobody_tells_costs_one_launch() {
    all(RUNS, |seed| Setting {
        fleets: of(with(fleet("linux-x64", 100), "boot_seconds", json!(60))),
        quiet: true,
        longest_job: 900_000,
        ..exact(Setting::calm(100, 1 + seed % 12, 5000))
    });
}

#[test]
fn with_some_of_the_offers_dry_each_job_costs_one_launch() {
    all(RUNS, |seed| {
        let dry = |at: &str, lasts| (format!("spot/subnet-0123456789abcdef{at}"), lasts);
        let dry = vec![dry("1/c7i.large", 100_000), dry("2/m7i.large", 60_000 + seed * 1000)];
        let with_spot = with(spot(fleet("linux-x64", 1 + seed % 20)), "cooldown_seconds", json!(seed % 2 * 10));
        Setting { fleets: of(with_spot), dry, ..exact(Setting::calm(20, 1 + seed % 12, 30_000)) }
    });
}

#[test]
fn at_the_pace_of_a_small_account_everything_is_done_all_the_same() {
    let limits = Limits { ec2: 1, ssm: 1, github: 40 };
    all(4, |seed| Setting { limits, ..Setting::calm(100, 20 + seed * 5, 5000) });
}

#[test]
fn pinned_jobs_and_plain_ones_side_by_side() {
    let pinned = |pin| vec!["self-hosted", "linux", pin];
    all(RUNS, |seed| Setting {
        fleets: of(with(spot(fleet("linux-x64", 100)), "steering", json!({"pin": true}))),
        labels: vec![vec!["self-hosted", "linux"], pinned("dayfly-pin=a"), pinned("dayfly-pin=b")],
        ..Setting::calm(100, 1 + seed % 10, 60_000)
    });
}

#[test]
fn a_delivery_is_made_again_once_though_github_lists_it_for_days() {
    let faults = Faults { until: 3_600_000, failed: 50, ..Faults::default() };
    let sum = all(4, |_| Setting { spread: 13 * 3_600_000, faults: faults.clone(), ..Setting::calm(9, 30, 1000) });
    assert!(sum.injected["webhooks made again"] > 0 && sum.lasted > 4 * 10 * 3_600_000, "{sum}");
}

fn reusable(max: u64) -> Fleets {
    of(with(fleet("linux-x64", max), "ephemeral", json!(false)))
}

#[test]
fn reusable_runners_are_used_again() {
    let sum = all(20, |_| Setting { fleets: reusable(4), ..Setting::calm(4, 12, 5000) });
    assert!(sum.launches * 2 < sum.jobs, "{} launches for {} jobs", sum.launches, sum.jobs);
}

#[test]
fn jobs_are_given_what_stands_by() {
    let (mut given, mut jobs) = (0, 0);
    for seed in 0..20 {
        let fleets = of(pooled(fleet("linux-x64", 100), 3));
        let mut model = Model::new(Setting { fleets, ..Setting::calm(100, 6, 900_000) }, seed);
        model.play().unwrap();
        let story = model.story();
        given += story.lines().filter(|line| line.contains("has moved") && line.contains("is launched")).count();
        jobs += 6;
    }
    assert!(given * 2 > jobs, "{given} of {jobs} jobs got what stood by");
}

#[test]
fn jobs_are_given_what_is_stopped() {
    let of = |seed| of(stopped(fleet("linux-x64", 100), 1 + seed % 3));
    let sum = all(20, |seed| Setting { fleets: of(seed), ..Setting::calm(100, 6, 900_000) });
    let given = sum.injected["instances started"];
    assert!(given * 3 > sum.jobs, "{given} of {} jobs got what was stopped", sum.jobs);
}

#[test]
fn a_small_max_is_kept_with_a_pool_of_stopped_instances() {
    let of = |seed| of(stopped(fleet("linux-x64", 1 + seed % 3), 1 + seed % 3 / 2));
    all(RUNS, |seed| Setting { fleets: of(seed), ..Setting::calm(3, 1 + seed % 8, 300_000) });
}

/// Every run of `setting` in which one invocation is killed, at each of its steps. Without reconcile, which would make up for
/// it and has many steps of its own.
fn killed_at_every_step(seeds: u64, setting: &Setting) {
    for seed in 0..seeds {
        let mut steps = 1;
        for step in 1.. {
            if step > steps {
                break;
            }
            let it = Setting { alone: true, ..setting.clone() }.killed_at(step);
            steps = told(it, seed, &format!("seed {seed}, killed at {step}")).steps;
        }
    }
}

#[test]
fn one_job_survives_a_kill_at_every_step() {
    killed_at_every_step(8, &Setting::calm(100, 1, 0));
}

#[test]
fn one_job_on_a_reusable_runner_survives_a_kill_at_every_step() {
    killed_at_every_step(4, &Setting { fleets: reusable(100), ..Setting::calm(100, 1, 0) });
}

#[test]
fn a_fallback_survives_a_kill_at_every_step() {
    let fleets = of(with(spot(fleet("linux-x64", 100)), "launch/on_demand_base", json!(0)));
    let offers = ["1/c7i.large", "1/m7i.large", "2/c7i.large", "2/m7i.large"];
    let dry = offers.map(|at| (format!("spot/subnet-0123456789abcdef{at}"), 100_000)).to_vec();
    killed_at_every_step(3, &Setting { fleets, dry, ..Setting::calm(100, 2, 0) });
}

#[test]
fn a_claim_survives_a_kill_at_any_step() {
    // With reconcile, which looks after the pool: steps enough to choose from.
    for step in (1..1200).step_by(11) {
        let fleets = of(pooled(fleet("linux-x64", 100), 1));
        let it = Setting { fleets, ..Setting::calm(100, 1, 200_000) }.killed_at(step);
        told(it, step, &format!("killed at {step}"));
    }
}

#[test]
fn a_stop_and_a_start_survive_a_kill_at_any_step() {
    for step in (1..1600).step_by(11) {
        let fleets = of(stopped(fleet("linux-x64", 100), 1));
        let it = Setting { fleets, ..Setting::calm(100, 2, 600_000) }.killed_at(step);
        told(it, step, &format!("killed at {step}"));
    }
}

#[test]
fn an_idle_pool_keeps_its_runners_and_lets_them_go() {
    let of = |seed| of(idle_pool(fleet("linux-x64", 6), 2 + seed % 3));
    let sum = all(20, |seed| Setting { fleets: of(seed), idle: 4 * 60_000, ..Setting::calm(6, 6, 900_000) });
    // Each asks to go about once in five minutes of the first twenty, and none is left at the end.
    assert!(sum.injected["idle runners kept"] > 20 * 2, "{sum}");
}

#[test]
fn a_forks_job_runs_where_forks_are_taken_and_waits_elsewhere() {
    let guarded = |name: &str| with(fleet(name, 10), "labels", json!(["self-hosted", "linux", "guarded"]));
    let open = with(guarded("open"), "public_forks", json!(true));
    for (more, runs) in [(vec![], false), (vec![open], true)] {
        let all_fleets = [vec![fleet("linux-x64", 10), with(guarded("guarded"), "priority", json!(5))], more].concat();
        let sum = all(10, |_| Setting {
            fleets: forks_allowed(&all_fleets),
            forks: 50,
            of_forks: vec![vec!["self-hosted", "linux", "guarded"]],
            ..Setting::calm(10, 12, 60_000)
        });
        assert_eq!(sum.injected.contains_key("jobs cancelled"), !runs, "{sum}");
    }
}

/// What a kind of seeds is there for happens in it.
#[test]
fn each_kind_of_seeds_has_its_faults() {
    let of_kind = |kind: u64| {
        let mut sum = Summary::default();
        (0..60).for_each(|n| sum.add(&play(Setting::of_seed(10 * n + kind), 10 * n + kind, false).unwrap()));
        sum.injected
    };
    for (kind, faults) in [
        (2, &["agents lost", "webhooks vanished"][..]),
        (3, &["busy runners deleted", "runners told to leave", "idle runners kept"]),
        (4, &["instances started", "kills"]),
        (5, &["runners that the ledger lost", "runners that GitHub did not see"]),
        (6, &["GitHub silent", "jobs cancelled"]),
    ] {
        let injected = of_kind(kind);
        for fault in faults {
            assert!(injected.contains_key(fault), "{fault}, in seeds that end in {kind}: {injected:?}");
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let story = |seed| {
        let mut model = Model::new(Setting::of_seed(seed), seed);
        model.play().unwrap();
        model.story()
    };
    let first = story(7);
    assert_eq!(first, story(7));
    assert_ne!(first, story(8));
    assert!(
        first.contains("GitHub: job ") && first.contains("EC2: launches ") && first.contains("ledger: "),
        "{first}"
    );
    assert!(!first.contains('{'), "words, no structures: {first}");
}

#[test]
fn what_goes_wrong_is_told_with_its_story() {
    // Of a fleet that may have no instance nobody gets a runner.
    let dry = vec![("on-demand/subnet-0123456789abcdef1/c7i.large".to_owned(), 90 * 24 * 3_600_000)];
    let wrong = play(Setting { dry, ..Setting::calm(1, 1, 0) }, 1, true).unwrap_err();
    assert!(
        wrong.contains("GitHub: job 110000 of run 1 is queued") && wrong.contains("WRONG: job 110000 has no runner"),
        "{wrong}"
    );
}

/// Where the shipped packages are built alone, as `scripts/dist` does, control has no feature of ours.
#[test]
fn what_is_shipped_has_nothing_of_the_simulation() {
    let tree = |packages: &[&str]| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["tree", "--locked", "--offline", "--edges", "normal", "--format", "{p} {f}", "--prefix", "none"]);
        for package in packages {
            cargo.args(["--package", package]);
        }
        let told = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let told = String::from_utf8(told.stdout).unwrap();
        told.lines().find(|line| line.starts_with("dayfly-control ")).unwrap().to_owned()
    };
    let dist = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/dist")).unwrap();
    assert!(dist.contains("--package dayfly-agent --package dayfly-control --bins"), "{dist}");
    let shipped = tree(&["dayfly-agent", "dayfly-control"]);
    assert!(!shipped.contains("simulation"), "{shipped}");
    assert!(tree(&["dayfly-sim"]).contains("simulation"));
}
