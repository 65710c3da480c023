use proptest::{collection::btree_set, prelude::*};

use super::*;

const DAY: Millis = 24 * 3600 * 1000;
const NOW: Millis = 1_000 * DAY;

fn v(minor: u32) -> Version {
    Version([2, minor, 0])
}

fn release(minor: u32, days_old: u64, platforms: &[&str]) -> Release {
    let asset = |platform: &&str| Asset {
        platform: (*platform).to_owned(),
        url: format!("https://example/{minor}/{platform}"),
        size: 1,
        sha256: None,
    };
    Release { version: v(minor), published_at: NOW - days_old * DAY, assets: platforms.iter().map(asset).collect() }
}

fn document(minor: u32) -> RunnerRelease {
    RunnerRelease { version: 1, runner_version: v(minor).to_string(), archives: vec![] }
}

fn following(days: u64) -> Policy {
    Policy { follow: Follow::Newest { delay: Duration::from_hours(24 * days) }, also: BTreeSet::new(), keep: 2 }
}

fn pinned(minor: u32) -> Policy {
    Policy { follow: Follow::Pinned(v(minor)), ..following(0) }
}

#[test]
fn versions_are_numbers_in_their_one_spelling() {
    assert!("2.99.0".parse::<Version>().unwrap() < "2.336.0".parse().unwrap());
    for bad in ["", "2.336", "v2.336.0", "2.336.0-rc1", "2.0336.0", "+2.336.0", "2.336.0.0", "2.336.99999999999"] {
        assert!(bad.parse::<Version>().is_err(), "{bad}");
    }
}

#[test]
fn the_target_is_the_newest_that_is_old_enough_and_made_for_the_platform() {
    let releases =
        [release(3, 1, &["linux-x64"]), release(99, 9, &["linux-x64", "linux-arm64"]), release(336, 3, &["linux-x64"])];
    let cases = [
        (following(0), "linux-x64", Some(336)),
        (following(3), "linux-x64", Some(336)),
        (following(4), "linux-x64", Some(99)),
        (following(10), "linux-x64", None),
        (following(0), "linux-arm64", Some(99)),
        (following(0), "osx-x64", None),
        // Where GitHub has it no more, it may still be in the store.
        (pinned(5), "linux-x64", Some(5)),
    ];
    for (policy, platform, expected) in cases {
        assert_eq!(policy.target(&releases, platform, NOW), expected.map(v), "{policy:?} {platform}");
    }
    assert_eq!(
        following(0).target(&releases, "linux-x64", NOW - 4 * DAY),
        Some(v(99)),
        "of the clock that it is given"
    );
}

#[test]
fn what_is_wanted_and_not_there_is_fetched_the_latest_first() {
    let mut policy = following(0);
    policy.also = [v(1), v(2), v(3)].into();
    assert_eq!(fetches(&policy, Some(v(2)), &[].into()), [v(2), v(3), v(1)]);
    assert_eq!(fetches(&policy, Some(v(2)), &[v(2), v(1), v(9)].into()), [v(3)]);
    assert_eq!(fetches(&policy, None, &[v(3)].into()), [v(2), v(1)]);
}

#[test]
fn the_pointer_moves_forward_and_back_only_where_it_is_pinned() {
    let one = |policy: &Policy, target: Option<u32>, latest: Option<u32>| {
        let (target, latest) = (target.map(document), latest.map(document));
        pointer(policy, target.as_ref(), latest.as_ref()).and_then(version_of)
    };
    let cases = [
        (following(0), Some(2), None, Some(2)),
        (following(0), Some(2), Some(1), Some(2)),
        (following(0), Some(2), Some(2), None),
        (following(0), Some(1), Some(2), None),
        (following(0), None, Some(2), None),
        (pinned(1), Some(1), Some(2), Some(1)),
        (pinned(1), Some(1), Some(1), None),
        (pinned(1), None, Some(2), None),
    ];
    for (policy, target, latest, expected) in cases {
        assert_eq!(one(&policy, target, latest), expected.map(v), "{policy:?} {target:?} {latest:?}");
    }
    // The same version, packed anew.
    let mut old = document(2);
    old.version = 7;
    assert_eq!(pointer(&following(0), Some(&document(2)), Some(&old)), Some(&document(2)));
}

