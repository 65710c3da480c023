use proptest::prelude::*;

use super::*;
use crate::fleets::{
    self,
    tests::{fleet, fleets},
};

const DAY: Millis = 24 * 3600 * 1000;
const NOW: Millis = 20_000 * DAY;

fn image(id: &str, days_old: u64) -> Image {
    let created_at = NOW - days_old * DAY;
    Image {
        id: id.to_owned(),
        name: format!("dayfly-{id}"),
        last_used: created_at,
        created_at,
        architecture: "x86_64".into(),
        tags: [("dayfly:image".into(), "linux".into())].into(),
        snapshots: vec![format!("snap-{id}")],
        held: None,
    }
}

fn policy() -> ImagePolicy {
    let tags = [("dayfly:image".to_owned(), Pattern::new("*"))].into();
    ImagePolicy { tags, age: Duration::from_hours(24 * 30), keep: 1, most: 10 }
}

fn told(images: &[Image], policy: &ImagePolicy, uses: &Uses) -> Vec<String> {
    let text = |(image, verdict): (&Image, Verdict)| match verdict {
        Verdict::Goes => format!("{} goes", image.id),
        Verdict::Stays(why) => format!("{}: {why}", image.id),
    };
    judge(images, policy, uses, NOW).into_iter().map(text).collect()
}

fn used(id: &str, by: Use) -> Uses {
    [(id.to_owned(), [by].into())].into()
}

#[test]
fn an_old_image_goes_and_each_other_one_has_a_reason() {
    let mut all: Vec<Image> = (1..=4).map(|it| image(&format!("ami-{it}"), 100 - it)).collect();
    all.push(image("ami-5", 29));
    let held = |id: &str, held| Image { held: Some(held), ..image(id, 200) };
    all.extend([held("ami-6", Held::Public), held("ami-7", Held::Protected), held("ami-8", Held::Unfinished)]);
    // Made long ago, and launched from yesterday.
    all.push(Image { last_used: NOW - DAY, ..image("ami-9", 300) });
    let mut other = image("ami-10", 400);
    other.tags = [("dayfly:image-of".into(), "linux".into())].into();
    all.push(other);
    let uses = used("ami-2", Use::Template { id: "lt-1".into(), version: "7".into() });
    assert_eq!(
        told(&all, &policy(), &uses),
        [
            "ami-9: made or launched from lately",
            "ami-6: public",
            "ami-7: protected against deregistration",
            "ami-8: still being made",
            "ami-1 goes",
            "ami-2: named by version 7 of launch template lt-1",
            "ami-3 goes",
            "ami-4 goes",
            "ami-5: made or launched from lately",
        ]
    );
    let few = ImagePolicy { most: 1, ..policy() };
    let bounded = told(&all[..4], &few, &Uses::new());
    assert_eq!(bounded[..2], ["ami-1 goes", "ami-2: enough go this time"]);
}

#[test]
fn whatever_names_an_image_keeps_it() {
    let uses = [
        (Use::Template { id: "lt-1".into(), version: "1".into() }, "version 1 of launch template lt-1"),
        (Use::Parameter("/mine/image".into()), "parameter /mine/image"),
        (Use::Instance("i-1".into()), "instance i-1"),
        (Use::Fleet("linux".into()), "fleet linux of the fleets document"),
    ];
    for (by, expected) in uses {
        let all = [image("ami-1", 100), image("ami-2", 50)];
        assert_eq!(told(&all, &policy(), &used("ami-1", by))[0], format!("ami-1: named by {expected}"));
    }
}

