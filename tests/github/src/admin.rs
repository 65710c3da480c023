//! The handle's methods over HTTP, under `/_emulator/`. Not counted, not limited, never at fault.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Answered, Failure, answer};
use crate::github::Github;
use crate::webhooks::Webhook;

pub(crate) fn routes() -> Router<Github> {
    Router::new()
        .route("/_emulator/jobs", post(queue_job).get(jobs))
        .route("/_emulator/jobs/{id}", get(job))
        .route("/_emulator/jobs/{id}/approve", post(approve_job))
        .route("/_emulator/jobs/{id}/cancel", post(cancel_job))
        .route("/_emulator/runners", get(runners))
        .route("/_emulator/runners/{id}", delete(remove_runner))
        .route("/_emulator/faults", post(add_fault).get(faults).delete(clear_faults))
        .route("/_emulator/quirks", put(set_quirks))
        .route("/_emulator/rate-limit", put(set_rate_limit))
        .route("/_emulator/webhook", put(set_webhook))
        .route("/_emulator/webhook/ping", post(ping))
        .route("/_emulator/chaos", put(set_chaos).get(chaos))
        .route("/_emulator/deliveries", get(deliveries))
        .route("/_emulator/deliveries/{id}/redeliver", post(redeliver))
        .route("/_emulator/calls", get(calls))
        .route("/_emulator/calls/reset", post(reset_calls))
}

async fn queue_job(State(github): State<Github>, body: Bytes) -> Answered {
    let job = github.queue_job(read(&body)?).map_err(|error| bad(&error))?;
    shown(StatusCode::CREATED, &job)
}

async fn jobs(State(github): State<Github>) -> Answered {
    shown(StatusCode::OK, &github.jobs())
}

async fn job(State(github): State<Github>, Path(id): Path<u64>) -> Answered {
    shown(StatusCode::OK, &github.job(id).ok_or_else(Failure::not_found)?)
}

async fn approve_job(State(github): State<Github>, Path(id): Path<u64>) -> Answered {
    github.approve_job(id).map_err(|error| bad(&error))?;
    done()
}

async fn cancel_job(State(github): State<Github>, Path(id): Path<u64>) -> Answered {
    github.cancel_job(id).map_err(|error| bad(&error))?;
    done()
}

async fn runners(State(github): State<Github>) -> Answered {
    shown(StatusCode::OK, &github.runners())
}

async fn remove_runner(State(github): State<Github>, Path(id): Path<u64>) -> Answered {
    if github.remove_runner(id) { done() } else { Err(Failure::not_found()) }
}

async fn add_fault(State(github): State<Github>, body: Bytes) -> Answered {
    github.add_fault(read(&body)?).map_err(|error| bad(&error))?;
    done()
}

async fn faults(State(github): State<Github>) -> Answered {
    shown(StatusCode::OK, &github.faults())
}

async fn clear_faults(State(github): State<Github>) -> Answered {
    github.clear_faults();
    done()
}

async fn set_quirks(State(github): State<Github>, body: Bytes) -> Answered {
    github.set_quirks(read(&body)?);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimit {
    an_hour: u64,
}

async fn set_rate_limit(State(github): State<Github>, body: Bytes) -> Answered {
    github.set_rate_limit(read::<RateLimit>(&body)?.an_hour);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    url: String,
    secret: SecretString,
}

async fn set_webhook(State(github): State<Github>, body: Bytes) -> Answered {
    // serde's message could quote the secret, where it has another type.
    let hook: Hook = serde_json::from_slice(&body)
        .map_err(|_| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "expected {\"url\": text, \"secret\": text}"))?;
    github.set_webhook(Webhook { url: hook.url, secret: hook.secret });
    done()
}

async fn ping(State(github): State<Github>) -> Answered {
    if github.ping() { done() } else { Err(Failure::new(StatusCode::CONFLICT, "no webhook is set")) }
}

async fn set_chaos(State(github): State<Github>, body: Bytes) -> Answered {
    github.set_chaos(read(&body)?).map_err(|error| bad(&error))?;
    done()
}

async fn chaos(State(github): State<Github>) -> Answered {
    shown(StatusCode::OK, &github.chaos())
}

async fn deliveries(State(github): State<Github>) -> Answered {
    let all = json!({ "pending": github.deliveries_pending(), "deliveries": github.deliveries() });
    shown(StatusCode::OK, &all)
}

async fn redeliver(State(github): State<Github>, Path(id): Path<u64>) -> Answered {
    if github.redeliver(id) { done() } else { Err(Failure::not_found()) }
}

async fn calls(State(github): State<Github>) -> Answered {
    shown(StatusCode::OK, &github.calls())
}

async fn reset_calls(State(github): State<Github>) -> Answered {
    github.reset_calls();
    done()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| bad(&error.into()))
}

fn bad(error: &anyhow::Error) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

fn shown(status: StatusCode, value: &impl Serialize) -> Answered {
    let value = serde_json::to_value(value)
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(answer(status, &value))
}

#[expect(clippy::unnecessary_wraps, reason = "the last line of handlers that can fail before")]
fn done() -> Answered {
    Ok(StatusCode::NO_CONTENT.into_response())
}
