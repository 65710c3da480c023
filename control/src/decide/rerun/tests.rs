use dayfly_contract::{Job as RanJob, Kind, Lifecycle, Reason};

use super::{Fate, Interrupted, Note, Place, Why, fated, interruption, is_taken_away, judge, look_at, raise, told};
use crate::{
    decide::events::{job_event, tests::event},
    decide::jobs::JobState,
    fleets::{Fleet, Interrupted as Setting, Market, tests::fleet},
    github::runs::{Again, RunJob, RunState, Step},
    ledger::{
        Runner, Write,
        tests::{instance, job, runner},
    },
};

pub(crate) const NOW: u64 = 1_795_000_000_000;
const FLEET: &str = "linux-x64";

/// The name of the runner on instance `n`.
pub(crate) fn name(n: u64) -> String {
    format!("{FLEET}-{}", instance(n))
}

pub(crate) fn interrupted(n: u64, name_of_job: &str) -> Interrupted {
    Interrupted {
        fleet: FLEET.into(),
        runner: name(n),
        name: name_of_job.into(),
        id: None,
        reason: "spot_interruption".into(),
        at: NOW,
        fate: Fate::Waiting,
    }
}

pub(crate) fn place() -> Place {
    Place { run: 5, repository: "octo-org/octo-repo".into(), installation: Some(77) }
}

pub(crate) fn note(jobs: impl IntoIterator<Item = Interrupted>) -> Note {
    jobs.into_iter().fold(None, |note, job| Note::with(note, place(), job)).unwrap()
}

pub(crate) fn run(conclusion: &str) -> RunState {
    RunState { status: "completed".into(), conclusion: Some(conclusion.into()), attempt: 1 }
}

/// A job that ended so, five seconds after the interruption, on the runner `on`.
pub(crate) fn ended(id: u64, name_of_job: &str, conclusion: &str, on: u64) -> RunJob {
    RunJob {
        id,
        name: name_of_job.into(),
        status: "completed".into(),
        conclusion: Some(conclusion.into()),
        attempt: 1,
        labels: vec!["self-hosted".into()],
        runner_name: Some(name(on)),
        completed_at: Some(NOW + 5000),
        steps: vec![],
    }
}

fn with_step(mut job: RunJob, conclusion: &str, at: u64) -> RunJob {
    job.steps.push(Step { conclusion: Some(conclusion.into()), completed_at: Some(at) });
    job
}

/// What becomes of the one interrupted job of a run, on runner 1, beside `others`.
fn alone(conclusion: &str, job: RunJob, others: &[RunJob]) -> Result<Again, Why> {
    let jobs: Vec<RunJob> = others.iter().cloned().chain([job]).collect();
    let verdict = judge(&note([interrupted(1, "build")]), &run(conclusion), &jobs, |_| 1);
    verdict.ask.ok_or_else(|| verdict.left[0].1)
}

