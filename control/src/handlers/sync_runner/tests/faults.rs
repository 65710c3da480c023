//! What breaks, and where a run may end.

use super::{
    super::Incomplete,
    latest,
    world::{DAY, Fault, NOW, World},
};

fn one_platform() -> World {
    let mut world = World::following(0);
    world.settings.platforms = vec!["linux-x64".into()];
    world.release(335, NOW - 10 * DAY);
    world.run().unwrap();
    world.release(336, NOW - DAY);
    world.objects.die_at(None);
    world
}

#[test]
fn a_broken_download_is_tried_once_more() {
    for fault in [Fault::BreaksOff, Fault::CutShort, Fault::OtherBytes, Fault::Down] {
        let mut world = one_platform();
        world.releases.fault(fault, 1);
        assert_eq!(world.run(), Ok(()), "{fault:?}");
        assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
        assert_eq!(world.objects.open_uploads(), Vec::<String>::new(), "{fault:?}");
        world.check();
    }
}

#[test]
fn one_that_stays_broken_leaves_nothing_behind_and_is_told() {
    let cases = [
        (Fault::BreaksOff, "download"),
        (Fault::CutShort, "damaged"),
        (Fault::OtherBytes, "wrong_digest"),
        (Fault::Down, "download"),
    ];
    for (fault, reason) in cases {
        let mut world = one_platform();
        let before = world.objects.keys();
        world.releases.fault(fault, 2);
        assert_eq!(world.run(), Err(Incomplete(1)), "{fault:?}");
        assert_eq!(world.objects.keys(), before, "{fault:?}");
        assert_eq!(world.objects.open_uploads(), Vec::<String>::new(), "{fault:?}");
        assert_eq!((latest(&world).as_deref(), world.refused()), (Some("2.335.0"), vec![reason.to_owned()]));
        let downloads = world.releases.asked().iter().filter(|it| it.contains("336")).count();
        assert_eq!(downloads, 2, "{fault:?}");
        world.run().unwrap();
        assert_eq!(latest(&world).as_deref(), Some("2.336.0"));
    }
}

#[test]
fn what_github_does_not_vouch_for_is_not_stored() {
    let mut world = one_platform();
    world.releases.change(|asset| asset.sha256 = None);
    assert_eq!((world.run(), world.refused()), (Err(Incomplete(1)), vec!["no_digest".to_owned()]));
    let mut world = one_platform();
    world.releases.change(|asset| asset.platform = "linux-arm".into());
    assert_eq!((world.run(), latest(&world).as_deref()), (Ok(()), Some("2.335.0")), "a release without this platform");
    let mut world = one_platform();
    world.settings.policy.also = ["2.1.0".parse().unwrap()].into();
    assert_eq!((world.run(), world.refused()), (Err(Incomplete(1)), vec!["no_release".to_owned()]));
    assert_eq!(latest(&world).as_deref(), Some("2.336.0"), "the rest is done all the same");
}

#[test]
fn a_limit_at_github_is_waited_out_by_what_it_said_last() {
    let mut world = World::following(48);
    world.settings.platforms = vec!["linux-x64".into()];
    world.release(336, NOW);
    world.run().unwrap();
    assert_eq!(latest(&world), None);
    world.releases.fail_lists(true);
    world.pass(2 * DAY);
    assert_eq!(world.run(), Err(Incomplete(1)), "Lambda tries again");
    assert_eq!((latest(&world).as_deref(), world.refused()), (Some("2.336.0"), vec!["releases".to_owned()]));
}

#[test]
fn a_bucket_that_fails_is_told_and_the_uploads_are_taken_back() {
    for call in ["list", "read", "upload", "part", "complete", "write", "delete"] {
        let mut world = one_platform();
        world.settings.policy.keep = 1;
        world.objects.fail(Some(call));
        assert!(world.run().is_err(), "{call}");
        assert!(world.refused().contains(&"store".to_owned()), "{call}: {:?}", world.refused());
        assert_eq!(world.objects.open_uploads(), Vec::<String>::new(), "{call}");
        world.check();
        world.objects.fail(None);
        world.run().unwrap();
        world.check();
        assert_eq!(world.versions("linux-x64"), ["2.336.0"], "{call}");
    }
    let mut world = one_platform();
    world.releases.fault(Fault::CutShort, 2);
    world.objects.fail(Some("abort"));
    assert!(world.run().is_err());
    assert_eq!(world.refused(), ["damaged", "not_aborted"]);
}

/// The process is killed before each of its calls in turn. What is found is whole, and the next run ends the work.
#[test]
fn a_run_may_end_at_any_step_and_the_next_one_goes_on() {
    let prepared = || {
        let mut world = World::following(0);
        world.settings.policy.keep = 1;
        world.release(335, NOW - 10 * DAY);
        world.run().unwrap();
        world.release(336, NOW - DAY);
        world.objects.die_at(None);
        world
    };
    let mut whole = prepared();
    whole.run().unwrap();
    let (steps, expected) = (whole.objects.calls().len(), whole.objects.keys());
    assert!(steps >= 24, "{steps}");
    for step in 0..steps {
        let mut world = prepared();
        world.objects.die_at(Some(step));
        assert!(world.run().is_err(), "{step}");
        world.check();
        assert!(latest(&world).is_some(), "{step}: there always is a latest");
        world.objects.die_at(None);
        world.run().unwrap();
        world.check();
        // Archives of a version whose document is gone already are strays by then.
        world.pass(2 * DAY);
        world.run().unwrap();
        world.check();
        assert_eq!(world.objects.keys(), expected, "{step}");
    }
}
