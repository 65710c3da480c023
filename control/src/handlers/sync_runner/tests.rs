mod faults;
mod world;

use std::time::Duration;

use dayfly_contract::ArchiveFormat;

use self::world::{DAY, HOUR, NOW, World, v};
use super::Incomplete;
use crate::decide::releases::Follow;

fn latest(world: &World) -> Option<String> {
    world.document("linux-x64", "latest").map(|it| it.runner_version)
}

#[test]
fn a_release_is_stored_for_each_platform_and_the_pointer_is_written_last() {
    let mut world = World::following(0);
    world.release(336, NOW - DAY);
    assert_eq!(world.run(), Ok(()));
    world.check();
    assert_eq!(
        world.objects.keys(),
        [
            "runners/linux-arm64/2.336.0.json",
            "runners/linux-arm64/2.336.0/actions-runner-linux-arm64-2.336.0.tar.gz",
            "runners/linux-arm64/2.336.0/actions-runner-linux-arm64-2.336.0.tar.zst",
            "runners/linux-arm64/latest.json",
            "runners/linux-x64/2.336.0.json",
            "runners/linux-x64/2.336.0/actions-runner-linux-x64-2.336.0.tar.gz",
            "runners/linux-x64/2.336.0/actions-runner-linux-x64-2.336.0.tar.zst",
            "runners/linux-x64/latest.json",
            "runners/releases.json",
        ]
    );
    let calls = world.objects.calls();
    let last_of_x64 = calls.iter().position(|it| it == "write runners/linux-x64/latest.json").unwrap();
    assert!(calls[..last_of_x64].iter().filter(|it| it.starts_with("complete runners/linux-x64/")).count() == 2);
    assert!(calls[..last_of_x64].contains(&"write runners/linux-x64/2.336.0.json".to_owned()));
    let formats = world.document("linux-x64", "latest").unwrap().archives;
    assert_eq!(formats.iter().map(|it| it.format).collect::<Vec<_>>(), [ArchiveFormat::TarZst, ArchiveFormat::TarGz]);
    // Several parts, none much larger than one has to be.
    assert!((1000..3000).contains(&world.objects.largest_part()), "{}", world.objects.largest_part());
    assert_eq!(world.metric("RunnerReleases"), 4, "stored and latest, twice");
}

#[test]
fn a_second_run_asks_by_etag_and_changes_nothing() {
    let mut world = World::following(0);
    world.release(336, NOW - DAY);
    world.run().unwrap();
    let before = world.objects.keys();
    world.objects.die_at(None);
    world.run().unwrap();
    assert_eq!(world.objects.keys(), before);
    assert_eq!(
        world.releases.asked(),
        ["list", "download 2.336.0 linux-x64", "download 2.336.0 linux-arm64", "list \"1\""]
    );
    let changes: Vec<String> =
        world.objects.calls().into_iter().filter(|it| !it.starts_with("read") && !it.starts_with("list")).collect();
    assert_eq!(changes, Vec::<String>::new());
}

#[test]
fn a_delay_holds_a_new_release_back_until_it_is_old_enough() {
    let mut world = World::following(48);
    world.release(335, NOW - 10 * DAY);
    world.run().unwrap();
    world.release(336, NOW);
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.335.0"));
    // GitHub has nothing new to say (304), and yet there is something to do.
    world.pass(48 * HOUR);
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
    assert_eq!(world.releases.asked().last().map(String::as_str), Some("download 2.336.0 linux-arm64"));
    world.check();
}

#[test]
fn a_pinned_version_is_stored_and_nothing_is_asked_once_it_is_there() {
    let mut world = World::following(0);
    world.release(335, NOW - 10 * DAY);
    world.release(336, NOW - DAY);
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
    world.settings.policy.follow = Follow::Pinned(v(335));
    let before = world.releases.asked().len();
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.335.0"), "back, as it was told to");
    assert_eq!(
        world.releases.asked()[before..],
        ["find 2.335.0", "download 2.335.0 linux-x64", "find 2.335.0", "download 2.335.0 linux-arm64"]
    );
    let before = world.releases.asked().len();
    world.run().unwrap();
    assert_eq!(world.releases.asked().len(), before);
    world.check();
    // Let go again, it moves forward.
    world.settings.policy.follow = Follow::Newest { delay: Duration::ZERO };
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
}

