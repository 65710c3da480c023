mod world;

use serde_json::json;

use self::world::{DAY, HOUR, NOW, World};
use super::Incomplete;
use crate::{
    decide::housekeeping::Kind,
    estate::{Instance, TemplateVersion},
    fleets::{self, Pattern},
};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_dry_run_tells_everything_and_changes_nothing() {
    let mut world = World::new();
    world.settings.dry_run = true;
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
    world.leftover(Kind::Volume, "vol-1", 30 * HOUR, None);
    world.registrations.put("registrations/AROA:i-1", "secret");
    world.pass(25 * HOUR);
    assert_eq!(world.run(), Ok(()));
    assert_eq!(world.estate.changes(), Vec::<String>::new());
    assert_eq!(world.registrations.keys(), ["registrations/AROA:i-1"]);
    assert_eq!(world.reports.keys(), ["housekeep/report.json"]);
    let report = world.report();
    assert_eq!(report["dry_run"], true);
    assert_eq!(
        report["images"],
        json!([
            {"id": "ami-00000001", "name": "n", "created_at": NOW - 90 * DAY, "outcome": "would_go"},
            {"id": "ami-00000002", "name": "n", "created_at": NOW - 60 * DAY, "outcome": "would_go"},
            {"id": "ami-00000003", "name": "n", "created_at": NOW - DAY, "outcome": "stays",
             "reason": "made or launched from lately"},
        ])
    );
    assert_eq!(
        report["snapshots"],
        json!([{"id": "snap-ami-00000001", "outcome": "would_go"}, {"id": "snap-ami-00000002", "outcome": "would_go"}])
    );
    assert_eq!(
        report["leftovers"],
        json!([
            {"kind": "object", "id": "registrations/AROA:i-1", "since": NOW, "outcome": "would_go"},
            {"kind": "volume", "id": "vol-1", "since": NOW - 30 * HOUR, "outcome": "would_go"},
        ])
    );
    assert_eq!(world.metric("would_go"), 6);
}

#[test]
fn what_may_go_goes_with_its_snapshots() {
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
    world.leftover(Kind::Volume, "vol-1", 30 * HOUR, None);
    world.leftover(Kind::Parameter, "/r/i-1", 24 * HOUR, None);
    world.leftover(Kind::Parameter, "/r/i-2", 23 * HOUR, None);
    world.leftover(Kind::SpotRequest, "sir-1", 30 * HOUR, Some("i-1"));
    world.leftover(Kind::SpotRequest, "sir-2", 30 * HOUR, Some("i-2"));
    world.estate.instance("i-1", "ami-other");
    world.registrations.put("registrations/AROA:i-1", "secret");
    world.registrations.put("other/i-1", "x");
    assert_eq!(world.run(), Ok(()));
    assert_eq!(
        world.estate.changes(),
        [
            "deregister ami-00000001",
            "deregister ami-00000002",
            "delete_snapshot snap-ami-00000001",
            "delete_snapshot snap-ami-00000002",
            "delete /r/i-1",
            "delete vol-1",
            "delete sir-2",
        ]
    );
    assert_eq!(world.registrations.keys().len(), 2, "an object that is young");
    world.pass(25 * HOUR);
    assert_eq!(world.run(), Ok(()));
    assert_eq!(world.registrations.keys(), ["other/i-1"]);
    assert_eq!(world.report()["images"].as_array().unwrap().len(), 1);
}

type Naming = Box<dyn Fn(&mut World)>;

#[test]
fn an_image_that_anything_names_stays() {
    let template = |image: &str| TemplateVersion { template: "lt-1".into(), version: "3".into(), image: image.into() };
    let names: [(&str, Naming); 8] = [
        ("instance i-9", Box::new(|it| it.estate.instance("i-9", "ami-00000001"))),
        ("version 3 of launch template lt-1", Box::new(move |it| it.estate.template(template("ami-00000001")))),
        ("parameter /mine", Box::new(|it| it.estate.parameter("/mine", "x, ami-00000001"))),
        (
            "parameter /hidden:2",
            Box::new(move |it| {
                it.estate.template(template("resolve:ssm:/hidden:2"));
                it.estate.unlisted("/hidden:2", "ami-00000001");
            }),
        ),
        (
            "fleet f of the fleets document",
            Box::new(|it| it.fleet().launch.image = Some(fleets::Image::Id("ami-00000001".into()))),
        ),
        (
            "parameter /fleets",
            Box::new(|it| {
                it.fleet().launch.image = Some(fleets::Image::Parameter("/fleets".into()));
                it.estate.unlisted("/fleets", "ami-00000001");
            }),
        ),
        (
            "fleet f of the fleets document",
            Box::new(|it| {
                it.fleet().launch.image = Some(fleets::Image::Newest { owners: vec![], name: "n".into() });
                it.estate.rename("ami-00000002", "another");
                it.estate.rename("ami-00000003", "another");
            }),
        ),
        (
            "fleet f of the fleets document",
            Box::new(|it| it.fleet().steering.images = vec![Pattern::new("ami-00000001")]),
        ),
    ];
    for (expected, name) in names {
        let mut world = World::new();
        world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
        name(&mut world);
        assert_eq!(world.run(), Ok(()), "{expected}");
        assert_eq!(world.report()["images"][0]["reason"], format!("named by {expected}"));
        assert_eq!(
            world.estate.changes(),
            ["deregister ami-00000002", "delete_snapshot snap-ami-00000002"],
            "{expected}"
        );
    }
}

