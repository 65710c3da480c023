use super::{LARGEST_RESERVATION, Plan, left_reservations, left_runners, plan};
use crate::{
    decide::{breaker::Breaker, offers::asks_key, runners::RunnerState},
    fleets::{Fleet, Level, Market, tests::fleet},
    ledger::{
        LastError, Manual, Marker, Reservation, Runner, Unread, UnreadSupply, View,
        tests::{marker, reservation, runner},
    },
};

const NOW: u64 = 1_010_000;
/// The breaker of the jobs' owner.
const OWNER: &str = "github/orgs/octo-org";

/// A level with so many queued jobs, and `alive` as the rest says.
fn view(queued: u64, reservations: Vec<Reservation>, runners: Vec<Runner>) -> View {
    let mut view = View { reservations, runners, ..View::default() };
    view.queued = (1..=queued).map(|id| marker("linux-x64", id)).collect();
    view.meta.alive = view.reservations.iter().map(|it| u64::from(it.count)).sum();
    view.meta.alive += view.runners.iter().filter(|it| it.state.is_alive()).count() as u64;
    view
}

fn runners(states: &[RunnerState]) -> Vec<Runner> {
    (0..)
        .zip(states)
        .map(|(n, state)| Runner { state: *state, reservation: "old".into(), ..runner("linux-x64", n) })
        .collect()
}

fn launches(plan: &Plan) -> Vec<(String, u32)> {
    plan.launches.iter().map(|it| (it.target.scope.to_string(), it.count)).collect()
}

fn count(fleet: &Fleet, view: &View, now: u64) -> u64 {
    plan(fleet, view, now).launches.iter().map(|it| u64::from(it.count)).sum()
}

#[test]
fn what_is_missing_is_launched() {
    use RunnerState::{Busy, Gone, Launched, Registered, Spent};
    let fleet = fleet("linux-x64");
    let reserved = |n| vec![reservation("linux-x64", "r9", n)];
    let cases = [
        (view(0, vec![], vec![]), 0),
        (view(3, vec![], vec![]), 3),
        (view(3, reserved(2), vec![]), 1),
        (view(3, reserved(5), vec![]), 0),
        (view(3, vec![], runners(&[Launched, Registered])), 1),
        (view(3, vec![], runners(&[Busy, Gone])), 3),
        (view(3, vec![], runners(&[Spent, Busy])), 2), // its webhook is on the way
        (view(0, vec![], runners(&[Launched])), 0),
    ];
    for (i, (view, expected)) in cases.iter().enumerate() {
        assert_eq!(count(&fleet, view, NOW), *expected, "case {i}");
    }
}

#[test]
fn supply_and_demand_end_in_time() {
    let fleet = fleet("linux-x64");
    let booting = view(1, vec![], runners(&[RunnerState::Registered]));
    assert_eq!(count(&fleet, &booting, 1_299_999), 0);
    assert_eq!(count(&fleet, &booting, 1_300_000), 1, "past its boot deadline");
    let mut spent = view(1, vec![], runners(&[RunnerState::Spent]));
    spent.runners[0].expires = Some(1_500);
    assert_eq!(count(&fleet, &spent, 1_499_999), 0);
    assert_eq!(count(&fleet, &spent, 1_500_000), 1, "the webhook was lost");
    let old = view(1, vec![], vec![]);
    assert_eq!(count(&fleet, &old, 90_000_000), 0, "GitHub has given the job up");
}

#[test]
fn a_job_counts_after_the_delay() {
    let fleet = Fleet { delay_seconds: 30, ..fleet("linux-x64") };
    let view = view(1, vec![], vec![]);
    assert_eq!(count(&fleet, &view, 1_028_999), 0);
    assert_eq!(count(&fleet, &view, 1_029_000), 1, "a second's difference of clocks is allowed");
}

#[test]
fn max_is_a_limit_on_what_is_alive() {
    let fleet = Fleet { max: 4, ..fleet("linux-x64") };
    let busy = view(5, vec![], runners(&[RunnerState::Busy; 3]));
    let planned = plan(&fleet, &busy, NOW);
    assert_eq!((launches(&planned), planned.held_back), (vec![("orgs/octo-org".to_owned(), 1)], 4));
    let over = view(5, vec![], runners(&[RunnerState::Busy; 6]));
    assert_eq!(count(&fleet, &over, NOW), 0, "max was lowered");
}

