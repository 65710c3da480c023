use std::collections::BTreeSet;

use super::{Decision, Job, Verdict, route};
use crate::{
    decide::wishes::is_wish,
    fleets::{
        Fleet, Fleets, Level,
        Matching::{self, All, Any, Exact},
        Owner, Pattern, Ties,
        tests::{fleet, fleets},
    },
};

/// An organization of whose enterprise nothing is known.
const SOMEBODY: Owner = Owner { is_person: false, enterprise: None };

fn make(name: &str, matching: Matching, labels: &[&str], priority: u64) -> Fleet {
    Fleet { labels: owned(labels), matching, priority, ..fleet(name) }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&it| it.to_owned()).collect()
}

fn job(labels: &[String]) -> Job<'_> {
    Job { id: 7, labels, repository: Some("octo-org/octo-repo"), owner: &SOMEBODY, public_fork: false }
}

fn name(decision: &Decision<'_>) -> Option<String> {
    decision.fleet.map(|fleet| fleet.name.clone())
}

fn routed(fleets: &Fleets, labels: &[&str]) -> Option<String> {
    name(&route(fleets, &job(&owned(labels))))
}

/// What is said of each, for a job with these labels.
fn said(fleets: &Fleets, labels: &[&str]) -> String {
    route(fleets, &job(&owned(labels))).to_string()
}

#[test]
fn labels_agree_as_the_fleet_says() {
    let one = [(Exact, "exact"), (All, "all"), (Any, "any")];
    let cases: [(&[&str], [bool; 3]); 10] = [
        (&["self-hosted", "linux"], [true, true, true]),
        (&["LINUX", "Self-Hosted", "linux"], [true, true, true]),
        (&["linux"], [false, true, true]),
        (&["linux", "gpu"], [false, false, true]), // an overlap is not enough but for any
        (&["self-hosted", "linux", "gpu"], [false, false, true]),
        (&["linu"], [false, false, false]), // the beginning of a label is another label
        (&["linux-x64"], [false, false, false]),
        (&["ubuntu-latest"], [false, false, false]),
        (&[], [false, false, false]), // would match every fleet by accident
        (&[""], [false, false, false]),
    ];
    for (labels, expected) in cases {
        for ((matching, word), expected) in one.into_iter().zip(expected) {
            let fleets = fleets([make(word, matching, &["self-hosted", "Linux"], 0)]);
            assert_eq!(routed(&fleets, labels).is_some(), expected, "{word} {labels:?}: {}", said(&fleets, labels));
        }
    }
}

#[test]
fn the_most_specific_takes_it_then_the_priority_then_the_name() {
    let some = fleets([
        make("any-far", Any, &["linux"], 1000),
        make("any-near", Any, &["linux", "gpu", "other"], 0),
        make("wide", All, &["self-hosted", "linux", "x64", "gpu"], 1000),
        make("narrow-b", All, &["self-hosted", "linux", "x64"], 0),
        make("narrow-a", All, &["self-hosted", "linux", "x64"], 0),
        make("exact", Exact, &["self-hosted", "linux", "x64"], 0),
    ]);
    for (labels, expected) in [
        (&["self-hosted", "linux", "x64"][..], "exact"),
        (&["linux", "x64"], "narrow-a"), // of equals the first by name; `wide` has a priority, but is wider
        (&["linux", "gpu"], "wide"),     // all goes before any
        (&["linux", "gpu", "arm64"], "any-near"), // two in common; the other has one and a priority
        (&["linux", "arm64"], "any-far"), // one in common each
    ] {
        assert_eq!(routed(&some, labels).as_deref(), Some(expected), "{labels:?}: {}", said(&some, labels));
    }
    let mut equals = some;
    equals.fleets[3].priority = 1;
    assert_eq!(routed(&equals, &["linux", "x64"]).as_deref(), Some("narrow-b"), "priorities of equals are heeded");
}

