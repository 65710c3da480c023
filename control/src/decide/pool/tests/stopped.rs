//! Pools of stopped instances.

use super::{
    super::{START, given_back, not_stopped, starting, stopped, stopping, unstarted, unstopped},
    *,
};
use crate::ledger::Stops;

/// A fleet that keeps so many stopped.
fn asleep(size: u64) -> Fleet {
    with(pool(PoolKind::Stopped, size))
}

/// What [`told`] answers.
type Told = (Vec<u64>, u64, u64, Vec<u64>);

/// The same, and the numbers of those that are to be stopped.
fn told_all(plan: &Plan) -> (Told, Vec<u64>) {
    let number = |it: &Runner| u64::from_str_radix(&it.instance[2..], 16).unwrap();
    (told(plan), plan.stops.iter().map(number).collect())
}

#[test]
fn what_has_booted_is_stopped_and_what_is_stopped_is_kept() {
    /// Jobs, runners, size -> what is told, and stopped.
    type Case<'a> = (u64, &'a [RunnerState], u64, Told, Vec<u64>);
    let cases: [Case<'_>; 9] = [
        (0, &[], 2, (vec![], 0, 2, vec![]), vec![]),
        (0, &[Warming, Standby], 2, (vec![], 0, 0, vec![]), vec![1]),
        (0, &[Stopping, Stopped], 2, (vec![], 0, 0, vec![]), vec![]),
        // What runs already begins the soonest, then what has booted before.
        (1, &[Warming, Stopped, Standby], 3, (vec![2], 0, 1, vec![]), vec![]),
        (2, &[Warming, Stopped, Standby], 3, (vec![2, 1], 0, 2, vec![]), vec![]),
        (3, &[Stopping, Stopped], 2, (vec![1], 2, 1, vec![]), vec![]),
        (1, &[Stopping], 1, (vec![], 1, 0, vec![]), vec![]),
        (0, &[Stopped, Stopping, Standby], 1, (vec![], 0, 0, vec![0, 1]), vec![2]),
        (0, &[Stopped, Stopped, Busy], 0, (vec![], 0, 0, vec![0, 1]), vec![]),
    ];
    for (i, (queued, states, size, expected, stops)) in cases.into_iter().enumerate() {
        assert_eq!(told_all(&plan(&asleep(size), &view(queued, states), NOW)), (expected, stops), "case {i}");
    }
}

#[test]
fn a_pause_or_a_cooldown_keeps_nothing_awake_and_what_ec2_refused_waits() {
    let fleet = Fleet { cooldown_seconds: 60, ..asleep(1) };
    let mut level = view(0, &[Standby]);
    level.meta.reserved_at = NOW - 1000;
    assert_eq!(plan(&fleet, &level, NOW).stops.len(), 1);
    let refused = not_stopped(stopping(level.runners[0].clone(), NOW + 1, NOW), NOW);
    assert_eq!((refused.state, refused.stops.total(NOW + 5)), (Standby, 0), "it runs on, and is paid for");
    let later = refused.lease_until;
    level.runners = vec![refused];
    assert!(plan(&fleet, &level, later - 1).stops.is_empty());
    level.runners[0].boot_deadline = later + 1;
    assert_eq!(plan(&fleet, &level, later).stops.len(), 1);
    level.runners[0].boot_deadline = later;
    assert!(plan(&fleet, &level, later).stops.is_empty(), "it may be dead");
}

#[test]
fn they_are_on_demand_whatever_the_fleets_market() {
    let mut fleet = asleep(2);
    fleet.launch.market = Market::Spot;
    let planned = plan(&fleet, &view(1, &[]), NOW);
    let markets: Vec<_> = planned.launches.iter().map(|it| (it.market, it.count, it.standby)).collect();
    assert_eq!(markets, [(Market::Spot, 1, false), (Market::OnDemand, 2, true)]);
    // There was a pool of another kind.
    let mut level = view(0, &[Standby, Standby]);
    level.runners[0].market = Some(Market::Spot);
    assert_eq!(told_all(&plan(&fleet, &level, NOW)), ((vec![], 0, 1, vec![0]), vec![1]), "EC2 stops no spot instance");
    // What makes up for an interrupted job may be one of them; they are no base of what runs.
    fleet.launch.on_demand_base = 1;
    let mut level = view(1, &[Stopped]);
    level.queued[0].on_demand = true;
    let planned = plan(&fleet, &level, NOW);
    assert_eq!((planned.claims.len(), told(&planned).1), (1, 0));
    let alone = View { queued: vec![], ..level };
    let planned = plan(&Fleet { max: 3, pool: None, ..fleet }, &View { queued: view(1, &[]).queued, ..alone }, NOW);
    assert_eq!(planned.claims.len(), 1);
}

#[test]
fn a_base_of_on_demand_is_of_what_runs() {
    let mut fleet = asleep(1);
    (fleet.launch.market, fleet.launch.on_demand_base) = (Market::Spot, 1);
    let mut level = view(1, &[Stopping]);
    let markets = |level: &View| plan(&fleet, level, NOW).launches.iter().map(|it| it.market).collect::<Vec<_>>();
    assert_eq!(markets(&level), [Market::OnDemand]);
    level.runners[0].state = Busy;
    assert_eq!(markets(&level)[0], Market::Spot);
}

