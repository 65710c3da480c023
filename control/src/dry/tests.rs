use tracing_subscriber::layer::SubscriberExt as _;

use super::{Dry, Ear, Journal, Kind, Would};
use crate::{
    decide::{bucket::Takes, jobs::JobState, reconcile::deaths::AtEc2, runners::RunnerState},
    fleets,
    github::{GitHub, NewRunner, watch::Watch},
    handlers::reconcile::{
        Deps, Ports, handle,
        tests::{
            FLEET, MINUTE, at_github, deps, failed, instance_of, job_of, now, registration, runner_of, told, world,
        },
    },
    handover::Handover,
    ledger::{Census, Heard, Ledger, tests::instance},
    simulation::{runtime::run, world::Port},
    wake::{Wake, WakeUp},
};

/// Calls that change something. They are all that the ports of the simulated world have.
const WRITES: [&str; 18] = [
    "ledger.commit",
    "ledger.pause",
    "ledger.tell",
    "ledger.refuse",
    "ledger.take",
    "ledger.hear",
    "ledger.note_text",
    "ledger.mend",
    "compute.launch",
    "compute.terminate",
    "github.jit_config",
    "github.registration_token",
    "github.delete_runner",
    "github.redeliver",
    "handover.put",
    "handover.delete",
    "wake.send",
    "wake.see_again",
];

struct Reading;

impl Ports for Reading {
    type Ledger = Dry<Port>;
    type Compute = Dry<Port>;
    type GitHub = Dry<Port>;
    type Handover = Dry<Port>;
    type Wake = Dry<Port>;
    type Clock = Port;
}

fn reading(port: &Port, journal: &Journal) -> Deps<Reading> {
    let dry = || Dry::new(port.clone(), journal);
    let Deps { deployment, fleets, hooks, silence, metrics, clock, .. } = deps(port);
    Deps {
        deployment,
        fleets,
        hooks,
        silence,
        ledger: dry(),
        compute: dry(),
        github: dry(),
        handover: dry(),
        wake: dry(),
        metrics,
        clock,
    }
}

/// All of the world that a run may change.
fn all(port: &Port) -> String {
    let world = &port.0;
    let ledger = world.ledger.borrow();
    format!(
        "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        ledger.changes,
        ledger.metas,
        ledger.runners,
        world.census.texts.borrow(),
        world.census.redelivered.borrow(),
        world.runners.borrow(),
        world.parameters.borrow().keys(),
        world.sent.borrow().len(),
        world.dead.borrow()
    )
}

fn unwritten(port: &Port) {
    for call in WRITES {
        assert_eq!(port.0.called(call), 0, "{call} was reached");
    }
}

#[test]
fn a_dry_run_tells_what_it_would_do_and_why_and_reaches_nothing_that_writes() {
    let port = world();
    // Gone without a word; hung; an orphan; a job that ended unheard; a failed delivery; a missing instance.
    runner_of(&port, 1, RunnerState::Registered, 60 * MINUTE);
    registration(&port, 1);
    runner_of(&port, 2, RunnerState::Launched, 60 * MINUTE);
    instance_of(&port, 2, AtEc2::Stopped, 60 * MINUTE);
    instance_of(&port, 4, AtEc2::Running, 60 * MINUTE);
    at_github(&port, 9, false, false);
    job_of(&port, 11, JobState::Queued, 20 * MINUTE);
    told(&port, 11, "completed", None);
    failed(&port, 1, "g1", MINUTE);
    let before = all(&port);
    let journal = Journal::default();
    let heard = tracing_subscriber::registry().with(Ear::new(&journal));
    let deps = reading(&port, &journal);
    tracing::subscriber::with_default(heard, || run(handle(&deps, now(&port) + MINUTE)));
    unwritten(&port);
    assert_eq!(all(&port), before);

    let would = journal.all();
    let find =
        |what: &str| would.iter().find(|it| it.what.contains(what)).unwrap_or_else(|| panic!("{what}: {would:#?}"));
    let buried = find(&format!("runner {} is forgotten", instance(1)));
    assert_eq!(buried.kind, Kind::Ledger);
    let why = buried.why.as_deref().unwrap();
    assert!(why.starts_with(&format!("{} is silent", instance(1))) && why.contains("verdict: Forget"), "{why}");
    assert_eq!(find("delivery 1").kind, Kind::GitHub);
    assert_eq!(find("job 11").kind, Kind::Ledger);
    assert_eq!(find(&format!("wake fleet {FLEET}")).kind, Kind::Wake);
    assert!(would.iter().any(|it| it.kind == Kind::Note && it.why.is_none()), "{would:#?}");
}

#[test]
fn a_run_on_ports_that_write_does_what_the_dry_one_told() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 60 * MINUTE);
    let journal = Journal::default();
    run(handle(&reading(&port, &journal), now(&port) + MINUTE));
    assert!(journal.all().iter().any(|it| it.what.contains(&instance(1))));
    run(handle(&deps(&port), now(&port) + MINUTE));
    assert!(port.0.ledger.borrow().runners.is_empty());
}

#[test]
fn no_writing_method_of_any_port_gets_through() {
    let port = world();
    let journal = Journal::default();
    let dry = Dry::new(port.clone(), &journal);
    let target = fleets::Target { scope: "orgs/octo-org".parse().unwrap(), installation: None };
    let runner = NewRunner { name: "linux-x64-i-1".into(), labels: vec![], group: 1 };
    run(async {
        let it = &dry;
        assert_eq!(it.commit(vec![]).await.unwrap(), crate::ledger::Committed::Yes);
        it.pause(FLEET, 1).await.unwrap();
        it.take(&Takes { now: 0, of: vec![] }).await.unwrap();
        it.hear(FLEET, "i-1", 1).await.unwrap();
        it.note_text("a", "b", 1).await.unwrap();
        let _: crate::ledger::Committed = it.mend(FLEET, 1, 1, 2).await.unwrap();
        it.jit_config(&target, &runner).await.unwrap_err();
        it.registration_token(&target).await.unwrap_err();
        it.delete_runner(&target, 7).await.unwrap();
        it.redeliver(&crate::github::watch::Hook::App("1".into()), 7).await.unwrap();
        Handover::delete(it, "i-1").await.unwrap();
        crate::compute::Compute::terminate(it, &["i-1".to_owned()]).await.unwrap();
        it.send(&WakeUp::new(FLEET), std::time::Duration::ZERO).await.unwrap();
        it.see_again("r", std::time::Duration::ZERO).await.unwrap();
        it.put_aside("b", "r").await.unwrap();
    });
    unwritten(&port);
    assert_eq!(journal.all().len(), 15);
    assert_eq!(journal.all()[11], Would { kind: Kind::Instance, what: "end i-1".into(), why: None });
}
