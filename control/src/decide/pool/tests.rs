use dayfly_contract::{Kind, Lifecycle};

use super::{claimed, heard, is_of_pool, let_go, may_retire, retiring, stands_by, untold, withdrawn};
use crate::{
    decide::{
        breaker::Breaker,
        plan::{Plan, plan},
        reusable::LISTENING,
        runners::RunnerState::{
            self, Busy, Gone, Launched, Registered, Retiring, Spent, Standby, Stopped, Stopping, Warming, Withdrawn,
        },
    },
    fleets::{Eviction, Fleet, Market, Pool, PoolKind, Steering, tests::fleet},
    ledger::{
        LastError, Reservation, Reuse, Runner, View, Write,
        tests::{instance, marker, reservation, runner},
    },
};

mod idle;
mod stopped;

const NOW: u64 = 1_010_000;

/// A fleet that keeps so many standing by.
fn pooled(size: u64) -> Fleet {
    with(pool(PoolKind::Standby, size))
}

fn with(pool: Pool) -> Fleet {
    let mut fleet = fleet("linux-x64");
    fleet.github.owner = Some("octo-org".into());
    Fleet { pool: Some(pool), ..fleet }
}

fn pool(kind: PoolKind, size: u64) -> Pool {
    Pool { kind, size, schedules: vec![], eviction: Eviction::Oldest, lifetime_seconds: 86_400, repository: None }
}

/// Runners in these states, each launched a second after the one before.
fn runners(states: &[RunnerState]) -> Vec<Runner> {
    let one = |(n, state): (u64, &RunnerState)| Runner {
        state: *state,
        reservation: "old".into(),
        launched_at: 1_000_000 + n * 1000,
        ..runner("linux-x64", n)
    };
    (0..).zip(states).map(one).collect()
}

/// A level with so many queued jobs and these runners.
fn view(queued: u64, states: &[RunnerState]) -> View {
    let mut view = View { runners: runners(states), ..View::default() };
    view.queued = (1..=queued).map(|id| marker("linux-x64", id)).collect();
    view.meta.alive = view.runners.iter().filter(|it| it.state.is_alive()).count() as u64;
    view.meta.rev = 1;
    view
}

/// Numbers of the instances that are claimed, how many are launched for jobs and for the pool, and the surplus.
fn told(plan: &Plan) -> (Vec<u64>, u64, u64, Vec<u64>) {
    let number = |it: &Runner| u64::from_str_radix(&it.instance[2..], 16).unwrap();
    let launched =
        |standby| plan.launches.iter().filter(|it| it.standby == standby).map(|it| u64::from(it.count)).sum::<u64>();
    let claims = plan.claims.iter().map(|it| number(&it.runner)).collect();
    (claims, launched(false), launched(true), plan.surplus.iter().map(number).collect())
}

/// Jobs, runners, the pool's size -> claimed, launched for jobs, for the pool, surplus.
type Case<'a> = (u64, &'a [RunnerState], u64, Vec<u64>, u64, u64, Vec<u64>);

#[test]
fn jobs_get_what_stands_by_then_what_boots_and_the_rest_is_launched() {
    let cases: [Case<'_>; 9] = [
        (0, &[], 2, vec![], 0, 2, vec![]),
        (0, &[Standby, Warming], 2, vec![], 0, 0, vec![]),
        (1, &[Warming, Standby, Standby], 2, vec![1], 0, 0, vec![]),
        (2, &[Warming, Standby], 2, vec![1, 0], 0, 2, vec![]),
        (3, &[Standby], 1, vec![0], 2, 1, vec![]),
        (1, &[Busy, Withdrawn, Retiring, Spent, Gone], 1, vec![], 0, 1, vec![]), // the spent one stands in for the job
        (1, &[Registered, Standby], 1, vec![], 0, 0, vec![]),                    // it is on its way to one that listens
        (0, &[Standby, Standby, Busy], 0, vec![], 0, 0, vec![0, 1]),
        (1, &[Standby, Standby, Standby], 1, vec![0], 0, 0, vec![1]),
    ];
    for (i, (queued, states, size, claims, jobs, pool, surplus)) in cases.into_iter().enumerate() {
        let planned = plan(&pooled(size), &view(queued, states), NOW);
        assert_eq!(told(&planned), (claims, jobs, pool, surplus), "case {i}");
        assert_ne!(planned.told(&pooled(size), NOW).reason(), "later", "case {i}: no job waits");
    }
}

