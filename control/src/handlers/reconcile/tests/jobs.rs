//! Jobs that no webhook told of any more.

use super::*;

#[test]
fn jobs_whose_webhooks_are_lost_are_closed_moved_or_planned_again() {
    let port = world();
    runner_of(&port, 1, RunnerState::Registered, 60 * MINUTE);
    instance_of(&port, 1, AtEc2::Running, 60 * MINUTE);
    at_github(&port, 1, true, true);
    hear(&port, 1);
    // (id, state in the ledger, GitHub's, expected)
    let cases = [
        (11, JobState::Queued, "completed", JobState::Done),
        (12, JobState::Queued, "in_progress", JobState::Running),
        (13, JobState::Running, "completed", JobState::Done),
        (14, JobState::Waiting, "queued", JobState::Queued),
        (15, JobState::Queued, "queued", JobState::Queued),
        (16, JobState::Running, "queued", JobState::Running),
    ];
    for (id, state, status, _) in cases {
        job_of(&port, id, state, 40 * MINUTE);
        told(&port, id, status, (status == "in_progress").then_some(1));
    }
    look(&port);
    for (id, state, status, expected) in cases {
        assert_eq!(job_state(&port, id), expected, "{id}: {state:?}, GitHub says {status}");
    }
    assert_eq!(state(&port, 1), Some(RunnerState::Busy), "its webhook was lost, too");
    let markers: Vec<u64> = port.0.ledger.borrow().markers.keys().map(|(_, job)| *job).collect();
    assert_eq!(markers, [14, 15]);
    assert!(woken(&port) > 0);
}

#[test]
fn few_jobs_are_asked_about_at_a_time_and_each_the_more_seldom() {
    let port = world();
    for id in 1..=40 {
        job_of(&port, id, JobState::Queued, 11 * MINUTE);
        told(&port, id, "queued", None);
    }
    for run in 1..=4 {
        look(&port);
        assert_eq!(port.0.called("github.known_job"), 10 * run, "all of them, ten at a time");
    }
    minutes(&port, 9);
    assert_eq!(port.0.called("github.known_job"), 40);
    minutes(&port, 23 * 60);
    let asked = port.0.called("github.known_job");
    assert!((300..600).contains(&asked), "{asked} calls about 40 jobs in a day");
}

#[test]
fn a_job_that_github_does_not_know_is_closed_at_the_second_time() {
    let port = world();
    job_of(&port, 7, JobState::Queued, 11 * MINUTE);
    look(&port);
    assert_eq!(job_state(&port, 7), JobState::Queued);
    minutes(&port, 10);
    assert_eq!(job_state(&port, 7), JobState::Done);
    assert!(port.0.ledger.borrow().markers.is_empty());
}

#[test]
fn a_limit_of_githubs_ends_the_asking_and_the_next_run_goes_on() {
    for fault in [Fault::GitHubLimited(60), Fault::GitHubTransient] {
        let port = world();
        for id in 1..=3 {
            job_of(&port, id, JobState::Queued, 11 * MINUTE);
            told(&port, id, "completed", None);
        }
        port.0.fault("github.known_job", fault);
        look(&port);
        assert_eq!((port.0.called("github.known_job"), job_state(&port, 2)), (1, JobState::Queued));
        look(&port);
        assert_eq!((job_state(&port, 2), job_state(&port, 3)), (JobState::Done, JobState::Done));
        minutes(&port, 12);
        assert_eq!(job_state(&port, 1), JobState::Done);
    }
}
