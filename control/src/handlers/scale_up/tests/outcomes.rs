//! What becomes of a wake-up: when the next look is, and who sees to it.

use super::{
    Breaker, Breakers, Bucket, Deps, Fault, Limits, Marker, Offers, Outcome, Port, RunnerState, SqsEvent, WakeUp,
    alive, batch, deps, deps_of, fleet, handle, later, left, look, marker, message, pass, reserved, run, runners, wake,
    wake_again, wake_up, world,
};

#[test]
fn a_redelivered_wake_up_sees_the_leases_out_that_it_meets() {
    let lease = |port: &Port, ms: u64| {
        let until = port.0.now.get() + ms;
        port.0.ledger.borrow_mut().reservations.values_mut().for_each(|it| it.lease_until = until);
        port.0.ledger.borrow_mut().runners.values_mut().for_each(|it| it.lease_until = until);
    };
    let reservation = world(1);
    reserved(&reservation, 30);
    let runner = world(1);
    left(&runner, None);
    for port in [reservation, runner] {
        lease(&port, 2000);
        assert!(wake(&port).is_empty());
        assert!(later(&port).is_empty(), "the wake-up of whoever holds it comes back if he is killed");
        assert!(!wake_again(&port, 2));
        assert_eq!((later(&port), port.0.called("compute.launch")), (vec![3], 0));
        port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 500);
        assert!(!wake_again(&port, 2));
        let next = port.0.sent.borrow_mut().pop().unwrap();
        assert_eq!((next.visible_at - port.0.now.get(), next.attempts), (1500, 1), "the pause ends before the lease");
        let body = serde_json::to_string(&WakeUp::new("linux-x64").after(1)).unwrap();
        assert!(look(&port, &[body]).is_empty());
        let next = port.0.sent.borrow_mut().pop().unwrap();
        assert_eq!(next.attempts, 1, "whoever looks then sees the lease out too");
        lease(&port, 200_000);
        pass(&port, 1);
        assert!(!wake_again(&port, 2));
        assert!(later(&port).is_empty(), "no invocation's");
        lease(&port, 0);
        assert!(wake(&port).is_empty());
        assert_eq!((runners(&port, RunnerState::Registered), later(&port)), (1, vec![]));
    }
}

#[test]
fn a_wake_up_that_was_received_often_is_replaced_by_a_new_one_that_goes_on_from_there() {
    for (received, given_back, sent) in [(7, true, vec![]), (8, false, vec![(128, 8)]), (19, false, vec![(128, 19)])] {
        let port = world(1);
        port.0.fault("ledger.view", Fault::Ledger);
        assert_eq!(wake_again(&port, received), given_back, "{received}");
        let now = port.0.now.get();
        let told: Vec<_> =
            port.0.sent.borrow_mut().drain(..).map(|it| ((it.visible_at - now) / 1000, it.attempts)).collect();
        assert_eq!(told, sent, "{received}");
    }
    let port = world(1);
    port.0.fault("ledger.view", Fault::Ledger);
    port.0.fault("wake.wake", Fault::Wake);
    assert!(wake_again(&port, 8), "no queue, no new one");
}

#[test]
fn a_look_that_always_fails_ends_with_a_person() {
    let port = world(1);
    let (mut attempts, mut waited, mut receives) = (0, 0, 0);
    let aside = || port.0.aside.borrow().clone().unwrap();
    while aside().is_empty() {
        receives += 1;
        port.0.fault("ledger.view", Fault::Ledger);
        let mut message = message(0, serde_json::to_string(&WakeUp::new("linux-x64").after(attempts)).unwrap());
        message.attributes.insert("ApproximateReceiveCount".into(), receives.to_string());
        let mut batch = SqsEvent::default();
        batch.records = vec![message];
        run(handle(&deps(&port), &batch, port.0.now.get() + 30_000));
        if let Some(sent) = port.0.sent.borrow_mut().pop() {
            (attempts, receives) = (sent.attempts, 0);
            waited += (sent.visible_at - port.0.now.get()) / 1000;
        }
        waited += port.0.given_back.borrow_mut().drain(..).map(|(_, wait)| wait.as_secs()).sum::<u64>();
        assert!(waited < 3 * 3600, "for ever");
    }
    assert!(waited > 3600, "an outage of an hour is seen out: {waited} s");
    assert_eq!(aside()[0].1, "given_up: 60 looks at fleet linux-x64 failed");
}