#[test]
fn a_claim_is_for_its_jobs_owner_and_labels() {
    let mut fleet = pooled(1);
    (fleet.github.owner, fleet.steering) = (None, Steering { pin: true, max_vcpus: 8, ..Steering::default() });
    fleet.pool.as_mut().unwrap().repository = Some("octo-org/octo-repo".into());
    let mut view = view(1, &[Standby]);
    view.queued[0].repository = "friends/x".into();
    view.queued[0].asks = vec!["dayfly-pin=7".into()];
    let planned = plan(&fleet, &view, NOW);
    let claim = &planned.claims[0];
    assert_eq!((claim.target.scope.to_string().as_str(), &claim.asks), ("orgs/friends", &view.queued[0].asks));
    assert_eq!(planned.launches[0].target.scope.to_string(), "orgs/octo-org", "the pool's own stays");
    // It was given to another before, who never got it registered in time.
    let before = Runner { runner_id: Some(23), ..claim.runner.clone() };
    let it = claimed(before, &claim.target, &claim.asks, Some("1-x".into()), 300, 1_040_000, NOW);
    assert_eq!((it.state, it.lease_until, it.boot_deadline), (Launched, 1_040_000, NOW + 300_000));
    assert_eq!(it.scope.as_ref().map(ToString::to_string).as_deref(), Some("orgs/friends"));
    assert_eq!(it.runner_id, None, "that is another owner's");
    assert_eq!((it.asks, it.trace.as_deref(), it.version), (claim.asks.clone(), Some("1-x"), claim.runner.version));
    // What EC2 would have to be asked for is launched.
    view.queued[0].asks = vec!["dayfly-cpu=4".into()];
    assert_eq!(told(&plan(&fleet, &view, NOW)), (vec![], 1, 0, vec![]));
}

#[test]
fn max_holds_and_no_job_waits_behind_the_pool() {
    let full = Fleet { max: 3, ..pooled(2) };
    assert_eq!(told(&plan(&full, &view(2, &[Busy]), NOW)), (vec![], 2, 0, vec![]), "jobs first");
    assert_eq!(told(&plan(&full, &view(0, &[Busy, Busy]), NOW)), (vec![], 0, 1, vec![]));
    assert_eq!(told(&plan(&full, &view(0, &[Busy, Busy, Withdrawn]), NOW)), (vec![], 0, 0, vec![]), "it ends first");
    // Jobs that ask for more than what stands by: the pool makes room.
    let steering = Steering { max_vcpus: 8, ..Steering::default() };
    let fleet = Fleet { steering, ..full };
    let mut waits = view(1, &[Busy, Standby, Standby]);
    waits.queued[0].asks = vec!["dayfly-cpu=4".into()];
    let planned = plan(&fleet, &waits, NOW);
    assert_eq!((told(&planned), planned.held_back), ((vec![], 0, 0, vec![1]), 1));
}

