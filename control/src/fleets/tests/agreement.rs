//! Reader and schema agree on what is a good document.

use serde_json::{Value, json};

use super::{problems, set, smallest, with};
use crate::fleets::SCHEMA;

/// The smallest document with `name` set to `value` at its root.
fn root(name: &str, value: Value) -> Value {
    let mut document = smallest();
    set(&mut document, name, value);
    document
}

/// The smallest document with these fields of its fleet's `launch`; null takes one away.
fn launch<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut document = smallest();
    for (name, value) in fields {
        set(&mut document["fleets"][0]["launch"], name, value);
    }
    document
}

/// A spot fleet with one more field.
fn spot(name: &str, value: Value) -> Value {
    launch([("market", json!("spot")), (name, value)])
}

/// A fleet that is launched by requirements, and these among them.
fn requirements(fields: &Value) -> Value {
    let mut whole = json!({"vcpus": {"min": 2}, "memory_mib": {"min": 0}});
    for (name, value) in fields.as_object().unwrap() {
        set(&mut whole, name, value.clone());
    }
    launch([("instance_types", Value::Null), ("requirements", whole)])
}

/// A fleet with an owner and a pool.
fn pooled(ephemeral: bool, level: &str, pool: Value) -> Value {
    let mut document = with("pool", pool);
    set(&mut document["fleets"][0], "ephemeral", json!(ephemeral));
    set(&mut document["fleets"][0], "github", json!({"level": level, "owner": "octo"}));
    document
}

fn long(text: &str, times: usize) -> Value {
    json!(text.repeat(times))
}

fn good() -> Vec<Value> {
    let tags: serde_json::Map<String, Value> = (0..40).map(|i| (format!("t{i}"), json!("x"))).collect();
    vec![
        smallest(),
        serde_json::from_str(include_str!("../../../testdata/fleets.terraform.json")).unwrap(),
        with("from_the_future", json!(true)),
        root("repositories", json!(["octo-org/*", "*/*", "a/b?c"])),
        root("repositories_denied", json!(["*/secret-*"])),
        root("public_forks", json!(true)),
        root("ties", json!("spread")),
        with("labels", json!(["dayfly-x", "dayfly-cpu=", "cpu=8", "dayfly"])),
        with("labels", json!([long("é", 256)])),
        with("matching", json!("exact")),
        with("matching", json!("any")),
        with("repositories", json!(["a/b.c_d-e", "a/*"])),
        with("repositories_denied", json!([])),
        with("public_forks", json!(true)),
        with("steering", json!({})),
        with("steering", json!({"instance_types": ["c7i.*"], "max_vcpus": 1024, "max_memory_gib": 65536})),
        with("steering", json!({"max_disk_gib": 0, "markets": ["spot"], "images": ["ami-*"], "pin": true})),
        with("ephemeral", json!(false)),
        with("cooldown_seconds", json!(900)),
        with("interrupted", json!({})),
        with("interrupted", json!({"rerun": 0, "on_demand": false})),
        with("interrupted", json!({"rerun": 10})),
        with("handover", json!("s3")),
        with("pool", json!({"kind": "standby", "repository": "o/r", "size": 0, "eviction": "newest"})),
        with("pool", json!({"kind": "stopped", "repository": "o/r", "size": 1, "lifetime_seconds": 604_800})),
        with(
            "pool",
            json!({"kind": "standby", "repository": "o/r", "schedules": [
                {"cron": "0 8 * * mon-fri", "timezone": "Europe/Berlin", "size": 3}, {"cron": "*/5 0-3 L * *", "size": 0}
            ]}),
        ),
        pooled(false, "organization", json!({"kind": "idle", "size": 1})),
        pooled(true, "enterprise", json!({"kind": "standby", "size": 1, "repository": "o/r"})),
        with("github", json!({"level": "repository"})),
        with("github", json!({"level": "repository", "owner": "octo-org/octo-repo", "runner_group_id": 1})),
        with("github", json!({"level": "enterprise", "owner": "octo", "runner_group": "big machines"})),
        with("github", json!({"level": "organization", "runner_group": "x"})),
        with("github", json!({"level": "organization", "runner_group_id": 4})),
        launch([("template_version", json!("$Default"))]),
        launch([("template_version", json!("12"))]),
        launch([("image", json!({"id": "ami-1"}))]),
        launch([("image", json!({"parameter": "/aws/service/x:3"}))]),
        launch([("image", json!({"parameter": "arn:aws:ssm:eu-west-1:123456789012:parameter/x"}))]),
        launch([("image", json!({"name": "runner-*", "owners": ["amazon"]}))]),
        launch([("tags", Value::Object(tags))]),
        launch([("tags", json!({"Name": "", "Aws": "x"}))]),
        spot("on_demand_base", json!(10000)),
        spot("on_demand_fallback", json!(true)),
        spot("spot_allocation", json!("capacity-optimized-prioritized")),
        spot("max_price", json!("0.12")),
        spot("max_price", json!("3")),
        requirements(&json!({})),
        requirements(&json!({"vcpus": {"min": 2, "max": 2}, "memory_mib": {"min": 0, "max": 1}})),
        requirements(&json!({"allowed_types": ["c5*", "m5.8xlarge"], "excluded_types": []})),
        requirements(&json!({"excluded_types": ["t2.*"]})),
    ]
}