#[test]
fn large_launches_are_split() {
    let fleet = fleet("linux-x64");
    let planned = plan(&fleet, &view(60, vec![], vec![]), NOW);
    let counts: Vec<u32> = planned.launches.iter().map(|it| it.count).collect();
    assert_eq!(counts, [LARGEST_RESERVATION, 25], "50 is the fleet's max");
}

#[test]
fn each_owner_has_demand_and_supply_of_its_own() {
    let mut fleet = Fleet { max: 3, ..fleet("linux-x64") };
    fleet.github.level = Level::Repository;
    let mut view = view(0, vec![], runners(&[RunnerState::Registered]));
    view.runners[0].scope = Some("repos/o/idle".parse().unwrap());
    let of = |job, repository: &str, queued_at| Marker {
        repository: repository.into(),
        queued_at,
        ..marker("linux-x64", job)
    };
    view.queued = vec![of(1, "o/late", 1_002_000), of(2, "o/early", 1_001_000), of(3, "o/late", 1_000_500)];
    let planned = plan(&fleet, &view, NOW);
    let expected = [("repos/o/late".to_owned(), 2)];
    assert_eq!(launches(&planned), expected, "who waited longest comes first, another's idle runner is no help");
    assert_eq!(planned.held_back, 1);
    assert_eq!(planned.launches[0].target.installation, Some(77));
}

#[test]
fn a_reservation_and_the_runners_it_became_are_counted_once() {
    let fleet = fleet("linux-x64");
    let mut both =
        view(3, vec![reservation("linux-x64", "r1", 2)], vec![runner("linux-x64", 1), runner("linux-x64", 2)]);
    both.meta.alive = 2;
    assert_eq!(count(&fleet, &both, NOW), 1);
}

/// What is wanted: what it asks for, its market, how many.
fn wanted(plan: &Plan) -> Vec<(String, Market, u32)> {
    plan.launches.iter().map(|it| (it.asks.join(" "), it.market, it.count)).collect()
}

fn asking(job: u64, asks: &[&str]) -> Marker {
    Marker { asks: asks.iter().map(|&ask| ask.into()).collect(), ..marker("linux-x64", job) }
}

fn open(view: &mut View, offer: impl Into<String>, until: u64) {
    view.offers.breakers.0.insert(offer.into(), Breaker { failures: 1, until, ..Breaker::default() });
}

#[test]
fn jobs_that_ask_for_something_have_runners_of_their_own() {
    let mut fleet = fleet("linux-x64");
    (fleet.steering.pin, fleet.steering.max_vcpus) = (true, 8);
    let mut view = view(1, vec![reservation("linux-x64", "r9", 1)], runners(&[RunnerState::Registered]));
    view.queued.extend([asking(2, &["dayfly-cpu=8"]), asking(3, &["dayfly-cpu=8"]), asking(4, &["dayfly-pin=a"])]);
    view.runners[0].asks = vec!["dayfly-cpu=8".into()];
    let expected = [("dayfly-cpu=8", 1), ("dayfly-pin=a", 1)].map(|(asks, n)| (asks.into(), Market::OnDemand, n));
    assert_eq!(wanted(&plan(&fleet, &view, NOW)), expected);
    fleet.steering.max_vcpus = 4;
    let planned = plan(&fleet, &view, NOW);
    assert_eq!(wanted(&planned), expected[1..], "nobody may ask for that any more");
    assert_eq!(planned.unwished.len(), 1);
}

#[test]
fn what_ec2_has_none_of_takes_no_room() {
    let mut fleet = Fleet { max: 1, ..fleet("linux-x64") };
    (fleet.steering.pin, fleet.steering.markets) = (true, vec![Market::Spot]);
    let mut view = view(0, vec![], vec![]);
    view.queued = vec![asking(1, &["dayfly-market=spot"]), asking(2, &["dayfly-pin=a"])];
    open(&mut view, "spot/subnet-1/c7i.large", NOW + 9000);
    let planned = plan(&fleet, &view, NOW);
    assert_eq!(wanted(&planned), [("dayfly-pin=a".into(), Market::OnDemand, 1)]);
    assert_eq!((planned.unavailable, planned.available_at, planned.held_back), (1, Some(NOW + 9000), 0));
    let asks = ["dayfly-cpu=4".to_owned(), "dayfly-pin=a".to_owned()];
    (view.queued[1].asks, fleet.steering.max_vcpus) = (asks.to_vec(), 4);
    open(&mut view, asks_key(&asks).unwrap(), NOW + 5000);
    let planned = plan(&fleet, &view, NOW);
    assert_eq!((wanted(&planned), planned.available_at), (vec![], Some(NOW + 5000)), "EC2 refused it for good");
    assert_eq!(wanted(&plan(&fleet, &view, NOW + 9000)).len(), 1, "both are due, and one fits");
    assert_eq!(asks_key(&asks[1..]), None, "a pin is none of EC2's business");
}

