//! Fleets documents.

use dayfly_control::fleets::Fleets;
use serde_json::{Value, json};

/// A fleet of on-demand instances called `name`, with room for `max`.
#[must_use]
pub fn fleet(name: &str, max: u64) -> Value {
    json!({
        "name": name, "labels": ["self-hosted", "linux"], "max": max,
        "github": {"level": "organization"},
        "launch": {"template_id": "lt-0123456789abcdef0", "template_version": "3",
                   "subnets": ["subnet-0123456789abcdef1"], "instance_types": ["c7i.large"], "market": "on-demand"},
    })
}

/// The same with `value` at `path` (`launch/market`).
#[must_use]
pub fn with(mut fleet: Value, path: &str, value: Value) -> Value {
    let mut place = &mut fleet;
    for part in path.split('/') {
        place = &mut place[part];
    }
    *place = value;
    fleet
}

/// Two types in two subnets, spot, and on-demand where there is none.
#[must_use]
pub fn spot(it: Value) -> Value {
    let it = with(it, "launch/market", json!("spot"));
    let it = with(it, "launch/on_demand_fallback", json!(true));
    let it = with(it, "launch/on_demand_base", json!(1));
    let it = with(it, "launch/subnets", json!(["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]));
    with(it, "launch/instance_types", json!(["c7i.large", "m7i.large"]))
}

/// So many stand by from the beginning, and none from 20 minutes later on.
#[must_use]
pub fn pooled(it: Value, size: u64) -> Value {
    // Every run begins on 2026-11-18 at 11:06:40.
    let schedules = json!([{"cron": "0 0 1 1 *", "size": size}, {"cron": "26 11 18 11 *", "size": 0}]);
    with(it, "pool", json!({"kind": "standby", "schedules": schedules, "repository": "octo-org/octo-repo"}))
}

/// The same, stopped until jobs come, and replaced after a quarter of an hour.
#[must_use]
pub fn stopped(it: Value, size: u64) -> Value {
    let it = with(pooled(it, size), "pool/kind", json!("stopped"));
    with(it, "pool/lifetime_seconds", json!(900))
}

/// Reusable runners, so many of which listen from the beginning, fewer after 20 minutes, and none after 40.
#[must_use]
pub fn idle_pool(it: Value, size: u64) -> Value {
    let schedules = json!([
        {"cron": "0 0 1 1 *", "size": size},
        {"cron": "26 11 18 11 *", "size": size / 2},
        {"cron": "46 11 18 11 *", "size": 0},
    ]);
    let it = with(it, "ephemeral", json!(false));
    with(it, "pool", json!({"kind": "idle", "schedules": schedules, "repository": "octo-org/octo-repo"}))
}

/// The document of these fleets.
#[must_use]
pub fn fleets(all: &[Value]) -> Fleets {
    read(&json!({"version": 1, "fleets": all}))
}

/// The same, where the document lets each fleet say whether it takes forks.
#[must_use]
pub fn forks_allowed(all: &[Value]) -> Fleets {
    read(&json!({"version": 1, "public_forks": true, "fleets": all}))
}

#[expect(clippy::panic, reason = "the documents are written here")]
fn read(document: &Value) -> Fleets {
    Fleets::read(&document.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
}
