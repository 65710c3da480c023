use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use dayfly_contract::{Grant, Job as RanJob, Kind, Lifecycle, Reason, Registration, VERSION};
use secrecy::SecretString;
use serde_json::Value;

use super::{
    Deps,
    cleaning::{BUSY_ATTEMPTS, CLEANUP_ATTEMPTS},
    handle,
};
use crate::{
    decide::runners::RunnerState,
    fleets::tests::{fleet, fleets},
    ledger::{
        Manual, Marker, Meta, Runner,
        tests::{instance, marker, runner},
    },
    metrics::Metrics,
    simulation::{
        runtime::run,
        world::{self, Fault, Port, Registered},
    },
};

mod failures;
mod hangs;
mod interrupted;
mod pool;
mod reading;
mod reusable;
mod words;

/// A world with one runner in this state, its registration and its entry at GitHub.
fn world(state: RunnerState) -> Port {
    let port = world::world(1);
    let it = Runner { state, runner_id: Some(23), version: 1, ..runner("linux-x64", 1) };
    port.0.ledger.borrow_mut().runners.insert(("linux-x64".into(), instance(1)), it);
    port.0.ledger.borrow_mut().metas.insert("linux-x64".into(), Meta { rev: 1, alive: 1, ..Meta::default() });
    let registration = Registration {
        version: VERSION,
        reservation: "r1".into(),
        runner_name: "x".into(),
        trace: None,
        grant: Grant::Jit { runner_id: 23, jit_config: SecretString::from("secret") },
    };
    port.0.parameters.borrow_mut().insert(instance(1), registration);
    let entry = Registered { id: 23, online: false, busy: false, labels: vec![] };
    port.0.runners.borrow_mut().insert(format!("linux-x64-{}", instance(1)), entry);
    port
}

fn send(port: &Port, body: &Value, sender: &str, received: u32) -> usize {
    measured(port, body, sender, received).0
}

/// How many messages are given back, and the metrics' lines.
fn measured(port: &Port, body: &Value, sender: &str, received: u32) -> (usize, Vec<Value>) {
    handled(port, message(body, sender, received))
}

fn message(body: &Value, sender: &str, received: u32) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some("m".into());
    message.body = Some(if let Value::String(text) = body { text.clone() } else { body.to_string() });
    message.attributes.insert("SenderId".into(), sender.into());
    message.attributes.insert("ApproximateReceiveCount".into(), received.to_string());
    message
}

fn deps(port: &Port) -> Deps<Port, Port, Port, Port, Port> {
    let p = || port.clone();
    let fleets = fleets([fleet("linux-x64")]);
    Deps { fleets, ledger: p(), github: p(), handover: p(), wake: p(), metrics: Metrics::default(), clock: p() }
}

fn handled(port: &Port, message: SqsMessage) -> (usize, Vec<Value>) {
    handled_by(&deps(port), message)
}