#[test]
fn they_count_for_max_and_make_room() {
    let full = Fleet { max: 3, ..asleep(3) };
    assert_eq!(told(&plan(&full, &view(3, &[Stopped, Stopped, Stopped]), NOW)), (vec![0, 1, 2], 0, 0, vec![]));
    assert_eq!(told(&plan(&full, &view(2, &[Busy, Busy, Stopped]), NOW)), (vec![2], 0, 0, vec![]), "no fourth");
    let steering = Steering { max_vcpus: 8, ..Steering::default() };
    let fleet = Fleet { steering, ..full };
    let mut waits = view(1, &[Busy, Stopped, Stopped]);
    waits.queued[0].asks = vec!["dayfly-cpu=4".into()];
    let planned = plan(&fleet, &waits, NOW);
    assert_eq!((told(&planned), planned.held_back), ((vec![], 0, 0, vec![]), 1), "the pool has room for two still");
    let fleet = Fleet { pool: Some(pool(PoolKind::Stopped, 2)), ..fleet };
    assert_eq!(told(&plan(&fleet, &waits, NOW)).3, [1]);
}

#[test]
fn while_ec2_refuses_to_start_them_jobs_are_launched_for() {
    let mut level = view(2, &[Standby, Stopped, Stopped]);
    let breaker = |until| Breaker { failures: 1, until, why: String::new() };
    level.offers.breakers.0.insert(START.into(), breaker(NOW + 5000));
    assert_eq!(told(&plan(&asleep(3), &level, NOW)), (vec![0], 1, 1, vec![]), "what runs is given away");
    level.offers.breakers.0.insert(START.into(), breaker(NOW));
    assert_eq!(told(&plan(&asleep(3), &level, NOW)), (vec![0, 1], 0, 2, vec![]), "one is tried");
    level.queued.extend(view(3, &[]).queued.split_off(2));
    assert_eq!(told(&plan(&asleep(3), &level, NOW)), (vec![0, 1], 1, 2, vec![]), "and no other");
}

#[test]
fn old_ones_are_replaced_a_few_at_a_time() {
    let fleet = |size| {
        let mut fleet = asleep(size);
        fleet.pool.as_mut().unwrap().lifetime_seconds = 3600;
        fleet
    };
    let late = 1_000_000 + 3_600_000;
    let three = view(0, &[Stopped, Stopped, Stopped]);
    let surplus = |size, level: &View, now| told(&plan(&fleet(size), level, now)).3;
    assert!(surplus(3, &three, late - 1).is_empty());
    assert_eq!(surplus(3, &three, late), [0], "it was launched a second before the next");
    assert_eq!(surplus(3, &three, late + 2000), [0], "one of ten, and at least one");
    assert_eq!(surplus(20, &view(0, &[Stopped; 20]), late + 20_000), [0, 1]);
    // The next when that one has been replaced.
    let mut level = view(0, &[Stopped, Stopped, Warming]);
    level.runners[2].boot_deadline = late + 60_000;
    assert!(surplus(3, &level, late + 2000).is_empty());
    // Nor while that one is silent: an image whose agents never speak must not eat the pool.
    level.runners[2].boot_deadline = late;
    assert!(surplus(3, &level, late + 2000).is_empty());
    assert!(surplus(3, &view(0, &[Stopped, Stopped]), late + 2000).is_empty(), "one is missing");
    // Too many go first.
    assert_eq!(surplus(2, &three, late + 2000), [0]);
    assert_eq!(
        told(&plan(&with(pool(PoolKind::Standby, 3)), &three, NOW)),
        (vec![], 0, 3, vec![0, 1, 2]),
        "another kind"
    );
}

#[test]
fn a_runner_is_stopped_given_to_a_job_and_started() {
    let it = stopping(runners(&[Standby]).remove(0), NOW + 30_000, NOW);
    assert_eq!((it.state, it.stops.at, it.lease_until), (Stopping, Some(NOW), NOW + 30_000));
    let level = |it: &Runner| View { runners: vec![it.clone()], ..View::default() };
    assert!(
        unstopped(&level(&it), NOW + 119_999).is_empty(),
        "whoever wrote it down may ask, and then EC2's word is noted"
    );
    assert_eq!(unstopped(&level(&it), NOW + 120_000).len(), 1);
    assert!(unstopped(&level(&it), it.boot_deadline).is_empty(), "it can't be stopped");
    let it = stopped(it, NOW + 20_000);
    assert!(it.state == Stopped && it.stops.is_asleep() && unstopped(&level(&it), NOW + 120_000).is_empty());
    let target = plan(&asleep(1), &view(1, &[]), NOW).launches[0].target.clone();
    let given = claimed(it, &target, &[], None, 300, NOW + 90_000, NOW + 60_000);
    assert_eq!((given.state, given.boot_deadline), (Launched, NOW + 360_000));
    assert_eq!(given.stops, Stops { at: Some(NOW), started_at: None, before: 0 }, "nobody has started it");
    assert!(unstarted(&level(&given), NOW + 89_999).is_empty(), "whoever claimed it may be about to");
    let left = unstarted(&level(&given), NOW + 90_000).remove(0);
    let back = given_back(left, "why", NOW + 90_000);
    assert!(back.state == Stopped && back.asks.is_empty() && back.stops.total(NOW + 99_000) == 99_000);
    let given = starting(given, NOW + 60_000);
    assert_eq!(given.stops, Stops { at: Some(NOW), started_at: Some(NOW + 60_000), before: 0 });
    assert!(unstarted(&level(&given), u64::MAX).is_empty(), "it may run");
    let Some(Write::PutRunner(given)) = crate::decide::events::registered(given, Some(23), NOW + 61_000) else {
        panic!()
    };
    assert_eq!((given.state, given.stops.at, given.stops.total(NOW + 99_000)), (Registered, None, 60_000));
    let what: Vec<String> = given.history.entries().iter().map(|it| it.what.clone()).collect();
    assert!(what.ends_with(&["stopping", "stopped", "claimed", "registered"].map(str::to_owned)), "{what:?}");
    assert_eq!(claimed(runners(&[Standby]).remove(0), &target, &[], None, 300, NOW, NOW).stops, Stops::default());
}
