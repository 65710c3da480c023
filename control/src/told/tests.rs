use std::collections::BTreeSet;

use dayfly_contract::{Job as RanJob, Lifecycle, Reason};
use serde_json::Value;

use super::{Event, Kind, collect, failed, interrupted, job, launched, publish, rerun};
use crate::{
    clock::Millis,
    decide::{
        events::{JobEvent, tests::event},
        jobs::JobState,
        rerun::{
            Fate, Why,
            tests::{NOW, interrupted as broken, name, note, place},
        },
    },
    ledger::tests::{instance, runner},
    metrics::Metrics,
    simulation::{
        runtime::run,
        world::{Fault, Port, world},
    },
    trace::{self, TraceId},
};

const FLEET: &str = "linux-x64";
const SCHEMA: &str = include_str!("../../../docs/events.v1.schema.json");

fn message(kind: dayfly_contract::Kind) -> Lifecycle {
    let mut it = Lifecycle::new(kind, &instance(1), FLEET);
    let mut ran = RanJob { name: "build".into(), ..RanJob::default() };
    ran.facts.run_attempt = Some(1);
    (it.job, it.reason, it.runner_id) = (Some(ran), Some(Reason::SpotInterruption), Some(23));
    it.detail = Some("EC2 takes the instance back".into());
    it
}

/// One of each kind, and some with less.
fn all() -> Vec<Event> {
    let told = || {
        for state in [JobState::Waiting, JobState::Queued, JobState::Running, JobState::Done] {
            let conclusion = Some("failure".into());
            let event = JobEvent { runner_name: Some(name(1)), runner_id: Some(23), conclusion, ..event(state) };
            job(&event, FLEET, (state == JobState::Running).then_some(1500), NOW);
        }
        job(&JobEvent { runner_name: Some("another's".into()), ..event(JobState::Done) }, FLEET, None, NOW);
        launched(&[runner(FLEET, 1), runner(FLEET, 2)], NOW);
        interrupted(&broken(1, "build"), &place(), &message(dayfly_contract::Kind::Interrupted), NOW);
        for fate in [Fate::Waiting, Fate::Again(2), Fate::Left(Why::Code)] {
            let note = note([broken(1, "build")]);
            rerun(&super::Interrupted { fate, ..broken(1, "") }, &note, NOW);
        }
        failed(&message(dayfly_contract::Kind::Failed), NOW);
    };
    let trace = TraceId::read("1-5759e988-bd862e3fe1be46a994272793");
    run(trace::within(trace, collect(async { told() }))).1
}

#[test]
fn every_event_is_of_the_published_shape() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let all = all();
    let mut kinds = BTreeSet::new();
    for event in &all {
        let detail: Value = serde_json::from_str(&event.detail("demo")).unwrap();
        let errors: Vec<String> = validator.iter_errors(&detail).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {detail}");
        kinds.insert(detail["kind"].as_str().unwrap().to_owned());
        // What is told and not described would be a surprise to whoever goes by the schema.
        for (object, known) in [
            (&detail, &schema),
            (&detail["job"], &schema["properties"]["job"]),
            (&detail["runner"], &schema["properties"]["runner"]),
        ] {
            for field in object.as_object().into_iter().flat_map(|it| it.keys()) {
                assert!(known["properties"].get(field).is_some(), "{field} of {detail}");
            }
        }
        let mut broken = detail.clone();
        broken["version"] = 2.into();
        assert!(!validator.is_valid(&broken));
    }
    let published: BTreeSet<String> =
        schema["properties"]["kind"]["enum"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().into()).collect();
    assert_eq!(kinds, published);
    assert_eq!(kinds, Kind::ALL.map(|kind| kind.name().to_owned()).into());
}

