//! Instances that fail, and for how long their fleet is left alone.

use super::*;
use crate::simulation::runtime::step;

#[test]
fn failures_in_a_row_leave_the_fleet_alone_for_longer_each_time() {
    let port = world(RunnerState::Registered);
    let now = || port.0.now.get();
    let again = |state| {
        let it = Runner { state, version: 1, ..runner("linux-x64", 1) };
        port.0.ledger.borrow_mut().runners.insert(("linux-x64".into(), instance(1)), it);
        port.0.ledger.borrow_mut().metas.get_mut("linux-x64").unwrap().alive = 1;
    };
    let waits =
        |port: &Port| port.0.sent.borrow_mut().drain(..).map(|it| (it.visible_at - now()) / 1000).collect::<Vec<_>>();
    for wait in [5, 10, 20, 40, 80, 160, 300, 300, 300] {
        again(RunnerState::Registered);
        assert_eq!((tell(&port, &failed()), waits(&port)), (0, vec![wait]));
        assert_eq!(port.0.ledger.borrow().view("linux-x64").meta.paused_until, now() + wait * 1000);
        assert_eq!((tell(&port, &failed()), waits(&port)), (0, vec![wait]), "repeated");
        port.0.now.set(now() + 2000);
        again(RunnerState::Launched);
        assert_eq!((tell(&port, &failed()), waits(&port)), (0, vec![wait - 2]), "of the same launch");
        port.0.now.set(now() + 300_000);
    }
    assert_eq!(port.0.ledger.borrow().view("linux-x64").meta.failures, 9);
    again(RunnerState::Busy);
    tell(&port, &finished());
    again(RunnerState::Registered);
    assert_eq!((tell(&port, &failed()), waits(&port)), (0, vec![5]), "a job was run");
}

#[test]
fn a_failure_counts_once_wherever_its_invocation_is_killed() {
    // One that had claimed its registration is unknown when its message comes again.
    let failed = || Lifecycle { reservation: Some("r1".into()), ..failed() };
    for steps in 0.. {
        let port = world(RunnerState::Registered);
        port.0.concurrent.set(true);
        let mut batch = SqsEvent::default();
        let body = serde_json::to_value(failed()).unwrap();
        batch.records = vec![message(&body, &format!("AROAX:{}", instance(1)), 1)];
        let deps = deps(&port);
        let mut future = Box::pin(handle(&deps, &batch, u64::MAX));
        let over = (0..steps).any(|_| step(future.as_mut()).is_ready());
        drop(future);
        port.0.concurrent.set(false);
        port.0.sent.borrow_mut().clear();
        assert_eq!(tell(&port, &failed()), 0);
        let meta = port.0.ledger.borrow().view("linux-x64").meta;
        assert_eq!((meta.failures, meta.alive), (1, 0), "step {steps}");
        assert_eq!((meta.paused_until, woken(&port)), (port.0.now.get() + 5000, 1), "step {steps}");
        if over {
            break;
        }
    }
}
