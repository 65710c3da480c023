use dayfly_contract::{Kind, Lifecycle, Phase};

use super::{LISTENING, job_told, word};
use crate::{
    decide::{events::JobEvent, jobs::JobState, runners::RunnerState},
    ledger::{
        Reuse, Runner, Write,
        tests::{instance, runner},
    },
};

const NOW: u64 = 2_000_000;

fn reusable(state: RunnerState, running: &[u64]) -> Runner {
    let told_at = (!running.is_empty()).then_some(NOW - 1000);
    Runner { state, reuse: Some(Reuse { running: running.to_vec(), told_at }), ..runner("linux-x64", 1) }
}

fn event(id: u64, state: JobState) -> JobEvent {
    JobEvent {
        state,
        id,
        labels: vec![],
        asks: vec![],
        repository: "octo-org/octo-repo".into(),
        public_fork: false,
        run_id: 1,
        run_attempt: 1,
        installation: None,
        runner_name: None,
        runner_id: Some(23),
        conclusion: None,
        waited_ms: None,
    }
}

/// The runner after these webhooks, each of which moved its job.
fn after(mut it: Runner, told: &[(u64, JobState)]) -> Runner {
    for (id, state) in told {
        it = match job_told(it.clone(), &event(*id, *state), true, NOW).0 {
            Some(Write::PutRunner(next)) => next,
            other => panic!("job {id} {state:?}: {other:?}"),
        };
    }
    it
}

#[test]
fn it_is_busy_from_a_jobs_beginning_to_its_end_in_any_order() {
    use JobState::{Done, Running};
    use RunnerState::{Busy, Launched, Registered};
    let cases: [(&[(u64, JobState)], RunnerState); 7] = [
        (&[(1, Running)], Busy),
        (&[(1, Running), (1, Done)], Registered),
        // The second job is heard of before the end of the first.
        (&[(1, Running), (2, Running), (1, Done)], Busy),
        (&[(2, Running), (1, Running), (2, Done), (1, Done)], Registered),
        // A beginning that is late by more than a job.
        (&[(2, Running), (1, Running), (1, Done)], Busy),
        // Its beginning is lost: a job moves from queued to done.
        (&[(1, Done)], Registered),
        (&[(2, Running), (1, Done)], Busy),
    ];
    for (told, state) in cases {
        for before in [Launched, Registered] {
            let it = after(reusable(before, &[]), told);
            assert_eq!((it.state, it.runner_id), (state, Some(23)), "{before:?}: {told:?}");
            let supply = it.boot_deadline >= NOW + LISTENING;
            let begun = told.iter().filter(|(_, state)| *state == Running).map(|(job, _)| format!("job {job}"));
            let history: Vec<String> = it.history.entries().iter().map(|entry| entry.detail.clone()).collect();
            assert_eq!(history, begun.collect::<Vec<_>>(), "{told:?}");
            assert_eq!(supply, told.iter().any(|(_, state)| *state == Done) && state == Registered, "{told:?}");
        }
    }
}

#[test]
fn a_webhook_that_moved_no_job_moves_no_runner() {
    for state in RunnerState::ALL {
        for told in [JobState::Running, JobState::Done] {
            let (write, step) = job_told(reusable(state, &[]), &event(1, told), false, NOW);
            assert_eq!((write, step.used_up), (None, false), "{state:?} hears a repeated {told:?}");
        }
    }
}

#[test]
fn supply_goes_when_a_job_begins_and_not_when_one_ends() {
    use RunnerState::{Busy, Gone, Launched, Registered, Spent};
    for (state, told, used_up, dropped) in [
        (Launched, JobState::Running, true, false),
        (Registered, JobState::Running, true, false),
        (Busy, JobState::Running, false, false),
        (Busy, JobState::Done, false, false),
        (Registered, JobState::Done, false, false),
        (Spent, JobState::Running, true, true),
        (Spent, JobState::Done, true, true),
        (Gone, JobState::Running, false, false),
    ] {
        let (write, step) = job_told(reusable(state, &[]), &event(1, told), true, NOW);
        assert_eq!(step.used_up, used_up, "{state:?} {told:?}");
        assert_eq!(matches!(write, Some(Write::DropRunner(_))), dropped, "{state:?} {told:?}");
        assert_eq!(write.is_none(), state == Gone, "{state:?} {told:?}");
    }
}

fn says(kind: Kind) -> Lifecycle {
    Lifecycle { reservation: Some("r1".into()), ..Lifecycle::new(kind, &instance(1), "linux-x64") }
}

fn completed(at: u64) -> Lifecycle {
    let mut it = says(Kind::JobCompleted);
    it.timeline.set(Phase::JobEnded, at);
    it
}

#[test]
fn its_agents_word_ends_only_what_it_is_younger_than() {
    let busy = reusable(RunnerState::Busy, &[1, 2]);
    for late in [completed(NOW - 1000), completed(5), says(Kind::JobCompleted), says(Kind::Listening)] {
        assert_eq!(word(&late, busy.clone(), NOW), None, "{late:?}");
    }
    let Some(Write::PutRunner(it)) = word(&completed(NOW - 999), busy, NOW) else { panic!("nothing") };
    assert_eq!((it.state, it.boot_deadline), (RunnerState::Registered, NOW + LISTENING));
    assert_eq!(it.reuse, Some(Reuse { running: vec![], told_at: Some(NOW - 1000) }));
}

#[test]
fn its_heartbeat_keeps_it_supply_and_is_not_always_written() {
    for kind in [Kind::Heartbeat, Kind::Listening, Kind::JobCompleted] {
        for (state, left, written) in [
            (RunnerState::Launched, LISTENING, true),
            (RunnerState::Registered, LISTENING, false),
            (RunnerState::Registered, LISTENING / 2, true),
            (RunnerState::Registered, 0, true),
            (RunnerState::Busy, 0, false),
            (RunnerState::Spent, 0, false),
            (RunnerState::Gone, 0, false),
        ] {
            let jobs: &[u64] = if state == RunnerState::Busy { &[1] } else { &[] };
            let it = Runner { boot_deadline: NOW + left, ..reusable(state, jobs) };
            let expected = Runner { state: RunnerState::Registered, boot_deadline: NOW + LISTENING, ..it.clone() };
            let expected = written.then_some(Write::PutRunner(expected));
            assert_eq!(word(&says(kind), it, NOW), expected, "{kind:?} {state:?} {left}");
        }
    }
    for kind in [Kind::JobStarted, Kind::Interrupted, Kind::Retire, Kind::Finished, Kind::Unknown] {
        assert_eq!(word(&says(kind), reusable(RunnerState::Registered, &[]), u64::MAX / 2), None, "{kind:?}");
    }
    assert_eq!(word(&says(Kind::Heartbeat), runner("linux-x64", 1), u64::MAX / 2), None, "a runner for one job");
}