#[test]
fn each_candidate_is_given_its_reason() {
    let mut some = vec![
        make("exact", Exact, &["linux", "arm64"], 0),
        make("less", Exact, &["linux"], 0),
        make("other", All, &["linux", "arm64"], 0),
        make("none", Any, &["windows"], 0),
        make("near", All, &["linux", "x64"], 5),
        make("low", All, &["linux", "x64"], 0),
        make("twin", All, &["linux", "x64"], 5),
        make("far", All, &["linux", "x64", "gpu"], 9),
        make("theirs", All, &["linux", "x64"], 9),
        make("listed", All, &["linux", "x64"], 9),
        make("poor", All, &["linux", "x64"], 9),
    ];
    some[8].github.owner = Some("their-org".into());
    some[9].admission.repositories = vec![Pattern::new("their-org/*")];
    for fleet in &mut some[..10] {
        fleet.steering.max_vcpus = 8;
    }
    let mut all = fleets(some);
    assert_eq!(
        said(&all, &["linux", "X64", "dayfly-cpu=4"]),
        "exact: labels: missing x64, not asked for arm64; less: labels: missing x64; other: labels: missing x64; \
         none: labels: none in common; near: takes it; low: lower priority than near; \
         twin: as good as near, which is first by name; far: less specific than near; \
         theirs: admission: its runners are those of their-org; \
         listed: admission: the repository is not among the repositories of the fleet; \
         poor: wish refused: label \"dayfly-cpu=4\": the fleet lets no job ask for vCPUs"
    );
    assert!(said(&all, &["linux"]).starts_with("exact: labels: not asked for arm64; less: takes it; "));
    assert!(said(&all, &["dayfly-cpu=4"]).starts_with("exact: labels: the job has none; "));
    all.ties = Ties::Spread;
    assert!(said(&all, &["linux", "x64", "dayfly-cpu=4"]).contains(", which the job's id picks"));
    all.admission.denied = vec![Pattern::new("*/octo-repo")];
    assert!(
        said(&all, &["linux"])
            .contains("near: admission: the repository is among the repositories_denied of the document")
    );
}

#[test]
fn a_decision_is_told_as_json() {
    let all = fleets([make("a", All, &["x"], 0), make("b", Any, &["x"], 0), make("c", All, &["y"], 0)]);
    let labels = owned(&["x"]);
    assert_eq!(
        route(&all, &job(&labels)).json(),
        serde_json::json!({"fleet": "a", "candidates": [
            {"fleet": "a", "fits": true, "verdict": "takes", "reason": "takes it"},
            {"fleet": "b", "fits": true, "verdict": "specificity", "reason": "less specific than a"},
            {"fleet": "c", "fits": false, "verdict": "labels", "reason": "labels: missing x"},
        ]})
    );
    assert_eq!(route(&all, &job(&[])).json()["fleet"], serde_json::Value::Null);
}

#[test]
fn wishes_are_left_out_of_the_comparison_and_must_be_granted() {
    let mut able = make("able", Exact, &["linux"], 0);
    (able.steering.max_vcpus, able.steering.pin) = (8, true);
    let all = fleets([able, make("plain", All, &["linux", "x64"], 9)]);
    for (labels, expected) in [
        (&["linux"][..], Some("able")),
        (&["Linux", "dayfly-cpu=8", "DAYFLY-PIN=7"], Some("able")),
        (&["linux", "dayfly-cpu=9"], None), // more than any grants: it waits visibly
        (&["x64", "dayfly-cpu=4"], None),
        (&["linux", "dayfly-cpu=4", "dayfly-cpu=8"], None), // one or the other?
        (&["linux", "dayfly-gpu=1"], None),
        (&["dayfly-cpu=4"], None),  // asks for no fleet
        (&["x64", "dayfly"], None), // no wish, and no label of a fleet
    ] {
        assert_eq!(routed(&all, labels).as_deref(), expected, "{labels:?}: {}", said(&all, labels));
    }
}

