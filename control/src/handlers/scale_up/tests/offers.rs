//! Offers, markets, wishes and pace.

use super::{
    super::{Deps, handle},
    alive, deps, later, pass, runners, wake_up, world,
};
use crate::{
    decide::{
        bucket::{Bucket, Limits},
        errors::Class,
        runners::RunnerState,
    },
    fleets::{Fleet, Instances, Market, tests::fleet, tests::fleets},
    ledger::{Marker, tests::marker},
    simulation::{
        runtime::run,
        world::{Fault, Port},
    },
};

const FOREVER: u64 = u64::MAX;

/// A spot fleet of two types.
fn spot() -> Fleet {
    let mut fleet = fleet("linux-x64");
    fleet.launch.market = Market::Spot;
    fleet.launch.instances = Instances::Types(vec!["c7i.large".into(), "m7i.large".into()]);
    (fleet.steering.pin, fleet.steering.max_vcpus) = (true, 8);
    fleet
}

fn deps_of(port: &Port, fleet: Fleet, limits: Limits) -> Deps<Port> {
    Deps { fleets: fleets([fleet]), limits, ..deps(port) }
}

/// Handles a wake-up; answers how many were given back.
fn wake(port: &Port, fleet: &Fleet) -> usize {
    paced(port, fleet, Limits::NONE)
}

fn paced(port: &Port, fleet: &Fleet, limits: Limits) -> usize {
    paced_for(port, fleet, limits, 30_000)
}

/// The same in `time` ms.
fn paced_for(port: &Port, fleet: &Fleet, limits: Limits, time: u64) -> usize {
    let mut batch = aws_lambda_events::sqs::SqsEvent::default();
    batch.records = vec![super::message(0, wake_up("linux-x64"))];
    let deps = deps_of(port, fleet.clone(), limits);
    run(handle(&deps, &batch, port.0.now.get() + time)).batch_item_failures.len()
}

fn dry(port: &Port, offers: &[&str]) {
    port.0.dry.borrow_mut().extend(offers.iter().map(|offer| ((*offer).to_owned(), FOREVER)));
}

fn queue(port: &Port, job: u64, asks: &[&str]) {
    let now = port.0.now.get();
    let asks = asks.iter().map(|&ask| ask.into()).collect();
    let it = Marker { queued_at: now, expires: now / 1000 + 3600, asks, ..marker("linux-x64", job) };
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), job), it);
}

/// What EC2 was asked for: token's end, market, number of offers, how many.
fn asked(port: &Port) -> Vec<(bool, Market, usize, u32)> {
    let answers = port.0.answers.borrow();
    let mut asked: Vec<_> = answers.values().map(|(it, _)| it).collect();
    asked.sort_by_key(|it| (it.market, it.offers.len()));
    asked.iter().map(|it| (it.token.ends_with("-2"), it.market, it.offers.len(), it.count)).collect()
}

const C_SPOT: &str = "spot/subnet-1/c7i.large";
const M_SPOT: &str = "spot/subnet-1/m7i.large";

#[test]
fn where_there_is_no_spot_on_demand_is_asked_at_once() {
    let mut fleet = spot();
    fleet.launch.on_demand_fallback = true;
    let port = world(3);
    dry(&port, &[C_SPOT, M_SPOT]);
    assert_eq!(wake(&port, &fleet), 0);
    assert_eq!(asked(&port), [(true, Market::OnDemand, 2, 3), (false, Market::Spot, 2, 3)]);
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port), later(&port)), (3, 3, vec![]));
    let on_demand = port.0.ledger.borrow().runners.values().all(|it| it.market == Some(Market::OnDemand));
    assert!(on_demand && port.0.ledger.borrow().reservations.is_empty());
    queue(&port, 4, &[]);
    wake(&port, &fleet);
    assert_eq!(asked(&port)[..2], [(true, Market::OnDemand, 2, 3), (false, Market::OnDemand, 2, 1)], "spot is not");
    assert_eq!(alive(&port), 4);
}

#[test]
fn what_spot_gives_is_taken_and_the_rest_is_on_demand() {
    let mut fleet = spot();
    fleet.launch.on_demand_fallback = true;
    let port = world(3);
    port.0.fault("compute.launch", Fault::Short(1, Class::Capacity));
    assert_eq!(wake(&port, &fleet), 0);
    assert_eq!(asked(&port), [(true, Market::OnDemand, 2, 2), (false, Market::Spot, 2, 3)]);
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (3, 3));
}

#[test]
fn without_a_fallback_spot_is_waited_for() {
    let (fleet, port) = (spot(), world(3));
    dry(&port, &[C_SPOT, M_SPOT]);
    for (pass_s, most) in [(0, 19), (20, 38), (40, 76)] {
        pass(&port, pass_s);
        assert_eq!(wake(&port, &fleet), 0);
        let waits = later(&port);
        assert!(waits.len() == 1 && (most * 3 / 4..=most).contains(&waits[0]), "{waits:?} of {most}");
        assert_eq!(alive(&port), 0);
    }
    port.0.dry.borrow_mut().clear();
    pass(&port, 80);
    wake(&port, &fleet);
    assert_eq!(runners(&port, RunnerState::Registered), 3);
    let offers = port.0.ledger.borrow().offers("linux-x64");
    assert_eq!(offers.breakers.0.keys().collect::<Vec<_>>(), [M_SPOT], "the one that gave is closed");
}

