use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Eviction, Pool, PoolKind};
use crate::fleets::{
    Fleet, Fleets,
    tests::{fleet, problems, with},
};

/// A pool of this kind and size, without schedules.
pub(crate) fn pool(kind: PoolKind, size: u64) -> Pool {
    Pool { kind, size, schedules: vec![], eviction: Eviction::Oldest, lifetime_seconds: 86_400, repository: None }
}

fn read(pool: &Value) -> Pool {
    let document = with("pool", pool.clone());
    let mut read = Fleets::read(&document.to_string()).unwrap_or_else(|problems| panic!("{problems}"));
    read.fleets.remove(0).pool.unwrap()
}

/// A pool by these schedules in a time zone: (cron, size).
fn scheduled(zone: &str, schedules: &[(&str, u64)]) -> Pool {
    let schedules: Vec<Value> =
        schedules.iter().map(|(cron, size)| json!({"cron": cron, "timezone": zone, "size": size})).collect();
    read(&json!({"kind": "standby", "repository": "octo-org/octo-repo", "schedules": schedules}))
}

fn size(pool: &Pool, at: &str) -> u64 {
    let at: Timestamp = at.parse().unwrap();
    pool.size(u64::try_from(at.as_millisecond()).unwrap())
}

#[test]
fn the_schedule_whose_time_came_last_holds() {
    let office = scheduled("Europe/Berlin", &[("0 8 * * mon-fri", 5), ("0 18 * * mon-fri", 1), ("0 0 * * sat", 0)]);
    for (at, expected) in [
        ("2026-11-23T06:59:59Z", 0), // a Monday, 7:59:59
        ("2026-11-23T07:00:00Z", 5),
        ("2026-11-23T16:59:59Z", 5),
        ("2026-11-23T17:00:00Z", 1),
        ("2026-11-24T06:59:59Z", 1), // over night
        ("2026-11-27T22:59:59Z", 1), // Friday, midnight
        ("2026-11-27T23:00:00Z", 0),
        ("2026-11-30T06:00:00Z", 0), // over the weekend
        ("2026-07-20T06:00:00Z", 5), // in summer it is 8 an hour earlier
    ] {
        assert_eq!(size(&office, at), expected, "{at}");
    }
    let yearly = scheduled("UTC", &[("0 0 29 2 *", 3)]);
    assert_eq!((size(&yearly, "2026-01-01T00:00:00Z"), size(&pool(PoolKind::Idle, 7), "2026-01-01T00:00:00Z")), (3, 7));
}

#[test]
fn of_several_at_one_moment_the_last_in_the_document_holds() {
    let both = scheduled("UTC", &[("0 * * * *", 1), ("0 12 * * *", 4)]);
    assert_eq!((size(&both, "2026-05-01T12:00:00Z"), size(&both, "2026-05-01T13:00:00Z")), (4, 1));
    let mixed = json!({"kind": "standby", "repository": "o/r", "schedules": [
        {"cron": "0 9 * * *", "timezone": "America/New_York", "size": 1},
        {"cron": "0 9 * * *", "timezone": "Europe/Berlin", "size": 2},
        {"cron": "0 9 * * *", "size": 3},
    ]});
    let mixed = read(&mixed);
    // 9:00 in Berlin, then in UTC, then in New York.
    for (at, expected) in [("07:59", 1), ("08:00", 2), ("09:00", 3), ("13:59", 3), ("14:00", 1)] {
        assert_eq!(size(&mixed, &format!("2026-12-01T{at}:00Z")), expected, "{at}");
    }
}

#[test]
fn a_time_that_the_clocks_skip_comes_when_they_have_moved_on() {
    // On 2026-03-29 2:00 is 3:00 in Berlin, at 1:00 UTC.
    let skipped = scheduled("Europe/Berlin", &[("0 1 * * *", 1), ("30 2 * * *", 2), ("0 4 * * *", 4)]);
    for (at, expected) in [("00:59:59", 1), ("01:00:00", 2), ("01:59:59", 2), ("02:00:00", 4)] {
        assert_eq!(size(&skipped, &format!("2026-03-29T{at}Z")), expected, "{at}");
    }
    // What is later by the clock holds, though both come at one moment.
    for order in [[("30 2 * * *", 2), ("0 3 * * *", 3)], [("0 3 * * *", 3), ("30 2 * * *", 2)]] {
        assert_eq!(size(&scheduled("Europe/Berlin", &order), "2026-03-29T01:00:00Z"), 3);
    }
}