fn bad() -> Vec<Value> {
    let fleet = &smallest()["fleets"][0];
    let tags: serde_json::Map<String, Value> = (0..41).map(|i| (format!("t{i}"), json!("x"))).collect();
    let mut reusable = with("ephemeral", json!(false));
    set(&mut reusable["fleets"][0], "github/runner_group_id", json!(4));
    let mut bad = vec![
        reusable,
        json!([]),
        json!({"version": 1}),
        json!({"version": 1, "fleets": []}),
        json!({"version": 1, "fleets": {}}),
        json!({"version": 1, "fleets": [fleet, "x"]}),
        json!({"version": 2, "fleets": [fleet]}),
        json!({"fleets": [fleet]}),
        root("repositories", json!(["octo-org"])),
        root("repositories_denied", json!("octo-org/*")),
        root("public_forks", json!("yes")),
        root("ties", json!("random")),
        launch([("instance_types", Value::Null)]),
        launch([("requirements", json!({"vcpus": {"min": 2}, "memory_mib": {"min": 0}}))]),
        launch([("tags", Value::Object(tags))]),
        requirements(&json!({"vcpus": null})),
        requirements(&json!({"memory_mib": null})),
        requirements(&json!({"vcpus": {"max": 4}})),
        requirements(&json!({"vcpus": {"min": 0, "max": 0}})),
        requirements(&json!({"vcpus": {"min": 1025}})),
        requirements(&json!({"memory_mib": {"min": 1, "max": 67_108_865}})),
        requirements(&json!({"allowed_types": ["c5"], "excluded_types": ["t2"]})),
        requirements(&json!({"allowed_types": ["c5,c6"]})),
        requirements(&json!({"excluded_types": vec!["c5"; 401]})),
    ];
    bad.extend(IN_SPOT.iter().map(|(name, text)| spot(name, serde_json::from_str(text).unwrap())));
    bad.extend(IN_FLEET.iter().map(|(path, text)| with(path, serde_json::from_str(text).unwrap())));
    bad.push(pooled(true, "organization", json!({"kind": "idle", "size": 1})));
    bad.push(with("labels", json!([long("x", 257)])));
    bad.push(with("launch/tags", json!({"x": long("x", 257)})));
    bad
}

/// What is refused in a spot fleet's `launch`.
const IN_SPOT: [(&str, &str); 10] = [
    ("on_demand_base", "-1"),
    ("on_demand_base", "10001"),
    ("on_demand_fallback", "1"),
    ("spot_allocation", "\"cheapest\""),
    ("max_price", "0.12"),
    ("max_price", "\"0\""),
    ("max_price", "\"0.00\""),
    ("max_price", "\"1e3\""),
    ("max_price", "\".5\""),
    ("max_price", "\"-1\""),
];

