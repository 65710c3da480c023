use std::time::Duration;

use dayfly_contract::{Grant, Registration, VERSION};
use secrecy::SecretString;

use super::{Deps, handle};
use crate::{
    clock::Millis,
    compute::instances::Seen,
    decide::{
        jobs::JobState,
        reconcile::{deaths::AtEc2, deliveries::Failed},
        runners::RunnerState,
    },
    fleets::tests::{fleet, fleets},
    github,
    ledger::{
        Job, Marker, Meta, Reservation, Runner, Unread,
        tests::{instance, job, marker, reservation, runner},
    },
    metrics::Metrics,
    simulation::{
        runtime::run,
        world::{self, Fault, Port, Registered},
    },
};

mod asleep;
mod deaths;
mod deliveries;
mod drained;
mod gaps;
mod gauges;
mod jobs;
mod kills;
mod others;
mod removed;
mod rules;

pub(crate) const MINUTE: Millis = 60_000;
pub(crate) const FLEET: &str = "linux-x64";

pub(crate) fn deps(port: &Port) -> Deps<Port> {
    let p = || port.clone();
    Deps {
        deployment: "demo".into(),
        fleets: fleets([fleet(FLEET)]),
        hooks: vec![],
        silence: Duration::from_mins(10),
        ledger: p(),
        compute: p(),
        github: p(),
        handover: p(),
        wake: p(),
        metrics: Metrics::default(),
        clock: p(),
    }
}

pub(crate) fn world() -> Port {
    world::world(1)
}

pub(crate) fn now(port: &Port) -> Millis {
    port.0.now.get()
}

/// One run, with a minute for it; answers all that it measured.
fn measured(port: &Port) -> Vec<String> {
    let deps = deps(port);
    run(handle(&deps, now(port) + MINUTE));
    deps.metrics.take(0)
}

/// One run, with a minute for it; answers what was mended, and not how the fleets stand.
fn look(port: &Port) -> String {
    let mut lines = measured(port);
    lines.retain(|line| !line.contains("\"Runners\"") && !line.contains("\"OldestQueued\""));
    lines.join("\n")
}

/// So many minutes pass, with a run in each.
fn minutes(port: &Port, count: u64) -> String {
    let mut mended = String::new();
    for _ in 0..count {
        port.0.now.set(now(port) + MINUTE);
        mended += &look(port);
    }
    mended
}

/// An instance of ours, launched so long ago.
pub(crate) fn instance_of(port: &Port, n: u64, state: AtEc2, ago: Millis) {
    let it = Seen {
        id: instance(n),
        fleet: FLEET.into(),
        reservation: format!("r{n}"),
        state,
        launched_at: now(port) - ago,
    };
    port.0.census.instances.borrow_mut().insert(it.id.clone(), it);
}

/// A runner in the ledger, launched so long ago and counted.
pub(crate) fn runner_of(port: &Port, n: u64, state: RunnerState, ago: Millis) {
    let launched_at = now(port) - ago;
    let it = Runner {
        state,
        reservation: format!("r{n}"),
        launched_at,
        boot_deadline: launched_at + 5 * MINUTE,
        lease_until: launched_at + MINUTE,
        runner_id: Some(n),
        version: 1,
        ..runner(FLEET, n)
    };
    let mut ledger = port.0.ledger.borrow_mut();
    ledger.runners.insert((FLEET.into(), it.instance.clone()), it);
    let meta = ledger.metas.entry(FLEET.into()).or_insert(Meta { rev: 1, ..Meta::default() });
    meta.alive += u64::from(state.is_alive());
}

pub(crate) fn at_github(port: &Port, n: u64, online: bool, busy: bool) {
    let it = Registered { id: n, online, busy, labels: vec![] };
    port.0.runners.borrow_mut().insert(name(n), it);
}

fn name(n: u64) -> String {
    format!("{FLEET}-{}", instance(n))
}

pub(crate) fn registration(port: &Port, n: u64) {
    let it = Registration {
        version: VERSION,
        reservation: format!("r{n}"),
        runner_name: name(n),
        trace: None,
        grant: Grant::Jit { runner_id: n, jit_config: SecretString::from("secret") },
    };
    port.0.parameters.borrow_mut().insert(instance(n), it);
    port.0.census.put_at.borrow_mut().insert(instance(n), now(port));
}

