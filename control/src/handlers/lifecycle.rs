//! What the instances tell: an end settles the ledger.
//!
//! [`reading`] says which messages are believed, [`words`] what an instance tells on its way, [`interrupted`] that a job
//! was taken away with its instance; [`cleaning`] takes away what one leaves.

mod cleaning;
mod interrupted;
mod reading;
mod timeline;
mod words;

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use dayfly_contract::{Kind, Lifecycle};
use tracing::{error, info, warn};

use super::{
    batch::{GivenBack, receive_count, sent_at},
    ending,
};
use crate::{
    clock::{Clock, Millis},
    decide::{events, failures, lives, runners::RunnerEvent},
    fleets::Fleets,
    github::GitHub,
    handover::Handover,
    ledger::{ATTEMPTS, Committed, Failure, Heard, Ledger, LedgerError, Reruns},
    metrics::Metrics,
    report::{BoxError, Chain},
    told,
    wake::Wake,
};
use cleaning::{clean_up, leaves_something};
use words::{on_the_way, retire};

/// Why a message is put aside whose instance is of another fleet than it names: its name among the metrics.
const FOREIGN_FLEET: &str = "foreign_fleet";

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<L, G, H, W, C> {
    /// The fleets.
    pub fleets: Fleets,
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

/// A message is dropped where it stands when no more time is left ([`super::ending`]), and comes back with those behind it.
const TO_WAKE: Millis = 1500;
/// Nobody is woken any more when no more is left: who was to be is, when the messages are seen again.
const TO_END: Millis = 700;

/// Handles a batch of lifecycle messages, in an invocation that is killed at `deadline`.
pub async fn handle<L, G, H, W, C>(deps: &Deps<L, G, H, W, C>, batch: &SqsEvent, deadline: Millis) -> SqsBatchResponse
where
    L: Ledger + Heard + Reruns,
    G: GitHub,
    H: Handover,
    W: Wake,
    C: Clock,
{
    let mut given_back = GivenBack::default();
    let mut wake: BTreeMap<String, Duration> = BTreeMap::new();
    let mut settled = Vec::new();
    let (cut_at, end_at) = (deadline.saturating_sub(TO_WAKE), deadline.saturating_sub(TO_END));
    for (at, message) in batch.records.iter().enumerate() {
        let taken = Box::pin(take(deps, message, &mut given_back));
        let Some(taken) = ending::by(&deps.clock, cut_at, taken).await else {
            // SQS has handed out as many as it was asked for, however slow the ledger is: killed, the invocation would have
            // all of them come back, those that are settled too, and be as late the next time.
            let left = &batch.records[at..];
            warn!(messages.count = left.len(), "Time is up amid a batch; {} of its messages come back", left.len());
            for message in left {
                given_back.leave(message);
            }
            break;
        };
        if let Some((fleet, wanted)) = taken {
            if let Some(wait) = wanted {
                let longest = wake.entry(fleet.clone()).or_default();
                *longest = wait.max(*longest);
            }
            settled.push((message, fleet));
        }
    }
    // One wake-up serves all messages of a fleet. Where it fails, they come back: settling twice changes nothing.
    for (fleet, wait) in wake {
        match ending::by(&deps.clock, end_at, deps.wake.wake(&fleet, wait)).await {
            Some(Ok(())) => continue,
            Some(Err(error)) => error!(fleet.name = fleet, error = %Chain(&error), "Fleet {fleet} can't be woken"),
            None => error!(fleet.name = fleet, "Fleet {fleet} is not woken: time is up"),
        }
        for (message, _) in settled.iter().filter(|(_, it)| *it == fleet) {
            given_back.leave(message);
        }
    }
    given_back.into_response()
}

/// Takes one message in. Answers its fleet, and after how long that is to be woken, where the message is settled.
async fn take<L, G, H, W, C>(
    deps: &Deps<L, G, H, W, C>,
    message: &SqsMessage,
    given_back: &mut GivenBack,
) -> Option<(String, Option<Duration>)>
where
    L: Ledger + Heard + Reruns,
    G: GitHub,
    H: Handover,
    W: Wake,
    C: Clock,
{
    let it = match reading::read(message) {
        Ok(it) => it,
        Err(why) => {
            let reason = why.reason();
            deps.metrics.refused(reason);
            warn!(message.id = message.message_id, reason, "Put a lifecycle message aside: {why}");
            given_back.put_aside(message, &format!("{reason}: {why}"), &deps.wake).await;
            return None;
        }
    };
    hear(deps, &it, message).await;
    let outcome = match it.kind {
        Kind::Retire => retire(deps, &it, sent_at(message)).await.map(|()| Settled::default()),
        Kind::Interrupted => interrupted::note(deps, &it, message).await.map(|()| Settled::default()),
        kind if kind.is_last() => settle(deps, &it, receive_count(message)).await,
        _ => on_the_way(deps, &it, sent_at(message)).await,
    };
    match outcome {
        Ok(Settled { own_fleet: Some(own), .. }) => {
            deps.metrics.refused(FOREIGN_FLEET);
            warn!(
                message.id = message.message_id,
                instance.id = it.instance_id,
                fleet.name = it.fleet,
                reason = FOREIGN_FLEET,
                "Put a lifecycle message aside: {} is of fleet {own}",
                it.instance_id
            );
            let why = format!("{FOREIGN_FLEET}: {} is of fleet {own}, not {}", it.instance_id, it.fleet);
            given_back.put_aside(message, &why, &deps.wake).await;
            None
        }
        Ok(Settled { wake, busy, .. }) => {
            if busy {
                given_back.leave(message);
            }
            Some((it.fleet, wake))
        }
        Err(error) => {
            error!(instance.id = it.instance_id, fleet.name = it.fleet, error = %Chain(error.as_ref()),
                "What {} tells is not settled yet", it.instance_id);
            given_back.leave(message);
            None
        }
    }
}

/// Notes that the agent lives: its deadline moves on. By the time at which it spoke, since a message may lie in its queue
/// for long.
async fn hear<L: Heard, G, H, W, C: Clock>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle, message: &SqsMessage) {
    if it.kind.is_last() {
        return;
    }
    let at = sent_at(message).unwrap_or(u64::MAX).min(deps.clock.now());
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
    /// The fleet that its instance is of, where the message names another: nothing follows from it.
    own_fleet: Option<String>,
}