#[test]
fn the_newest_stay_and_so_does_what_somebody_names() {
    let stored: BTreeSet<Version> = (1..=6).map(v).collect();
    assert_eq!(surplus(&following(0), Some(v(6)), Some(v(6)), &stored), [v(4), v(3), v(2), v(1)]);
    assert_eq!(surplus(&pinned(2), Some(v(2)), Some(v(2)), &stored), [v(4), v(3), v(1)]);
    assert_eq!(surplus(&pinned(2), Some(v(2)), Some(v(3)), &stored), [v(4), v(1)], "the target is not there yet");
    let also = Policy { also: [v(1), v(9)].into(), ..following(0) };
    assert_eq!(surplus(&also, Some(v(6)), Some(v(6)), &stored), [v(4), v(3), v(2)]);
    assert_eq!(surplus(&following(0), Some(v(6)), None, &stored), [], "before there is a latest");
    assert_eq!(surplus(&following(0), None, Some(v(6)), &[v(6)].into()), []);
}

fn policies() -> impl Strategy<Value = Policy> {
    let follow = prop_oneof![
        (0..20_u64).prop_map(|days| Follow::Newest { delay: Duration::from_hours(24 * days) }),
        (0..20_u32).prop_map(|minor| Follow::Pinned(v(minor))),
    ];
    (follow, btree_set((0..20_u32).prop_map(v), 0..3), 1..5_usize).prop_map(|(follow, also, keep)| Policy {
        follow,
        also,
        keep,
    })
}

proptest! {
    /// Whatever there was, runs that do all they decide come to rest after the first: nothing is fetched, moved or
    /// deleted again, and what is wanted is there.
    #[test]
    fn a_second_run_has_nothing_left_to_do(
        policy in policies(),
        offered in btree_set(0..20_u32, 0..8),
        mut whole in btree_set((0..20_u32).prop_map(v), 0..8),
        was_latest in proptest::option::of(0..20_u32),
    ) {
        let releases: Vec<Release> =
            offered.iter().map(|minor| release(*minor, u64::from(20 - minor), &["linux-x64"])).collect();
        let mut latest = was_latest.map(document).filter(|it| version_of(it).is_some_and(|it| whole.contains(&it)));
        for round in 0..2 {
            let target = policy.target(&releases, "linux-x64", NOW);
            let at_github = |it: &Version| releases.iter().any(|release| release.version == *it);
            let fetched: Vec<Version> = fetches(&policy, target, &whole).into_iter().filter(at_github).collect();
            whole.extend(&fetched);
            let there = target.filter(|it| whole.contains(it)).map(|Version([_, minor, _])| document(minor));
            let moved = pointer(&policy, there.as_ref(), latest.as_ref()).cloned();
            let idle = fetched.is_empty() && moved.is_none();
            if let Some(moved) = moved {
                if let (Follow::Newest { .. }, Some(latest)) = (policy.follow, &latest) {
                    prop_assert!(version_of(&moved) > version_of(latest), "it went back");
                }
                latest = Some(moved);
            }
            let gone = surplus(&policy, target, latest.as_ref().and_then(version_of), &whole);
            prop_assert!(round == 0 || (idle && gone.is_empty()), "{fetched:?} {gone:?}");
            whole.retain(|it| !gone.contains(it));
            for named in latest.as_ref().and_then(version_of).into_iter().chain(policy.also.iter().copied().filter(at_github)) {
                prop_assert!(whole.contains(&named), "{named} is named and gone");
            }
            prop_assert!(latest.is_none() || whole.len() <= policy.keep + policy.also.len() + 2);
        }
    }
}
