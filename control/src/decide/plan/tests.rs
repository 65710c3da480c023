use super::{LARGEST_RESERVATION, Plan, left_reservations, left_runners, plan};
use crate::{
    decide::runners::RunnerState,
    fleets::{Fleet, Level, tests::fleet},
    ledger::{
        Marker, Reservation, Runner, View,
        tests::{marker, reservation, runner},
    },
};

const NOW: u64 = 1_010_000;

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