/// Settles the end of an instance.
async fn settle<L, G, H, W, C>(deps: &Deps<L, G, H, W, C>, it: &Lifecycle, received: u32) -> Result<Settled, BoxError>
where
    L: Ledger,
    G: GitHub,
    H: Handover,
    C: Clock,
{
    for attempt in 1..=ATTEMPTS {
        let runner = deps.ledger.runner(&it.fleet, &it.instance_id).await?;
        if runner.is_none()
            && let Some(own_fleet) = own_fleet(deps, it).await?
        {
            return Ok(Settled { own_fleet: Some(own_fleet), ..Settled::default() });
        }
        // Before the ledger forgets whom the runner was for; and again after a conflict: whoever wrote in between may have
        // made another registration.
        let busy = leaves_something(it, runner.as_ref()) && clean_up(deps, it, runner.as_ref(), received).await?;
        let before = runner.as_ref().map(|runner| runner.state.name());
        let now = deps.clock.now();
        let writes = lives::kept(events::ended(it, runner.clone(), now), runner.as_ref(), now);
        let writes = if busy { events::remembered(writes, now) } else { writes };
        let changed = !writes.is_empty();
        // A failed instance leaves a gap. It is counted with its end, so that a repeated message counts nothing again.
        let (mut pause, mut failure) = (Duration::ZERO, None);
        if changed && it.kind == Kind::Failed {
            (pause, failure) = failures::failed(&deps.ledger.meta(&it.fleet).await?, events::ran_job(&writes), now);
        }
        let writes = events::counted(writes, &it.fleet, failure);
        if changed && deps.ledger.commit(writes).await? == Committed::Conflict {
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        timeline::log(it, before, changed);
        if let Some(Failure { count, .. }) = failure {
            let wait_s = pause.as_secs();
            info!(fleet.name = it.fleet, fleet.failures = count, wait_s, "Fleet {} is left alone", it.fleet);
        }
        if it.kind == Kind::Failed {
            if changed {
                told::failed(it, now);
            }
            // Where another has told it before, the look will find the pause.
            return Ok(Settled { wake: Some(pause), busy, own_fleet: None });
        }
        // Any end may make room under `max` for a job that waits for it, or leave less than a person wants ready.
        let waits = deps.ledger.is_wanted(&it.fleet, now).await?;
        return Ok(Settled { wake: waits.then_some(Duration::ZERO), busy, own_fleet: None });
    }
    Err(LedgerError::new(
        format!("settling the end of {}", it.instance_id),
        format!("the ledger changed under {ATTEMPTS} attempts"),
    )
    .into())
}

/// The fleet that the ledger has the instance of `it` in, where that is another than the one that `it` names. SQS tells who
/// sent a message, and not which fleet that one is of: an instance could have a fleet that is not its own left alone, by
/// telling that it failed there. One that the ledger has nowhere is believed: it may have been quicker than the ledger.
async fn own_fleet<L: Ledger, G, H, W, C>(
    deps: &Deps<L, G, H, W, C>,
    it: &Lifecycle,
) -> Result<Option<String>, LedgerError> {
    // One that had claimed a registration changes nothing where it is not known.
    if events::ending(it) != RunnerEvent::EndedUnclaimed && it.kind != Kind::Failed {
        return Ok(None);
    }
    let others = deps.fleets.fleets.iter().map(|fleet| fleet.name.as_str()).filter(|name| *name != it.fleet);
    for other in others {
        if deps.ledger.runner(other, &it.instance_id).await?.is_some() {
            return Ok(Some(other.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