#[test]
fn an_offer_that_has_none_is_left_out_and_comes_back() {
    let (fleet, port) = (spot(), world(1));
    dry(&port, &[C_SPOT]);
    for (job, seconds, offers) in [(1, 0, 2), (2, 5, 1), (3, 15, 2)] {
        queue(&port, job, &[]);
        pass(&port, seconds);
        port.0.answers.borrow_mut().clear();
        assert_eq!(wake(&port, &fleet), 0);
        assert_eq!(asked(&port), [(false, Market::Spot, offers, 1)], "job {job}");
    }
    assert_eq!(runners(&port, RunnerState::Registered), 3);
}

#[test]
fn a_crash_between_markets_asks_neither_twice() {
    let mut fleet = spot();
    fleet.launch.on_demand_fallback = true;
    for call in ["ledger.commit", "compute.launch", "ledger.offers"] {
        for skip in 0..6 {
            let port = world(3);
            dry(&port, &[C_SPOT, M_SPOT]);
            port.0.skip.set(skip);
            let fault =
                if call == "compute.launch" { Fault::Ec2(Class::Transient, "InternalError") } else { Fault::Ledger };
            port.0.fault(call, fault);
            for _ in 0..3 {
                wake(&port, &fleet);
                pass(&port, 60);
            }
            assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (3, 3), "{call} {skip}");
            assert_eq!(port.0.launched.borrow().values().map(Vec::len).sum::<usize>(), 3, "{call} {skip}");
        }
    }
}

#[test]
fn each_job_that_asks_for_something_gets_a_runner_with_its_labels() {
    let (fleet, port) = (spot(), world(1));
    for (job, asks) in [(2, ["dayfly-pin=a"]), (3, ["dayfly-pin=b"]), (4, ["dayfly-cpu=4"])] {
        queue(&port, job, &asks);
    }
    assert_eq!(wake(&port, &fleet), 0);
    let registered = port.0.runners.borrow();
    let mut labels: Vec<String> = registered.values().map(|it| it.labels.join(" ")).collect();
    labels.sort();
    let plain = "self-hosted linux";
    let expected = ["", " dayfly-cpu=4", " dayfly-pin=a", " dayfly-pin=b"].map(|more| format!("{plain}{more}"));
    assert_eq!(labels, expected);
    drop(registered);
    wake(&port, &fleet);
    assert_eq!(alive(&port), 4, "the level is met");
}

#[test]
fn what_one_job_asks_for_in_vain_leaves_the_others_alone() {
    let (fleet, port) = (spot(), world(0));
    queue(&port, 1, &["dayfly-cpu=4"]);
    port.0.fault("compute.launch", Fault::Ec2(Class::Permanent, "InvalidParameterValue"));
    assert_eq!(wake(&port, &fleet), 0);
    assert!(matches!(later(&port)[..], [16..=19]), "it is asked for again, ever more seldom");
    let told = port.0.ledger.borrow().view("linux-x64");
    assert_eq!((told.meta.last_error, told.meta.paused_until), (None, 0), "the fleet goes on");
    let why = &told.offers.breakers.0["asks/dayfly-cpu=4"].why;
    assert!(why.contains("InvalidParameterValue"), "{why}");
    queue(&port, 2, &[]);
    assert_eq!(wake(&port, &fleet), 0);
    assert_eq!((port.0.called("compute.launch"), alive(&port)), (2, 1));
}

#[test]
fn what_is_refused_to_jobs_that_only_pin_their_runners_is_refused_to_the_fleet() {
    let (fleet, port) = (spot(), world(0));
    for job in 1..=30 {
        queue(&port, job, &[&format!("dayfly-pin={job}")]);
    }
    for _ in 0..30 {
        port.0.fault("compute.launch", Fault::Ec2(Class::Permanent, "InvalidAMIID.NotFound"));
    }
    assert_eq!(wake(&port, &fleet), 0);
    let view = port.0.ledger.borrow().view("linux-x64");
    assert_eq!(view.meta.last_error.map(|it| it.code).as_deref(), Some("InvalidAMIID.NotFound"));
    assert!(view.offers.breakers.0.is_empty(), "no key for each: {:?}", view.offers.breakers);
    let asked = port.0.called("compute.launch");
    pass(&port, 31);
    wake(&port, &fleet);
    assert_eq!(port.0.called("compute.launch"), asked + 1, "and one tries it out");
}

