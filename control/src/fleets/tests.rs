//! Fleets to test with, and the reader's tests.

use serde_json::{Value, json};

use super::{Fleet, Fleets, GitHub, Launch, Level, Market, Pattern, Scope};

pub(crate) fn fleet(name: &str) -> Fleet {
    Fleet {
        name: name.into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        priority: 0,
        repositories: vec![],
        max: 50,
        delay_seconds: 0,
        boot_seconds: 300,
        github: GitHub { level: Level::Organization, owner: None, runner_group_id: 1 },
        launch: Launch {
            template_id: "lt-1".into(),
            template_version: "3".into(),
            subnets: vec!["subnet-1".into()],
            instance_types: vec!["c7i.large".into()],
            market: Market::OnDemand,
        },
    }
}

fn smallest() -> Value {
    json!({"version": 1, "fleets": [{
        "name": "linux-x64", "labels": ["self-hosted"], "max": 5, "github": {"level": "organization"},
        "launch": {"template_id": "lt-1", "template_version": "3", "subnets": ["subnet-1"],
                   "instance_types": ["c7i.large"]}
    }]})
}

fn full() -> Value {
    json!({"version": 1, "fleets": [{
        "name": "linux-x64", "labels": ["self-hosted", "linux", "x64"], "priority": 7,
        "repositories": ["octo-org/*", "octo-org/octo-repo"], "max": 50, "delay_seconds": 30,
        "boot_seconds": 200, "github": {"level": "organization", "owner": "octo-org", "runner_group_id": 4},
        "launch": {"template_id": "lt-1", "template_version": "$Latest", "subnets": ["subnet-1", "subnet-2"],
                   "instance_types": ["c7i.large", "m7i.large"], "market": "spot"}
    }]})
}

/// The smallest document with `value` at `fleets[0]/<path>`; null takes the field away.
fn with(path: &str, value: Value) -> Value {
    let mut document = smallest();
    set(&mut document["fleets"][0], path, value);
    document
}

fn set(object: &mut Value, path: &str, value: Value) {
    match path.split_once('/') {
        Some((name, rest)) => set(&mut object[name], rest, value),
        None if value.is_null() => drop(object.as_object_mut().unwrap().remove(path)),
        None => object[path] = value,
    }
}

fn problems(document: &Value) -> Vec<String> {
    Fleets::read(&document.to_string()).map_or_else(|it| it.0.iter().map(ToString::to_string).collect(), |_| vec![])
}

#[test]
fn a_full_document_is_read() {
    let fleets = Fleets::read(&full().to_string()).unwrap();
    let fleet = fleets.get("linux-x64").unwrap();
    assert_eq!((fleet.priority, fleet.max), (7, 50));
    assert_eq!((fleet.delay_seconds, fleet.boot_seconds), (30, 200));
    assert_eq!(fleet.github, GitHub { level: Level::Organization, owner: Some("octo-org".into()), runner_group_id: 4 });
    assert_eq!(fleet.launch.market, Market::Spot);
    assert_eq!(fleet.launch.template_version, "$Latest");
    assert_eq!(fleets.get("other"), None);
}