#[test]
fn an_event_says_what_happened_to_whom() {
    let all = all();
    let told: Vec<Value> = all.iter().map(|event| serde_json::from_str(&event.detail("demo")).unwrap()).collect();
    let of = |kind: &str| told.iter().find(|it| it["kind"] == kind).unwrap();
    let expected = serde_json::json!({
        "version": 1, "kind": "job_interrupted", "at": "2026-11-18T11:06:40Z", "deployment": "demo", "fleet": FLEET,
        "trace": "1-5759e988-bd862e3fe1be46a994272793", "reason": "spot_interruption",
        "detail": "EC2 takes the instance back",
        "job": {"name": "build", "repository": "octo-org/octo-repo", "run_id": 5, "run_attempt": 1},
        "runner": {"name": name(1), "instance_id": instance(1), "id": 23},
    });
    assert_eq!(of("job_interrupted"), &expected);
    assert_eq!(of("job_rerun")["job"]["run_attempt"], 2);
    assert_eq!(of("job_not_rerun")["reason"], "code");
    assert_eq!(
        (&of("job_finished")["job"]["conclusion"], &of("job_started")["job"]["queue_ms"]),
        (&"failure".into(), &1500.into())
    );
    assert_eq!(of("job_queued").get("runner"), None, "whatever GitHub's sample says");
    assert_eq!(of("runner_launched")["runner"]["market"], "on-demand");
    assert_eq!(told.iter().filter(|it| it["kind"] == "job_finished").count(), 2);
}

#[test]
fn nothing_is_collected_where_nobody_listens() {
    failed(&message(dayfly_contract::Kind::Failed), NOW);
    assert_eq!(run(collect(async {})).1, []);
}

#[test]
fn too_many_are_cut_off() {
    let many: Vec<_> = (0..3000).map(|n| runner(FLEET, n)).collect();
    assert_eq!(run(collect(async { launched(&many, NOW) })).1.len(), 2001);
}

/// What of 25 events gets to a bus with this fault, what is counted as lost, and how long it took.
fn published(fault: Option<Fault>) -> (usize, u64, u64) {
    published_by(fault, Millis::MAX)
}

/// The same, in an invocation that has so long to live.
fn published_by(fault: Option<Fault>, left: Millis) -> (usize, u64, u64) {
    let port: Port = world(1);
    let many: Vec<_> = (0..25).map(|n| runner(FLEET, n)).collect();
    let events = run(collect(async { launched(&many, NOW) })).1;
    if let Some(fault) = fault {
        port.0.fault("bus.put_all", fault);
    }
    let (metrics, began) = (Metrics::default(), port.0.now.get());
    run(publish(&port, "demo", &events, &metrics, &port, began.saturating_add(left)));
    let lines: Vec<Value> = metrics.take(0).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost = lines.iter().find(|it| it["Reason"] == "not_published").map_or(0, |it| it["Refused"].as_u64().unwrap());
    (port.0.published.borrow().len(), lost, port.0.now.get() - began)
}

#[test]
fn events_go_ten_at_a_time_and_what_is_lost_is_counted() {
    assert_eq!(published(None).0, 25);
    assert_eq!(published(None).1, 0);
    assert_eq!(published(Some(Fault::Fewer(3))).1, 3, "refused one by one");
    assert_eq!(published(Some(Fault::Fewer(3))).0, 22);
    let (got, lost, _) = published(Some(Fault::Wake));
    assert_eq!((got, lost), (0, 25), "the bus is not there");
}

#[test]
fn an_invocation_near_its_end_does_not_wait_for_the_bus() {
    let port: Port = world(1);
    let events = run(collect(async { launched(&[runner(FLEET, 1)], NOW) })).1;
    let (metrics, began) = (Metrics::default(), port.0.now.get());
    // Later, what was measured would be lost.
    let put = publish(&port, "demo", &events, &metrics, &port, began + 1000);
    port.0.unanswered(&["bus.put_all"], began + 900, put);
    assert!(metrics.take(0).iter().any(|it| it.contains("not_published")));
}