#[test]
fn fewer_than_were_asked_for_without_a_reason_are_waited_for() {
    let (fleet, port) = (spot(), world(3));
    port.0.fault("compute.launch", Fault::Fewer(1));
    assert_eq!(wake(&port, &fleet), 0);
    assert_eq!((alive(&port), later(&port)), (1, vec![16]));
    pass(&port, 16);
    wake(&port, &fleet);
    assert_eq!(alive(&port), 3);
}

#[test]
fn a_launch_that_gives_nothing_takes_none_of_githubs_turns() {
    let (fleet, port) = (spot(), world(10));
    dry(&port, &[C_SPOT, M_SPOT]);
    paced(&port, &fleet, Limits::default());
    let buckets = port.0.ledger.borrow().buckets.clone();
    assert_eq!((buckets.keys().collect::<Vec<_>>(), alive(&port)), (vec![&Bucket::Ec2], 0));
    // Where GitHub has no room, nothing is launched.
    let port = world(10);
    let now = port.0.now.get();
    port.0.ledger.borrow_mut().buckets.insert(Bucket::GitHub, (now + 300_000) * 1000);
    paced(&port, &fleet, Limits::default());
    assert_eq!((port.0.called("compute.launch"), alive(&port), later(&port)), (0, 0, vec![240]));
}

#[test]
fn no_look_comes_back_at_once() {
    // GitHub's next turn is half a second old when the invocation has no time to wait for one.
    let (fleet, port) = (spot(), world(10));
    let full = port.0.now.get() + 59_500;
    port.0.ledger.borrow_mut().buckets.insert(Bucket::GitHub, full * 1000);
    paced_for(&port, &fleet, Limits { github: 60, ..Limits::NONE }, 4000);
    assert_eq!((alive(&port), later(&port)), (0, vec![1]));
    // EC2 gives less than was asked for, and one of two offers has none.
    let port = world(3);
    dry(&port, &[C_SPOT]);
    port.0.fault("compute.launch", Fault::Fewer(1));
    wake(&port, &fleet);
    assert_eq!((alive(&port), later(&port)), (1, vec![1]), "the other is asked alone");
    wake(&port, &fleet);
    assert_eq!(alive(&port), 3);
}

#[test]
fn a_fleet_that_has_just_launched_lets_jobs_gather() {
    let (fleet, port) = (Fleet { cooldown_seconds: 30, ..spot() }, world(1));
    wake(&port, &fleet);
    queue(&port, 2, &[]);
    pass(&port, 10);
    wake(&port, &fleet);
    assert_eq!((alive(&port), later(&port)), (1, vec![21]));
    pass(&port, 21);
    wake(&port, &fleet);
    assert_eq!((alive(&port), later(&port)), (2, vec![]));
}

#[test]
fn a_burst_goes_at_the_pace_that_github_allows() {
    let (fleet, port) = (Fleet { max: 200, ..spot() }, world(100));
    let limits = Limits { github: 60, ..Limits::NONE };
    let (mut given, mut seconds) = (Vec::new(), 0);
    while runners(&port, RunnerState::Registered) < 100 {
        let before = port.0.now.get();
        paced(&port, &fleet, limits);
        given.push(runners(&port, RunnerState::Registered));
        assert_eq!(alive(&port), *given.last().unwrap() as u64, "only what can be registered is launched");
        let wait = later(&port).into_iter().max().unwrap_or(0);
        pass(&port, wait);
        seconds += (port.0.now.get() - before) / 1000;
        assert!(given.len() < 20, "{given:?}");
    }
    assert!((30..75).contains(&seconds), "{seconds} s for 40 more than a minute's: {given:?}");
    assert_eq!(port.0.launched.borrow().values().map(Vec::len).sum::<usize>(), 100);
    assert!(port.0.called("ledger.take") < 20, "for a reservation, not for a runner");
}

#[test]
fn no_turn_is_taken_that_there_is_no_time_to_use() {
    let (fleet, port) = (spot(), world(12));
    let limits = Limits { ssm: 1, ..Limits::NONE };
    // Of 12 registrations, one a second: those that are due before the last moment to begin one, a launch later.
    paced_for(&port, &fleet, limits, 12_000);
    let registered = runners(&port, RunnerState::Registered);
    assert!((5..=9).contains(&registered) && alive(&port) == registered as u64, "{registered}");
    let full = port.0.ledger.borrow().buckets[&Bucket::Ssm];
    let owed = (full / 1000).saturating_sub(port.0.now.get());
    assert!(owed <= 1000, "turns were taken by nobody: the next comes after {owed} ms");
}

#[test]
fn without_the_ledger_there_is_no_limit() {
    for (jobs, takes) in [(1, 0), (3, 1), (10, 2)] {
        let (fleet, port) = (spot(), world(jobs));
        (0..takes).for_each(|_| port.0.fault("ledger.take", Fault::Ledger));
        assert_eq!(paced(&port, &fleet, Limits::default()), 0);
        assert_eq!((runners(&port, RunnerState::Registered) as u64, port.0.called("ledger.take")), (jobs, takes));
    }
}