#[test]
fn a_time_that_the_clocks_repeat_comes_once() {
    // On 2026-10-25 3:00 is 2:00 again in Berlin, at 1:00 UTC.
    let repeated =
        scheduled("Europe/Berlin", &[("0 1 * * *", 1), ("30 2 * * *", 2), ("45 2 * * *", 3), ("0 3 * * *", 4)]);
    for (at, expected) in [
        ("00:29:59", 1),
        ("00:30:00", 2),
        ("00:45:00", 3),
        ("01:15:00", 3),
        ("01:30:00", 3), // 2:30 again
        ("01:59:59", 3),
        ("02:00:00", 4),
    ] {
        assert_eq!(size(&repeated, &format!("2026-10-25T{at}Z")), expected, "{at}");
    }
    let hourly = scheduled("Europe/Berlin", &[("* * * * *", 5)]);
    assert_eq!(size(&hourly, "2026-10-25T01:15:30Z"), 5);
}

#[test]
fn defaults_and_everything_set() {
    let least = read(&json!({"kind": "standby", "size": 2, "repository": "octo-org/octo-repo"}));
    let expected = Pool { repository: Some("octo-org/octo-repo".into()), ..pool(PoolKind::Standby, 2) };
    assert_eq!(least, expected);
    let mut owned = with("pool", json!({"kind": "idle", "eviction": "newest", "size": 0}));
    owned["fleets"][0]["ephemeral"] = json!(false);
    owned["fleets"][0]["github"]["owner"] = json!("octo-org");
    let read = Fleets::read(&owned.to_string()).unwrap();
    let pool = Pool { eviction: Eviction::Newest, ..pool(PoolKind::Idle, 0) };
    assert_eq!(read.fleets[0].pool, Some(pool));
    assert_eq!(Fleet { pool: None, ..fleet("x") }, fleet("x"));
}

#[test]
fn mistakes_are_told_by_their_field() {
    let cron = "five fields of a cron expression (minute, hour, day of month, month, day of week) that fit some time, \
                such as \"0 8 * * mon-fri\"";
    let base = json!({"kind": "standby", "repository": "o/r"});
    let cases: [(&str, Value, &str, String); 11] = [
        ("kind", Value::Null, "kind", "found nothing, expected \"standby\", \"stopped\" or \"idle\"".into()),
        (
            "kind",
            json!("hibernated"),
            "kind",
            "found \"hibernated\", expected \"standby\" or \"stopped\" or \"idle\"".into(),
        ),
        (
            "lifetime_seconds",
            json!(60),
            "lifetime_seconds",
            "found 60, expected nothing where kind is not \"stopped\": their agents are told".into(),
        ),
        (
            "kind",
            json!("idle"),
            "kind",
            "found \"idle\", expected \"standby\" or \"stopped\" where ephemeral is true: GitHub keeps an idle one for minutes only"
                .into(),
        ),
        (
            "repository",
            Value::Null,
            "repository",
            "found nothing, expected \"owner/repo\" where github has no owner: for whose jobs the runners are".into(),
        ),
        ("size", json!(6), "size", "found 6, expected a whole number from 0 to 5".into()),
        ("schedules", json!([]), "schedules", "found [], expected a list of at least one schedule, or size".into()),
        (
            "schedules",
            json!([{"cron": "0 8 * *", "size": 1}]),
            "schedules[0].cron",
            format!("found \"0 8 * *\", expected {cron}"),
        ),
        (
            "schedules",
            json!([{"cron": "0 0 30 2 *", "size": 1}]),
            "schedules[0].cron",
            format!("found \"0 0 30 2 *\", expected {cron}"),
        ),
        (
            "schedules",
            json!([{"cron": "0 0 * * *", "timezone": "Berlin", "size": 1}]),
            "schedules[0].timezone",
            "found \"Berlin\", expected an IANA time zone such as \"Europe/Berlin\"".into(),
        ),
        (
            "schedules",
            json!([{"cron": "0 0 * * *", "size": 9}]),
            "schedules[0].size",
            "found 9, expected a whole number from 0 to 5".into(),
        ),
    ];
    for (name, value, path, expected) in cases {
        let mut pool = base.clone();
        if name != "schedules" {
            pool["size"] = json!(1);
        }
        match value {
            Value::Null => drop(pool.as_object_mut().unwrap().remove(name)),
            value => pool[name] = value,
        }
        assert_eq!(problems(&with("pool", pool)), [format!("fleets[0].pool.{path}: {expected}")], "{name}");
    }
    let both =
        json!({"kind": "standby", "repository": "o/r", "size": 1, "schedules": [{"cron": "0 0 * * *", "size": 1}]});
    assert_eq!(problems(&with("pool", both)), ["fleets[0].pool.size: found 1, expected either size or schedules"]);
}
