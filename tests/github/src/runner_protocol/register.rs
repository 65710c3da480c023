//! Registration and removal by `config.sh`, with tokens that the REST API hands out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::files::Files;
use super::{bad, created, gone, no_content};
use crate::answer::{Answered, Failure};
use crate::credentials::Purpose;
use crate::model::Owner;
use crate::shared::Shared;
use crate::world::World;
use crate::world::runners::{NewRunner, NotDeleted};

/// What `config.sh` sends.
#[derive(Deserialize)]
struct Registration {
    url: String,
    token: String,
    name: String,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default)]
    replace: bool,
}

pub(super) async fn register(State(shared): State<Arc<Shared>>, body: Bytes) -> Answered {
    // serde's message could quote the token.
    let asked: Registration =
        serde_json::from_slice(&body).map_err(|_| bad("expected url, token, name, labels, ..."))?;
    shared.change(|world, now| {
        let token = world.credentials.runner_token(&asked.token, Purpose::Register, now);
        let owner = token.cloned().ok_or_else(Failure::bad_credentials)?;
        if !names(&asked.url, &owner) {
            return Err(Failure::new(StatusCode::NOT_FOUND, format!("the token is not for {}", asked.url)));
        }
        let group_id = group_of(world, asked.group.as_deref())?;
        let new = NewRunner {
            name: asked.name,
            owner,
            group_id,
            labels: asked.labels,
            ephemeral: asked.ephemeral,
            replace: asked.replace,
        };
        let conflict = |_| Failure::new(StatusCode::CONFLICT, "a runner of that name exists");
        let (id, secret) = world.register(new, now).map_err(conflict)?;
        let runner = world.runners.get(&id).cloned().ok_or_else(gone)?;
        Ok(created(&Files::of(world, &runner, &secret, &shared.public_url, "_work").json()))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Removal {
    token: String,
    agent_id: u64,
}

pub(super) async fn remove(State(shared): State<Arc<Shared>>, body: Bytes) -> Answered {
    let asked: Removal = serde_json::from_slice(&body).map_err(|_| bad("expected token and agentId"))?;
    shared.change(|world, now| {
        let token = world.credentials.runner_token(&asked.token, Purpose::Remove, now);
        let owner = token.cloned().ok_or_else(Failure::bad_credentials)?;
        match world.delete(&owner, asked.agent_id, now) {
            Ok(()) => Ok(no_content()),
            Err(NotDeleted::Unknown) => Err(gone()),
            Err(NotDeleted::Busy) => Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "the runner has a job")),
        }
    })
}

/// Whether the URL ends in the owner's path, whatever its host.
fn names(url: &str, owner: &Owner) -> bool {
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    url.ends_with(&format!("/{}", owner.path().to_ascii_lowercase()))
}

fn group_of(world: &World, name: Option<&str>) -> Result<u64, Failure> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(1) };
    let found = world.groups.iter().find(|group| group.name.eq_ignore_ascii_case(name));
    found
        .map(|group| group.id)
        .ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, format!("no group is called {name:?}")))
}