#[test]
fn of_several_outcomes_the_earliest_counts() {
    let (soon, late) = (Outcome::at(2000), Outcome::at(601_000));
    assert_eq!(late.and(soon).and(Outcome::DONE), soon);
    let all = late.and(Outcome::AGAIN).and(Outcome { watches: true, ..soon });
    assert_eq!(all, Outcome { failed: true, watches: true, next: Some(2000) });
}

#[test]
fn what_was_only_paced_does_not_wait_for_what_is_away_for_long() {
    let port = world(2);
    let now = port.0.now.get();
    // One job's wishes are refused for ten minutes, and GitHub has had its turns for the next seconds.
    let asks =
        Marker { queued_at: now, expires: u64::MAX, asks: vec!["dayfly-cpu=4".into()], ..marker("linux-x64", 9) };
    port.0.ledger.borrow_mut().markers.insert(("linux-x64".into(), 9), asks);
    let breaker = Breaker { failures: 9, until: now + 600_000, ..Breaker::default() };
    let offers = Offers {
        fleet: "linux-x64".into(),
        breakers: Breakers([("asks/dayfly-cpu=4".to_owned(), breaker)].into()),
        version: 1,
    };
    port.0.ledger.borrow_mut().offers.insert("linux-x64".into(), offers);
    port.0.ledger.borrow_mut().buckets.insert(Bucket::GitHub, (now + 95_000) * 1000);
    let mut of = fleet("linux-x64");
    of.steering.max_vcpus = 8;
    let deps = Deps { limits: Limits { github: 60, ..Limits::NONE }, ..deps_of(&port, of) };
    run(handle(&deps, &batch(&[wake_up("linux-x64")]), now + 30_000));
    assert_eq!((alive(&port), later(&port)), (0, vec![35]), "when what was taken has had its turn");
    // Nor does a failure that may pass, beside it.
    let commit = port.0.ledger.borrow().offers("linux-x64").breakers.open("asks/dayfly-cpu=4", now);
    assert!(commit.is_some());
    pass(&port, 36);
    port.0.fault("github.authorize", Fault::GitHubTransient);
    port.0.ledger.borrow_mut().buckets.clear();
    let mut message = message(0, wake_up("linux-x64"));
    message.attributes.insert("ApproximateReceiveCount".into(), "7".into());
    let mut failing = SqsEvent::default();
    failing.records = vec![message];
    assert_eq!(run(handle(&deps, &failing, port.0.now.get() + 30_000)).batch_item_failures.len(), 1);
    assert_eq!(port.0.given_back.borrow_mut().pop().unwrap().1.as_secs(), 128, "its own wait is the earlier one");
    pass(&port, 520);
    port.0.fault("github.authorize", Fault::GitHubTransient);
    assert!(run(handle(&deps, &failing, port.0.now.get() + 30_000)).batch_item_failures.is_empty());
    assert_eq!(later(&port), [45], "what is to be had is");
}

#[test]
fn what_runs_is_taken_over_in_a_pause() {
    let port = world(1);
    left(&port, None);
    port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 90_000);
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Registered), later(&port)), (1, vec![91]), "it would die in the pause");
    assert_eq!(port.0.called("compute.launch"), 0);
    let port = world(1);
    reserved(&port, 10);
    port.0.ledger.borrow_mut().pause("linux-x64", port.0.now.get() + 90_000);
    assert!(wake(&port).is_empty());
    assert_eq!((runners(&port, RunnerState::Registered), alive(&port)), (1, 1), "it may run by now");
}