#[test]
fn whose_jobs_are_taken_is_said_by_document_fleet_and_owner() {
    let mut all = fleets([make("a", All, &["linux"], 0), make("b", All, &["linux"], 0)]);
    let next = |all: &Fleets| routed(all, &["linux"]);
    assert_eq!(next(&all).as_deref(), Some("a"));
    all.fleets[0].admission.denied = vec![Pattern::new("Octo-Org/*")];
    assert_eq!(next(&all).as_deref(), Some("b"));
    all.fleets[1].github.level = Level::Repository;
    all.fleets[1].github.owner = Some("octo-org/other".into());
    assert_eq!(next(&all), None);
    all.fleets[0].admission.denied.clear();
    all.admission.repositories = vec![Pattern::new("octo-org/octo-r*")];
    assert_eq!(next(&all).as_deref(), Some("a"));
    all.admission.denied = vec![Pattern::new("octo-org/octo-repo")];
    assert_eq!(next(&all), None, "denied goes before listed");
}

#[test]
fn runners_that_are_shared_take_no_persons_jobs_nor_another_enterprises() {
    let labels = owned(&["linux"]);
    let person = Owner { is_person: true, enterprise: None };
    let of = |slug: &str| Owner { is_person: false, enterprise: Some(slug.to_owned()) };
    let (ours, theirs) = (of("Octo"), of("other"));
    let cases = [
        // (level, owner of the fleet, owner of the repository, what is said)
        (Level::Organization, None, &SOMEBODY, None),
        (Level::Organization, None, &ours, None),
        (Level::Organization, None, &person, Some("for organizations, and the repository is a person's")),
        (Level::Organization, Some("octo-org"), &person, Some("for organizations, and the repository is a person's")),
        (Level::Repository, None, &person, None),
        (Level::Enterprise, Some("octo"), &SOMEBODY, None),
        (Level::Enterprise, Some("octo"), &ours, None),
        (Level::Enterprise, Some("octo"), &theirs, Some("those of octo")),
        (Level::Enterprise, Some("octo"), &person, Some("for organizations, and the repository is a person's")),
    ];
    for (level, whose, owner, why) in cases {
        let mut all = fleets([make("a", All, &["linux"], 0)]);
        (all.fleets[0].github.level, all.fleets[0].github.owner) = (level, whose.map(str::to_owned));
        let said = route(&all, &Job { owner, ..job(&labels) }).to_string();
        let expected = why.map_or("a: takes it".to_owned(), |why| format!("a: admission: its runners are {why}"));
        assert_eq!(said, expected, "{level:?} {whose:?} {owner:?}");
    }
}

#[test]
fn without_a_repository_it_is_not_looked_at_whose_jobs_are_taken() {
    let labels = owned(&["linux"]);
    let nobodys = Job { repository: None, ..job(&labels) };
    let mut all = fleets([make("a", All, &["linux"], 0)]);
    all.fleets[0].github.owner = Some("their-org".into());
    all.fleets[0].admission.repositories = vec![Pattern::new("their-org/*")];
    all.admission.denied = vec![Pattern::new("*")];
    assert_eq!(name(&route(&all, &nobodys)).as_deref(), Some("a"));
    assert_eq!(name(&route(&all, &Job { public_fork: true, ..nobodys })), None, "that is told");
}

#[test]
fn a_forks_code_runs_only_where_document_and_fleet_allow_it() {
    for (document, of_fleet) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut all = fleets([make("open", All, &["linux"], 0), make("closed", All, &["linux"], 9)]);
        (all.admission.public_forks, all.fleets[0].admission.public_forks) = (document, of_fleet);
        let labels = owned(&["linux"]);
        let fork = Job { public_fork: true, ..job(&labels) };
        let expected = (document && of_fleet).then_some("open");
        assert_eq!(name(&route(&all, &fork)).as_deref(), expected, "{document} {of_fleet}");
        assert_eq!(name(&route(&all, &job(&labels))).as_deref(), Some("closed"), "other jobs are as before");
    }
}

