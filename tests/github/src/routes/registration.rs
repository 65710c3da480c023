//! How a runner comes to be: a JIT config, or a token for `config.sh`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ask::{Ask, json_of};
use super::runners::shown;
use crate::answer::{Answered, Failure, answer};
use crate::credentials::Purpose;
use crate::model::Owner;
use crate::runner_protocol::files::{Files, encoded};
use crate::shared::Shared;
use crate::webhooks::seconds;
use crate::world::World;
use crate::world::runners::NewRunner;

/// How long a token for `config.sh` lives.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// Most labels a runner may have, and the longest name and label.
const MOST_LABELS: usize = 100;
const LONGEST_NAME: usize = 64;
const LONGEST_LABEL: usize = 256;

pub(crate) async fn jit_config(State(shared): State<Arc<Shared>>, ask: Ask, body: Bytes) -> Answered {
    let owner = ask.may_runners("write")?;
    let body = json_of(&body)?;
    shared.change(|world, now| {
        let new = wanted(world, owner, &body).map_err(Failure::invalid)?;
        let name = new.name.clone();
        let (id, secret) = world.register(new, now).map_err(|_| {
            let text = format!("Already exists - A runner with the name {name} already exists.");
            Failure::new(StatusCode::CONFLICT, text)
        })?;
        let work_folder = body["work_folder"].as_str().unwrap_or("_work");
        let runner = world.runners.get(&id).cloned().ok_or_else(Failure::not_found)?;
        let files = Files::of(world, &runner, &secret, &shared.public_url, work_folder);
        let answered = json!({ "runner": shown(world, &runner, now), "encoded_jit_config": encoded(&files) });
        Ok(answer(StatusCode::CREATED, &answered))
    })
}

pub(crate) async fn registration_token(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    token(&shared, &ask, Purpose::Register)
}

pub(crate) async fn remove_token(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    token(&shared, &ask, Purpose::Remove)
}

fn token(shared: &Shared, ask: &Ask, purpose: Purpose) -> Answered {
    let owner = ask.may_runners("write")?.clone();
    let body = shared.look(|world, now| {
        // Twenty-nine letters and digits that begin with an A, as GitHub's do.
        let token = world.secret("A", 28);
        let expires_at = now.saturating_add(TOKEN_LIFETIME).unwrap_or(now);
        world.credentials.issue_runner_token(token.clone(), purpose, owner, expires_at);
        json!({ "token": token, "expires_at": seconds(expires_at) })
    });
    Ok(answer(StatusCode::CREATED, &body))
}

/// The runner that a request for a JIT config describes, or every mistake in it.
fn wanted(world: &World, owner: &Owner, body: &Value) -> Result<NewRunner, Vec<String>> {
    let mut mistakes = Vec::new();
    let name = body["name"].as_str().unwrap_or_default();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        mistakes.push(format!("name: found {}, expected 1 to {LONGEST_NAME} characters", body["name"]));
    }
    let group_id = body["runner_group_id"].as_u64().unwrap_or_default();
    let known = match owner {
        // A repository has no groups of its own.
        Owner::Repo(_) => group_id == 1,
        Owner::Org(_) | Owner::Enterprise(_) => world.group(group_id).is_some(),
    };
    if !known {
        mistakes.push(format!("runner_group_id: found {}, expected the id of a runner group", body["runner_group_id"]));
    }
    let labels: Option<Vec<String>> = serde_json::from_value(body["labels"].clone()).ok();
    let labels = labels.unwrap_or_default();
    let good = |label: &String| (1..=LONGEST_LABEL).contains(&label.chars().count());
    if !(1..=MOST_LABELS).contains(&labels.len()) || !labels.iter().all(good) {
        mistakes.push(format!("labels: found {} usable, expected 1 to {MOST_LABELS} texts", labels.len()));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (name, owner) = (name.to_owned(), owner.clone());
    Ok(NewRunner { name, owner, group_id, labels, ephemeral: true, replace: false })
}
