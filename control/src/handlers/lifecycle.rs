//! What the instances tell: an end settles the ledger.
//!
//! A message is trusted for the instance that SQS says sent it, for no other: the last part of `SenderId`. What is not
//! understood or not trusted is one warning and gone, since it would be no better the next time.

mod timeline;

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use dayfly_contract::{Kind, Lifecycle, VERSION, names};
use tracing::{error, info, warn};

use super::batch::{GivenBack, receive_count};
use crate::{
    clock::Clock,
    decide::{
        events, reusable,
        runners::{RunnerEvent, RunnerState},
    },
    fleets::Target,
    github::{Deletion, GitHub, GitHubError},
    handover::{Handover, HandoverError},
    ledger::{ATTEMPTS, Committed, Heard, Ledger, LedgerError, Runner},
    metrics::Metrics,
    report::{BoxError, Chain},
    wake::Wake,
};

/// After so many attempts at cleaning up behind an instance, the ledger is settled without: the fleet's `max` matters
/// more than a stray runner entry at GitHub, which GitHub removes by itself after a day.
const CLEANUP_ATTEMPTS: u32 = 4;

/// A reusable runner that was killed in a job is busy for GitHub until it notices, which takes minutes. So often its end
/// is told again, beside a ledger that is settled; its queue gives a message up after 20.
const BUSY_ATTEMPTS: u32 = 18;

/// How long a fleet is left alone after its first failed instance, and by how much longer after each that follows:
/// where none can work, as with a broken image, launching on at once costs money without end.
const FAILURE_WAIT: Duration = Duration::from_secs(5);
/// The longest that a fleet is left alone after failures.
const LONGEST_FAILURE_WAIT: Duration = Duration::from_mins(5);

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<L, G, H, W, C> {
    /// The ledger.
    pub ledger: L,
    /// GitHub; asked only about runners that had no job.
    pub github: G,
    /// How registrations got to their instances.
    pub handover: H,
    /// The queue that wakes scale-up.
    pub wake: W,
    /// What is measured.
    pub metrics: Metrics,
    /// Time and chance.
    pub clock: C,
}

/// Why a message was not acted upon.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error("it is not understood at line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("it is version {0}, and versions up to {VERSION} are known")]
    TooNew(u32),
    #[error("its kind is unknown")]
    UnknownKind,
    #[error("\"{0}\" is no instance's id")]
    NoInstance(String),
    #[error("\"{0}\" is no fleet's name")]
    NoFleet(String),
    #[error("it was sent by {sender} and speaks for {instance}")]
    Foreign { sender: String, instance: String },
}

impl Untrusted {
    /// Its name among the metrics.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooNew(_) => "too_new",
            Self::UnknownKind => "unknown_kind",
            Self::NoInstance(_) => "no_instance",
            Self::NoFleet(_) => "no_fleet",
            Self::Foreign { .. } => "foreign",
        }
    }
}

/// Handles a batch of lifecycle messages.
pub async fn handle<L, G, H, W, C>(deps: &Deps<L, G, H, W, C>, batch: &SqsEvent) -> SqsBatchResponse
where
    L: Ledger + Heard,
    G: GitHub,
    H: Handover,
    W: Wake,
    C: Clock,
{
    let mut given_back = GivenBack::default();
    let mut wake: BTreeMap<String, Duration> = BTreeMap::new();
    let mut settled = Vec::new();
    for message in &batch.records {
        let it = match read(message) {
            Ok(it) => it,
            Err(why) => {
                deps.metrics.refused(why.reason());
                warn!(message.id = message.message_id, reason = why.reason(), "Dropped a lifecycle message: {why}");
                continue;
            }
        };
        hear(deps, &it, message).await;
        let outcome = match it.kind {
            Kind::Retire => retire(deps, &it).await.map(|()| Settled::default()),
            kind if kind.is_last() => settle(deps, &it, receive_count(message)).await,
            _ => on_the_way(deps, &it).await.map(|()| Settled::default()),
        };
        match outcome {
            Ok(Settled { wake: wanted, busy }) => {
                if busy {
                    given_back.leave(message);
                }
                settled.push((message, it.fleet.clone()));
                if let Some(wait) = wanted {
                    let longest = wake.entry(it.fleet).or_default();
                    *longest = wait.max(*longest);
                }
            }
            Err(error) => {
                error!(instance.id = it.instance_id, fleet.name = it.fleet, error = %Chain(error.as_ref()),
                    "What {} tells is not settled yet", it.instance_id);
                given_back.leave(message);
            }
        }
    }
    // One wake-up serves all messages of a fleet. Where it fails, they come back: settling twice changes nothing.
    for (fleet, wait) in wake {
        if let Err(error) = deps.wake.wake(&fleet, wait).await {
            error!(fleet.name = fleet, error = %Chain(&error), "Fleet {fleet} can't be woken");
            for (message, _) in settled.iter().filter(|(_, it)| *it == fleet) {
                given_back.leave(message);
            }
        }
    }
    given_back.into_response()
}