fn handled_by(deps: &Deps<Port, Port, Port, Port, Port>, message: SqsMessage) -> (usize, Vec<Value>) {
    let mut batch = SqsEvent::default();
    batch.records = vec![message];
    let given_back = run(handle(deps, &batch, u64::MAX)).batch_item_failures.len();
    (given_back, deps.metrics.take(0).iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn tell(port: &Port, it: &Lifecycle) -> usize {
    send(port, &serde_json::to_value(it).unwrap(), &format!("AROAX:{}", instance(1)), 1)
}

fn finished() -> Lifecycle {
    let mut it = Lifecycle::new(Kind::Finished, &instance(1), "linux-x64");
    it.job = Some(RanJob { name: "build".into(), result: Some("Succeeded".into()), ..RanJob::default() });
    (it.reservation, it.runner_id) = (Some("r1".into()), Some(23));
    it
}

fn failed() -> Lifecycle {
    Lifecycle::new(Kind::Failed, &instance(1), "linux-x64")
}

fn state(port: &Port) -> Option<RunnerState> {
    port.0.ledger.borrow().runner("linux-x64", &instance(1)).map(|it| it.state)
}

fn alive(port: &Port) -> u64 {
    port.0.ledger.borrow().view("linux-x64").meta.alive
}

/// A job that waits.
fn queued() -> Marker {
    Marker { expires: u64::MAX, ..marker("linux-x64", 9) }
}

fn woken(port: &Port) -> usize {
    port.0.sent.borrow_mut().drain(..).count()
}

#[test]
fn a_word_of_an_agent_moves_its_deadline_and_nobody_elses() {
    let port = world(RunnerState::Busy);
    let key = ("linux-x64".to_owned(), instance(1));
    let heard = || port.0.census.heard.borrow().get(&key).copied();
    for kind in [Kind::Listening, Kind::JobStarted, Kind::JobCompleted, Kind::Heartbeat, Kind::Interrupted] {
        port.0.now.set(port.0.now.get() + 60_000);
        tell(&port, &Lifecycle::new(kind, &instance(1), "linux-x64"));
        assert_eq!(heard(), Some(port.0.now.get()), "{kind:?}");
    }
    let before = heard();
    port.0.now.set(port.0.now.get() + 60_000);
    let heartbeat = serde_json::to_value(Lifecycle::new(Kind::Heartbeat, &instance(1), "linux-x64")).unwrap();
    assert_eq!(send(&port, &heartbeat, "AROAX:i-00000000000000002", 1), 0);
    assert_eq!(heard(), before, "another's word for it");
    port.0.fault("ledger.hear", Fault::Ledger);
    assert_eq!(
        (send(&port, &heartbeat, &format!("AROAX:{}", instance(1)), 1), heard()),
        (0, before),
        "the next one tells"
    );
    tell(&port, &finished());
    assert_eq!(heard(), before, "the dead are not heard");
}

#[test]
fn a_word_counts_from_when_it_was_said() {
    let port = world(RunnerState::Busy);
    let now = port.0.now.get();
    for (sent_at, expected) in [(now - 3_600_000, now - 3_600_000), (now + 3_600_000, now), (now - 5, now)] {
        let mut message = SqsMessage::default();
        let heartbeat = Lifecycle::new(Kind::Heartbeat, &instance(1), "linux-x64");
        message.body = Some(serde_json::to_string(&heartbeat).unwrap());
        message.attributes.insert("SenderId".into(), format!("AROAX:{}", instance(1)));
        message.attributes.insert("SentTimestamp".into(), sent_at.to_string());
        let mut batch = SqsEvent::default();
        batch.records = vec![message];
        let p = || port.clone();
        let fleets = fleets([fleet("linux-x64")]);
        let (metrics, clock) = (Metrics::default(), p());
        let deps = Deps { fleets, ledger: p(), github: p(), handover: p(), wake: p(), metrics, clock };
        assert!(run(handle(&deps, &batch, u64::MAX)).batch_item_failures.is_empty());
        let heard = port.0.census.heard.borrow().values().copied().collect::<Vec<_>>();
        assert_eq!(heard, [expected], "{sent_at}");
    }
}

#[test]
fn an_end_is_settled_once() {
    let port = world(RunnerState::Busy);
    for _ in 0..3 {
        assert_eq!(tell(&port, &finished()), 0);
        assert_eq!((state(&port), alive(&port), woken(&port)), (None, 0, 0));
    }
    assert_eq!(port.0.called("github.delete_runner"), 0, "GitHub removes it by itself");
}

#[test]
fn a_job_that_no_webhook_told_of_leaves_the_runner_spent() {
    let port = world(RunnerState::Registered);
    tell(&port, &finished());
    tell(&port, &finished());
    assert_eq!((state(&port), alive(&port)), (Some(RunnerState::Spent), 0));
}

#[test]
fn what_a_person_wants_ready_is_looked_after_when_a_runner_ends() {
    for (expires, wakes) in [(u64::MAX, 1), (0, 0)] {
        let port = world(RunnerState::Registered);
        let (fleet, id, repository) = ("linux-x64".into(), "m".into(), "octo-org/octo-repo".into());
        let it = Manual { fleet, id, count: 5, repository, installation: None, created_at: 0, expires };
        port.0.ledger.borrow_mut().manual.push(it);
        tell(&port, &Lifecycle { job: None, reason: Some(Reason::Idle), ..finished() });
        assert_eq!((alive(&port), woken(&port)), (0, wakes));
    }
}

#[test]
fn room_under_max_is_told_to_whoever_waits_for_it() {
    let port = world(RunnerState::Busy);
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), 9), queued());
    tell(&port, &finished());
    assert_eq!(woken(&port), 1);
}