#[test]
fn a_small_document_has_defaults() {
    let fleets = Fleets::read(&smallest().to_string()).unwrap();
    let expected = Fleet { labels: vec!["self-hosted".into()], max: 5, ..fleet("linux-x64") };
    assert_eq!(fleets, Fleets(vec![expected]));
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
            "fleets[1].labels: found [], expected a list of at least one label, without commas",
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

/// Documents and whether they are good, for reader and schema alike.
fn samples() -> Vec<(Value, bool)> {
    let good = [
        smallest(),
        full(),
        with("github", json!({"level": "repository"})),
        with("github", json!({"level": "repository", "owner": "octo-org/octo-repo"})),
        with("github", json!({"level": "enterprise", "owner": "octo"})),
        with("launch/template_version", json!("$Default")),
        with("launch/template_version", json!("12")),
        with("repositories", json!(["a/b.c_d-e", "a/*"])),
        with("from_the_future", json!(true)),
    ];
    let mut bad = vec![
        json!({"version": 1}),
        json!({"version": 1, "fleets": []}),
        json!({"version": 2, "fleets": [smallest()["fleets"][0]]}),
        json!({"fleets": [smallest()["fleets"][0]]}),
        with("github", json!({"level": "enterprise"})),
        with("github", json!({"level": "repository", "owner": "octo-org"})),
        with("github", json!({"level": "repository", "owner": "octo-org/*"})),
        with("github", json!({"level": "organization", "owner": "octo-org/octo-repo"})),
        with("github", json!({"owner": "octo-org"})),
    ];
    let refused = [
        ("name", json!("Linux")),
        ("name", json!("")),
        ("name", json!("1st")),
        ("name", Value::Null),
        ("labels", json!([])),
        ("labels", json!(["a,b"])),
        ("labels", json!([" "])),
        ("labels", json!("self-hosted")),
        ("labels", Value::Null),
        ("priority", json!(1001)),
        ("priority", json!(-1)),
        ("repositories", json!(["octo-org"])),
        ("repositories", json!(["octo-org/a/b"])),
        ("repositories", json!(["*/*"])),
        ("max", json!(0)),
        ("max", json!(1.5)),
        ("max", Value::Null),
        ("delay_seconds", json!(901)),
        ("boot_seconds", json!(29)),
        ("github/level", json!("user")),
        ("github/runner_group_id", json!(0)),
        ("launch", Value::Null),
        ("launch/template_id", json!("ami-1")),
        ("launch/template_version", json!(3)),
        ("launch/template_version", json!("latest")),
        ("launch/template_version", json!("03")),
        ("launch/subnets", json!(["vpc-1"])),
        ("launch/instance_types", json!(["large"])),
        ("launch/market", json!("auction")),
    ];
    bad.extend(refused.map(|(path, value)| with(path, value)));
    good.map(|it| (it, true)).into_iter().chain(bad.into_iter().map(|it| (it, false))).collect()
}

#[test]
fn reader_and_schema_agree() {
    let schema: Value = serde_json::from_str(include_str!("../../fleets.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (document, good) in samples() {
        assert_eq!(problems(&document).is_empty(), good, "the reader on {document}: {:?}", problems(&document));
        assert_eq!(schema.is_valid(&document), good, "the schema on {document}");
    }
}

#[test]
fn what_only_the_reader_can_tell() {
    let subnets: Vec<String> = (0..151).map(|i| format!("subnet-{i}")).collect();
    let mut document = with("launch/subnets", json!(subnets));
    set(&mut document["fleets"][0], "launch/instance_types", json!(["c7i.large", "m7i.large"]));
    assert_eq!(problems(&document).len(), 1, "{:?}", problems(&document));
}

#[test]
fn a_fleet_admits_what_its_repositories_and_owner_do() {
    let mut fleet = fleet("linux-x64");
    assert!(fleet.admits("any/thing"));
    fleet.repositories = vec![Pattern("octo-org/*".into()), Pattern("Other/Repo".into())];
    for (repository, admitted) in
        [("octo-org/a", true), ("Octo-Org/b", true), ("octo-organ/a", false), ("other/repo", true), ("other/x", false)]
    {
        assert_eq!(fleet.admits(repository), admitted, "{repository}");
    }
    // A runner of another organization's would never get the job.
    fleet.github.owner = Some("octo-org".into());
    assert!(fleet.admits("octo-org/a") && !fleet.admits("other/repo"));
    fleet.github = GitHub { level: Level::Repository, owner: Some("octo-org/a".into()), runner_group_id: 1 };
    assert!(fleet.admits("octo-org/a") && !fleet.admits("octo-org/b"));
    fleet.github = GitHub { level: Level::Enterprise, owner: Some("octo".into()), runner_group_id: 1 };
    assert!(fleet.admits("octo-org/a") && fleet.admits("other/repo"));
}

#[test]
fn runners_register_with_the_fleets_owner_or_the_jobs() {
    let mut fleet = fleet("linux-x64");
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "orgs/octo-org");
    fleet.github.owner = Some("Octo-Org".into());
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "orgs/Octo-Org");
    fleet.github = GitHub { level: Level::Repository, owner: None, runner_group_id: 1 };
    assert_eq!(fleet.scope_for("octo-org/a").to_string(), "repos/octo-org/a");
    fleet.github = GitHub { level: Level::Enterprise, owner: Some("octo".into()), runner_group_id: 1 };
    let scope = fleet.scope_for("octo-org/a");
    assert_eq!(scope.to_string(), "enterprises/octo");
    assert_eq!(fleet.target(scope.clone(), Some(77)).installation, None, "an organization's is not the enterprise's");
    assert_eq!(scope.to_string().parse(), Ok(scope));
    assert!("teams/x".parse::<Scope>().is_err());
}