fn read(message: &SqsMessage) -> Result<Lifecycle, Untrusted> {
    /// The version decides before the fields do: a newer document may have other fields.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let body = message.body.as_deref().unwrap_or_default();
    // serde's message would quote what stands there; a line of a stranger's is not for our log.
    let unreadable = |error: serde_json::Error| Untrusted::Unreadable { line: error.line(), column: error.column() };
    let Versioned { version } = serde_json::from_str(body).map_err(unreadable)?;
    if version > VERSION {
        return Err(Untrusted::TooNew(version));
    }
    let it: Lifecycle = serde_json::from_str(body).map_err(unreadable)?;
    if it.kind == Kind::Unknown {
        return Err(Untrusted::UnknownKind);
    }
    if !names::is_instance_id(&it.instance_id) {
        return Err(Untrusted::NoInstance(it.instance_id));
    }
    if !names::is_name(&it.fleet) {
        return Err(Untrusted::NoFleet(it.fleet));
    }
    let sender = message.attributes.get("SenderId").map_or("nobody", String::as_str);
    if sender.rsplit_once(':').is_none_or(|(_, session)| session != it.instance_id) {
        return Err(Untrusted::Foreign { sender: sender.to_owned(), instance: it.instance_id });
    }
    Ok(it)
}

/// Notes that the agent lives: its deadline moves on. By the time at which it spoke, since a message may lie in its queue
/// for long.
async fn hear<L: Heard, G, H, W, C: Clock>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle, message: &SqsMessage) {
    if it.kind.is_last() {
        return;
    }
    let sent_at = message.attributes.get("SentTimestamp").and_then(|digits| digits.parse().ok());
    let at = sent_at.unwrap_or(u64::MAX).min(deps.clock.now());
    if let Err(error) = deps.ledger.hear(&it.fleet, &it.instance_id, at).await {
        // The next heartbeat says the same, and no deadline is shorter than several of them.
        warn!(instance.id = it.instance_id, "{}", Chain(&error));
    }
}

/// What follows from a message beside the ledger's change.
#[derive(Default)]
struct Settled {
    /// Whether the fleet is to be woken, and after how long.
    wake: Option<Duration>,
    /// Whether GitHub still takes the runner for busy: the message is to be seen again.
    busy: bool,
}

