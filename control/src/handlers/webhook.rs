//! GitHub's webhooks into the ledger.
//!
//! The signature comes first: what is not signed by GitHub is not read. Then each refusal is one log line with the
//! delivery's id, and each `workflow_job` event is one transaction and perhaps a wake-up. A failure answers 500, which
//! GitHub shows and can deliver again; nothing is harmed by that. [`check_run`] makes a `workflow_job` event of a
//! `check_run`; [`forks`] finds out whose code a public repository's job runs; [`take`] writes down what is known then.

mod check_run;
mod forks;
mod payload;
mod ping;
mod publish;
mod signature;
pub(super) mod take;

pub use forks::KnownRuns;
use payload::Origin;
pub use payload::{BadPayload, read as read_payload};
use signature::Signature;
pub use signature::WebhookKey;
use take::{Door, Taken, take};

use std::sync::atomic::Ordering;

use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tracing::{error, info, warn};

use super::{ending, forks::Unknown};
use crate::{
    bus::Bus,
    clock::{Clock, Millis, seconds},
    decide::{doubt::Why, events::JobEvent, jobs::JobState},
    fleets::Fleets,
    github::{GitHub, GitHubError},
    ledger::{Ledger, LedgerError, Notes, Reruns},
    metrics::Metrics,
    report::{BoxError, Chain},
    wake::Wake,
};

/// The note of when a delivery was last heard, for reconcile.
pub(super) const HEARD: &str = "webhook#heard";
/// It is noted again after this time, by each process.
const HEARD_EACH: Millis = 60 * 1000;
/// How long it is kept.
const HEARD_SECONDS: u64 = 30 * 24 * 3600;

/// A `workflow_job` delivery is about 10 KB. API Gateway passes up to 10 MB.
const LARGEST_BODY: usize = 1024 * 1024;

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// Where jobs and runners are kept, and what need not be asked twice.
    type Ledger: Ledger + Notes + Reruns;
    /// Who is asked about jobs that an event does not tell enough of.
    type GitHub: GitHub;
    /// The queue.
    type Wake: Wake;
    /// Where the user's own rules listen.
    type Bus: Bus;
    /// Time and chance.
    type Clock: Clock;
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<P: Ports> {
    /// The fleets.
    pub fleets: Fleets,
    /// The webhook's secrets.
    pub key: WebhookKey,
    /// The ledger.
    pub ledger: P::Ledger,
    /// GitHub.
    pub github: P::GitHub,
    /// The queue.
    pub wake: P::Wake,
    /// The bus, where there is one.
    pub bus: Option<P::Bus>,
    /// What is measured.
    pub metrics: Metrics,
    /// Time and chance.
    pub clock: P::Clock,
    /// What this process has learned of runs.
    pub runs: KnownRuns,
}

/// Nothing is waited for any more when no more time is left ([`super::ending`]): GitHub is told that it has to send again.
const TO_ANSWER: Millis = 700;
/// What is only kept in mind is not waited for when no more is left.
const TO_END: Millis = 300;