fn hear(port: &Port, n: u64) {
    port.0.census.heard.borrow_mut().insert((FLEET.into(), instance(n)), now(port));
}

fn state(port: &Port, n: u64) -> Option<RunnerState> {
    port.0.ledger.borrow().runner(FLEET, &instance(n)).map(|it| it.state)
}

fn alive(port: &Port) -> u64 {
    port.0.ledger.borrow().view(FLEET).meta.alive
}

fn is_ended(port: &Port, n: u64) -> bool {
    port.0.dead.borrow().contains(&instance(n))
}

fn woken(port: &Port) -> usize {
    port.0.sent.borrow_mut().drain(..).count()
}

/// A job in the ledger, in this state for so long.
pub(crate) fn job_of(port: &Port, id: u64, state: JobState, ago: Millis) {
    let since = now(port) - ago;
    let at = |of: JobState| (state >= of).then_some(since);
    let mut it =
        Job { state, queued_at: at(JobState::Queued), running_at: at(JobState::Running), version: 1, ..job(id, FLEET) };
    it.history.add(since, state.name(), "");
    let mut ledger = port.0.ledger.borrow_mut();
    if state == JobState::Queued {
        let expires = now(port) / 1000 + 24 * 3600;
        ledger.markers.insert((FLEET.into(), id), Marker { queued_at: since, expires, ..marker(FLEET, id) });
    }
    ledger.jobs.insert(id, it);
}

pub(crate) fn told(port: &Port, id: u64, status: &str, on: Option<u64>) {
    let it = github::Job {
        run_id: 5,
        run_attempt: 1,
        status: status.to_owned(),
        labels: vec![],
        runner_name: on.map(name),
        runner_id: on,
    };
    port.0.github_jobs.borrow_mut().insert(id, it);
}

fn job_state(port: &Port, id: u64) -> JobState {
    port.0.ledger.borrow().jobs[&id].state
}

pub(crate) fn failed(port: &Port, id: u64, guid: &str, ago: Millis) {
    let it = Failed { id, guid: guid.into(), at: now(port) - ago, event: "workflow_job".into(), status: 500 };
    port.0.census.failed.borrow_mut().insert((it.at, it.id), it);
}

#[test]
fn a_level_that_is_well_is_left_alone() {
    let port = world();
    for (n, state) in [(1, RunnerState::Launched), (2, RunnerState::Registered), (3, RunnerState::Busy)] {
        runner_of(&port, n, state, 2 * MINUTE);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.lease_until = u64::MAX);
        instance_of(&port, n, AtEc2::Running, 2 * MINUTE);
        at_github(&port, n, true, n == 3);
    }
    for _ in 0..200 {
        (1..=3).for_each(|n| hear(&port, n));
        assert_eq!(minutes(&port, 1), "");
    }
    assert_eq!((alive(&port), woken(&port)), (3, 0));
    assert!(port.0.dead.borrow().is_empty());
    assert_eq!(port.0.called("github.standing") + port.0.called("compute.states"), 0, "nobody is asked about the well");
    // A page of two runners, and whether there are more.
    assert!(port.0.called("github.runners") <= 2 * 201);
}

#[test]
fn a_wrong_count_is_mended_when_it_is_seen_twice() {
    for wrong in [0, 5] {
        let port = world();
        runner_of(&port, 1, RunnerState::Busy, 2 * MINUTE);
        hear(&port, 1);
        instance_of(&port, 1, AtEc2::Running, 2 * MINUTE);
        port.0.ledger.borrow_mut().metas.get_mut(FLEET).unwrap().alive = wrong;
        assert_eq!((look(&port), alive(&port)), (String::new(), wrong));
        let mended = minutes(&port, 1);
        assert!(mended.contains("\"Reason\":\"count\"") && mended.contains("\"Mended\":1"), "{mended}");
        assert_eq!((alive(&port), woken(&port)), (1, 1));
        assert_eq!(minutes(&port, 1), "");
    }
}

#[test]
fn a_count_is_not_mended_while_an_item_is_not_understood() {
    let port = world();
    runner_of(&port, 1, RunnerState::Busy, 2 * MINUTE);
    hear(&port, 1);
    instance_of(&port, 1, AtEc2::Running, 2 * MINUTE);
    // The runner of a newer version is among the two.
    port.0.ledger.borrow_mut().metas.get_mut(FLEET).unwrap().alive = 2;
    port.0.ledger.borrow_mut().unread = vec![Unread { why: "runner#i-2 has no good \"state\"".into(), supply: None }];
    minutes(&port, 5);
    assert_eq!(alive(&port), 2, "max would be exceeded");
    port.0.ledger.borrow_mut().unread.clear();
    minutes(&port, 2);
    assert_eq!(alive(&port), 1);
}