#[test]
fn the_pool_keeps_to_pauses_breakers_and_the_cooldown() {
    let mut short = view(1, &[Standby]);
    let mut fleet = Fleet { cooldown_seconds: 60, ..pooled(2) };
    short.meta.reserved_at = NOW - 1000;
    let planned = plan(&fleet, &short, NOW);
    assert_eq!(told(&planned), (vec![0], 0, 0, vec![]), "a claim is no launch");
    assert_eq!(planned.cooling_until, Some(NOW + 59_000));
    let many = View { meta: short.meta.clone(), ..view(0, &[Standby; 4]) };
    assert_eq!(told(&plan(&fleet, &many, NOW)).3, Vec::<u64>::new(), "nor does it shrink then");
    fleet.cooldown_seconds = 0;
    let dry = Breaker { failures: 1, until: NOW + 5000, why: String::new() };
    short.offers.breakers.0.insert("on-demand/subnet-1/c7i.large".into(), dry.clone());
    let planned = plan(&fleet, &short, NOW);
    assert_eq!((told(&planned), planned.available_at), ((vec![0], 0, 0, vec![]), Some(NOW + 5000)));
    assert_eq!((planned.unavailable, planned.held_back), (0, 0), "no job waits");
    // To an owner whom GitHub gives no runners none is given.
    let mut refused = view(1, &[Standby]);
    refused.offers.breakers.0.insert("github/orgs/octo-org".into(), dry);
    assert_eq!(told(&plan(&fleet, &refused, NOW)).0, Vec::<u64>::new());
    // When that is over one is tried; nothing is launched beside it, and for those that wait no room is made.
    let mut due = view(3, &[Standby, Standby]);
    due.offers
        .breakers
        .0
        .insert("github/orgs/octo-org".into(), Breaker { failures: 1, until: NOW, why: String::new() });
    let planned = plan(&fleet, &due, NOW);
    assert_eq!((planned.claims.len(), told(&planned).1, planned.unavailable), (1, 0, 2));
    let planned = plan(&Fleet { max: 2, ..fleet.clone() }, &due, NOW);
    assert_eq!((planned.claims.len(), told(&planned).3, planned.held_back), (1, vec![], 0));
    // What the whole fleet was refused is tried out by one launch; what is there is given away.
    let mut failed = view(4, &[Standby, Standby]);
    failed.meta.last_error = Some(LastError::default());
    assert_eq!(told(&plan(&fleet, &failed, NOW)), (vec![0, 1], 1, 0, vec![]));
}

#[test]
fn the_base_of_on_demand_holds_for_the_pool() {
    let mut fleet = pooled(3);
    (fleet.launch.market, fleet.launch.on_demand_base) = (Market::Spot, 1);
    let planned = plan(&fleet, &view(0, &[]), NOW);
    let markets: Vec<_> = planned.launches.iter().map(|it| (it.market, it.count, it.standby)).collect();
    assert_eq!(markets, [(Market::OnDemand, 1, true), (Market::Spot, 2, true)]);
}

#[test]
fn what_is_reserved_for_the_pool_is_counted_once_and_no_job_relies_on_it() {
    let reserved = |id: &str, count| Reservation { standby: true, ..reservation("linux-x64", id, count) };
    let mut level = view(1, &[]);
    level.reservations = vec![reserved("r1", 2)];
    assert_eq!(told(&plan(&pooled(2), &level, NOW)), (vec![], 1, 0, vec![]));
    // The query met the reservation and then what it became.
    level.runners = runners(&[Warming, Warming]);
    for it in &mut level.runners {
        it.reservation = "r1".into();
    }
    level.queued.clear();
    assert_eq!(told(&plan(&pooled(2), &level, NOW)), (vec![], 0, 0, vec![]));
}

#[test]
fn the_oldest_or_the_newest_go_first_and_none_that_has_or_may_get_a_job() {
    let states = [Standby, Warming, Standby, Busy, Registered, Launched];
    for (eviction, expected) in [(Eviction::Oldest, [0, 1]), (Eviction::Newest, [2, 1])] {
        let mut fleet = pooled(1);
        fleet.pool.as_mut().unwrap().eviction = eviction;
        assert_eq!(told(&plan(&fleet, &view(0, &states), NOW)).3, expected);
    }
    let without = fleet("linux-x64");
    assert_eq!(told(&plan(&without, &view(0, &states), NOW)).3, [0, 1, 2], "there is no pool any more");
    assert_eq!(told(&plan(&without, &view(1, &[Standby]), NOW)), (vec![0], 0, 0, vec![]), "a job may have it");
}