/// Handles one delivery, in an invocation that is killed at `deadline`.
pub async fn handle<P: Ports>(
    deps: &Deps<P>,
    request: &ApiGatewayV2httpRequest,
    deadline: Millis,
) -> ApiGatewayV2httpResponse {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let delivery = header("x-github-delivery");
    let refuse = |status: u16, reason: &'static str, why: &str| {
        deps.metrics.refused(reason);
        warn!(delivery.id = delivery, http.status = status, "Refused a delivery: {why}");
        answer(status, why)
    };
    // Before the body's size: a stranger learns nothing but that he is one.
    let signature = match Signature::read(header("x-hub-signature-256")) {
        Ok(signature) => signature,
        Err(why) => return refuse(401, "signature", &why.to_string()),
    };
    let body = match body(request) {
        Ok(body) => body,
        Err((status, why)) => return refuse(status, "body", why),
    };
    if let Err(why) = deps.key.verify(&signature, &body) {
        return refuse(401, "signature", &why.to_string());
    }
    let event = header("x-github-event");
    if !matches!(event, "workflow_job" | "check_run" | "ping") {
        deps.metrics.refused("another_event");
        info!(delivery.id = delivery, delivery.event = event, "Passed over a delivery of another event");
        return answer(202, "neither a workflow_job nor a check_run event");
    }
    let told = payload::parse(&body).and_then(|payload| Ok((Told::read(event, &payload)?, payload)));
    let (told, payload) = match told {
        Ok(told) => told,
        // GitHub may invent actions; that is no mistake of the sender.
        Err(BadPayload::UnknownAction(action)) => {
            deps.metrics.refused("unknown_action");
            info!(delivery.id = delivery, job.action = action, "Passed over a workflow_job of an unknown action");
            return answer(202, "unknown action");
        }
        Err(bad) => return refuse(400, "payload", &bad.to_string()),
    };
    let taken = match told {
        Told::Ping => {
            let said = ping::describe(&payload);
            info!(
                delivery.id = delivery,
                hook.id = header("x-github-hook-id"),
                hook.target = header("x-github-hook-installation-target-type"),
                "A ping: {said}"
            );
            return answer(200, &said);
        }
        Told::Nothing => {
            deps.metrics.refused("no_job");
            info!(delivery.id = delivery, delivery.event = event, "Passed over a check run that tells of no job");
            return answer(202, "no job of GitHub Actions that was queued or completed");
        }
        // Whatever becomes of the one, the other is done.
        Told::CheckRun(it) => {
            let published = publish::publish(deps, delivery, event, &payload);
            futures::join!(in_time(deps, deadline, check_run(deps, delivery, &it)), published).0
        }
        Told::Job(it, origin) => {
            let published = publish::publish(deps, delivery, event, &payload);
            futures::join!(in_time(deps, deadline, job(deps, delivery, it, &origin, None)), published).0
        }
    };
    if taken.is_ok() {
        ending::by(&deps.clock, deadline.saturating_sub(TO_END), hear(deps)).await;
    }
    match taken {
        Ok(Taken::Noted) => answer(202, "noted"),
        Ok(Taken::NotOurs) => answer(202, "no fleet takes this job"),
        Err(failed) => {
            let (reason, says) = failed.told();
            deps.metrics.refused(reason);
            error!(
                delivery.id = delivery, job.id = job_id(&payload), error = %Chain(&failed),
                "A delivery was not noted; deliver it again"
            );
            answer(500, says)
        }
    }
}

/// What comes of `work`, if it comes before the invocation is killed at `deadline`.
async fn in_time<P: Ports>(
    deps: &Deps<P>,
    deadline: Millis,
    work: impl Future<Output = Result<Taken, Failed>>,
) -> Result<Taken, Failed> {
    let end_at = deadline.saturating_sub(TO_ANSWER);
    ending::by(&deps.clock, end_at, Box::pin(work)).await.unwrap_or(Err(Failed::Late))
}

/// Notes that a delivery was heard, now and then: reconcile compares that with what GitHub says to have delivered.
async fn hear<P: Ports>(deps: &Deps<P>) {
    let now = deps.clock.now();
    let last = deps.runs.heard.load(Ordering::Relaxed);
    if last != 0 && now < last.saturating_add(HEARD_EACH) {
        return;
    }
    deps.runs.heard.store(now, Ordering::Relaxed);
    if let Err(error) = deps.ledger.remember(HEARD, now, seconds(now) + HEARD_SECONDS).await {
        warn!("{}", Chain(&error));
    }
}

/// Why a delivery was not noted.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// GitHub refuses to tell of the job, until a person changes something: the App lacks a permission, is suspended,
    /// or its key was changed. To take the job all the same could be to run a fork's code, and to pass it over would be
    /// to lose it: a failed delivery can be sent again.
    #[error(transparent)]
    Refused(GitHubError),
    /// Somebody who was asked has not answered in time. What was written stays: the same delivery writes it again.
    #[error("its time is up")]
    Late,
    /// The ledger, the queue or GitHub fails just now.
    #[error(transparent)]
    Passing(#[from] BoxError),
}

impl Failed {
    /// The reason for the metric, and the answer to GitHub.
    fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::Refused(_) => (
                "github_refused",
                "GitHub refuses to tell of this job (does the App have the permission \"actions: read\"?); \
                 the delivery was not noted; deliver it again",
            ),
            Self::Late | Self::Passing(_) => ("not_noted", "the delivery was not noted; deliver it again"),
        }
    }
}