#[test]
fn a_base_of_on_demand_comes_before_spot() {
    use RunnerState::{Busy, Registered};
    let mut fleet = fleet("linux-x64");
    (fleet.launch.market, fleet.launch.on_demand_base) = (Market::Spot, 3);
    fleet.steering.markets = vec![Market::Spot];
    let plain = |n, market| (String::new(), market, n);
    let (on_demand, spot) = (Market::OnDemand, Market::Spot);
    assert_eq!(wanted(&plan(&fleet, &view(5, vec![], vec![]), NOW)), [plain(3, on_demand), plain(2, spot)]);
    assert_eq!(wanted(&plan(&fleet, &view(2, vec![], vec![]), NOW)), [plain(2, on_demand)]);
    let mut some = view(5, vec![reservation("linux-x64", "r9", 1)], runners(&[Busy, Busy]));
    some.runners[1].market = Some(spot);
    assert_eq!(wanted(&plan(&fleet, &some, NOW)), [plain(1, on_demand), plain(3, spot)], "two are there");
    let mut dry = view(5, vec![], runners(&[Registered]));
    open(&mut dry, "on-demand/subnet-1/c7i.large", NOW + 1);
    assert_eq!(wanted(&plan(&fleet, &dry, NOW)), [plain(4, spot)], "better than nothing");
    let mut wished = view(0, vec![], vec![]);
    wished.queued = vec![asking(1, &["dayfly-market=spot"])];
    assert_eq!(wanted(&plan(&fleet, &wished, NOW))[0].1, spot, "as the job asks");
}

#[test]
fn after_a_launch_the_fleet_cools_down() {
    let fleet = Fleet { cooldown_seconds: 30, ..fleet("linux-x64") };
    let mut view = view(2, vec![], vec![]);
    view.meta.reserved_at = NOW - 10_000;
    let planned = plan(&fleet, &view, NOW);
    assert_eq!((count(&fleet, &view, NOW), planned.cooling_until), (0, Some(NOW + 20_000)));
    let told = planned.told(&fleet, NOW);
    assert_eq!((told.paused_until, told.reason()), (NOW + 20_000, "paused"), "explain tells it");
    assert_eq!(count(&fleet, &view, NOW + 20_000), 2);
    view.queued.clear();
    assert_eq!(plan(&fleet, &view, NOW).cooling_until, None, "nothing is missing");
}

#[test]
fn no_plan_exceeds_max_and_the_same_level_has_the_same_plan() {
    let mut random = crate::simulation::runtime::Random::new(7);
    for _ in 0..5000 {
        let mut fleet = Fleet { max: random.below(12), ..fleet("linux-x64") };
        (fleet.launch.market, fleet.launch.on_demand_base) = (Market::Spot, random.below(5));
        fleet.launch.on_demand_fallback = random.chance(50);
        (fleet.steering.pin, fleet.cooldown_seconds) = (true, random.below(3) * 10);
        let states: Vec<RunnerState> = (0..random.below(8)).map(|_| RunnerState::ALL[random.pick(5)]).collect();
        let reserved = (0..random.below(3)).map(|i| reservation("linux-x64", &format!("r{i}"), 1)).collect();
        let mut view = view(0, reserved, runners(&states));
        let asks: [&[&str]; 3] = [&[], &["dayfly-pin=a"], &["dayfly-cpu=3"]];
        view.queued = (0..random.below(30)).map(|job| asking(job, asks[random.pick(3)])).collect();
        view.meta.reserved_at = NOW - random.below(20_000);
        for offer in ["spot/subnet-1/c7i.large", "on-demand/subnet-1/c7i.large", "asks/dayfly-cpu=3", OWNER] {
            open(&mut view, offer, NOW - 1000 + random.below(2000));
        }
        let planned = plan(&fleet, &view, NOW);
        let launched: u64 = planned.launches.iter().map(|it| u64::from(it.count)).sum();
        assert!(launched <= fleet.max.saturating_sub(view.meta.alive), "{view:?}\n{planned:?}");
        assert!(launched + planned.held_back + planned.unavailable <= planned.demand);
        assert!(planned.launches.iter().all(|it| it.count > 0));
        assert_eq!(plan(&fleet, &view.clone(), NOW), planned);
        // The order in which the ledger has the jobs is chance.
        view.queued.reverse();
        assert_eq!(plan(&fleet, &view, NOW), planned);
    }
}

