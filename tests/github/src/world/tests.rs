//! The world without HTTP: what is awkward to reach from outside.

use jiff::SignedDuration;

use super::jobs::{Again, Refused};
use super::runners::{NameTaken, NewRunner};
use super::sessions::{Message, SessionProblem, Who};
use super::*;
use crate::job_state::{Conclusion, JobEvent, JobState};
use crate::model::{JobSpec, Owner};

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + second)
}

fn world() -> World {
    World::new(&Config::default())
}

fn spec(labels: &[&str]) -> JobSpec {
    JobSpec { labels: labels.iter().map(|label| (*label).to_owned()).collect(), ..JobSpec::default() }
}

fn new(name: &str, labels: &[&str]) -> NewRunner {
    NewRunner {
        name: name.to_owned(),
        owner: Owner::Org("octo-org".to_owned()),
        group_id: 1,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ephemeral: true,
        replace: false,
    }
}

/// A runner with a session.
fn connected(world: &mut World, new: NewRunner, now: Timestamp) -> (u64, String, String) {
    let (id, secret) = world.register(new, now).unwrap();
    let session = world.open_session(&secret, Some("1".to_owned()), now).unwrap();
    (id, secret, session)
}

fn actions(world: &mut World) -> Vec<&'static str> {
    world.take_outbox().into_iter().map(|(action, _)| action).collect()
}

#[test]
fn the_oldest_job_that_fits_goes_first() {
    let mut world = world();
    let late = world.queue(spec(&["a"]), at(5)).unwrap();
    let early = world.queue(spec(&["a"]), at(1)).unwrap();
    world.queue(spec(&["b"]), at(0)).unwrap();
    for expected in [early, late] {
        let (id, _, session) = connected(&mut world, new(&format!("for-{expected}"), &["A"]), at(6));
        let Message::Job(job) = world.message(id, &session, at(6)) else { panic!("no job for {expected}") };
        assert_eq!(job.id, expected);
    }
    let (id, _, session) = connected(&mut world, new("third", &["A"]), at(6));
    assert_eq!(world.message(id, &session, at(6)), Message::Nothing);
    assert!(!world.has_message(id, &session, at(6)));
}

#[test]
fn names_are_compared_without_regard_to_case() {
    let mut world = world();
    world.register(new("Same", &["a"]), at(0)).unwrap();
    assert_eq!(world.register(new("same", &["a"]), at(0)), Err(NameTaken));
}

#[test]
fn a_gone_runner_is_known_as_such_and_a_stranger_is_nobody() {
    let mut world = world();
    let (id, secret, session) = connected(&mut world, new("a", &["a"]), at(0));
    assert_eq!(world.who(&secret, at(1)), Who::Runner(id));
    world.remove(id, at(2));
    assert_eq!(world.who(&secret, at(3)), Who::Gone(id));
    assert_eq!(world.message(id, &session, at(3)), Message::Gone);
    assert_eq!(world.open_session(&secret, None, at(3)), Err(SessionProblem::Gone));
    assert_eq!(world.who("stranger", at(3)), Who::Nobody);
    assert_eq!(world.open_session("stranger", None, at(3)), Err(SessionProblem::Nobody));
}

#[test]
fn events_that_do_not_fit_change_nothing_and_send_nothing() {
    let mut world = world();
    let job = world.queue(spec(&["a"]), at(0)).unwrap();
    assert_eq!(actions(&mut world), ["queued"]);
    let before = world.jobs[&job].clone();
    for event in [JobEvent::Approve, JobEvent::Vanish, JobEvent::Report(Conclusion::Success)] {
        assert_eq!(world.move_job(job, event, "?", at(1)), Err(Refused::State));
    }
    assert_eq!(world.move_job(9, JobEvent::Cancel, "?", at(1)), Err(Refused::Unknown));
    assert_eq!(world.jobs[&job], before);
    assert!(actions(&mut world).is_empty());
}