#[test]
fn the_newest_of_each_kind_stay() {
    let mut arm = image("ami-arm", 100);
    arm.architecture = "arm64".into();
    let mut gpu = image("ami-gpu", 90);
    gpu.tags.insert("dayfly:image".into(), "gpu".into());
    // One that is still being made does not count as the newest: it may never be.
    let making = Image { held: Some(Held::Unfinished), ..image("ami-0", 40) };
    let all = [image("ami-1", 80), image("ami-2", 70), arm, gpu, making];
    let expected = ["ami-arm: among", "ami-gpu: among", "ami-1 goes", "ami-2: among", "ami-0: still"];
    for (told, expected) in told(&all, &policy(), &Uses::new()).iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}, not {expected}");
    }
    let two = ImagePolicy { keep: 2, ..policy() };
    assert!(told(&all, &two, &Uses::new()).iter().all(|it| !it.ends_with("goes")));
}

#[test]
fn tags_choose_and_without_any_nothing_is_looked_after() {
    let all = [image("ami-1", 80), image("ami-2", 70)];
    let with = |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), Pattern::new(*value))).collect();
        told(&all, &ImagePolicy { tags, ..policy() }, &Uses::new()).len()
    };
    assert_eq!(with(&[]), 0);
    assert_eq!(with(&[("dayfly:image", "lin?x")]), 2);
    assert_eq!(with(&[("dayfly:image", "windows")]), 0);
    assert_eq!(with(&[("dayfly:image", "*"), ("owner", "*")]), 0, "all of them");
}

#[test]
fn a_snapshot_that_another_image_has_too_stays() {
    let (mut one, mut two) = (image("ami-1", 1), image("ami-2", 1));
    one.snapshots = vec!["snap-a".into(), "snap-both".into()];
    two.snapshots = vec!["snap-b".into(), "snap-both".into()];
    let set = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(snapshots(&[&one], &[&two], &set(&[])), set(&["snap-a"]));
    assert_eq!(snapshots(&[&one, &two], &[], &set(&[])), set(&["snap-a", "snap-b", "snap-both"]));
    // What an earlier run did not get to.
    assert_eq!(snapshots(&[], &[&two], &set(&["snap-a", "snap-b"])), set(&["snap-a"]));
}

