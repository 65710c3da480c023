//! Fleets to test with, and the tests by theme.

mod admission;
mod agreement;
mod reading;
mod unknown;
mod warnings;

use serde_json::{Value, json};

use super::{
    Admission, Fleet, Fleets, GitHub, Handover, Instances, Interrupted, Launch, Level, Market, Matching, RunnerGroup,
    SpotAllocation, Steering, Ties,
};

/// A document with these fleets.
pub(crate) fn fleets(fleets: impl IntoIterator<Item = Fleet>) -> Fleets {
    Fleets { fleets: fleets.into_iter().collect(), admission: Admission::default(), ties: Ties::Name }
}

pub(crate) fn fleet(name: &str) -> Fleet {
    Fleet {
        name: name.into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        matching: Matching::All,
        priority: 0,
        admission: Admission::default(),
        steering: Steering::default(),
        ephemeral: true,
        max: 50,
        delay_seconds: 0,
        boot_seconds: 300,
        cooldown_seconds: 0,
        interrupted: Interrupted::default(),
        pool: None,
        github: GitHub { level: Level::Organization, owner: None, runner_group: RunnerGroup::DEFAULT },
        handover: Handover::Ssm,
        launch: Launch {
            template_id: "lt-1".into(),
            template_version: "3".into(),
            subnets: vec!["subnet-1".into()],
            instances: Instances::Types(vec!["c7i.large".into()]),
            image: None,
            market: Market::OnDemand,
            on_demand_base: 0,
            on_demand_fallback: false,
            spot_allocation: SpotAllocation::default(),
            max_price: None,
            tags: vec![],
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

/// The smallest document with `value` at `fleets[0]/<path>`; null takes the field away.
pub(super) fn with(path: &str, value: Value) -> Value {
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

pub(super) fn problems(document: &Value) -> Vec<String> {
    Fleets::read(&document.to_string()).map_or_else(|it| it.0.iter().map(ToString::to_string).collect(), |_| vec![])
}