/// What the agent of a reusable runner tells on the way. A runner for one job moves by the webhooks and its end alone.
async fn on_the_way<L: Ledger, G, H, W, C: Clock>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle) -> Result<(), BoxError> {
    // A registration that names no runner is a token, which is a reusable runner's. So no others are read.
    if it.reservation.is_none() || it.runner_id.is_some() {
        return Ok(());
    }
    for attempt in 1..=ATTEMPTS {
        let Some(runner) = deps.ledger.runner(&it.fleet, &it.instance_id).await? else { return Ok(()) };
        let before = runner.state.name();
        let Some(write) = reusable::word(it, runner, deps.clock.now()) else { return Ok(()) };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            info!(fleet.name = it.fleet, instance.id = it.instance_id, runner.before = before, kind = ?it.kind,
                "{} listens", it.instance_id);
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    // The next heartbeat says the same.
    Ok(())
}

/// Settles the end of an instance.
async fn settle<L, G, H, W, C>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle, received: u32) -> Result<Settled, BoxError>
where
    L: Ledger,
    G: GitHub,
    H: Handover,
    C: Clock,
{
    let (mut cleaned, mut busy) = (false, false);
    for attempt in 1..=ATTEMPTS {
        let runner = deps.ledger.runner(&it.fleet, &it.instance_id).await?;
        // Before the ledger forgets whom the runner was for.
        if !cleaned && leaves_something(it, runner.as_ref()) {
            busy = clean_up(deps, it, runner.as_ref(), received).await?;
            cleaned = true;
        }
        let before = runner.as_ref().map(|runner| runner.state.name());
        let now = deps.clock.now();
        let writes = events::ended(it, runner, now);
        let writes = if busy { events::remembered(writes, now) } else { writes };
        let changed = !writes.is_empty();
        if changed && deps.ledger.commit(writes).await? == Committed::Conflict {
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        timeline::log(it, before, changed);
        // A failed instance leaves a gap. A repeated message is not counted again; the look will find the pause.
        if it.kind == Kind::Failed {
            let wait = if changed { failed(deps, it).await? } else { Duration::ZERO };
            return Ok(Settled { wake: Some(wait), busy });
        }
        // Any end may make room under `max` for a job that waits for it.
        let waits = !deps.ledger.queued(&it.fleet, 1).await?.is_empty();
        return Ok(Settled { wake: waits.then_some(Duration::ZERO), busy });
    }
    Err(LedgerError::new(
        format!("settling the end of {}", it.instance_id),
        format!("the ledger changed under {ATTEMPTS} attempts"),
    )
    .into())
}

/// Deletes a runner that has no job at GitHub, so that it gets none any more: its listener is told, and exits. One that
/// got a job in between is refused by GitHub (422) and goes on; its agent sees the job.
async fn retire<L: Ledger, G: GitHub, H, W, C>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle) -> Result<(), BoxError> {
    let Some(runner) = deps.ledger.runner(&it.fleet, &it.instance_id).await? else {
        deps.metrics.refused("retire_unknown");
        info!(
            instance.id = it.instance_id,
            fleet.name = it.fleet,
            "{} is not in the ledger; it retires alone",
            it.instance_id
        );
        return Ok(());
    };
    // GitHub's DELETE has been seen to succeed on a busy runner. A message that comes late must not be believed more
    // than what GitHub has told of the runner's job.
    if !matches!(runner.state, RunnerState::Launched | RunnerState::Registered) {
        info!(instance.id = it.instance_id, state = runner.state.name(), "{} has a job and goes on", it.instance_id);
        return Ok(());
    }
    let Some(scope) = runner.scope.clone() else { return Ok(()) };
    let target = Target { scope, installation: runner.installation };
    let Some(id) = registered(deps, it, &runner, &target).await? else { return Ok(()) };
    let deleted = match deps.github.delete_runner(&target, id).await {
        // It would be refused again. The agent stops its runner itself after a while.
        Err(error @ GitHubError::Permanent(_)) => {
            deps.metrics.refused("retire_refused");
            error!(instance.id = it.instance_id, error = %Chain(&error), "{} can't be retired", it.instance_id);
            return Ok(());
        }
        other => other?,
    };
    match deleted {
        Deletion::Gone => info!(instance.id = it.instance_id, runner.id = id, "Runner {id} is retired"),
        Deletion::Busy => info!(instance.id = it.instance_id, runner.id = id, "Runner {id} has got a job and goes on"),
    }
    Ok(())
}

/// Leaves the fleet alone for a while after a failed instance; answers how long. Instances of one launch fail together:
/// those that fail within a pause count no more.
async fn failed<L: Ledger, G, H, W, C: Clock>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
) -> Result<Duration, LedgerError> {
    let meta = deps.ledger.meta(&it.fleet).await?;
    let now = deps.clock.now();
    let pause = meta.paused_until.saturating_sub(now);
    if pause > 0 {
        return Ok(Duration::from_millis(pause));
    }
    let wait = failure_wait(meta.failures);
    let until = now + u64::try_from(wait.as_millis()).unwrap_or_default();
    deps.ledger.failed(&it.fleet, meta.failures, now, until).await?;
    info!(
        fleet.name = it.fleet,
        fleet.failures = meta.failures + 1,
        wait_s = wait.as_secs(),
        "Fleet {} is left alone for {} s",
        it.fleet,
        wait.as_secs()
    );
    Ok(wait)
}