#[test]
fn ids_are_found_wherever_they_stand() {
    let found = |text| images_in(text).collect::<Vec<_>>();
    assert_eq!(found("ami-0123456789abcdef0"), ["ami-0123456789abcdef0"]);
    assert_eq!(found("ami-01234567,ami-89abcdef"), ["ami-01234567", "ami-89abcdef"]);
    assert_eq!(found(r#"{"image": "ami-0123456789ABCDEF0"}"#), ["ami-0123456789abcdef0"]);
    assert_eq!(found("ami-ami-01234567"), ["ami-01234567"]);
    assert_eq!(found("no ami-123, ami- or \u{fc}ami"), Vec::<String>::new());
    assert_eq!(parameter_of("resolve:ssm:/mine/image:3"), Some("/mine/image:3"));
    assert_eq!(parameter_of("ami-01234567"), None);
}

#[test]
fn the_fleets_document_names_images_in_four_ways() {
    let of = |image: Option<fleets::Image>, steering: &[&str]| {
        let mut it = fleet("linux");
        it.launch.image = image;
        it.steering.images = steering.iter().map(|it| Pattern::new(*it)).collect();
        let images =
            [image_called("ami-1", "dayfly-a", 3), image_called("ami-2", "dayfly-b", 2), image_called("ami-3", "x", 1)];
        let mut uses = Uses::new();
        let parameters = of_fleets(&fleets([it]), &images, &mut uses);
        (uses.into_keys().collect::<Vec<_>>(), parameters.into_iter().collect::<Vec<_>>())
    };
    let none = Vec::<String>::new;
    let newest = fleets::Image::Newest { owners: vec!["self".into()], name: "dayfly-*".into() };
    assert_eq!(of(None, &[]), (none(), none()));
    assert_eq!(of(Some(fleets::Image::Id("ami-9".into())), &[]), (vec!["ami-9".into()], none()));
    assert_eq!(of(Some(fleets::Image::Parameter("/a".into())), &[]), (none(), vec!["/a".into()]));
    assert_eq!(of(Some(newest), &[]), (vec!["ami-2".into()], none()));
    assert_eq!(of(None, &["ami-1", "ami-3*"]), (vec!["ami-1".into(), "ami-3".into()], none()));
}

fn image_called(id: &str, name: &str, days_old: u64) -> Image {
    Image { name: name.to_owned(), ..image(id, days_old) }
}

#[test]
fn leftovers_are_old_and_of_no_instance_that_lives() {
    let leftover = |id: &str, hours: u64, instance: Option<&str>| Leftover {
        kind: Kind::SpotRequest,
        id: id.to_owned(),
        since: NOW - hours * 3_600_000,
        instance: instance.map(str::to_owned),
    };
    let found = [
        leftover("young", 23, None),
        leftover("old", 24, None),
        leftover("alive", 99, Some("i-1")),
        leftover("dead", 98, Some("i-2")),
        leftover("oldest", 100, None),
    ];
    let alive = ["i-1".to_owned()].into();
    let ids = |most| {
        let old = leftovers(&found, &alive, Duration::from_hours(24), most, NOW);
        old.into_iter().map(|it| it.id.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(ids(9), ["oldest", "dead", "old"]);
    assert_eq!(ids(2), ["oldest", "dead"]);
}

type Parts = (u64, u64, u8, u8, Option<Held>, u8);

fn images() -> impl Strategy<Value = Vec<Image>> {
    let held = prop_oneof![6 => Just(None), 1 => Just(Some(Held::Public)), 1 => Just(Some(Held::Unfinished))];
    let one = (0..200_u64, 0..200_u64, 0..3_u8, 0..2_u8, held, 0..6_u8);
    prop::collection::vec(one, 0..20).prop_map(|all| {
        let made = |(number, (days, launched, kind, arch, held, snapshot)): (usize, Parts)| {
            let mut it = image(&format!("ami-{number:08}"), days);
            it.last_used = it.created_at.max(NOW - launched * DAY);
            it.architecture = format!("arch-{arch}");
            if kind > 0 {
                it.tags.insert("dayfly:image".into(), format!("kind-{kind}"));
            } else {
                it.tags.clear();
            }
            it.held = held;
            it.snapshots.push(format!("snap-shared-{snapshot}"));
            it
        };
        all.into_iter().enumerate().map(made).collect()
    })
}

proptest! {
    /// What must never happen, whatever there is: an image goes that is named, held, young, of other tags, or the last
    /// ones of its kind; or a snapshot of an image that stays.
    #[test]
    fn nothing_goes_that_is_needed(
        images in images(),
        named in prop::collection::btree_set(0..20_usize, 0..6),
        keep in 1..4_usize,
        most in 0..6_usize,
    ) {
        let policy = ImagePolicy { keep, most, ..policy() };
        let mut uses = Uses::new();
        for number in named {
            uses.extend(used(&format!("ami-{number:08}"), Use::Instance("i-1".into())));
        }
        let verdicts = judge(&images, &policy, &uses, NOW);
        let gone: Vec<&Image> =
            verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Goes).map(|(image, _)| *image).collect();
        let left: Vec<&Image> = images.iter().filter(|it| !gone.contains(it)).collect();
        prop_assert!(gone.len() <= most);
        prop_assert_eq!(verdicts.len(), images.iter().filter(|it| !it.tags.is_empty()).count(), "each has a verdict");
        for image in &gone {
            prop_assert!(!uses.contains_key(&image.id) && image.held.is_none() && !image.tags.is_empty());
            prop_assert!(NOW - image.last_used >= 30 * DAY);
            let kind = |it: &&&Image| (&it.architecture, &it.tags) == (&image.architecture, &image.tags);
            let newer = left.iter().filter(kind).filter(|it| it.created_at >= image.created_at).count();
            prop_assert!(newer >= keep, "{} of {keep} newer ones are left beside {}", newer, image.id);
        }
        let deleted = snapshots(&gone, &left, &BTreeSet::new());
        prop_assert!(left.iter().all(|it| it.snapshots.iter().all(|it| !deleted.contains(it))));
    }
}
