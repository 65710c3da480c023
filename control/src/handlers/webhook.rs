//! GitHub's webhooks into the ledger.
//!
//! The signature comes first: what is not signed by GitHub is not read. Then each refusal is one log line with the
//! delivery's id, and each `workflow_job` event is one transaction and perhaps a wake-up. A failure answers 500, which
//! GitHub shows and can deliver again; nothing is harmed by that.

mod payload;
mod signature;

pub use payload::{BadPayload, read as read_payload};
use signature::Signature;
pub use signature::WebhookKey;

use std::time::Duration;

use aws_lambda_events::{
    apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use dayfly_contract::names;
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    decide::{
        events::{self, JobEvent},
        jobs::JobState,
        route::route,
    },
    fleets::Fleets,
    ledger::{ATTEMPTS, Committed, Job, Ledger, LedgerError, Runner},
    report::{BoxError, Chain},
    wake::Wake,
};

/// A `workflow_job` delivery is about 10 KB. API Gateway passes up to 10 MB.
const LARGEST_BODY: usize = 1024 * 1024;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<L, W, C> {
    /// The fleets.
    pub fleets: Fleets,
    /// The webhook secret.
    pub key: WebhookKey,
    /// The ledger.
    pub ledger: L,
    /// The queue.
    pub wake: W,
    /// Time and chance.
    pub clock: C,
}

/// Handles one delivery.
pub async fn handle<L: Ledger, W: Wake, C: Clock>(
    deps: &Deps<L, W, C>,
    request: &ApiGatewayV2httpRequest,
) -> ApiGatewayV2httpResponse {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let delivery = header("x-github-delivery");
    let refuse = |status: u16, why: &str| {
        warn!(delivery.id = delivery, http.status = status, "Refused a delivery: {why}");
        answer(status, why)
    };
    // Before the body's size: a stranger learns nothing but that he is one.
    let signature = match Signature::read(header("x-hub-signature-256")) {
        Ok(signature) => signature,
        Err(why) => return refuse(401, &why.to_string()),
    };
    let body = match body(request) {
        Ok(body) => body,
        Err((status, why)) => return refuse(status, why),
    };
    if let Err(why) = deps.key.verify(&signature, &body) {
        return refuse(401, &why.to_string());
    }
    match header("x-github-event") {
        "workflow_job" => {}
        event => {
            info!(delivery.id = delivery, delivery.event = event, "Passed over a delivery of another event");
            return answer(202, "not a workflow_job event");
        }
    }
    let event = match payload::read(&body) {
        Ok(event) => event,
        // GitHub may invent actions; that is no mistake of the sender.
        Err(BadPayload::UnknownAction(action)) => {
            info!(delivery.id = delivery, job.action = action, "Passed over a workflow_job of an unknown action");
            return answer(202, "unknown action");
        }
        Err(bad) => return refuse(400, &bad.to_string()),
    };
    match take(deps, delivery, &event).await {
        Ok(Taken::Noted) => answer(202, "noted"),
        Ok(Taken::NotOurs) => answer(202, "no fleet takes this job"),
        Err(error) => {
            error!(
                delivery.id = delivery, job.id = event.id, error = %Chain(error.as_ref()),
                "A delivery was not noted; deliver it again"
            );
            answer(500, "the delivery was not noted; deliver it again")
        }
    }
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

enum Taken {
    Noted,
    NotOurs,
}

/// Takes `event` into the ledger and wakes who is to be woken.
async fn take<L: Ledger, W: Wake, C: Clock>(
    deps: &Deps<L, W, C>,
    delivery: &str,
    event: &JobEvent,
) -> Result<Taken, BoxError> {
    let routed = route(&deps.fleets.0, &event.labels, &event.repository);
    for attempt in 1..=ATTEMPTS {
        let (job, runner) = read(deps, event, routed.is_some()).await?;
        // A job that is known stays with its fleet, whatever the fleets document says by now. GitHub may give a runner
        // of ours a job that no fleet of ours would take: then it is noted with the runner's.
        let known = job.as_ref().map(|job| job.fleet.clone());
        let fleet = known.or(routed.map(|fleet| fleet.name.clone())).or(runner.as_ref().map(|it| it.fleet.clone()));
        let Some(fleet) = fleet else {
            info!(
                delivery.id = delivery,
                job.id = event.id,
                job.labels = event.labels.join(","),
                job.repository = event.repository,
                job.state = event.state.name(),
                "No fleet takes job {}",
                event.id
            );
            return Ok(Taken::NotOurs);
        };
        let before = job.as_ref().map(|job| job.state);
        let follows = events::job_event(event, job, &fleet, runner, deps.clock.now());
        let changed = !follows.writes.is_empty();
        if changed && deps.ledger.commit(follows.writes).await? == Committed::Conflict {
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        for fleet in &follows.wake {
            deps.wake.wake(fleet, delay(&deps.fleets, fleet, event.state)).await?;
        }
        info!(
            delivery.id = delivery,
            job.id = event.id,
            job.repository = event.repository,
            job.before = before.map(JobState::name),
            job.told = event.state.name(),
            fleet.name = fleet,
            runner.name = event.runner_name,
            changed,
            "Job {} is {}",
            event.id,
            event.state.name()
        );
        return Ok(Taken::Noted);
    }
    Err(format!("the ledger changed under {ATTEMPTS} attempts").into())
}

/// The job, and the runner it names where that is one of ours. A job that no fleet takes is looked up only once it
/// runs or has ended: it may have been taken when the fleets were others, and its marker must go.
async fn read<L: Ledger, W, C>(
    deps: &Deps<L, W, C>,
    event: &JobEvent,
    routed: bool,
) -> Result<(Option<Job>, Option<Runner>), LedgerError> {
    let late = matches!(event.state, JobState::Running | JobState::Done);
    let job = async { if routed || late { deps.ledger.job(event.id).await } else { Ok(None) } };
    let runner = async {
        match event.runner_name.as_deref().filter(|_| late).and_then(ours) {
            Some((fleet, instance)) => deps.ledger.runner(fleet, instance).await,
            None => Ok(None),
        }
    };
    futures::future::try_join(job, runner).await
}

/// Fleet and instance of a runner's name, where it is one of ours.
fn ours(runner_name: &str) -> Option<(&str, &str)> {
    let instance = names::instance_of_runner(runner_name)?;
    let fleet = runner_name.strip_suffix(instance)?.strip_suffix('-')?;
    names::is_name(fleet).then_some((fleet, instance))
}

/// A job counts once it has waited for the fleet's delay; looking sooner would see nothing. Where a runner was used up
/// for another job, the look is due now.
fn delay(fleets: &Fleets, fleet: &str, state: JobState) -> Duration {
    let queued = state == JobState::Queued;
    let seconds = fleets.get(fleet).filter(|_| queued).map_or(0, |fleet| fleet.delay_seconds);
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