#[test]
fn a_count_that_moves_is_not_mended() {
    let port = world();
    for alive in 2..9 {
        port.0.ledger.borrow_mut().metas.insert(FLEET.into(), Meta { rev: alive, alive, ..Meta::default() });
        look(&port);
    }
    assert_eq!(port.0.called("ledger.mend"), 0);
}

#[test]
fn a_fleet_with_a_job_and_no_runner_is_woken_each_minute() {
    let port = world();
    job_of(&port, 7, JobState::Queued, MINUTE);
    minutes(&port, 3);
    assert_eq!(woken(&port), 3);
    port.0.ledger.borrow_mut().pause(FLEET, now(&port) + 10 * MINUTE);
    minutes(&port, 3);
    assert_eq!(woken(&port), 0, "a paused one wakes itself");
}

#[test]
fn a_fleet_that_left_the_document_is_looked_after_until_it_has_nothing() {
    let port = world();
    runner_of(&port, 1, RunnerState::Busy, 0);
    hear(&port, 1);
    look(&port);
    let mut deps = deps(&port);
    deps.fleets = fleets([fleet("another")]);
    for _ in 0..12 {
        port.0.now.set(now(&port) + MINUTE);
        run(handle(&deps, now(&port) + MINUTE));
    }
    assert_eq!((state(&port, 1), alive(&port), woken(&port)), (None, 0, 0));
    assert!(!port.0.census.texts.borrow()["reconcile#fleets"].contains(FLEET));
}

#[test]
fn when_time_is_out_the_next_run_begins_where_this_one_ended() {
    let port = world();
    failed(&port, 1, "g1", MINUTE);
    let deps = deps(&port);
    // No time at all, and none to begin with.
    run(handle(&deps, now(&port)));
    assert!(port.0.called("ledger.view") == 0 && port.0.census.redelivered.borrow().is_empty());
    port.0.census.texts.borrow_mut().insert("reconcile#next".into(), "\"deliveries\"".into());
    run(handle(&deps, now(&port) + MINUTE));
    assert_eq!(port.0.census.redelivered.borrow().len(), 1);
    assert_eq!(port.0.census.texts.borrow()["reconcile#next"], "\"fleets\"", "and all others after it");
    assert!(port.0.called("ledger.view") > 0);
}

#[test]
fn a_step_that_fails_does_not_keep_the_others() {
    for call in [
        "ledger.view",
        "ledger.heard",
        "ledger.open_jobs",
        "compute.ours",
        "github.failed",
        "handover.waiting",
        "github.runners",
        "ledger.text",
        "ledger.note_text",
        "wake.wake",
    ] {
        let port = world();
        job_of(&port, 7, JobState::Queued, 11 * MINUTE);
        told(&port, 7, "completed", None);
        failed(&port, 1, "g1", MINUTE);
        registration(&port, 1);
        port.0.fault(call, if call.starts_with("github") { Fault::GitHubPermanent } else { Fault::Ledger });
        minutes(&port, 30);
        assert_eq!(job_state(&port, 7), JobState::Done, "{call}");
        assert_eq!((port.0.census.redelivered.borrow().len(), port.0.parameters.borrow().len()), (1, 0), "{call}");
    }
}

#[test]
fn whatever_a_run_begins_with_it_sees_the_levels() {
    for step in ["jobs", "strays", "deliveries", "registrations", "runners"] {
        let port = world();
        registration(&port, 1);
        instance_of(&port, 2, AtEc2::Running, 0);
        runner_of(&port, 3, RunnerState::Busy, 0);
        at_github(&port, 4, false, false);
        for _ in 0..70 {
            hear(&port, 3);
            port.0.census.texts.borrow_mut().insert("reconcile#next".into(), format!("\"{step}\""));
            minutes(&port, 1);
        }
        assert_eq!(
            (port.0.parameters.borrow().len(), is_ended(&port, 2), is_ended(&port, 3)),
            (0, true, false),
            "{step}"
        );
        assert!(port.0.runners.borrow().is_empty(), "{step}");
    }
}