#[test]
fn what_the_interruption_alone_failed_is_run_again() {
    use Why::{Cancelled, Code, NotFailed, RunSucceeded, Succeeded};
    let it = |conclusion: &str| ended(7, "build", conclusion, 1);
    let lint = |conclusion: &str| ended(8, "lint", conclusion, 2);
    let matrix = |id, conclusion: &str| ended(id, "build (b)", conclusion, 2);
    let early = RunJob { completed_at: Some(NOW), ..matrix(9, "cancelled") };
    let ours = RunJob { name: "build (a)".into(), ..it("failure") };
    let again = Ok(Again::Job(7));
    let cases = vec![
        // As it ends where its runner is stopped, and where it vanishes.
        ("failure", it("failure"), vec![], again),
        ("cancelled", it("cancelled"), vec![], again),
        ("failure", it("failure"), vec![lint("success"), ended(9, "deploy", "skipped", 0)], again),
        // It went well in spite of the notice, or without it.
        ("success", it("success"), vec![], Err(Succeeded)),
        ("failure", it("success"), vec![lint("failure")], Err(Succeeded)),
        ("success", it("failure"), vec![lint("success")], Err(RunSucceeded)),
        ("failure", it("timed_out"), vec![], Err(NotFailed)),
        ("failure", it("skipped"), vec![], Err(NotFailed)),
        // Another job's code failed: that one is not run again.
        ("failure", it("failure"), vec![lint("failure")], again),
        ("failure", it("failure"), vec![lint("timed_out")], again),
        // The code failed it, and the interruption met what came after.
        ("failure", with_step(it("failure"), "failure", NOW - 1000), vec![], Err(Code)),
        ("failure", with_step(it("failure"), "timed_out", NOW - 9000), vec![], Err(Code)),
        ("failure", with_step(it("failure"), "failure", NOW - 999), vec![], again),
        ("failure", with_step(it("failure"), "cancelled", NOW + 1000), vec![], again),
        ("failure", with_step(it("failure"), "success", NOW - 9000), vec![], again),
        // A person cancelled it before, or the run's other jobs at any time.
        ("cancelled", with_step(it("cancelled"), "cancelled", NOW - 60_000), vec![], Err(Cancelled)),
        ("cancelled", it("failure"), vec![], Err(Cancelled)),
        ("cancelled", it("cancelled"), vec![lint("cancelled")], Err(Cancelled)),
        ("cancelled", it("cancelled"), vec![lint("failure")], Err(Cancelled)),
        ("failure", it("failure"), vec![lint("cancelled")], Err(Cancelled)),
        // `fail-fast` did, since it had failed: they go together.
        ("failure", ours.clone(), vec![matrix(9, "cancelled")], Ok(Again::Failed)),
        ("failure", ours.clone(), vec![early], Err(Cancelled)),
        // And since another of the matrix had, by its code.
        (
            "failure",
            it("failure"),
            vec![ended(9, "test (a)", "failure", 2), ended(10, "test (b)", "cancelled", 3)],
            again,
        ),
    ];
    for (i, (conclusion, job, others, expected)) in cases.into_iter().enumerate() {
        assert_eq!(alone(conclusion, job, &others), expected, "case {i}");
    }
}

#[test]
fn each_is_found_by_its_runner_and_no_other() {
    let unknown = |attempt, jobs: &[RunJob]| {
        let run = RunState { attempt, ..run("failure") };
        judge(&note([interrupted(1, "build")]), &run, jobs, |_| 1).left
    };
    let elsewhere = [ended(7, "build", "failure", 2)];
    assert_eq!(unknown(1, &elsewhere), [(0, Why::Unknown)], "a run that a job named as its own");
    assert_eq!(unknown(2, &elsewhere), [(0, Why::Already)], "somebody was faster");
    // A reusable runner had several.
    let several = [ended(7, "build", "success", 1), ended(8, "lint", "failure", 1), ended(9, "test", "success", 1)];
    let asked = |it: Interrupted| judge(&note([it]), &run("failure"), &several, |_| 1).ask;
    assert_eq!(asked(interrupted(1, "lint")), Some(Again::Job(8)), "by its name");
    assert_eq!(asked(Interrupted { id: Some(8), ..interrupted(1, "") }), Some(Again::Job(8)), "by its id");
    assert_eq!(asked(interrupted(1, "")), None, "the last that it had went well");
}

#[test]
fn a_fleet_says_how_often() {
    let jobs = [ended(7, "build", "failure", 1)];
    let mut note = note([interrupted(1, "build")]);
    let left = |note: &Note, most| judge(note, &run("failure"), &jobs, |_| most).left.first().map(|(_, why)| *why);
    assert_eq!((left(&note, 0), left(&note, 1)), (Some(Why::Off), None));
    assert!(note.claim(1, &[0], vec!["build".into()], NOW, NOW));
    note.jobs[0].fate = Fate::Waiting;
    assert_eq!(left(&note, 1), None, "it is not known to have been run again");
    note.done();
    note.jobs[0].fate = Fate::Waiting;
    assert_eq!((left(&note, 1), left(&note, 2)), (Some(Why::Limit), None));
}

#[test]
fn several_go_together_unless_code_failed_beside_them() {
    let both = note([interrupted(1, "build"), interrupted(2, "test")]);
    let mut jobs = vec![ended(7, "build", "failure", 1), ended(8, "test", "cancelled", 2)];
    let verdict = judge(&both, &run("failure"), &jobs, |_| 1);
    assert_eq!((verdict.ask, &verdict.again[..]), (Some(Again::Failed), &[0, 1][..]));
    assert_eq!(verdict.names, ["build", "test"]);
    assert_eq!(verdict.ids, [Some(7), Some(8)]);
    // One after the other: GitHub runs one job of a run again at a time.
    jobs.push(ended(9, "lint", "failure", 3));
    let verdict = judge(&both, &run("failure"), &jobs, |_| 1);
    assert_eq!((verdict.ask, &verdict.again[..], &verdict.left[..]), (Some(Again::Job(7)), &[0][..], &[][..]));
}