#[test]
fn one_that_is_silent_is_not_relied_upon() {
    let mut level = view(1, &[Standby]);
    level.runners[0].boot_deadline = NOW;
    assert_eq!(
        told(&plan(&pooled(1), &level, NOW)),
        (vec![], 1, 0, vec![]),
        "nor replaced before it is known to be dead"
    );
    assert_eq!(told(&plan(&pooled(3), &level, NOW)), (vec![], 1, 2, vec![]));
    let both = View { queued: vec![], ..view(0, &[Standby, Standby]) };
    let silent = |n: usize| {
        let mut level = both.clone();
        level.runners[n].boot_deadline = NOW;
        told(&plan(&pooled(1), &level, NOW)).3
    };
    assert_eq!((silent(0), silent(1)), (vec![0], vec![1]), "it is the first to go");
    level.runners[0].boot_deadline = NOW + 1;
    assert_eq!(told(&plan(&pooled(1), &level, NOW)), (vec![0], 0, 1, vec![]));
}

#[test]
fn what_a_pool_launches_is_told_from_what_jobs_need() {
    let mut fleet = Fleet { ephemeral: false, ..with(pool(PoolKind::Idle, 2)) };
    let of = |fleet: &Fleet| -> Vec<(u32, bool)> {
        plan(fleet, &view(1, &[]), NOW).launches.iter().map(|it| (it.count, it.pool)).collect()
    };
    assert_eq!(of(&fleet), [(1, false), (2, true)]);
    fleet.pool = Some(pool(PoolKind::Standby, 3));
    assert_eq!(of(&fleet), [(1, false), (3, true)]);
}

#[test]
fn deaths_of_a_pools_own_are_told_from_others() {
    let reuse = Some(Reuse::default());
    for (kind, own) in [
        (PoolKind::Standby, &[Warming, Standby][..]),
        (PoolKind::Stopped, &[Warming, Standby]),
        (PoolKind::Idle, &[Launched, Registered]),
    ] {
        let fleet = with(pool(kind, 1));
        for state in RunnerState::ALL {
            let it = Runner { reuse: reuse.clone(), ..runners(&[state]).remove(0) };
            assert_eq!(is_of_pool(&fleet, &it), own.contains(&state), "{kind:?} {state:?}");
        }
    }
    assert!(!is_of_pool(&fleet("linux-x64"), &runners(&[Standby])[0]), "there is no pool");
}

