//! One job: get, run again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::ask::{Ask, json_of};
use crate::answer::{Answered, Failure, answer, ok};
use crate::model::Job;
use crate::shared::Shared;
use crate::webhooks::facts_of;
use crate::world::World;
use crate::world::jobs::{Again, Refused};

pub(crate) async fn one(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may("actions", "read")?;
    let (repository, id) = (ask.repository()?, ask.id("job_id")?);
    let found = shared.look(|world, _| job_in(world, repository, id).map(|job| shown(job, &shared.public_url)));
    found.map(|job| ok(&job)).ok_or_else(Failure::not_found)
}

pub(crate) async fn rerun(State(shared): State<Arc<Shared>>, ask: Ask, body: Bytes) -> Answered {
    ask.may("actions", "write")?;
    json_of(&body)?;
    let (repository, id) = (ask.repository()?, ask.id("job_id")?);
    shared.change(|world, now| {
        let run = job_in(world, repository, id).map(|job| job.run_id).ok_or_else(Failure::not_found)?;
        world.rerun(run, Again::One(id), now).map_err(not_again)?;
        Ok(answer(StatusCode::CREATED, &json!({})))
    })
}

/// Why jobs are not run again, as GitHub puts it.
pub(crate) fn not_again(refused: Refused) -> Failure {
    match refused {
        Refused::Unknown => Failure::not_found(),
        Refused::State => {
            Failure::new(StatusCode::FORBIDDEN, "The workflow run containing this job is already running")
        }
    }
}

/// A job of that repository.
pub(crate) fn job_in<'a>(world: &'a World, repository: &str, id: u64) -> Option<&'a Job> {
    world.jobs.get(&id).filter(|job| job.repository == repository)
}

/// A job as the API shows it.
pub(crate) fn shown(job: &Job, base: &str) -> Value {
    Value::Object(facts_of(job, base).into_iter().collect::<Map<String, Value>>())
}