#[test]
fn what_is_claimed_is_done_once() {
    let mut it = note([interrupted(1, "build"), interrupted(2, "test")]);
    assert!(it.claim(1, &[0], vec!["build".into()], NOW, NOW + 10));
    assert!(it.is_held(NOW + 9) && !it.is_held(NOW + 10));
    assert!(it.made(2) && !it.made(1) && !it.made(3), "its jobs may be queued before it is known to be done");
    assert!(it.claim(1, &[0], vec!["build".into()], NOW, NOW), "it never got to GitHub");
    assert_eq!((it.reruns.len(), it.reruns[0].tries), (1, 2));
    assert_eq!((it.done(), it.done()), (vec![0], vec![]));
    assert_eq!((&it.jobs[0].fate, &it.jobs[1].fate), (&Fate::Again(2), &Fate::Waiting));
    assert!(it.is_open());
    for _ in 0..8 {
        assert!(it.claim(2, &[1], vec!["test".into()], NOW, NOW));
    }
    assert!(!it.claim(2, &[1], vec!["test".into()], NOW, NOW), "GitHub never answers");
    assert_eq!((it.jobs[1].fate.clone(), it.is_open(), it.made(3)), (Fate::Left(Why::Silent), false, false));
}

#[test]
fn a_repeated_message_is_noted_once() {
    let first = note([interrupted(1, "build")]);
    assert_eq!(Note::with(Some(first.clone()), place(), interrupted(1, "build")), None);
    let again = Interrupted { at: NOW + 60_000, ..interrupted(2, "build") };
    let second = Note::with(Some(first), place(), again).unwrap();
    assert_eq!((second.jobs.len(), second.since), (2, NOW + 60_000), "it is waited for anew");
    let text = serde_json::to_string(&second).unwrap();
    assert_eq!(serde_json::from_str::<Note>(&text).unwrap(), second);
}

#[test]
fn a_run_that_takes_long_is_looked_at_seldom_and_not_for_ever() {
    const MINUTE: u64 = 60_000;
    for (waited, wait) in [(0, 15_000), (MINUTE, 20_000), (30 * MINUTE, 10 * MINUTE), (20 * 60 * MINUTE, 15 * MINUTE)] {
        assert_eq!(look_at(NOW, NOW + waited), NOW + waited + wait, "{waited}");
    }
    let note = note([interrupted(1, "build")]);
    assert!(!note.is_late(NOW + 24 * 60 * MINUTE - 1) && note.is_late(NOW + 24 * 60 * MINUTE));
}

fn message() -> Lifecycle {
    let mut it = Lifecycle::new(Kind::Interrupted, &instance(1), FLEET);
    let mut ran = RanJob { name: "build".into(), ..RanJob::default() };
    (ran.facts.repository, ran.facts.run_id) = (Some("octo-org/other".into()), Some(6));
    (it.job, it.reason) = (Some(ran), Some(Reason::SpotInterruption));
    it
}

#[test]
fn what_used_up_its_own_time_is_not_run_again() {
    let taken = [Reason::SpotInterruption, Reason::Rebalance, Reason::Maintenance, Reason::Stopped];
    for reason in taken {
        assert!(is_taken_away(&Lifecycle { reason: Some(reason), ..message() }), "{reason:?}");
    }
    assert!(is_taken_away(&Lifecycle { reason: None, ..message() }));
    for reason in [Reason::MaxLifetime, Reason::DiskFull, Reason::ClockJump, Reason::JobDone, Reason::Unknown] {
        assert!(!is_taken_away(&Lifecycle { reason: Some(reason), ..message() }), "{reason:?}");
    }
}