#[test]
fn what_an_agent_says_that_stands_by() {
    let state = |it: &Runner, now| match heard(it.clone(), now) {
        Some(Write::PutRunner(it)) => Some((it.state, it.boot_deadline)),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    let of = |state| runners(&[state]).remove(0);
    assert_eq!(state(&of(Warming), NOW), Some((Standby, NOW + LISTENING)));
    let late = 1_300_000 - LISTENING / 2;
    assert_eq!(state(&of(Standby), late - 1), None, "not every heartbeat is a write");
    assert_eq!(state(&of(Standby), late), Some((Standby, late + LISTENING)));
    for settled in [Busy, Spent, Gone, Stopping, Stopped, Withdrawn, Retiring] {
        assert_eq!(state(&of(settled), 2_000_000), None, "{settled:?}");
    }
    // One that was launched for a job, or given to one, may find its registration still.
    for given in [Launched, Registered] {
        assert_eq!(state(&of(given), 1_299_999), None, "{given:?}");
        let late = Some((Standby, 1_300_000 + LISTENING));
        assert_eq!(state(&of(given), 1_300_000), late, "{given:?}: it found no registration in time");
    }
    let steered = Runner { asks: vec!["dayfly-cpu=8".into()], ..of(Launched) };
    assert_eq!(state(&steered, 1_299_999), None);
    let Some(Write::PutRunner(gone)) = heard(steered, 1_300_000) else { panic!("it is not as any other") };
    assert_eq!((gone.state, gone.lease_until), (Withdrawn, 0), "and is told so by the next look");
    let leased = Runner { lease_until: 1_300_001, ..of(Launched) };
    assert_eq!(state(&leased, 1_300_000), None);
}

#[test]
fn only_one_that_stands_by_is_let_go() {
    for state in RunnerState::ALL {
        let write = let_go(runners(&[state]).remove(0), NOW);
        assert_eq!(write.is_some(), matches!(state, Warming | Standby), "{state:?}");
        if let Some(Write::PutRunner(it)) = write {
            assert_eq!(it.state, Withdrawn);
            let level = View { runners: vec![it], ..View::default() };
            assert!(untold(&level, NOW + 86_400_000).is_empty(), "it knows");
        }
    }
    let level = View { runners: vec![withdrawn(runners(&[Standby]).remove(0), 1_040_000, NOW)], ..View::default() };
    assert!(untold(&level, 1_039_999).is_empty(), "whoever withdrew it is about to tell it");
    assert_eq!(untold(&level, 1_040_000).len(), 1);
}

#[test]
fn a_word_without_a_registration_is_one_of_standing_by() {
    let word = |kind, reservation: Option<&str>| Lifecycle {
        reservation: reservation.map(str::to_owned),
        ..Lifecycle::new(kind, &instance(0), "linux-x64")
    };
    for kind in [Kind::Standby, Kind::Heartbeat] {
        assert!(stands_by(&word(kind, None)) && !stands_by(&word(kind, Some("r1"))), "{kind:?}");
    }
    for kind in [Kind::Retire, Kind::Finished, Kind::Failed, Kind::Listening] {
        assert!(!stands_by(&word(kind, None)), "{kind:?}");
    }
}

#[test]
fn a_drained_fleet_keeps_nothing_ready_and_gives_nothing_away() {
    let level = view(1, &[Standby, Standby, Warming]);
    assert_eq!(told(&plan(&pooled(2), &level, NOW)), (vec![0], 0, 0, vec![]), "before");
    let mut drained = level;
    drained.meta.drained_at = Some(NOW - 1);
    let planned = plan(&pooled(2), &drained, NOW);
    assert_eq!(told(&planned), (vec![], 0, 0, vec![0, 1, 2]));
    assert!(planned.drained);
    assert_eq!(planned.held_back, 1, "the job waits");
}

#[test]
fn what_ec2_refuses_keeps_no_job_from_what_stands_by() {
    let mut level = view(3, &[Standby, Standby, Standby]);
    let error = |code: &str| LastError { code: code.into(), message: String::new(), at: NOW, count: 3 };
    for (code, claims) in [("InvalidAMIID.NotFound", 3), (crate::decide::plan::UNREGISTERED, 1)] {
        level.meta.last_error = Some(error(code));
        assert_eq!(plan(&pooled(0), &level, NOW).claims.len(), claims, "{code}");
    }
}

#[test]
fn jobs_that_make_up_for_interrupted_ones_get_no_spot_that_stands_by() {
    let mut fleet = pooled(0);
    fleet.launch.market = Market::Spot;
    let mut level = view(2, &[Standby, Standby]);
    level.queued[0].on_demand = true;
    let planned = plan(&fleet, &level, NOW);
    let launched: Vec<(Market, u32)> = planned.launches.iter().map(|it| (it.market, it.count)).collect();
    assert_eq!((planned.claims.len(), launched), (1, vec![(Market::OnDemand, 1)]));
    fleet.launch.market = Market::OnDemand;
    assert_eq!(plan(&fleet, &level, NOW).claims.len(), 2);
}
