//! What the stand-in runner and the emulator say to each other, under `/_runner/`. Private: nothing else knows it.

pub(crate) mod files;
mod register;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answered, Failure, answer, ok};
use crate::job_state::JobState;
use crate::model::Job;
use crate::shared::Shared;
use crate::world::sessions::{Message, SessionProblem, Who};

/// Longest log of a job that is kept.
const LONGEST_LOG: usize = 4 * 1024 * 1024;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_runner/session", post(open_session).delete(close_session))
        .route("/_runner/message", get(message))
        .route("/_runner/jobs/{id}/completed", post(completed))
        .route("/_runner/jobs/{id}/log", post(log))
        .route("/_runner/jobs/{id}/state", get(state))
        .route("/_runner/register", post(register::register))
        .route("/_runner/remove", post(register::remove))
}

async fn open_session(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answered {
    let secret = secret_of(&headers)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| bad("the body is not JSON"))?;
    let version = body["version"].as_str().unwrap_or("unknown").to_owned();
    let opened = shared.change(|world, now| world.open_session(&secret, Some(version), now));
    match opened {
        Ok(session) => Ok(ok(&json!({ "sessionId": session }))),
        Err(SessionProblem::Nobody) => Err(Failure::bad_credentials()),
        Err(SessionProblem::Gone) => Err(gone()),
        Err(SessionProblem::Conflict) => Err(Failure::new(StatusCode::CONFLICT, "another session is open")),
    }
}

#[derive(Deserialize)]
struct SessionQuery {
    session: String,
}

/// Held open until there is a job, the runner is gone, or it has taken long enough.
async fn message(State(shared): State<Arc<Shared>>, headers: HeaderMap, query: Query<SessionQuery>) -> Answered {
    let secret = secret_of(&headers)?;
    let until = Instant::now() + shared.poll_wait;
    loop {
        // Listens before it looks, so that no change between the two is missed.
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        match look_for_job(&shared, &secret, &query.session)? {
            Message::Job(job) => return Ok(ok(&json!({ "type": "job", "job": told(&job) }))),
            Message::OtherSession => return Err(Failure::new(StatusCode::CONFLICT, "another session is open")),
            Message::Gone => return Err(gone()),
            Message::Nothing => {}
        }
        if timeout_at(until, changed).await.is_err() {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
    }
}

/// Looks before it changes anything: most looks find nothing, and a change would wake all who wait.
fn look_for_job(shared: &Shared, secret: &str, session: &str) -> Result<Message, Failure> {
    let who = shared.look(|world, now| world.who(secret, now));
    let id = match who {
        Who::Runner(id) => id,
        Who::Gone(_) => return Ok(Message::Gone),
        Who::Nobody => return Err(Failure::bad_credentials()),
    };
    let waiting = shared.look(|world, now| world.has_message(id, session, now));
    if waiting { Ok(shared.change(|world, now| world.message(id, session, now))) } else { Ok(Message::Nothing) }
}

async fn close_session(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answered {
    let secret = secret_of(&headers)?;
    shared.change(|world, now| match world.who(&secret, now) {
        Who::Runner(id) => {
            world.close_session(id, now);
            Ok(no_content())
        }
        // An ephemeral runner says goodbye when it is gone already.
        Who::Gone(_) => Ok(no_content()),
        Who::Nobody => Err(Failure::bad_credentials()),
    })
}

async fn completed(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let secret = secret_of(&headers)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| bad("the body is not JSON"))?;
    let Some(result @ ("Succeeded" | "Failed" | "Canceled")) = body["result"].as_str() else {
        return Err(bad("result: expected Succeeded, Failed or Canceled"));
    };
    shared.change(|world, now| match world.who(&secret, now) {
        // A runner that is gone may be saying it again: its job took it away.
        Who::Runner(id) | Who::Gone(id) => {
            world.report(id, job, result, now).map(|()| ok(&json!({}))).map_err(|_| gone())
        }
        Who::Nobody => Err(Failure::bad_credentials()),
    })
}

async fn log(State(shared): State<Arc<Shared>>, Path(job): Path<u64>, headers: HeaderMap, body: Bytes) -> Answered {
    let secret = secret_of(&headers)?;
    shared.look(|world, now| match world.who(&secret, now) {
        Who::Runner(id) => {
            let job = world.job_of(id, job).ok_or_else(gone)?;
            if job.log.len() + body.len() <= LONGEST_LOG {
                job.log.push_str(&String::from_utf8_lossy(&body));
            }
            Ok(ok(&json!({})))
        }
        Who::Gone(_) => Err(gone()),
        Who::Nobody => Err(Failure::bad_credentials()),
    })
}

async fn state(State(shared): State<Arc<Shared>>, Path(job): Path<u64>, headers: HeaderMap) -> Answered {
    let secret = secret_of(&headers)?;
    shared.look(|world, now| match world.who(&secret, now) {
        Who::Runner(id) => {
            let job = world.job_of(id, job).ok_or_else(gone)?;
            Ok(ok(&json!({ "cancelled": job.state == JobState::Cancelling })))
        }
        Who::Gone(_) => Err(gone()),
        Who::Nobody => Err(Failure::bad_credentials()),
    })
}

/// A job as the runner is told of it.
fn told(job: &Job) -> Value {
    json!({
        "id": job.id,
        "runId": job.run_id,
        "runAttempt": job.run_attempt,
        "name": job.name,
        "jobKey": job.job_key,
        "repository": job.repository,
        "workflow": job.workflow,
        "actor": job.actor,
        "steps": job.steps,
        "env": job.env,
    })
}

fn secret_of(headers: &HeaderMap) -> Result<String, Failure> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(|secret| secret.trim().to_owned())
        .ok_or_else(Failure::bad_credentials)
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn gone() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "the runner no longer exists on the server")
}

fn bad(problem: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, problem)
}

/// What a registration by `config.sh` is answered with.
fn created(body: &Value) -> Response {
    answer(StatusCode::OK, body)
}
