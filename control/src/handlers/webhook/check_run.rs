//! `check_run` events, for hooks that have only those. For GitHub Actions a check run's id is its job's id; the rest of
//! the job is asked for.

use dayfly_contract::{Fields, Problems};
use serde_json::Value;
use tracing::warn;

use super::{
    Deps, Failed, Ports, forks,
    payload::{self, BadPayload, Origin},
};
use crate::{
    decide::{doubt::Why, events::JobEvent, jobs::JobState},
    fleets::{Admission, Fleet},
    github::{self, GitHub, GitHubError},
    handlers::asking,
    ledger::{Job, Ledger},
    report::Chain,
};

/// The App whose check runs are jobs.
const ACTIONS: &str = "github-actions";

/// What a `check_run` event tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CheckRun {
    /// The job's id.
    pub(super) id: u64,
    kind: Kind,
    /// Whether the payload says that it is a fork's.
    fork: bool,
    pub(super) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The job is there. GitHub may hold it by the time that it is asked, whatever the event says.
    Created,
    /// It has ended.
    Completed,
}

/// Reads the payload of a `check_run` delivery; none where it says nothing of a job.
pub(super) fn read(value: &Value) -> Result<Option<CheckRun>, BadPayload> {
    let mut problems = Problems::default();
    let mut root = Fields::of(value, "", &mut problems);
    let action = root.text("action", "a text", |action| !action.is_empty());
    let repository = root.object("repository").text("full_name", "\"owner/repo\"", payload::is_full_name);
    let mut run = root.object("check_run");
    let id = run.number("id", 1..=u64::MAX);
    let status = run.text("status", "a text", |status| !status.is_empty());
    problems.or(()).map_err(BadPayload::BadFields)?;
    let run = &value["check_run"];
    let app = [&run["app"], &run["check_suite"]["app"]].into_iter().find_map(|app| app["slug"].as_str());
    let kind = match (action.as_str(), status.as_str()) {
        _ if app != Some(ACTIONS) => return Ok(None),
        ("created", "queued" | "waiting" | "pending" | "requested") => Kind::Created,
        ("completed", _) => Kind::Completed,
        _ => return Ok(None),
    };
    let origin = payload::origin(value, &repository);
    Ok(Some(CheckRun { id, kind, fork: forks::told_by_check_run(value), origin }))
}

/// The job's event, as if it had come as `workflow_job`; none where nothing is to be done. GitHub is asked only where
/// the ledger does not know enough.
///
/// A job that GitHub holds, for an approval or a concurrency group, comes with a doubt: of its release no `check_run`
/// event tells (there are `created`, `completed`, `rerequested` and `requested_action`). To launch for it at once would
/// be wrong for an approval that takes days, and to refuse the delivery until it is released wrong for one that takes
/// longer than failed deliveries are kept, which is three days. So it is noted, and scale-up asks until it is released.
pub(super) async fn job_event<P: Ports>(
    deps: &Deps<P>,
    it: &CheckRun,
) -> Result<Option<(JobEvent, Option<Why>)>, Failed> {
    // No fleet would take it, whatever its labels.
    let repository = it.origin.repository.as_str();
    let admits = |admission: &Admission| admission.bar(Some(repository), false).is_none();
    let reaches = |fleet: &Fleet| fleet.out_of_reach(Some(repository), &it.origin.owner).is_none();
    let takes = |fleet: &Fleet| reaches(fleet) && admits(&fleet.admission);
    if !admits(&deps.fleets.admission) || !deps.fleets.fleets.iter().any(takes) {
        return Ok(None);
    }
    match (deps.ledger.job(it.id).await?, it.kind) {
        // Told again, or by `workflow_job` before.
        (Some(job), Kind::Created) if job.state != JobState::Waiting => {
            Ok(Some((again(job, JobState::Queued, it), None)))
        }
        (_, Kind::Created) => {
            let job = look_up(deps, it).await?;
            // A state of a later GitHub is asked about again.
            let state = job.state().unwrap_or(JobState::Waiting);
            let event = JobEvent {
                state,
                id: it.id,
                labels: job.labels,
                asks: Vec::new(),
                repository: it.origin.repository.clone(),
                run_id: job.run_id,
                run_attempt: job.run_attempt,
                installation: it.origin.target.installation,
                runner_name: job.runner_name.filter(|name| !name.is_empty()),
                runner_id: job.runner_id.filter(|id| *id > 0),
                conclusion: None,
                waited_ms: None,
                public_fork: it.fork,
            };
            Ok(Some((event, (state == JobState::Waiting).then_some(Why::Held))))
        }
        (None, Kind::Completed) => Ok(None),
        (Some(mut job), Kind::Completed) => {
            // Nobody has told which runner had it, and that runner is not to stand in for another job.
            if job.runner_name.is_none() && job.state != JobState::Done {
                match look_up(deps, it).await {
                    Ok(told) => job.runner_name = told.runner_name.filter(|name| !name.is_empty()),
                    // The job is done all the same.
                    Err(error) => {
                        warn!(job.id = it.id, error = %Chain(&error), "Job {} ended on an unknown runner", it.id);
                    }
                }
            }
            Ok(Some((again(job, JobState::Done, it), None)))
        }
    }
}

async fn look_up<P: Ports>(deps: &Deps<P>, it: &CheckRun) -> Result<github::Job, GitHubError> {
    let Origin { target, repository, .. } = &it.origin;
    asking::patiently(&deps.clock, async || deps.github.job(target, repository, it.id).await).await
}

/// The event that tells of a known job that it is `state`.
fn again(job: Job, state: JobState, it: &CheckRun) -> JobEvent {
    let event = asking::again(job, state);
    JobEvent { installation: it.origin.target.installation.or(event.installation), ..event }
}
