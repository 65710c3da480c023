use dayfly_contract::{Job, Kind, Lifecycle};

use super::{is_working, may_change, word};
use crate::{
    decide::{plan::plan, reusable::LISTENING, runners::RunnerState},
    fleets::tests::fleet,
    ledger::{
        Reuse, Runner, View, Write,
        tests::{instance, marker, runner},
    },
};

/// The runner boots until 1,300,000.
const NOW: u64 = 1_200_000;

fn says(kind: Kind, has_job: bool) -> Lifecycle {
    let mut it = Lifecycle::new(kind, &instance(1), "linux-x64");
    (it.reservation, it.runner_id) = (Some("r1".into()), Some(23));
    it.job = has_job.then(|| Job { name: "build".into(), ..Job::default() });
    it
}

fn put(write: Option<Write>) -> Runner {
    match write {
        Some(Write::PutRunner(it)) => it,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_runner_is_supply_for_as_long_as_its_agent_says_that_it_has_a_job() {
    let fleet = fleet("linux-x64");
    let mut it = Runner { state: RunnerState::Registered, runner_id: Some(23), ..runner("linux-x64", 1) };
    let mut now = NOW;
    it = put(word(&says(Kind::JobStarted, false), it, None, now));
    for _ in 0..200 {
        let mut view = View { queued: vec![marker("linux-x64", 7)], runners: vec![it.clone()], ..View::default() };
        view.meta.alive = 1;
        view.queued[0].expires = u64::MAX;
        assert_eq!(plan(&fleet, &view, now).launched(), 0, "at {now}: no other is launched for its job");
        assert_eq!(plan(&fleet, &view, it.boot_deadline).launched(), 1, "an agent that fell silent counts no more");
        now += 60_000;
        if let Some(write) = word(&says(Kind::Heartbeat, true), it.clone(), None, now) {
            it = put(Some(write));
        }
        assert!(is_working(&it) && it.boot_deadline > now + LISTENING / 2 - 1);
    }
    assert_eq!(it.history.entries().len(), 1, "it is told once");
}

#[test]
fn only_what_tells_of_a_job_counts_and_not_of_a_runner_that_is_further() {
    use RunnerState::{Busy, Gone, Launched, Registered, Spent};
    let state = |state| Runner { state, ..runner("linux-x64", 1) };
    let heard = |message: &Lifecycle, before| word(message, state(before), None, NOW).map(|it| put(Some(it)).state);
    for (message, changes) in [
        (says(Kind::JobStarted, false), true),
        (says(Kind::JobCompleted, true), true),
        (says(Kind::Heartbeat, true), true),
        (says(Kind::Heartbeat, false), false),
        (says(Kind::Listening, false), false),
        (says(Kind::Retire, true), false),
    ] {
        assert_eq!(may_change(&message), changes, "{:?}", message.kind);
        assert_eq!(heard(&message, Registered), changes.then_some(Registered), "{:?}", message.kind);
    }
    let working = says(Kind::Heartbeat, true);
    let after = [Launched, Busy, Spent, Gone].map(|before| heard(&working, before));
    assert_eq!(after, [Some(Registered), None, None, None], "the webhooks know better");
    let unclaimed = Lifecycle { reservation: None, ..working };
    assert!(!may_change(&unclaimed));
}

#[test]
fn a_registration_that_nobody_noted_is_learned_from_the_agent() {
    let it = put(word(&says(Kind::JobStarted, true), runner("linux-x64", 1), None, NOW));
    assert_eq!((it.state, it.runner_id), (RunnerState::Registered, Some(23)));
}

#[test]
fn a_fresh_runner_costs_no_write_and_a_reusable_one_has_its_own_rules() {
    let fresh = Runner { state: RunnerState::Registered, ..runner("linux-x64", 1) };
    assert_eq!(word(&says(Kind::JobStarted, true), fresh.clone(), None, 1_100_000), None, "the webhook is on its way");
    let reusable = Runner { reuse: Some(Reuse::default()), ..fresh };
    assert_eq!(word(&says(Kind::JobStarted, true), reusable.clone(), None, NOW), None);
    assert!(!is_working(&put(word(&says(Kind::Heartbeat, true), reusable, None, NOW))));
    assert!(may_change(&Lifecycle { runner_id: None, ..says(Kind::Listening, false) }));
}

#[test]
fn a_late_word_of_standing_by_says_nothing_of_a_job_given_since() {
    let stands_by = Lifecycle::new(Kind::Heartbeat, &instance(1), "linux-x64");
    let claimed =
        Runner { state: RunnerState::Registered, lease_until: 0, boot_deadline: NOW - 1000, ..runner("linux-x64", 1) };
    for (said_at, state) in
        [(Some(NOW - 60_000), None), (Some(NOW - 1000), Some(RunnerState::Standby)), (None, Some(RunnerState::Standby))]
    {
        let heard = word(&stands_by, claimed.clone(), said_at, NOW).map(|it| put(Some(it)).state);
        assert_eq!(heard, state, "{said_at:?}");
    }
}
