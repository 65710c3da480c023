//! The Runtime API (2018-06-01) of one process, on a port of its own: the port is what tells processes apart.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    body::{NoBody, whole},
    exchange::{Event, Phase, Verdict, step},
    lock,
    task::Task,
};

/// The largest answer a function may give: 6 MiB and a little. Source: Lambda quotas; the number is in AWS's own
/// error text.
pub(crate) const PAYLOAD_LIMIT: usize = 6_291_556;

/// An event for the process.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) request: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) arn: String,
    pub(crate) trace: String,
}

/// What the process answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// To `response`.
    Success(Vec<u8>),
    /// To `error`, or to `init/error`.
    Failure(Vec<u8>),
}

/// The process's side of the conversation, shared by the server and whoever invokes.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    inner: Mutex<Inner>,
    /// Counts changes, to wake whoever waits for one.
    changed: watch::Sender<u64>,
    /// Where it listens, for `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: SocketAddr,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    job: Option<Job>,
    handed: Option<Instant>,
    reply: Option<Reply>,
}

impl RuntimeApi {
    /// Listens on a free port. The task is the server.
    pub(crate) async fn serve() -> Result<(Arc<Self>, Task)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for a function's process")?;
        let api = Arc::new(Self {
            inner: Mutex::new(Inner { phase: Phase::Starting, job: None, handed: None, reply: None }),
            changed: watch::Sender::new(0),
            address: listener.local_addr().context("asking for the port")?,
        });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(Arc::clone(&api));
        let task = Task::spawn(async move {
            // It only ends with the task.
            let _ = axum::serve(NoDelay(listener), routes).await;
        });
        Ok((api, task))
    }

    /// Applies one event.
    pub(crate) fn step(&self, event: Event) -> Verdict {
        let verdict = lock(&self.inner).step(event);
        self.changed.send_modify(|count| *count += 1);
        verdict
    }

    /// The phase it is in.
    pub(crate) fn phase(&self) -> Phase {
        lock(&self.inner).phase.clone()
    }

    /// Gives it an event; false where it is not waiting for one.
    pub(crate) fn give(&self, job: Job) -> bool {
        let given = {
            let mut inner = lock(&self.inner);
            let given = inner.step(Event::Give(job.request.clone())) == Verdict::Fine;
            if given {
                (inner.job, inner.handed, inner.reply) = (Some(job), None, None);
            }
            given
        };
        self.changed.send_modify(|count| *count += 1);
        given
    }

    /// Waits until it is ready for an event or has ended.
    pub(crate) async fn settled(&self) -> Phase {
        self.wait(|inner| matches!(inner.phase, Phase::Ready | Phase::Ended).then(|| inner.phase.clone())).await
    }

    /// Waits until the event was picked up.
    pub(crate) async fn handed(&self) -> Instant {
        self.wait(|inner| inner.handed).await
    }

    /// Waits for the answer; none where the process ended without one.
    pub(crate) async fn reply(&self) -> Option<Reply> {
        self.wait(|inner| match inner.reply.take() {
            Some(reply) => Some(Some(reply)),
            None => (inner.phase == Phase::Ended).then_some(None),
        })
        .await
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = look(&mut lock(&self.inner)) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender is a field of self, so this is not reached; waiting on would be right if it were.
                std::future::pending::<()>().await;
            }
        }
    }

    fn answer(&self, event: Event, reply: Reply) -> Verdict {
        let verdict = {
            let mut inner = lock(&self.inner);
            let verdict = inner.step(event);
            if verdict == Verdict::Fine {
                inner.reply = Some(reply);
            }
            verdict
        };
        self.changed.send_modify(|count| *count += 1);
        verdict
    }
}

impl Inner {
    fn step(&mut self, event: Event) -> Verdict {
        let (phase, verdict) = step(self.phase.clone(), event);
        self.phase = phase;
        verdict
    }
}

type Api = State<Arc<RuntimeApi>>;

async fn next(State(api): Api) -> Response {
    if api.step(Event::Next) != Verdict::Fine {
        return refusal(Verdict::WrongMoment);
    }
    let job = api
        .wait(|inner| match inner.job.take() {
            Some(job) => {
                inner.handed = Some(Instant::now());
                Some(Some(job))
            }
            None => (inner.phase == Phase::Ended).then_some(None),
        })
        .await;
    api.changed.send_modify(|count| *count += 1);
    let Some(job) = job else { return refusal(Verdict::WrongMoment) };
    let deadline = SystemTime::now() + job.timeout;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", job.request),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", job.arn),
        ("lambda-runtime-trace-id", job.trace),
    ];
    (headers, job.payload).into_response()
}

async fn response(State(api): Api, Path(id): Path<String>, body: Body) -> Response {
    // Length and chunks are hyper's matter; a body over the limit or broken off is a failure of the function's.
    let (status, kind, text) = match whole(body, PAYLOAD_LIMIT).await {
        Ok(body) => return accepted(api.answer(Event::Answer(id), Reply::Success(body))),
        Err(NoBody::TooLong) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "Function.ResponseSizeTooLarge",
            format!("Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."),
        ),
        Err(NoBody::Broken(error)) => (StatusCode::BAD_REQUEST, "Runtime.TruncatedResponse", error.to_string()),
    };
    let failure = json!({"errorType": kind, "errorMessage": text}).to_string();
    match api.answer(Event::Answer(id), Reply::Failure(failure.into_bytes())) {
        Verdict::Fine => problem(status, kind, &text),
        refused => refusal(refused),
    }
}

async fn error(State(api): Api, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let failure = failure(&headers, body).await;
    accepted(api.answer(Event::Answer(id), Reply::Failure(failure)))
}

async fn init_error(State(api): Api, headers: HeaderMap, body: Body) -> Response {
    let failure = failure(&headers, body).await;
    accepted(api.answer(Event::InitError, Reply::Failure(failure)))
}

/// The error document; where the process sent none, one made of the error type's header.
async fn failure(headers: &HeaderMap, body: Body) -> Vec<u8> {
    match whole(body, PAYLOAD_LIMIT).await {
        Ok(body) if !body.is_empty() => body,
        _ => {
            let kind = headers.get("lambda-runtime-function-error-type").and_then(|kind| kind.to_str().ok());
            json!({"errorType": kind.unwrap_or("Runtime.Unknown")}).to_string().into_bytes()
        }
    }
}

fn accepted(verdict: Verdict) -> Response {
    match verdict {
        Verdict::Fine => {
            (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], r#"{"status":"OK"}"#).into_response()
        }
        refused => refusal(refused),
    }
}

fn refusal(verdict: Verdict) -> Response {
    match verdict {
        Verdict::WrongRequest => problem(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        _ => problem(StatusCode::FORBIDDEN, "InvalidStateTransition", "Not at this moment"),
    }
}

fn problem(status: StatusCode, kind: &str, text: &str) -> Response {
    (status, axum::Json(json!({"errorType": kind, "errorMessage": text}))).into_response()
}

/// Loopback with Nagle's algorithm costs 40 ms here and there.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // Without it all still works, slower.
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
