//! What is allowed and hardly meant.

use std::collections::BTreeSet;

use super::{fleet, fleets};
use crate::decide::route::{Job, route};
use crate::fleets::{Fleet, Fleets, GitHub, Level, Market, Matching, Owner, Pattern, RunnerGroup, Ties};

fn labelled(name: &str, matching: Matching, labels: &[&str], priority: u64) -> Fleet {
    Fleet { labels: labels.iter().map(|&it| it.into()).collect(), matching, priority, ..fleet(name) }
}

fn warned(fleets: &Fleets) -> Vec<String> {
    fleets.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_fleet_behind_another_is_told() {
    use Matching::{All, Any, Exact};
    // The first fleet is `a`, the second `b`; the one that no job reaches.
    let cases: [(_, _, Option<&str>); 15] = [
        ((All, &["x", "y"][..], 0), (All, &["Y", "X"][..], 0), Some("b")),
        ((All, &["x"], 0), (All, &["x"], 1), Some("a")),
        ((All, &["x"], 0), (All, &["x", "y"], 9), None), // `a` is closer
        ((All, &["x", "y"], 0), (All, &["x"], 9), None), // and `b` has no y
        ((All, &["x"], 9), (Exact, &["x"], 0), Some("a")),
        ((All, &["x", "y"], 9), (Exact, &["x", "y"], 0), None), // x alone
        ((Exact, &["x"], 0), (Exact, &["x"], 0), Some("b")),
        ((Exact, &["x"], 0), (Exact, &["x", "y"], 9), None),
        ((Exact, &["x"], 0), (All, &["x"], 9), Some("b")),
        ((Exact, &["x", "y"], 0), (All, &["x", "y"], 9), None), // x alone
        ((Any, &["x"], 0), (Any, &["x", "y"], 0), None),        // by name
        ((Any, &["x"], 0), (Any, &["x", "y"], 1), Some("a")),
        ((Any, &["x", "y"], 1), (Any, &["x"], 0), Some("b")),
        ((Any, &["x", "y"], 1), (Any, &["x", "z"], 0), None),
        ((Any, &["x"], 0), (All, &["x"], 9), None), // x and something else
    ];
    for ((m, l, p), (n, k, q), expected) in cases {
        let both = fleets([labelled("a", m, l, p), labelled("b", n, k, q)]);
        let told: Vec<String> = both.warnings().into_iter().map(|it| it.fleet).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{m:?} {l:?} {p}, {n:?} {k:?} {q}");
    }
    let twins = || fleets([labelled("a", All, &["x"], 0), labelled("b", All, &["x"], 0)]);
    assert_eq!(warned(&twins()), ["fleet b: no job reaches it: a takes all that would fit"]);
    assert_eq!(warned(&Fleets { ties: Ties::Spread, ..twins() }), [""; 0], "both take their share");
}

/// All parts of `labels` but the empty one.
fn parts(labels: &[&'static str]) -> Vec<Vec<&'static str>> {
    let part = |bits: usize| labels.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, it)| *it).collect();
    (1..1 << labels.len()).map(part).collect()
}

/// Each pair of fleets that three labels can make, against each job that could be told apart by them.
#[test]
fn what_is_told_of_two_fleets_is_what_routing_does() {
    let jobs: Vec<Vec<String>> =
        parts(&["x", "y", "z", "other"]).iter().map(|it| it.iter().map(|&label| label.into()).collect()).collect();
    let all = |name: &str| {
        let of = |matching| parts(&["x", "y", "z"]).into_iter().map(move |labels| (matching, labels));
        let each = [Matching::Exact, Matching::All, Matching::Any].into_iter().flat_map(of);
        let each =
            each.flat_map(|(matching, labels)| [0, 1].map(|priority| labelled(name, matching, &labels, priority)));
        each.collect::<Vec<_>>()
    };
    let mut told = 0;
    for (a, b) in all("a").into_iter().flat_map(|a| all("b").into_iter().map(move |b| (a.clone(), b))) {
        let both = fleets([a, b]);
        let takes = |labels: &Vec<String>| {
            let owner = &Owner::default();
            let job = Job { id: 1, labels, repository: Some("octo-org/a"), owner, public_fork: false };
            route(&both, &job).fleet.map(|fleet| fleet.name.clone())
        };
        let reached: BTreeSet<String> = jobs.iter().filter_map(takes).collect();
        let expected: Vec<&str> = ["a", "b"].into_iter().filter(|it| !reached.contains(*it)).collect();
        let warnings = both.warnings();
        told += warnings.len();
        assert_eq!(warnings.iter().map(|it| it.fleet.as_str()).collect::<Vec<_>>(), expected, "{both:?}");
    }
    assert!(told > 50, "{told}");
}

#[test]
fn what_takes_other_jobs_hides_none() {
    let change: [fn(&mut Fleet, &mut Fleet); 6] = [
        |a, _| a.admission.repositories = vec![Pattern::new("octo-org/*")],
        |a, _| a.admission.denied = vec![Pattern::new("octo-org/*")],
        |_, b| b.admission.public_forks = true,
        |_, b| b.steering.max_vcpus = 8,
        |a, _| a.github.owner = Some("octo-org".into()),
        |a, b| {
            (a.steering.markets, b.steering.markets) = (vec![Market::Spot], vec![Market::OnDemand]);
        },
    ];
    for (i, change) in change.iter().enumerate() {
        let (mut a, mut b) = (fleet("a"), fleet("b"));
        change(&mut a, &mut b);
        let mut both = fleets([a, b]);
        both.admission.public_forks = true;
        assert_eq!(warned(&both), [""; 0], "{i}");
    }
}

#[test]
fn an_owner_that_is_kept_out_is_told() {
    let owned = |level, owner: &str| {
        let github = GitHub { level, owner: Some(owner.into()), runner_group: RunnerGroup::DEFAULT };
        Fleet { github, ..fleet("a") }
    };
    let listed = |patterns: &[&str], denied: &[&str], fleet| {
        let mut all = fleets([fleet]);
        all.admission.repositories = patterns.iter().map(|&it| Pattern::new(it)).collect();
        all.admission.denied = denied.iter().map(|&it| Pattern::new(it)).collect();
        warned(&all).len()
    };
    for (patterns, denied, level, owner, expected) in [
        (&["octo-org/*"][..], &[][..], Level::Organization, "Octo-Org", 0),
        (&["octo-*/a"], &[], Level::Organization, "octo-org", 0),
        (&["other/*"], &[], Level::Organization, "octo-org", 1),
        (&[], &["octo-org/*"], Level::Organization, "octo-org", 1),
        (&[], &["octo-org/x*"], Level::Organization, "octo-org", 0),
        (&["octo-org/*"], &[], Level::Repository, "octo-org/a", 0),
        (&["octo-org/b"], &[], Level::Repository, "octo-org/a", 1),
        (&[], &["octo-org/a*"], Level::Repository, "octo-org/a", 1),
        (&["other/*"], &[], Level::Enterprise, "octo", 0),
    ] {
        assert_eq!(listed(patterns, denied, owned(level, owner)), expected, "{patterns:?} {denied:?} {owner}");
    }
}

#[test]
fn forks_of_public_repositories_are_a_matter_of_both_and_of_ephemeral_runners() {
    for (document, ephemeral, says) in
        [(false, true, "does nothing"), (true, false, "meets the next job"), (true, true, "")]
    {
        let mut all = fleets([Fleet { ephemeral, ..fleet("a") }]);
        (all.admission.public_forks, all.fleets[0].admission.public_forks) = (document, true);
        let warned = warned(&all);
        assert_eq!((warned.len(), warned.concat().contains(says)), (usize::from(!says.is_empty()), true), "{warned:?}");
    }
}