#[test]
fn the_ledgers_word_goes_before_the_jobs_own() {
    let serves = |scope: &str| Runner { scope: Some(scope.parse().unwrap()), ..runner(FLEET, 1) };
    let it = runner(FLEET, 1);
    let (place, found) = interruption(&message(), Some(&it), None, Some(&job(7, FLEET)), NOW).unwrap();
    assert_eq!((place.run, place.repository.as_str(), found.id), (5, "octo-org/octo-repo", Some(7)));
    assert_eq!(found, Interrupted { id: Some(7), ..interrupted(1, "build") });
    let (place, found) = interruption(&message(), Some(&it), None, None, NOW).unwrap();
    assert_eq!((place.run, place.repository.as_str(), found.id), (6, "octo-org/other", None));
    assert_eq!(place.installation, Some(77));
    for (scope, believed) in [
        ("repos/octo-org/octo-repo", false),
        ("repos/octo-org/other", true),
        ("orgs/Octo-Org", true),
        ("orgs/octo", false),
    ] {
        assert_eq!(
            interruption(&message(), Some(&serves(scope)), Some(&fleet(FLEET)), None, NOW).is_some(),
            believed,
            "{scope}"
        );
    }
    for repository in ["octo-org", "octo-org/a/b", "octo-org/..", "octo-org/a?b", "octo-org/", "/x", "octo-org/a b"] {
        let mut lies = message();
        lies.job.as_mut().unwrap().facts.repository = Some(repository.into());
        assert_eq!(interruption(&lies, Some(&it), None, None, NOW), None, "{repository}");
    }
    assert_eq!(interruption(&message(), None, None, None, NOW), None, "nobody knows whom it serves");
    // Its end was told of first, and the ledger has it no more.
    let (place, _) = interruption(&message(), None, Some(&fleet(FLEET)), None, NOW).unwrap();
    assert_eq!((place.run, place.repository.as_str(), place.installation), (6, "octo-org/other", None));
    assert_eq!(interruption(&Lifecycle { job: None, ..message() }, Some(&it), None, None, NOW), None);
}

#[test]
fn a_history_tells_of_it_once() {
    let mut it = note([interrupted(1, "build")]).looked_at(NOW + 9);
    let known = told(job(7, FLEET), &it.jobs[0]).unwrap();
    assert_eq!(told(known.clone(), &it.jobs[0]), None);
    assert_eq!(fated(known.clone(), &it.jobs[0], &it), None, "nothing is known yet");
    for (fate, expected) in [
        (Fate::Again(2), "re-run as attempt 2 of run 5"),
        (Fate::Left(Why::Code), "not re-run a step had failed before the interruption"),
    ] {
        it.jobs[0].fate = fate;
        let after = fated(known.clone(), &it.jobs[0], &it).unwrap();
        let lines: Vec<String> =
            after.history.entries().iter().map(|it| format!("{} {}", it.what, it.detail)).collect();
        assert_eq!(lines, [format!("interrupted {}: spot_interruption", name(1)), expected.to_owned()]);
        let later = it.clone().looked_at(NOW + 99);
        assert_eq!(fated(after, &it.jobs[0], &later), None, "told by one that was killed");
    }
}

#[test]
fn the_next_attempts_jobs_are_raised_where_the_fleet_allows() {
    let spot = |on_demand| {
        let mut fleet = Fleet { interrupted: Setting { rerun: 1, on_demand }, ..fleet(FLEET) };
        fleet.launch.market = Market::Spot;
        fleet
    };
    let mut note = note([interrupted(1, "build")]);
    let _ = note.claim(1, &[0], vec!["build".into()], NOW, NOW);
    let raised = |attempt, fleet: &Fleet, state| {
        let mut writes = job_event(&event(state), None, FLEET, None, NOW).writes;
        raise(&mut writes, &note, Some(fleet), attempt, NOW);
        let told = |it: &Write| matches!(it, Write::PutJob(job) if job.history.has("re-run"));
        let marked = |it: &Write| matches!(it, Write::PutMarker(marker) if marker.on_demand);
        (writes.iter().any(marked), writes.iter().any(told))
    };
    assert_eq!(raised(2, &spot(true), JobState::Queued), (true, true));
    assert_eq!(raised(2, &spot(false), JobState::Queued), (false, true));
    assert_eq!(raised(2, &fleet(FLEET), JobState::Queued), (false, true), "all of it is on-demand");
    assert_eq!(raised(3, &spot(true), JobState::Queued), (false, false), "a person ran it again");
    assert_eq!(raised(2, &spot(true), JobState::Running), (false, false));
}