#[test]
fn ties_are_spread_by_the_jobs_id() {
    let names = ["a", "b", "c", "d"];
    let mut all = fleets(names.map(|name| make(name, All, &["linux"], 0)));
    all.ties = Ties::Spread;
    all.fleets.push(make("low", All, &["linux", "x64"], 9));
    let labels = owned(&["linux"]);
    let pick = |all: &Fleets, id| name(&route(all, &Job { id, ..job(&labels) })).unwrap();
    // GitHub's ids are far apart or next to each other.
    for step in [1, 4, 1_000_003] {
        for it in names {
            let share = (0..400).filter(|i| pick(&all, 52_000_000_000 + i * step) == it).count();
            assert!((60..=140).contains(&share), "{it} has {share} of 400 by {step}");
        }
    }
    let mut fewer = all.clone();
    fewer.fleets.remove(0);
    for id in 0..200 {
        assert_eq!(pick(&all, id), pick(&all, id), "a redelivery goes to the same");
        assert!(pick(&all, id) == "a" || pick(&all, id) == pick(&fewer, id), "only the jobs of the one that went move");
    }
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    fn some(&mut self, from: &[&str]) -> Vec<String> {
        let mut pick = |it: &str| match self.below(8) {
            0..4 => None,
            4 => Some(it.to_uppercase()),
            _ => Some(it.to_owned()),
        };
        from.iter().filter_map(|it| pick(it)).collect()
    }
}

fn set(labels: &[String]) -> BTreeSet<String> {
    labels.iter().filter(|it| !is_wish(it)).map(|it| it.to_lowercase()).collect()
}

#[test]
fn the_order_never_matters_and_the_chosen_fleet_fits_best() {
    let mut dice = Dice(1);
    let mut taken = 0;
    for round in 0..3000 {
        let mut all = fleets((0..dice.below(6)).map(|i| {
            let mut labels = dice.some(&["linux", "x64", "gpu", "big"]);
            labels.push("self-hosted".into());
            let matching = [Exact, All, Any][dice.below(3)];
            let mut fleet = Fleet { labels, matching, priority: dice.below(3) as u64, ..fleet(&format!("f{i}")) };
            fleet.steering.max_vcpus = dice.below(2) as u64 * 8;
            if dice.below(4) == 0 {
                fleet.github.owner = Some("their-org".into());
            }
            fleet
        }));
        all.ties = [Ties::Name, Ties::Spread][dice.below(2)];
        let mut labels = dice.some(&["self-hosted", "linux", "x64", "gpu", "dayfly-cpu=4"]);
        let ask = |all: &Fleets, labels: &[String]| name(&route(all, &Job { id: round, ..job(labels) }));
        let chosen = ask(&all, &labels);
        let decision = route(&all, &Job { id: round, ..job(&labels) });
        assert_eq!(decision.candidates.len(), all.fleets.len());
        let winners = decision.candidates.iter().filter(|it| it.verdict == Verdict::Takes);
        assert_eq!(winners.map(|it| it.fleet.to_owned()).collect::<Vec<_>>(), Vec::from_iter(chosen.clone()));
        assert_eq!(chosen.is_none(), !decision.candidates.iter().any(|it| it.verdict.fits()), "one that fits takes it");
        if let Some(fleet) = decision.fleet {
            taken += 1;
            let (asked, carried) = (set(&labels), set(&fleet.labels));
            assert!(!asked.is_empty() && fleet.github.owner.is_none());
            assert!(match fleet.matching {
                Exact => asked == carried,
                All => asked.is_subset(&carried),
                Any => !asked.is_disjoint(&carried),
            });
            assert!(labels.iter().all(|it| !is_wish(it)) || fleet.steering.max_vcpus > 0);
        }
        let before = all.clone();
        dice.shuffle(&mut all.fleets);
        dice.shuffle(&mut labels);
        all.fleets.iter_mut().for_each(|fleet| dice.shuffle(&mut fleet.labels));
        labels.extend(labels.first().map(|it| it.to_lowercase()));
        assert_eq!(ask(&all, &labels), chosen, "{labels:?} {before:?}");
    }
    assert!(taken > 500, "{taken} of the jobs were taken at all");
}