#[test]
fn a_failed_instance_is_cleaned_up_behind_and_its_fleet_woken() {
    for state_before in [RunnerState::Launched, RunnerState::Registered] {
        let port = world(state_before);
        assert_eq!(tell(&port, &failed()), 0);
        assert_eq!((state(&port), alive(&port), woken(&port)), (None, 0, 1));
        assert!(port.0.parameters.borrow().is_empty() && port.0.runners.borrow().is_empty());
    }
}

#[test]
fn a_registration_that_was_never_noted_is_found_by_name() {
    // Nothing is noted, or an earlier one that was deleted for it.
    for noted in [None, Some(22)] {
        let port = world(RunnerState::Launched);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.runner_id = noted);
        tell(&port, &failed());
        assert!(port.0.runners.borrow().is_empty());
    }
}

#[test]
fn a_second_registration_of_the_same_instance_goes_with_it() {
    // Noted, or by a scale-up that was killed before it could note it.
    for noted in [Some(23), None] {
        let port = world(RunnerState::Registered);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.runner_id = noted);
        let it = Lifecycle { runner_id: Some(22), ..finished() };
        tell(&port, &it);
        assert!(port.0.parameters.borrow().is_empty() && port.0.runners.borrow().is_empty());
        assert_eq!(state(&port), Some(RunnerState::Spent));
    }
}

#[test]
fn a_busy_runner_stays_at_github() {
    let port = world(RunnerState::Registered);
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = true);
    assert_eq!(tell(&port, &failed()), 0);
    assert_eq!((port.0.runners.borrow().len(), alive(&port)), (1, 0));
}

#[test]
fn cleaning_up_is_tried_a_few_times_and_then_the_ledger_is_settled_all_the_same() {
    let port = world(RunnerState::Registered);
    let body = serde_json::to_value(failed()).unwrap();
    let sender = format!("AROAX:{}", instance(1));
    for received in 1..CLEANUP_ATTEMPTS {
        port.0.fault("github.delete_runner", Fault::GitHubTransient);
        assert_eq!(send(&port, &body, &sender, received), 1);
        assert_eq!(alive(&port), 1);
    }
    port.0.fault("github.delete_runner", Fault::GitHubTransient);
    assert_eq!(send(&port, &body, &sender, CLEANUP_ATTEMPTS), 0);
    assert_eq!(alive(&port), 0);
    let port = world(RunnerState::Registered);
    port.0.fault("github.delete_runner", Fault::GitHubPermanent);
    assert_eq!((send(&port, &body, &sender, 1), alive(&port)), (0, 0), "no use in trying again");
}

#[test]
fn an_end_that_overtook_the_ledger_is_remembered() {
    let port = world::world(1);
    assert_eq!(tell(&port, &failed()), 0);
    assert_eq!((state(&port), woken(&port)), (Some(RunnerState::Gone), 1));
    let port = world::world(1);
    assert_eq!(tell(&port, &finished()), 0);
    assert_eq!(state(&port), None, "it had claimed its registration, so the ledger knew it once");
}

#[test]
fn without_the_ledger_or_the_queue_the_message_goes_back_and_settles_later() {
    for (call, fault) in
        [("ledger.runner", Fault::Ledger), ("ledger.commit", Fault::Ledger), ("wake.wake", Fault::Wake)]
    {
        let port = world(RunnerState::Registered);
        port.0.fault(call, fault);
        assert_eq!(tell(&port, &failed()), 1, "{call}");
        assert_eq!(tell(&port, &failed()), 0, "{call}");
        assert_eq!((alive(&port), woken(&port)), (0, 1), "{call}");
    }
}