#[test]
fn each_change_of_status_is_announced_once() {
    let mut world = world();
    let (id, _, session) = connected(&mut world, new("a", &["a"]), at(0));
    let job = world.queue(JobSpec { waiting: true, ..spec(&["a"]) }, at(0)).unwrap();
    world.move_job(job, JobEvent::Approve, "approved", at(1)).unwrap();
    assert!(matches!(world.message(id, &session, at(2)), Message::Job(_)));
    // To be cancelled is still in_progress to the outside.
    world.move_job(job, JobEvent::Cancel, "cancelled", at(3)).unwrap();
    world.move_job(job, JobEvent::Cancel, "cancelled", at(4)).unwrap();
    world.report(id, job, "Canceled", at(5)).unwrap();
    assert_eq!(actions(&mut world), ["waiting", "queued", "in_progress", "completed"]);
    assert_eq!(world.jobs[&job].conclusion, Some(Conclusion::Cancelled));
}

#[test]
fn a_runner_reports_on_its_own_job_only() {
    let mut world = world();
    let (first, _, session) = connected(&mut world, new("a", &["a"]), at(0));
    let (second, ..) = connected(&mut world, new("b", &["b"]), at(0));
    let job = world.queue(spec(&["a"]), at(0)).unwrap();
    assert!(matches!(world.message(first, &session, at(1)), Message::Job(_)));
    assert!(world.report(second, job, "Failed", at(2)).is_err());
    assert!(world.job_of(second, job).is_none());
    assert_eq!(world.jobs[&job].state, JobState::InProgress);
}

#[test]
fn a_run_is_what_its_jobs_are() {
    let mut world = world();
    let first = world.queue(JobSpec { name: Some("one".to_owned()), ..spec(&["a"]) }, at(0)).unwrap();
    let run = world.jobs[&first].run_id;
    let second =
        world.queue(JobSpec { name: Some("two".to_owned()), run_id: Some(run), ..spec(&["a"]) }, at(0)).unwrap();
    assert_eq!(world.run_status(run), ("queued", None));
    world.move_job(first, JobEvent::HandOut, "taken", at(1)).unwrap();
    assert_eq!(world.run_status(run), ("in_progress", None));
    assert_eq!(world.rerun(run, Again::All, at(1)), Err(Refused::State));
    world.move_job(first, JobEvent::Report(Conclusion::Success), "done", at(2)).unwrap();
    assert_eq!(world.run_status(run), ("in_progress", None));
    world.move_job(second, JobEvent::Cancel, "cancelled", at(3)).unwrap();
    assert_eq!(world.run_status(run), ("completed", Some(Conclusion::Cancelled)));
    assert_eq!(world.cancel_run(run, at(3)), Err(Refused::State));
    assert_eq!(world.cancel_run(5, at(3)), Err(Refused::Unknown));
    let again = world.rerun(run, Again::Failed, at(4)).unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(world.run_status(run), ("in_progress", None));
    world.move_job(again[0], JobEvent::HandOut, "taken", at(5)).unwrap();
    world.move_job(again[0], JobEvent::Vanish, "lost", at(6)).unwrap();
    assert_eq!(world.run_status(run), ("completed", Some(Conclusion::Failure)));
}

#[test]
fn one_enterprise_runner_serves_every_repository_and_a_repositorys_runner_its_own() {
    let mut world = world();
    world.queue(JobSpec { repository: Some("octo-org/other".to_owned()), ..spec(&["a"]) }, at(0)).unwrap();
    let of = |owner: Owner| NewRunner { owner, ..new("r", &["a"]) };
    let (id, _, session) = connected(&mut world, of(Owner::Repo("octo-org/octo-repo".to_owned())), at(0));
    assert_eq!(world.message(id, &session, at(1)), Message::Nothing);
    let (id, _, session) = connected(&mut world, of(Owner::Enterprise("octo-enterprise".to_owned())), at(0));
    assert!(matches!(world.message(id, &session, at(1)), Message::Job(_)));
}