/// What is refused in a fleet, as JSON; null takes the field away.
const IN_FLEET: [(&str, &str); 99] = [
    ("name", "\"Linux\""),
    ("name", "\"\""),
    ("name", "\"1st\""),
    ("name", "null"),
    ("labels", "[]"),
    ("labels", r#"["a,b"]"#),
    ("labels", r#"[" "]"#),
    ("labels", r#"["linux", "dayfly-cpu=8"]"#),
    ("labels", r#"["Dayfly-GPU=1"]"#),
    ("labels", "\"self-hosted\""),
    ("labels", "null"),
    ("matching", "\"some\""),
    ("matching", "true"),
    ("priority", "1001"),
    ("priority", "-1"),
    ("repositories", r#"["octo-org"]"#),
    ("repositories", r#"["octo-org/a/b"]"#),
    ("repositories", r#"["/a"]"#),
    ("repositories", r#"["octo org/a"]"#),
    ("repositories_denied", r#"["a/"]"#),
    ("public_forks", "0"),
    ("steering", "[]"),
    ("steering", r#"{"instance_types": [""]}"#),
    ("steering", r#"{"max_vcpus": 1025}"#),
    ("steering", r#"{"max_memory_gib": -1}"#),
    ("steering", r#"{"max_disk_gib": 65537}"#),
    ("steering", r#"{"markets": ["cheap"]}"#),
    ("steering", r#"{"images": [1]}"#),
    ("steering", r#"{"pin": "yes"}"#),
    ("ephemeral", "\"no\""),
    ("max", "0"),
    ("max", "1.5"),
    ("max", "null"),
    ("delay_seconds", "901"),
    ("boot_seconds", "29"),
    ("cooldown_seconds", "901"),
    ("interrupted", "1"),
    ("interrupted", r#"{"rerun": 11}"#),
    ("interrupted", r#"{"rerun": -1}"#),
    ("interrupted", r#"{"rerun": true}"#),
    ("interrupted", r#"{"on_demand": "yes"}"#),
    ("handover", "\"email\""),
    ("pool", "[]"),
    ("pool", r#"{"kind": "standby", "size": 1}"#),
    ("pool", r#"{"size": 1, "repository": "o/r"}"#),
    ("pool", r#"{"kind": "hibernated", "size": 1, "repository": "o/r"}"#),
    ("pool", r#"{"kind": "standby", "size": 1, "repository": "o/r", "lifetime_seconds": 60}"#),
    ("pool", r#"{"kind": "stopped", "size": 1, "repository": "o/r", "lifetime_seconds": 59}"#),
    ("pool", r#"{"kind": "stopped", "size": 1, "repository": "o/r", "lifetime_seconds": 604801}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r"}"#),
    ("pool", r#"{"kind": "standby", "size": -1, "repository": "o/r"}"#),
    ("pool", r#"{"kind": "standby", "size": 10001, "repository": "o/r"}"#),
    ("pool", r#"{"kind": "standby", "size": 1, "repository": "o"}"#),
    ("pool", r#"{"kind": "standby", "size": 1, "repository": "o/r", "eviction": "any"}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r", "schedules": []}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r", "schedules": [{"size": 1}]}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r", "schedules": [{"cron": "0 8 * *", "size": 1}]}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r", "schedules": [{"cron": "0 8 * * *"}]}"#),
    ("pool", r#"{"kind": "standby", "repository": "o/r", "size": 1, "schedules": [{"cron": "0 8 * * *", "size": 1}]}"#),
    (
        "pool",
        r#"{"kind": "standby", "repository": "o/r", "schedules": [{"cron": "0 8 * * *", "timezone": "", "size": 1}]}"#,
    ),
    ("github", r#"{"level": "enterprise"}"#),
    ("github", r#"{"level": "repository", "owner": "octo-org"}"#),
    ("github", r#"{"level": "repository", "owner": "octo-org/*"}"#),
    ("github", r#"{"level": "repository", "runner_group": "x"}"#),
    ("github", r#"{"level": "repository", "runner_group_id": 2}"#),
    ("github", r#"{"level": "organization", "owner": "octo-org/octo-repo"}"#),
    ("github", r#"{"level": "organization", "runner_group": "x", "runner_group_id": 2}"#),
    ("github", r#"{"level": "organization", "runner_group": " "}"#),
    ("github", r#"{"owner": "octo-org"}"#),
    ("github/level", "\"user\""),
    ("github/runner_group_id", "0"),
    ("launch", "null"),
    ("launch/template_id", "\"ami-1\""),
    ("launch/template_version", "3"),
    ("launch/template_version", "\"latest\""),
    ("launch/template_version", "\"03\""),
    ("launch/subnets", r#"["vpc-1"]"#),
    ("launch/instance_types", r#"["large"]"#),
    ("launch/market", "\"auction\""),
    ("launch/on_demand_base", "1"),
    ("launch/on_demand_fallback", "true"),
    ("launch/spot_allocation", "\"diversified\""),
    ("launch/max_price", "\"1\""),
    ("launch/image", "{}"),
    ("launch/image", r#"{"id": "debian"}"#),
    ("launch/image", r#"{"id": "ami-1", "parameter": "/x"}"#),
    ("launch/image", r#"{"id": "ami-1", "owners": ["self"]}"#),
    ("launch/image", r#"{"id": "ami-1", "name": "x", "owners": ["self"]}"#),
    ("launch/image", r#"{"parameter": ""}"#),
    ("launch/image", r#"{"parameter": "resolve:ssm:/x"}"#),
    ("launch/image", r#"{"name": "runner-*"}"#),
    ("launch/image", r#"{"name": "runner-*", "owners": []}"#),
    ("launch/image", r#"{"name": "runner-*", "owners": ["me"]}"#),
    ("launch/tags", r#"["x"]"#),
    ("launch/tags", r#"{"x": 1}"#),
    ("launch/tags", r#"{"": "x"}"#),
    ("launch/tags", r#"{"AWS:x": "x"}"#),
    ("launch/tags", r#"{"dayfly:fleet": "x"}"#),
    ("launch", "[]"),
];

#[test]
fn reader_and_schema_agree() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let samples = good().into_iter().map(|it| (it, true)).chain(bad().into_iter().map(|it| (it, false)));
    for (document, good) in samples {
        assert_eq!(problems(&document).is_empty(), good, "the reader on {document}: {:?}", problems(&document));
        assert_eq!(schema.is_valid(&document), good, "the schema on {document}");
    }
}

#[test]
fn what_only_the_reader_can_tell() {
    let subnets: Vec<String> = (0..151).map(|i| format!("subnet-{i}")).collect();
    let pairs = launch([("subnets", json!(subnets)), ("instance_types", json!(["c7i.large", "m7i.large"]))]);
    let range = requirements(&json!({"vcpus": {"min": 8, "max": 4}}));
    let mut twice = smallest();
    let fleet = twice["fleets"][0].clone();
    twice["fleets"].as_array_mut().unwrap().push(fleet);
    let size = with("pool", json!({"kind": "standby", "repository": "o/r", "size": 6}));
    let schedule = |cron: &str, zone: &str| {
        let schedules = json!([{"cron": cron, "timezone": zone, "size": 1}]);
        with("pool", json!({"kind": "standby", "repository": "o/r", "schedules": schedules}))
    };
    for (document, field) in [
        (size, "fleets[0].pool.size"),
        (schedule("0 25 * * *", "UTC"), "fleets[0].pool.schedules[0].cron"),
        (schedule("0 0 * * *", "Mars/Olympus"), "fleets[0].pool.schedules[0].timezone"),
        (pairs, "fleets[0].launch.instance_types"),
        (range, "fleets[0].launch.requirements.vcpus.max"),
        (twice, "fleets[1].name"),
    ] {
        let problems = problems(&document);
        assert!(problems.len() == 1 && problems[0].starts_with(field), "{problems:?}");
    }
}
