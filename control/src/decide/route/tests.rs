use super::route;
use crate::fleets::{Fleet, Level, tests::fleet};

fn fleets() -> Vec<Fleet> {
    let make = |name: &str, labels: &[&str], priority| {
        let labels = labels.iter().map(|&it| it.to_owned()).collect();
        Fleet { labels, priority, ..fleet(name) }
    };
    vec![
        make("all", &["self-hosted", "linux", "x64", "gpu"], 0),
        make("linux", &["self-hosted", "linux", "x64"], 0),
        make("twin", &["Self-Hosted", "Linux", "X64"], 0),
        make("first", &["self-hosted", "arm64", "big"], 5),
    ]
}

fn routed(fleets: &[Fleet], labels: &[&str]) -> Option<String> {
    let labels: Vec<String> = labels.iter().map(|&it| it.to_owned()).collect();
    route(fleets, &labels, "octo-org/octo-repo").map(|fleet| fleet.name.clone())
}

#[test]
fn every_label_must_be_carried_whatever_its_case() {
    let fleets = fleets();
    let cases = [
        (&["self-hosted", "gpu"][..], Some("all")),
        (&["SELF-HOSTED", "GPU"], Some("all")),
        (&["gpu", "arm64"], None),
        (&["linu"], None),
        (&["linux", "linux"], Some("linux")),
        (&["ubuntu-latest"], None),
        (&[], None), // would match every fleet by accident
    ];
    for (labels, expected) in cases {
        assert_eq!(routed(&fleets, labels).as_deref(), expected, "{labels:?}");
    }
}

#[test]
fn of_several_the_priority_then_the_fewest_labels_then_the_first_decides() {
    let mut fleets = fleets();
    assert_eq!(routed(&fleets, &["self-hosted"]).as_deref(), Some("first"), "by priority");
    assert_eq!(routed(&fleets, &["linux"]).as_deref(), Some("linux"), "the fewest labels, the first of equals");
    fleets.swap(1, 2);
    assert_eq!(routed(&fleets, &["linux"]).as_deref(), Some("twin"), "the first of equals");
    fleets[0].priority = 1;
    assert_eq!(routed(&fleets, &["linux"]).as_deref(), Some("all"), "by priority");
}

#[test]
fn a_fleet_that_does_not_admit_the_repository_is_passed_over() {
    let mut fleets = fleets();
    fleets[1].github.owner = Some("another-org".into());
    assert_eq!(routed(&fleets, &["linux"]).as_deref(), Some("twin"));
    fleets[2].github.level = Level::Repository;
    fleets[2].github.owner = Some("octo-org/other".into());
    assert_eq!(routed(&fleets, &["linux"]).as_deref(), Some("all"));
}