#[test]
fn where_anything_can_not_be_seen_no_image_goes() {
    for call in ["images", "instances", "template_versions", "parameter_names", "parameters", "read"] {
        let mut world = World::new();
        world.images(&[("ami-00000001", 90), ("ami-00000002", 60)]);
        world.estate.fail(call);
        if call == "read" {
            world.reports.fail(Some("read"));
        }
        assert_eq!(world.run(), Err(Incomplete(1)), "{call}");
        assert_eq!(world.estate.changes(), Vec::<String>::new(), "{call}");
        assert_eq!(world.report()["errors"].as_array().unwrap().len(), 1, "{call}");
    }
    // The rest does not depend on it.
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60)]);
    world.leftover(Kind::Volume, "vol-1", 30 * HOUR, None);
    world.estate.fail("images");
    assert_eq!((world.run(), world.estate.changes()), (Err(Incomplete(1)), strings(&["delete vol-1"])));
    world.estate.fail("leftovers");
    assert_eq!(world.run(), Err(Incomplete(1)));
    assert!(world.estate.changes().contains(&"deregister ami-00000001".to_owned()));
}

#[test]
fn without_tags_images_are_left_alone() {
    let mut world = World::new();
    world.settings.images.tags.clear();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60)]);
    world.estate.fail("images");
    assert_eq!((world.run(), world.estate.changes()), (Ok(()), vec![]), "and not even looked at");
}

#[test]
fn an_image_that_can_not_go_keeps_its_snapshots() {
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
    world.estate.share("ami-00000002", "snap-ami-00000003");
    world.estate.fail("deregister ami-00000001");
    assert_eq!(world.run(), Err(Incomplete(1)));
    assert_eq!(world.estate.changes(), ["deregister ami-00000002", "delete_snapshot snap-ami-00000002"]);
    assert_eq!(world.pending(), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_could_not_be_deleted_is_not_forgotten() {
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
    world.estate.fail("delete_snapshot snap-ami-00000001");
    assert_eq!(world.run(), Err(Incomplete(1)));
    assert_eq!(world.pending(), ["snap-ami-00000001"]);
    assert_eq!(world.run(), Ok(()));
    assert_eq!(world.estate.snapshots(), ["snap-ami-00000003"]);
    assert_eq!(world.pending(), Vec::<String>::new());
}

#[test]
fn without_time_nothing_more_is_begun_and_the_report_is_written() {
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60)]);
    world.leftover(Kind::Volume, "vol-1", 30 * HOUR, None);
    world.deadline = NOW + 29_999;
    assert_eq!((world.run(), world.estate.changes()), (Ok(()), vec![]));
    assert_eq!(world.report()["images"][0]["outcome"], "later");
    assert_eq!(world.report()["leftovers"][0]["outcome"], "later");
    assert_eq!(world.metric("later"), 2);
}

/// The process is killed before each of its calls in turn: the next run ends the work, and no snapshot is left behind.
#[test]
fn a_run_may_end_at_any_step_and_the_next_one_goes_on() {
    let prepared = || {
        let mut world = World::new();
        world.images(&[("ami-00000001", 90), ("ami-00000002", 60), ("ami-00000003", 1)]);
        world.leftover(Kind::Volume, "vol-1", 30 * HOUR, None);
        world.leftover(Kind::Parameter, "/r/i-1", 30 * HOUR, None);
        world
    };
    let mut whole = prepared();
    whole.run().unwrap();
    let steps = whole.steps();
    assert!(steps >= 14, "{steps}");
    for step in 0..steps {
        let mut world = prepared();
        world.die_at(Some(step));
        assert!(world.run().is_err(), "{step}");
        world.die_at(None);
        assert_eq!(world.run(), Ok(()), "{step}");
        assert_eq!(world.estate.snapshots(), ["snap-ami-00000003"], "{step}");
        assert_eq!(world.estate.images_left(), ["ami-00000003"], "{step}");
        assert_eq!((world.estate.leftovers_left(), world.pending()), (vec![], vec![]), "{step}");
    }
}

#[test]
fn an_instance_that_began_to_end_still_counts() {
    let mut world = World::new();
    world.images(&[("ami-00000001", 90), ("ami-00000002", 60)]);
    let Instance { id, image } = Instance { id: "i-1".into(), image: "ami-00000001".into() };
    world.estate.instance(&id, &image);
    world.run().unwrap();
    assert_eq!(world.estate.images_left(), ["ami-00000001", "ami-00000002"], "the newest stays as well");
}