#[test]
fn what_a_dead_invocation_left_is_found() {
    let mut view =
        view(0, vec![reservation("linux-x64", "r9", 1)], runners(&[RunnerState::Launched, RunnerState::Registered]));
    assert!(left_reservations(&view, 1_029_999).is_empty() && left_runners(&view, 1_029_999).is_empty());
    assert_eq!(left_reservations(&view, 1_030_000).len(), 1);
    assert_eq!(left_runners(&view, 1_030_000).len(), 1, "the registered one is done with");
    view.runners[0].boot_deadline = 1_030_000;
    assert!(left_runners(&view, 1_030_000).is_empty(), "its instance has given up");
}

fn manual(count: u32, expires: u64) -> Manual {
    Manual {
        fleet: "linux-x64".into(),
        id: "m".into(),
        count,
        repository: "octo-org/octo-repo".into(),
        installation: None,
        created_at: NOW,
        expires,
    }
}

#[test]
fn what_people_ask_for_is_demand_until_it_expires() {
    let fleet = Fleet { max: 4, ..fleet("linux-x64") };
    let mut view = view(1, vec![], runners(&[RunnerState::Registered]));
    view.manual = vec![manual(2, NOW / 1000 + 60)];
    let planned = plan(&fleet, &view, NOW);
    assert_eq!((planned.demand, planned.supply, planned.launched()), (3, 1, 2));
    assert_eq!(planned.launches[0].target.installation, Some(77), "as the job's webhook named it");
    view.manual = vec![manual(9, NOW / 1000 + 60)];
    let planned = plan(&fleet, &view, NOW);
    assert_eq!((planned.launched(), planned.held_back), (3, 6), "max holds for people too");
    let told = planned.told(&fleet, NOW);
    assert_eq!((told.launched, told.held_back, told.max, told.reason()), (3, 6, 4, "max"));
    view.manual = vec![manual(9, NOW / 1000)];
    assert_eq!(count(&fleet, &view, NOW), 0, "expired");

    view.manual = vec![manual(1, NOW), manual(2, NOW)];
    view.runners[0].boot_deadline = 1_300_000;
    let later = |view: &View| plan(&fleet, view, 1_300_000).demand;
    assert_eq!(later(&view), 4 - 1, "a runner that has listened for long meets one wish, once");
}

#[test]
fn an_owner_whom_github_refuses_takes_no_part_and_is_tried_with_one() {
    let mut fleet = fleet("linux-x64");
    fleet.github.level = Level::Repository;
    let mut view = view(0, vec![], vec![]);
    let of = |job, repository: &str| Marker { repository: repository.into(), ..marker("linux-x64", job) };
    view.queued = vec![of(1, "o/bad"), of(2, "o/bad"), of(3, "o/good"), of(4, "o/good")];
    open(&mut view, "github/repos/o/bad", NOW + 5000);
    let planned = plan(&fleet, &view, NOW);
    assert_eq!(launches(&planned), [("repos/o/good".to_owned(), 2)]);
    assert_eq!((planned.unavailable, planned.available_at, planned.jobs), (2, Some(NOW + 5000), vec![3, 4]));
    let due = plan(&fleet, &view, NOW + 5000);
    assert_eq!(launches(&due), [("repos/o/bad".to_owned(), 1), ("repos/o/good".to_owned(), 2)]);
    assert_eq!((due.unavailable, due.available_at), (1, Some(NOW + 10_000)), "the other follows");
    let scope = "repos/o/bad".parse().unwrap();
    view.reservations = vec![Reservation { scope, ..reservation("linux-x64", "r9", 1) }];
    let tried = plan(&fleet, &view, NOW + 5000);
    assert_eq!(launches(&tried), [("repos/o/good".to_owned(), 2)], "one at a time");
    let limited = Breaker { until: NOW + 5000, ..Breaker::default() };
    view.offers.breakers.0.insert("github/repos/o/bad".into(), limited);
    view.reservations.clear();
    assert_eq!(plan(&fleet, &view, NOW + 5000).launched(), 4, "a limit that is over is none");
}

