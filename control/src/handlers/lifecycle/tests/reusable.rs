//! Reusable runners: what their agents tell, and what is left of them.

use dayfly_contract::{Job as RanJob, Kind, Lifecycle, Phase, Reason};

use super::{BUSY_ATTEMPTS, alive, finished, queued, send, state, tell, woken, world};
use crate::{
    decide::runners::RunnerState,
    ledger::{Reuse, tests::instance},
    simulation::world::Port,
};

/// One whose id is known, or not yet.
fn reusable(state: RunnerState, runner_id: Option<u64>) -> Port {
    let port = world(state);
    for it in port.0.ledger.borrow_mut().runners.values_mut() {
        let running = if state == RunnerState::Busy { vec![9] } else { vec![] };
        let told_at = (state == RunnerState::Busy).then_some(port.0.now.get());
        (it.runner_id, it.reuse) = (runner_id, Some(Reuse { running, told_at }));
    }
    port.0.parameters.borrow_mut().clear();
    port
}

fn says(kind: Kind) -> Lifecycle {
    let mut it = Lifecycle::new(kind, &instance(1), "linux-x64");
    it.reservation = Some("r1".into());
    it
}

#[test]
fn one_that_retires_is_deleted_at_github_by_id_or_name() {
    for (id, asked) in [(Some(23), 0), (None, 1)] {
        let port = reusable(RunnerState::Registered, id);
        assert_eq!(tell(&port, &Lifecycle { reason: Some(Reason::Idle), ..says(Kind::Retire) }), 0);
        assert!(port.0.runners.borrow().is_empty());
        assert_eq!((port.0.called("github.find_runner"), state(&port)), (asked, Some(RunnerState::Registered)));
    }
}

#[test]
fn one_that_has_ended_leaves_nothing_at_github() {
    let after_job = RanJob { name: "build".into(), ..RanJob::default() };
    for before in [RunnerState::Launched, RunnerState::Registered, RunnerState::Busy] {
        for kind in [Kind::Finished, Kind::Failed] {
            for (id, job) in [(Some(23), Some(&after_job)), (None, Some(&after_job)), (None, None)] {
                let port = reusable(before, id);
                let it = Lifecycle { job: job.cloned(), ..says(kind) };
                assert_eq!(tell(&port, &it), 0);
                assert!(port.0.runners.borrow().is_empty(), "{before:?} {kind:?} {id:?}");
                // One that no webhook has told of stands in for its job's, as any runner does.
                let spent = job.is_some() && before != RunnerState::Busy;
                assert_eq!(state(&port), spent.then_some(RunnerState::Spent), "{before:?} {kind:?} {id:?}");
                assert_eq!(alive(&port), 0);
            }
        }
    }
}

#[test]
fn one_whose_jobs_were_told_of_stands_in_for_none() {
    let port = reusable(RunnerState::Registered, Some(23));
    let reuse = Some(Reuse { running: vec![], told_at: Some(5) });
    port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.reuse.clone_from(&reuse));
    tell(&port, &Lifecycle { runner_id: None, ..finished() });
    assert_eq!((state(&port), alive(&port)), (None, 0));
}

#[test]
fn one_that_was_killed_in_a_job_is_settled_at_once_and_deleted_when_github_lets_it_go() {
    let port = reusable(RunnerState::Busy, Some(23));
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = true);
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), 9), queued());
    let body = serde_json::to_value(says(Kind::Finished)).unwrap();
    let sender = format!("AROAX:{}", instance(1));
    for received in 1..4 {
        assert_eq!(send(&port, &body, &sender, received), 1, "it is told again");
        assert_eq!((state(&port), alive(&port)), (Some(RunnerState::Gone), 0), "and blocks nothing meanwhile");
        assert_eq!(woken(&port), 1);
    }
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = false);
    assert_eq!(send(&port, &body, &sender, 4), 0);
    assert!(port.0.runners.borrow().is_empty());

    let port = reusable(RunnerState::Busy, Some(23));
    port.0.runners.borrow_mut().values_mut().for_each(|it| it.busy = true);
    assert_eq!(send(&port, &body, &sender, BUSY_ATTEMPTS), 0, "not for ever");
    assert_eq!((state(&port), alive(&port)), (None, 0));
}

#[test]
fn its_agent_moves_it_and_no_other() {
    let mut completed = says(Kind::JobCompleted);
    completed.timeline.set(Phase::JobEnded, u64::MAX);
    for (before, message, after) in [
        (RunnerState::Busy, completed.clone(), RunnerState::Registered),
        (RunnerState::Busy, says(Kind::Listening), RunnerState::Busy),
        (RunnerState::Launched, says(Kind::Listening), RunnerState::Registered),
        (RunnerState::Registered, says(Kind::JobStarted), RunnerState::Registered),
    ] {
        let port = reusable(before, None);
        assert_eq!(tell(&port, &message), 0);
        assert_eq!(state(&port), Some(after), "{before:?} {:?}", message.kind);
        // Another instance that speaks for it.
        let port = reusable(before, None);
        let body = serde_json::to_value(&message).unwrap();
        assert_eq!(send(&port, &body, "AROAX:i-00000000000000002", 1), 0);
        let calls: Vec<&str> = port.0.calls.borrow().keys().copied().collect();
        assert_eq!((state(&port), calls), (Some(before), vec!["wake.put_aside"]));
    }
    let port = world(RunnerState::Busy);
    assert_eq!(tell(&port, &Lifecycle { runner_id: Some(23), ..completed }), 0);
    assert_eq!(state(&port), Some(RunnerState::Busy), "a runner for one job");
    assert_eq!(port.0.calls.borrow().keys().collect::<Vec<_>>(), [&"ledger.hear"], "but it is alive");
}
