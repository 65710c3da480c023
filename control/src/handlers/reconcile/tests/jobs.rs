//! Jobs that no webhook told of any more.

use super::*;
use crate::simulation::runtime::step;

#[test]
fn jobs_whose_webhooks_are_lost_are_closed_moved_or_planned_again() {
    let port = world();
    port.0.heads.borrow_mut().insert(5, "octo-org/octo-repo".into());
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
fn the_walk_waits_where_more_are_due_than_are_asked_about() {
    let port = world();
    port.0.page.set(10);
    for id in 1..=35 {
        job_of(&port, id, JobState::Running, 40 * MINUTE);
        told(&port, id, "in_progress", None);
    }
    for id in 100..500 {
        job_of(&port, id, JobState::Done, MINUTE);
    }
    for asked in [10, 20, 30, 35] {
        look(&port);
        assert_eq!(port.0.called("github.known_job"), asked);
    }
    job_of(&port, 600, JobState::Running, 40 * MINUTE);
    told(&port, 600, "completed", None);
    minutes(&port, 12);
    assert_eq!(job_state(&port, 600), JobState::Done, "it goes on");
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
fn a_job_that_github_refuses_to_tell_of_is_not_closed() {
    let port = world();
    job_of(&port, 7, JobState::Queued, 11 * MINUTE);
    for asked in 1..=4 {
        port.0.faults.borrow_mut().clear();
        port.0.fault("github.known_job", Fault::GitHubPermanent);
        port.0.now.set(now(&port) + 6 * 60 * MINUTE);
        let told = look(&port);
        assert_eq!((job_state(&port, 7), port.0.called("github.known_job")), (JobState::Queued, asked));
        assert!(told.contains("\"Reason\":\"github\""), "{told}");
    }
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

/// A job that waited, and is queued by GitHub's word now.
fn released(head: &str) -> Port {
    let port = world();
    port.0.heads.borrow_mut().insert(5, head.into());
    job_of(&port, 7, JobState::Waiting, 40 * MINUTE);
    told(&port, 7, "queued", None);
    port
}

/// With a second fleet, which takes forks.
fn with_open(port: &Port) -> Deps<Port> {
    let mut open = fleet("open");
    open.admission.public_forks = true;
    let mut deps = deps(port);
    deps.fleets = fleets([fleet(FLEET), open]);
    deps.fleets.admission.public_forks = true;
    deps
}

/// Whose markers there are.
fn marked(port: &Port) -> Vec<String> {
    port.0.ledger.borrow().markers.keys().map(|(fleet, _)| fleet.clone()).collect()
}

#[test]
fn a_forks_job_that_waited_goes_to_no_fleet_that_refuses_it() {
    for (head, is_there_open, takes) in [
        ("octo-org/octo-repo", false, Some(FLEET)),
        ("octo-org/octo-repo", true, Some(FLEET)),
        ("mallory/octo-repo", true, Some("open")),
        ("mallory/octo-repo", false, None),
    ] {
        let port = released(head);
        let deps = if is_there_open { with_open(&port) } else { deps(&port) };
        port.0.fault("github.run", Fault::GitHubTransient);
        run(handle(&deps, now(&port) + MINUTE));
        assert_eq!(
            (job_state(&port, 7), marked(&port), woken(&port)),
            (JobState::Waiting, vec![], 0),
            "nothing is known"
        );
        port.0.now.set(now(&port) + 31 * MINUTE);
        run(handle(&deps, now(&port) + MINUTE));
        assert_eq!(marked(&port), takes.into_iter().collect::<Vec<_>>(), "{head} {is_there_open}");
        assert_eq!(woken(&port) > 0, takes.is_some());
        if takes.is_none() {
            port.0.now.set(now(&port) + 7 * 60 * MINUTE);
            run(handle(&deps, now(&port) + MINUTE));
            let job = port.0.ledger.borrow().jobs[&7].clone();
            let told = job.history.entries().iter().filter(|it| it.what == "no fleet").count();
            assert_eq!((job.state, told, port.0.called("github.run")), (JobState::Waiting, 1, 3));
            let refused = deps.metrics.take(0).join("\n").matches("\"Reason\":\"no_fleet\"").count();
            assert_eq!((refused, marked(&port)), (1, vec![]));
        }
    }
}

#[test]
fn whose_code_it_is_matters_only_where_somebody_refuses_forks() {
    let port = released("mallory/octo-repo");
    let mut deps = with_open(&port);
    deps.fleets.fleets.swap_remove(0);
    port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().fleet = "open".into();
    run(handle(&deps, now(&port) + MINUTE));
    assert_eq!((marked(&port), port.0.called("github.run")), (vec!["open".to_owned()], 0));
}

#[test]
fn a_job_that_waited_for_a_fleet_that_is_gone_goes_to_another() {
    for (head, takes) in [("octo-org/octo-repo", vec![FLEET.to_owned()]), ("mallory/octo-repo", vec![])] {
        let port = released(head);
        port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().fleet = "gone".into();
        look(&port);
        assert_eq!(marked(&port), takes, "{head}");
    }
}

#[test]
fn a_forks_job_that_moves_while_github_is_asked_stays_with_whom_takes_it() {
    let port = released("mallory/octo-repo");
    let deps = with_open(&port);
    port.0.concurrent.set(true);
    let mut look = Box::pin(handle(&deps, now(&port) + MINUTE));
    while port.0.called("github.run") == 0 {
        assert!(step(look.as_mut()).is_pending());
    }
    port.0.ledger.borrow_mut().jobs.get_mut(&7).unwrap().version += 1;
    let polls = (0..10_000).find(|_| {
        port.0.now.set(now(&port) + 1);
        step(look.as_mut()).is_ready()
    });
    assert!(polls.is_some());
    assert_eq!((marked(&port), port.0.ledger.borrow().jobs[&7].fleet.as_str()), (vec!["open".to_owned()], "open"));
}

#[test]
fn a_job_that_is_not_understood_is_told_and_in_nobodys_way() {
    let port = world();
    port.0.census.unread_jobs.borrow_mut().push("item job#9 / job has no good \"state\"".into());
    for id in [7, 8] {
        job_of(&port, id, JobState::Queued, 11 * MINUTE);
        told(&port, id, "completed", None);
    }
    port.0.fault("ledger.job", Fault::Ledger);
    let told = look(&port);
    assert!(told.contains("\"unread_item\"") && told.contains("\"Reason\":\"reconcile\""), "{told}");
    assert_eq!(
        (job_state(&port, 7), job_state(&port, 8)),
        (JobState::Queued, JobState::Done),
        "the one that failed waits"
    );
    minutes(&port, 9);
    assert_eq!(port.0.called("ledger.job"), 2, "and is in no other's way");
    minutes(&port, 1);
    assert_eq!(job_state(&port, 7), JobState::Done);
}
