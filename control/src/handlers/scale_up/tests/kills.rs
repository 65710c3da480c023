//! An invocation is killed between any two calls to its ports, and others go on: the result is that of one that was not.

use dayfly_contract::Grant;

use super::{Fleet, alive, batch, deps, deps_of, fleet, handle, pass, run, runners, wake_up, world};
use crate::{
    decide::runners::RunnerState,
    fleets::Handover,
    ledger::Runner,
    simulation::{
        runtime::step,
        world::{Fault, Port, Registered},
    },
};

/// What a killed invocation has done when others look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// The instance still boots.
    Boots,
    /// The instance has claimed what was there and is online.
    Claims,
}

fn all() -> impl Iterator<Item = Fleet> {
    [(true, Handover::Ssm), (true, Handover::S3), (false, Handover::Ssm), (false, Handover::S3)]
        .into_iter()
        .map(|(ephemeral, handover)| Fleet { ephemeral, handover, ..fleet("linux-x64") })
}

/// Has an invocation killed after so many of its steps; answers whether it was over before.
fn kill(port: &Port, of: &Fleet, steps: u32) -> bool {
    port.0.concurrent.set(true);
    let (deps, batch) = (deps_of(port, of.clone()), batch(&[wake_up("linux-x64")]));
    let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
    let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
    port.0.concurrent.set(false);
    over
}

/// Looks as often as leases and waits want it.
fn look_on(port: &Port, of: &Fleet) {
    for _ in 0..3 {
        pass(port, 62);
        let deps = deps_of(port, of.clone());
        let response = run(handle(&deps, &batch(&[wake_up("linux-x64")]), port.0.now.get() + 30_000));
        assert!(response.batch_item_failures.is_empty());
    }
}

/// The instance takes its registration, if it is there.
fn claim(port: &Port) -> bool {
    let claimed = port.0.parameters.borrow_mut().pop_first();
    let Some((_, it)) = claimed else { return false };
    let mut runners = port.0.runners.borrow_mut();
    match it.grant {
        Grant::Jit { .. } => runners.get_mut(&it.runner_name).unwrap().online = true,
        Grant::Leave { .. } => return false,
        Grant::Token { labels, .. } => {
            runners.insert(it.runner_name, Registered { id: 7, online: true, busy: false, labels });
        }
    }
    true
}

fn runner(port: &Port) -> Option<Runner> {
    let runners = port.0.ledger.borrow().runners.values().cloned().collect::<Vec<_>>();
    assert!(runners.len() <= 1, "{runners:?}");
    runners.into_iter().next()
}

#[test]
fn a_runner_is_registered_once_wherever_its_invocation_is_killed() {
    for of in all() {
        for meanwhile in [Meanwhile::Boots, Meanwhile::Claims] {
            for steps in 0.. {
                let port = world(1);
                let over = kill(&port, &of, steps);
                let claimed = meanwhile == Meanwhile::Claims && claim(&port);
                look_on(&port, &of);
                let case = format!("{:?}, ephemeral {}, {meanwhile:?}, step {steps}", of.handover, of.ephemeral);
                assert_eq!(runner(&port).map(|it| it.state), Some(RunnerState::Registered), "{case}");
                assert_eq!((alive(&port), port.0.launched.borrow().len()), (1, 1), "{case}");
                assert!(port.0.ledger.borrow().reservations.is_empty(), "{case}");
                let waits = port.0.parameters.borrow().len();
                assert_eq!(waits, usize::from(!claimed), "{case}: one registration, claimed or not");
                assert_eq!(port.0.runners.borrow().len(), usize::from(of.ephemeral || claimed), "{case}");
                assert!(port.0.handed_over_by.borrow().values().all(|by| *by == of.handover), "{case}");
                assert!(port.0.dead.borrow().is_empty(), "{case}");
                if over {
                    break;
                }
            }
        }
    }
}

#[test]
fn an_instance_that_cant_be_registered_is_in_the_ledger_or_ended_wherever_its_invocation_is_killed() {
    for of in all() {
        let at_github = if of.ephemeral { "github.jit_config" } else { "github.registration_token" };
        for (call, fault) in [(at_github, Fault::GitHubPermanent), ("handover.put", Fault::HandoverPermanent)] {
            let (mut ended, mut registered) = (0, 0);
            for steps in 0.. {
                let port = world(1);
                port.0.fault(call, fault.clone());
                let over = kill(&port, &of, steps);
                let was_met = port.0.faults.borrow().is_empty();
                port.0.faults.borrow_mut().clear();
                look_on(&port, &of);
                let case = format!("{call}, {:?}, ephemeral {}, step {steps}", of.handover, of.ephemeral);
                let it = runner(&port);
                let lives = it.as_ref().is_some_and(|it| it.state == RunnerState::Registered);
                assert_eq!((alive(&port), it.is_some()), (u64::from(lives), lives), "{case}: {it:?}");
                assert_eq!(port.0.parameters.borrow().len(), usize::from(lives), "{case}");
                assert_eq!(port.0.runners.borrow().len(), usize::from(lives && of.ephemeral), "{case}");
                let dead = port.0.dead.borrow();
                assert!(dead.iter().all(|id| it.as_ref().is_none_or(|it| it.instance != *id)), "{case}");
                assert!(was_met || lives, "{case}");
                (ended, registered) = (ended + dead.len(), registered + usize::from(lives));
                if over {
                    assert_eq!(dead.len(), 1, "{case}");
                    break;
                }
            }
            assert!(ended > 0 && registered > 0, "{call}: both ways were gone: {ended}, {registered}");
        }
    }
}

#[test]
fn a_job_that_meets_its_runner_during_the_look_is_not_launched_for() {
    // By the reservation's own conditions, or by another look at the queued where they are too many for those.
    for jobs in [1, 26] {
        let port = world(jobs);
        port.0.concurrent.set(true);
        let (deps, batch) = (deps(&port), batch(&[wake_up("linux-x64")]));
        let mut future = Box::pin(handle(&deps, &batch, port.0.now.get() + 30_000));
        while port.0.called("ledger.view") == 0 {
            assert!(step(future.as_mut()).is_pending());
        }
        port.0.ledger.borrow_mut().markers.remove(&("linux-x64".into(), 1));
        let polls = (0..10_000).find(|_| {
            port.0.now.set(port.0.now.get() + 1);
            step(future.as_mut()).is_ready()
        });
        assert!(polls.is_some());
        assert_eq!((alive(&port), runners(&port, RunnerState::Registered) as u64), (jobs - 1, jobs - 1));
    }
}