#[test]
fn after_a_refusal_of_the_fleet_one_instance_is_tried() {
    let fleet = fleet("linux-x64");
    let mut level = view(3, vec![], vec![]);
    level.queued.push(asking(9, &["gpu"]));
    level.meta.last_error = Some(LastError::default());
    let planned = plan(&fleet, &level, NOW);
    assert_eq!((planned.launched(), planned.unavailable, planned.held_back), (1, 3, 0));
    level.reservations = vec![reservation("linux-x64", "r9", 1)];
    assert_eq!(plan(&fleet, &level, NOW).launched(), 0, "it is under way");
    level.meta.last_error = None;
    assert_eq!(plan(&fleet, &level, NOW).launched(), 3);
}

#[test]
fn what_is_not_understood_is_supply_for_a_while_and_no_longer() {
    let fleet = fleet("linux-x64");
    let mut level = view(3, vec![], vec![]);
    let supply = |count, until| {
        let scope = "orgs/octo-org".parse().unwrap();
        Unread { why: "bad".into(), supply: Some(UnreadSupply { scope, asks: vec![], count, until }) }
    };
    level.unread = vec![supply(2, NOW + 1), Unread { why: "bad".into(), supply: None }];
    assert_eq!(count(&fleet, &level, NOW), 1);
    assert_eq!(count(&fleet, &level, NOW + 1), 3, "a job must not wait for it for ever");
    level.meta.alive = fleet.max;
    assert_eq!(count(&fleet, &level, NOW + 1), 0, "max is kept by what is counted");
}

#[test]
fn a_drained_fleet_launches_nothing_whatever_is_wanted() {
    let fleet = fleet("linux-x64");
    let mut wanted = view(3, vec![], runners(&[RunnerState::Registered]));
    wanted.manual.push(Manual {
        fleet: "linux-x64".into(),
        id: "m".into(),
        count: 2,
        repository: "octo-org/octo-repo".into(),
        installation: None,
        created_at: NOW,
        expires: NOW,
    });
    assert!(count(&fleet, &wanted, NOW) > 0);
    wanted.meta.drained_at = Some(NOW - 1);
    let planned = plan(&fleet, &wanted, NOW);
    assert_eq!((planned.launched(), planned.demand, planned.supply, planned.held_back), (0, 5, 1, 4));
    let told = planned.told(&fleet, NOW);
    assert_eq!((told.max, told.reason()), (0, "drained"));
}

#[test]
fn jobs_that_make_up_for_interrupted_ones_have_on_demand_launched() {
    use Market::{OnDemand, Spot};
    let mut spot = fleet("linux-x64");
    spot.launch.market = Spot;
    let raised = |queued, raised: u64, runners: Vec<Runner>| {
        let mut view = view(queued, vec![], runners);
        view.queued.iter_mut().filter(|it| it.job <= raised).for_each(|it| it.on_demand = true);
        view
    };
    let of = |fleet: &Fleet, view: &View| -> Vec<(Market, u32)> {
        plan(fleet, view, NOW).launches.iter().map(|it| (it.market, it.count)).collect()
    };
    let with = |market| vec![Runner { market: Some(market), ..runners(&[RunnerState::Launched]).remove(0) }];
    assert_eq!(of(&spot, &raised(3, 1, vec![])), [(OnDemand, 1), (Spot, 2)]);
    assert_eq!(of(&spot, &raised(2, 2, with(Spot))), [(OnDemand, 1)], "one less is missing");
    assert_eq!(of(&spot, &raised(2, 1, with(OnDemand))), [(Spot, 1)], "its own is on the way");
    assert_eq!(of(&fleet("linux-x64"), &raised(2, 1, vec![])), [(OnDemand, 2)]);
    let based = Fleet { launch: crate::fleets::Launch { on_demand_base: 2, ..spot.launch.clone() }, ..spot.clone() };
    assert_eq!(of(&based, &raised(4, 1, vec![])), [(OnDemand, 2), (Spot, 2)], "it is part of the base");
    let mut asking = raised(1, 1, vec![]);
    asking.queued[0].asks = vec!["dayfly-market=spot".into()];
    spot.steering.markets = vec![Spot];
    assert_eq!(of(&spot, &asking), [(Spot, 1)], "the job's own word goes first");
}
