//! What becomes of the interrupted jobs of a run that has completed.

use super::{Fate, Interrupted, Note, Why};
use crate::{
    clock::Millis,
    github::runs::{Again, RunJob, RunState},
};

/// What is to be done about a completed run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Of [`Note::jobs`], those that are not run again, and why.
    pub left: Vec<(usize, Why)>,
    /// What GitHub is asked for.
    pub ask: Option<Again>,
    /// Of [`Note::jobs`], those that are run again by that.
    pub again: Vec<usize>,
    /// Their names at GitHub.
    pub names: Vec<String>,
    /// GitHub's id of each of [`Note::jobs`] that was found.
    pub ids: Vec<Option<u64>>,
}

/// What becomes of the interrupted jobs of `note`, whose run stands as `run` says and has the latest `jobs`; `limit` is how
/// often a fleet runs a job again.
///
/// A job that was interrupted is found by its runner: what has been run again has another. It ends as `failure`, or as
/// `cancelled` where its runner still told so; a step that had ended badly before its agent told of the interruption is the
/// code's doing, or a person's.
#[must_use]
pub fn judge(note: &Note, run: &RunState, jobs: &[RunJob], limit: impl Fn(&str) -> u64) -> Verdict {
    let found: Vec<Option<&RunJob>> = note.jobs.iter().map(|it| find(it, jobs)).collect();
    let mut verdict = Verdict { ids: found.iter().map(|it| it.map(|job| job.id)).collect(), ..Verdict::default() };
    let cancelled = was_cancelled(run, jobs, &found);
    let mut again: Vec<(usize, &RunJob)> = Vec::new();
    for (at, it) in note.jobs.iter().enumerate().filter(|(_, it)| it.fate == Fate::Waiting) {
        let why = match found[at] {
            None if run.attempt > 1 => Some(Why::Already),
            None => Some(Why::Unknown),
            Some(job) => bar(it, job, run, cancelled).or_else(|| {
                let most = limit(&it.fleet);
                match note.times(&job.name) {
                    _ if most == 0 => Some(Why::Off),
                    times if times >= most => Some(Why::Limit),
                    _ => None,
                }
            }),
        };
        match (why, found[at]) {
            (Some(why), _) => verdict.left.push((at, why)),
            (None, Some(job)) => again.push((at, job)),
            (None, None) => {}
        }
    }
    // A job of its own would be run again beside what its dependents are; jobs that the code failed must not be.
    let is_ours = |job: &RunJob| again.iter().any(|(_, it)| it.id == job.id);
    let bad: Vec<&RunJob> = jobs.iter().filter(|job| job.is_bad()).collect();
    let all_ours = bad.iter().all(|job| is_ours(job) || by_fail_fast(job, again.iter().map(|(_, it)| *it)));
    match again.first() {
        None => return verdict,
        Some((_, first)) if bad.len() == 1 || !all_ours => {
            verdict.ask = Some(Again::Job(first.id));
            again.truncate(1);
        }
        Some(_) => verdict.ask = Some(Again::Failed),
    }
    verdict.names = again.iter().map(|(_, job)| job.name.clone()).collect();
    verdict.again = again.iter().map(|(at, _)| *at).collect();
    verdict
}

/// The latest execution of an interrupted job, where it is still the one that was interrupted.
fn find<'a>(it: &Interrupted, jobs: &'a [RunJob]) -> Option<&'a RunJob> {
    let on_it = || jobs.iter().filter(|job| job.runner_name.as_deref() == Some(&it.runner));
    // Ids grow: of several that a reusable runner had, the last.
    on_it().find(|job| Some(job.id) == it.id).or_else(|| {
        let named = on_it().filter(|job| job.name == it.name).max_by_key(|job| job.id);
        named.or_else(|| on_it().max_by_key(|job| job.id))
    })
}

/// What keeps `job`, which was interrupted as `it` says, from being run again.
fn bar(it: &Interrupted, job: &RunJob, run: &RunState, cancelled: bool) -> Option<Why> {
    match job.conclusion.as_deref() {
        Some("success") => return Some(Why::Succeeded),
        Some("failure" | "cancelled") => {}
        _ => return Some(Why::NotFailed),
    }
    if cancelled {
        return Some(Why::Cancelled);
    }
    // GitHub tells whole seconds; a step that ended within the same second may have been stopped.
    let before = |ended: Option<Millis>| ended.is_some_and(|ended| ended + 1000 <= it.at);
    let ended_as =
        |how: &str| job.steps.iter().any(|step| step.conclusion.as_deref() == Some(how) && before(step.completed_at));
    if ended_as("cancelled") {
        return Some(Why::Cancelled);
    }
    if ended_as("failure") || ended_as("timed_out") {
        return Some(Why::Code);
    }
    (run.conclusion.as_deref() == Some("success")).then_some(Why::RunSucceeded)
}

/// Whether a person, or a concurrency group, cancelled the run.
///
/// A job that nobody interrupted and that is `cancelled` was cancelled by somebody, or by `fail-fast` after another job
/// of its matrix had failed. And a run is `cancelled` either by somebody, or since some job was while none failed.
fn was_cancelled(run: &RunState, jobs: &[RunJob], interrupted: &[Option<&RunJob>]) -> bool {
    let is_interrupted = |job: &RunJob| interrupted.iter().flatten().any(|it| it.id == job.id);
    let by_nobody = |job: &RunJob| is_interrupted(job) || by_fail_fast(job, jobs.iter());
    let cancelled = |job: &&RunJob| job.conclusion.as_deref() == Some("cancelled");
    if run.conclusion.as_deref() == Some("cancelled") {
        return jobs.iter().filter(|job| job.is_bad()).any(|job| !cancelled(&job) || !is_interrupted(job));
    }
    jobs.iter().filter(cancelled).any(|job| !by_nobody(job))
}

/// Whether `job` was cancelled since one of `others`, of the same matrix, had failed before.
fn by_fail_fast<'a>(job: &RunJob, others: impl Iterator<Item = &'a RunJob>) -> bool {
    job.conclusion.as_deref() == Some("cancelled")
        && others.into_iter().any(|it| {
            it.id != job.id
                && it.conclusion.as_deref() == Some("failure")
                && matrix_of(&it.name).is_some_and(|matrix| matrix_of(&job.name) == Some(matrix))
                && it.completed_at.zip(job.completed_at).is_some_and(|(failed, cancelled)| failed <= cancelled)
        })
}

/// `build` of `build (1.95, x86_64)`.
fn matrix_of(name: &str) -> Option<&str> {
    name.ends_with(')').then(|| name.split_once(" (")).flatten().map(|(job, _)| job)
}