impl From<GitHubError> for Failed {
    fn from(error: GitHubError) -> Self {
        match error {
            GitHubError::Permanent(_) => Self::Refused(error),
            passing => Self::Passing(passing.into()),
        }
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        Self::Passing(error.into())
    }
}

/// What a delivery tells.
enum Told {
    Ping,
    Nothing,
    Job(JobEvent, Origin),
    CheckRun(check_run::CheckRun),
}

impl Told {
    fn read(event: &str, payload: &Value) -> Result<Self, BadPayload> {
        match event {
            "ping" => Ok(Self::Ping),
            "check_run" => Ok(check_run::read(payload)?.map_or(Self::Nothing, Self::CheckRun)),
            _ => {
                let event = payload::job_event(payload)?;
                let origin = payload::origin(payload, &event.repository);
                Ok(Self::Job(event, origin))
            }
        }
    }
}

/// Of a payload of either kind.
fn job_id(payload: &Value) -> Option<u64> {
    ["workflow_job", "check_run"].iter().find_map(|kind| payload[*kind]["id"].as_u64())
}

/// Takes a job whose event may be a fork's. `doubt`: GitHub has to be asked again about it anyway.
///
/// Where it can't be asked just now whose code the job runs, the job is noted and asked about later: nobody else would
/// tell of it again.
async fn job<P: Ports>(
    deps: &Deps<P>,
    delivery: &str,
    mut event: JobEvent,
    origin: &Origin,
    mut doubt: Option<Why>,
) -> Result<Taken, Failed> {
    match (forks::is_public_fork(deps, &event, origin).await, event.state) {
        (Ok(is_fork), _) => event.public_fork = is_fork,
        (Err(Unknown::Refused(error)), _) => return Err(Failed::Refused(error)),
        (Err(Unknown::Passing(why)), JobState::Queued) => {
            deps.metrics.refused("fork_unknown");
            warn!(
                delivery.id = delivery, job.id = event.id, job.run_id = event.run_id, error = %Chain(why.as_ref()),
                "It is not known yet whose code job {} runs; GitHub is asked again", event.id
            );
            doubt = Some(Why::Fork { otherwise: forks::taken(&deps.fleets, &event, &origin.owner, true) });
            event.state = JobState::Waiting;
        }
        // Nothing is launched for it before an event says that it is queued; then it is asked about again.
        (Err(Unknown::Passing(why)), _) if doubt.is_none() => {
            warn!(delivery.id = delivery, job.id = event.id, error = %Chain(why.as_ref()), "Whose code is not known yet");
        }
        (Err(Unknown::Passing(why)), _) => return Err(Failed::Passing(why)),
    }
    let Deps { fleets, ledger, wake, metrics, clock, .. } = deps;
    let door = Door { fleets, ledger, wake, metrics, clock };
    Ok(take(&door, delivery, &event, &origin.owner, doubt).await?)
}

/// Takes a check run as the job that it is.
async fn check_run<P: Ports>(deps: &Deps<P>, delivery: &str, it: &check_run::CheckRun) -> Result<Taken, Failed> {
    if let Some((event, doubt)) = check_run::job_event(deps, it).await? {
        return job(deps, delivery, event, &it.origin, doubt).await;
    }
    deps.metrics.refused("no_fleet");
    info!(delivery.id = delivery, job.id = it.id, "Passed over check run {}: nothing is to be done for it", it.id);
    Ok(Taken::NotOurs)
}

/// The raw bytes that GitHub signed.
fn body(request: &ApiGatewayV2httpRequest) -> Result<Vec<u8>, (u16, &'static str)> {
    let text = request.body.as_deref().unwrap_or_default();
    // Base64 is a third longer.
    if text.len() > LARGEST_BODY / 3 * 4 + 4 || (!request.is_base64_encoded && text.len() > LARGEST_BODY) {
        return Err((413, "the body is larger than 1 MiB"));
    }
    if !request.is_base64_encoded {
        return Ok(text.as_bytes().to_vec());
    }
    let bytes = STANDARD.decode(text).map_err(|_| (400, "the body is not base64"))?;
    if bytes.len() > LARGEST_BODY { Err((413, "the body is larger than 1 MiB")) } else { Ok(bytes) }
}

fn answer(status: u16, message: &str) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(status);
    response.body = Some(Body::Text(format!("{message}\n")));
    response.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod asking_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
mod tests;
