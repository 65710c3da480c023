//! Runners: list, get, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::Ask;
use super::paging::{linked, page};
use crate::answer::{Answered, Failure, ok};
use crate::model::Runner;
use crate::shared::Shared;
use crate::world::World;
use crate::world::runners::NotDeleted;

pub(crate) async fn list(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("read")?;
    let wanted = ask.query.get("name");
    let all: Vec<Value> = shared.look(|world, now| {
        world
            .runners_of(owner)
            .filter(|runner| wanted.is_none_or(|name| runner.name == *name))
            .map(|runner| shown(world, runner, now))
            .collect()
    });
    let total = all.len();
    let (runners, link) = page(&ask, &shared.public_url, all);
    Ok(linked(ok(&json!({ "total_count": total, "runners": runners })), link))
}

pub(crate) async fn one(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("read")?;
    let id: u64 = ask.id("runner_id")?;
    let found = shared.look(|world, now| {
        let runner = world.runners.get(&id).filter(|runner| runner.owner == *owner)?;
        Some(shown(world, runner, now))
    });
    found.map(|runner| ok(&runner)).ok_or_else(Failure::not_found)
}

pub(crate) async fn remove(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("write")?;
    let id: u64 = ask.id("runner_id")?;
    match shared.change(|world, now| world.delete(owner, id, now)) {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(NotDeleted::Unknown) => Err(Failure::not_found()),
        Err(NotDeleted::Busy) => {
            let text = format!("Runner \"{id}\" is currently running a job and cannot be deleted.");
            Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, text))
        }
    }
}

/// A runner as the API shows it.
pub(crate) fn shown(world: &World, runner: &Runner, now: Timestamp) -> Value {
    let label = |(place, name): (usize, &String)| {
        // GitHub calls the labels that a runner brings along by itself read-only.
        let own = ["self-hosted", "linux", "x64", "arm64"].iter().any(|known| known.eq_ignore_ascii_case(name));
        json!({ "id": place + 1, "name": name, "type": if own { "read-only" } else { "custom" } })
    };
    json!({
        "id": runner.id,
        "name": runner.name,
        // Not known before the runner has connected.
        "os": if runner.version.is_some() { "Linux" } else { "unknown" },
        "status": if world.is_online(runner, now) { "online" } else { "offline" },
        "busy": world.looks_busy(runner, now),
        "ephemeral": runner.ephemeral,
        "runner_group_id": runner.group_id,
        "version": runner.version,
        "labels": runner.labels.iter().enumerate().map(label).collect::<Vec<Value>>(),
    })
}
