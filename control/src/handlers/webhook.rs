//! GitHub's webhooks into the ledger.
//!
//! The signature comes first: what is not signed by GitHub is not read. Then each refusal is one log line with the
//! delivery's id, and each `workflow_job` event is one transaction and perhaps a wake-up. A failure answers 500, which
//! GitHub shows and can deliver again; nothing is harmed by that. [`check_run`] makes a `workflow_job` event of a
//! `check_run`; [`forks`] finds out whose code a public repository's job runs.

mod asking;
mod check_run;
mod forks;
mod payload;
mod ping;
mod publish;
mod signature;

pub use forks::KnownRuns;
use payload::Origin;
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
use serde_json::Value;
use tracing::{error, info, warn};

use crate::{
    bus::Bus,
    clock::{Clock, Millis},
    decide::{
        asks,
        events::{self, JobEvent},
        jobs::JobState,
        route::{Decision, route},
        waiting::queue_ms,
    },
    fleets::Fleets,
    github::GitHub,
    ledger::{ATTEMPTS, Committed, Job, Ledger, LedgerError, Notes, Runner, Write},
    metrics::{Metric, Metrics},
    report::{BoxError, Chain},
    wake::Wake,
};

/// A `workflow_job` delivery is about 10 KB. API Gateway passes up to 10 MB.
const LARGEST_BODY: usize = 1024 * 1024;

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// Where jobs and runners are kept, and what need not be asked twice.
    type Ledger: Ledger + Notes;
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

/// Handles one delivery.
pub async fn handle<P: Ports>(deps: &Deps<P>, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
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
        Told::CheckRun(it) => check_run(deps, delivery, &it).await,
        // Whatever becomes of the one, the other is done.
        Told::Job(it, origin) => {
            let (taken, ()) =
                futures::join!(job(deps, delivery, it, &origin), publish::publish(deps, delivery, &payload));
            taken
        }
    };
    match taken {
        Ok(Taken::Noted) => answer(202, "noted"),
        Ok(Taken::NotOurs) => answer(202, "no fleet takes this job"),
        Err(error) => {
            deps.metrics.refused("not_noted");
            error!(
                delivery.id = delivery, job.id = job_id(&payload), error = %Chain(error.as_ref()),
                "A delivery was not noted; deliver it again"
            );
            answer(500, "the delivery was not noted; deliver it again")
        }
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

/// Takes a job whose event may be a fork's.
async fn job<P: Ports>(
    deps: &Deps<P>,
    delivery: &str,
    mut event: JobEvent,
    origin: &Origin,
) -> Result<Taken, BoxError> {
    event.public_fork = forks::is_public_fork(deps, &event, origin).await?;
    take(deps, delivery, &event).await
}

/// Takes a check run as the job that it is.
async fn check_run<P: Ports>(deps: &Deps<P>, delivery: &str, it: &check_run::CheckRun) -> Result<Taken, BoxError> {
    if let Some(event) = check_run::job_event(deps, it).await? {
        return job(deps, delivery, event, &it.origin).await;
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

enum Taken {
    Noted,
    NotOurs,
}

/// Takes `event` into the ledger and wakes who is to be woken.
async fn take<P: Ports>(deps: &Deps<P>, delivery: &str, event: &JobEvent) -> Result<Taken, BoxError> {
    let decision = route(&deps.fleets, &event.into());
    let routed = decision.fleet;
    for attempt in 1..=ATTEMPTS {
        let (job, runner) = read(deps, event, routed.is_some()).await?;
        // A job that is known stays with its fleet, whatever the fleets document says by now. GitHub may give a runner
        // of ours a job that no fleet of ours would take: then it is noted with the runner's.
        let known = job.as_ref().map(|job| job.fleet.clone());
        let fleet = known.or(routed.map(|fleet| fleet.name.clone())).or(runner.as_ref().map(|it| it.fleet.clone()));
        let Some(fleet) = fleet else {
            deps.metrics.refused("no_fleet");
            tell_routed(delivery, event, &decision);
            return Ok(Taken::NotOurs);
        };
        let before = job.as_ref().map(|job| job.state);
        let asks = deps.fleets.get(&fleet).map(|fleet| asks::asks(fleet, &event.labels)).unwrap_or_default();
        let event = &JobEvent { asks, ..event.clone() };
        let now = deps.clock.now();
        let waited = queue_ms(job.as_ref(), event, now);
        let mut follows = events::job_event(event, job, &fleet, runner, now);
        if before.is_none() {
            note_passed_over(&mut follows.writes, &decision, now);
        }
        let changed = !follows.writes.is_empty();
        if changed && deps.ledger.commit(follows.writes).await? == Committed::Conflict {
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        if before.is_none() {
            tell_routed(delivery, event, &decision);
        }
        for fleet in &follows.wake {
            deps.wake.wake(fleet, delay(&deps.fleets, fleet, event.state)).await?;
        }
        measure(&deps.metrics, event, &fleet, changed, waited);
        info!(
            delivery.id = delivery,
            job.id = event.id,
            job.queue_ms = waited,
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

/// Tells of a job that is new to us which fleet takes it, and of each fleet why or why not. A job that none takes is
/// not remembered, and told at each of its events.
fn tell_routed(delivery: &str, event: &JobEvent, decision: &Decision<'_>) {
    let fleet = decision.fleet.map(|fleet| fleet.name.as_str());
    info!(
        delivery.id = delivery,
        job.id = event.id,
        job.labels = event.labels.join(","),
        job.repository = event.repository,
        job.public_fork = event.public_fork,
        job.state = event.state.name(),
        fleet.name = fleet,
        route.candidates = %decision,
        "{} takes job {}",
        fleet.map_or("No fleet".to_owned(), |name| format!("Fleet {name}")),
        event.id
    );
}

/// Adds to a new job's history which fleets do not take it, and why.
fn note_passed_over(writes: &mut [Write], decision: &Decision<'_>, now: Millis) {
    for write in writes {
        if let Write::PutJob(job) = write {
            let others = decision.candidates.iter().filter(|it| it.fleet != job.fleet);
            let why: Vec<String> = others.map(ToString::to_string).collect();
            // An item has room for 400 KB in all, and a fleets document for many fleets.
            let why: String = why.join("; ").chars().take(1000).collect();
            if !why.is_empty() {
                job.history.add(now, "passed over", why);
            }
        }
    }
}

/// Counts an event that changed something.
fn measure(metrics: &Metrics, event: &JobEvent, fleet: &str, changed: bool, waited: Option<u64>) {
    if changed {
        metrics.add(Metric::Jobs, 1, &[("Fleet", fleet), ("Action", event.state.name())]);
    }
    if let Some(waited) = waited {
        metrics.add(Metric::QueueTime, waited, &[("Fleet", fleet)]);
    }
}

/// The job, and the runner it names where that is one of ours. A job that no fleet takes is looked up only once it
/// runs or has ended: it may have been taken when the fleets were others, and its marker must go.
async fn read<P: Ports>(
    deps: &Deps<P>,
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
mod asking_tests;
#[cfg(test)]
mod tests;
