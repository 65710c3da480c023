//! Workflow runs: list, get, their jobs, cancel, run again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ask::{Ask, json_of};
use super::jobs::{not_again, shown as job_shown};
use super::paging::{linked, page};
use crate::answer::{Answered, Failure, answer, ok};
use crate::job_state::Conclusion;
use crate::model::{Job, Run};
use crate::shared::Shared;
use crate::webhooks::seconds;
use crate::world::World;
use crate::world::jobs::{Again, Refused};

pub(crate) async fn list(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may("actions", "read")?;
    let repository = ask.repository()?;
    let wanted = ask.query.get("status");
    let all: Vec<Value> = shared.look(|world, _| {
        let fits = |run: &&Run| {
            let (status, conclusion) = world.run_status(run.id);
            wanted.is_none_or(|wanted| wanted == status || conclusion.is_some_and(|ended| ended.name() == wanted))
        };
        let of_repository = world.runs.values().rev().filter(|run| run.repository == repository);
        of_repository.filter(fits).map(|run| shown(&shared, world, run)).collect()
    });
    let total = all.len();
    let (runs, link) = page(&ask, &shared.public_url, all);
    Ok(linked(ok(&json!({ "total_count": total, "workflow_runs": runs })), link))
}

pub(crate) async fn one(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may("actions", "read")?;
    let id = run_id(&shared, &ask)?;
    let found = shared.look(|world, _| world.runs.get(&id).map(|run| shown(&shared, world, run)));
    found.map(|run| ok(&run)).ok_or_else(Failure::not_found)
}

pub(crate) async fn jobs(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may("actions", "read")?;
    let id = run_id(&shared, &ask)?;
    let every = match ask.query.get("filter").map(String::as_str) {
        None | Some("latest") => false,
        Some("all") => true,
        Some(other) => {
            return Err(Failure::invalid(vec![format!("filter: found {other:?}, expected \"latest\" or \"all\"")]));
        }
    };
    let all: Vec<Value> = shared.look(|world, _| {
        let jobs: Vec<&Job> =
            if every { world.jobs.values().filter(|job| job.run_id == id).collect() } else { world.latest(id) };
        jobs.into_iter().map(|job| job_shown(job, &shared.public_url)).collect()
    });
    let total = all.len();
    let (jobs, link) = page(&ask, &shared.public_url, all);
    Ok(linked(ok(&json!({ "total_count": total, "jobs": jobs })), link))
}

pub(crate) async fn cancel(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may("actions", "write")?;
    let id = run_id(&shared, &ask)?;
    shared.change(|world, now| world.cancel_run(id, now)).map_err(|refused| match refused {
        Refused::Unknown => Failure::not_found(),
        Refused::State => Failure::new(StatusCode::CONFLICT, "Cannot cancel a workflow run that is completed."),
    })?;
    Ok(answer(StatusCode::ACCEPTED, &json!({})))
}

pub(crate) async fn rerun(State(shared): State<Arc<Shared>>, ask: Ask, body: Bytes) -> Answered {
    again(&shared, &ask, &body, Again::All)
}

pub(crate) async fn rerun_failed(State(shared): State<Arc<Shared>>, ask: Ask, body: Bytes) -> Answered {
    again(&shared, &ask, &body, Again::Failed)
}

fn again(shared: &Shared, ask: &Ask, body: &[u8], which: Again) -> Answered {
    ask.may("actions", "write")?;
    json_of(body)?;
    let id = run_id(shared, ask)?;
    shared.change(|world, now| world.rerun(id, which, now)).map_err(not_again)?;
    Ok(answer(StatusCode::CREATED, &json!({})))
}

/// The run that the path names, which is one of its repository.
fn run_id(shared: &Shared, ask: &Ask) -> Result<u64, Failure> {
    let (repository, id) = (ask.repository()?, ask.id("run_id")?);
    let there = shared.look(|world, _| world.runs.get(&id).is_some_and(|run| run.repository == repository));
    if there { Ok(id) } else { Err(Failure::not_found()) }
}

fn shown(shared: &Shared, world: &World, run: &Run) -> Value {
    let (status, conclusion) = world.run_status(run.id);
    let repository = shared.payloads.repository(&run.repository, world.repository_id(&run.repository));
    let url = format!("{}/repos/{}/actions/runs/{}", shared.public_url, run.repository, run.id);
    let (sha, created) = (format!("{:040x}", run.id), seconds(run.created_at));
    let updated = world
        .jobs
        .values()
        .filter(|job| job.run_id == run.id)
        .filter_map(|job| job.history.last().map(|last| last.at))
        .max()
        .unwrap_or(run.created_at);
    let actor = shared.payloads.person(&run.actor);
    json!({
        "id": run.id,
        "name": run.workflow,
        "node_id": format!("WFR_kw{}", run.id),
        "check_suite_id": run.id + 1,
        "check_suite_node_id": format!("CS_kw{}", run.id),
        "head_branch": run.head_branch,
        "head_sha": sha,
        "path": ".github/workflows/ci.yml@main",
        "display_title": run.workflow,
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": "push",
        "status": status,
        "conclusion": conclusion.map(Conclusion::name),
        "workflow_id": 159_038,
        "url": url,
        "html_url": format!("https://github.com/{}/actions/runs/{}", run.repository, run.id),
        "pull_requests": [],
        "created_at": created,
        "updated_at": seconds(updated),
        "run_started_at": seconds(run.started_at),
        "actor": actor,
        "triggering_actor": actor,
        "jobs_url": format!("{url}/jobs"),
        "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{}/repos/{}/check-suites/{}", shared.public_url, run.repository, run.id + 1),
        "artifacts_url": format!("{url}/artifacts"),
        "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"),
        "previous_attempt_url": (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1)),
        "workflow_url": format!("{}/repos/{}/actions/workflows/159038", shared.public_url, run.repository),
        "head_commit": {
            "id": sha,
            "tree_id": sha,
            "message": "A change",
            "timestamp": created,
            "author": { "name": run.actor, "email": format!("{}@users.noreply.github.com", run.actor) },
            "committer": { "name": "GitHub", "email": "noreply@github.com" },
        },
        "repository": repository,
        "head_repository": repository,
    })
}