#[test]
fn the_newest_versions_are_kept_and_those_that_fleets_name() {
    let mut world = World::following(0);
    world.settings.policy.keep = 2;
    world.settings.policy.also = [v(331)].into();
    world.release(330, NOW - DAY);
    for minor in 331..=336 {
        world.release(minor, NOW - DAY);
        world.run().unwrap();
        world.check();
    }
    assert_eq!(world.versions("linux-x64"), ["2.331.0", "2.335.0", "2.336.0"]);
    assert_eq!(world.versions("linux-arm64"), ["2.331.0", "2.335.0", "2.336.0"]);
    assert!(!world.objects.keys().iter().any(|key| key.contains("2.334.0")), "with all that belongs to them");
}

#[test]
fn archives_that_nobody_names_go_after_a_day_and_other_objects_stay() {
    let mut world = World::following(0);
    world.release(336, NOW - DAY);
    let (stray, foreign) =
        ("runners/linux-x64/2.300.0/actions-runner-linux-x64-2.300.0.tar.gz", "runners/linux-x64/notes.txt");
    world.objects.put(stray, "x");
    world.objects.put(foreign, "x");
    world.objects.put("runners/linux-x64/old/2.1.0/x", "x");
    world.pass(23 * HOUR);
    world.run().unwrap();
    assert!(world.objects.get(stray).is_some(), "it may be another run's");
    world.pass(HOUR);
    world.run().unwrap();
    assert!(world.objects.get(stray).is_none());
    assert!(world.objects.get(foreign).is_some() && world.objects.get("runners/linux-x64/old/2.1.0/x").is_some());
}

#[test]
fn what_is_damaged_in_the_bucket_is_fetched_again() {
    let archive = "runners/linux-x64/2.336.0/actions-runner-linux-x64-2.336.0.tar.zst";
    let document = "runners/linux-x64/2.336.0.json";
    let damages: [fn(&World, &str, &str); 4] = [
        |world, archive, _| world.objects.remove(archive),
        |world, archive, _| world.objects.put(archive, "short"),
        |world, _, document| world.objects.put(document, "{}"),
        |world, _, document| {
            world.objects.put(document, world.objects.get("runners/linux-arm64/2.336.0.json").unwrap());
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let mut world = World::following(0);
        world.release(336, NOW - DAY);
        world.run().unwrap();
        damage(&world, archive, document);
        world.run().unwrap();
        world.check();
        assert_eq!(latest(&world).as_deref(), Some("2.336.0"), "{number}");
    }
}

#[test]
fn an_older_run_does_not_overwrite_the_pointer_of_a_newer_one() {
    let mut world = World::following(0);
    world.settings.platforms = vec!["linux-x64".into()];
    world.release(335, NOW - DAY);
    // While it downloads, another run with a newer list comes and goes.
    let mut newer = world.twin();
    newer.release(335, NOW - DAY);
    newer.release(336, NOW);
    world.releases.meanwhile(Box::new(move || newer.run().unwrap()));
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
    assert_eq!(world.metric("RunnerReleases"), 2, "stored and overtaken");
    // The next one, which has seen it, leaves it too: it never goes back by itself.
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
}

#[test]
fn without_time_for_it_a_download_is_left_to_the_next_run() {
    let mut world = World::following(0);
    world.release(336, NOW - DAY);
    world.deadline = NOW + 239_999;
    assert_eq!(world.run(), Err(Incomplete(2)));
    assert_eq!((world.releases.asked(), world.refused()), (vec!["list".to_owned()], vec!["later".to_owned()]));
    world.deadline = NOW + 240_000;
    world.run().unwrap();
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
}