/// The wait after a failure that has so many before it.
fn failure_wait(before: u64) -> Duration {
    let times = 1_u32 << before.min(6);
    (FAILURE_WAIT * times).min(LONGEST_FAILURE_WAIT)
}

/// Whether an instance leaves a registration behind. One that had a job does not: it claimed its registration, and
/// GitHub removes an ephemeral runner after its job; a reusable one it keeps for two weeks. But a scale-up that took over from a killed one may have made
/// another, which nobody claims.
fn leaves_something(it: &Lifecycle, runner: Option<&Runner>) -> bool {
    let had_job = events::ending(it) == RunnerEvent::EndedAfterJob;
    let another = runner.is_some_and(|runner| it.runner_id != runner.runner_id);
    !had_job || another || runner.is_some_and(|runner| runner.reuse.is_some())
}

/// Takes away what an instance leaves behind: its registration, if it did not claim it, and its runner at GitHub. Answers
/// whether that is a reusable one which GitHub still takes for busy, so that it is to be tried again.
async fn clean_up<L, G: GitHub, H: Handover, W, C>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    runner: Option<&Runner>,
    received: u32,
) -> Result<bool, BoxError> {
    let cleaned = async {
        deps.handover.delete(&it.instance_id).await?;
        let registered = match runner.and_then(|runner| Some((runner, runner.scope.clone()?))) {
            Some((runner, scope)) => {
                let target = Target { scope, installation: runner.installation };
                registered(deps, it, runner, &target).await?.map(|id| (target, id))
            }
            None => None,
        };
        if let Some((target, id)) = registered {
            match deps.github.delete_runner(&target, id).await? {
                Deletion::Gone => {
                    info!(instance.id = it.instance_id, runner.id = id, "Runner {id} is gone at GitHub");
                }
                Deletion::Busy if received < BUSY_ATTEMPTS && runner.is_some_and(|it| it.reuse.is_some()) => {
                    info!(instance.id = it.instance_id, runner.id = id, "Runner {id} is busy still at GitHub");
                    return Ok(true);
                }
                Deletion::Busy => {
                    deps.metrics.refused("not_cleaned_up");
                    warn!(instance.id = it.instance_id, runner.id = id, "Runner {id} is busy and stays at GitHub");
                }
            }
        }
        Ok::<bool, CleanUpError>(false)
    };
    match cleaned.await {
        Err(error) if received < CLEANUP_ATTEMPTS && error.may_pass() => Err(error.into()),
        Err(error) => {
            deps.metrics.refused("not_cleaned_up");
            error!(instance.id = it.instance_id, error = %Chain(&error), "Something of {} is left", it.instance_id);
            Ok(false)
        }
        Ok(busy) => Ok(busy),
    }
}

/// GitHub's id of the runner. One that was never noted may have been registered all the same, by a scale-up that was
/// killed right after; then GitHub is asked by name.
async fn registered<L, G: GitHub, H, W, C>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
    runner: &Runner,
    target: &Target,
) -> Result<Option<u64>, GitHubError> {
    // What is noted of one that is not registered may be an earlier registration, which was deleted for another.
    if let Some(id) = runner.runner_id.filter(|_| runner.state != RunnerState::Launched) {
        return Ok(Some(id));
    }
    let name = names::runner_name(&it.fleet, &it.instance_id);
    Ok(deps.github.find_runner(target, &name).await?.map(|found| found.id))
}

#[derive(Debug, thiserror::Error)]
enum CleanUpError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

impl CleanUpError {
    fn may_pass(&self) -> bool {
        !matches!(self, Self::GitHub(GitHubError::Permanent(_)) | Self::Handover(HandoverError::Permanent(_)))
    }
}

#[cfg(test)]
mod tests;
