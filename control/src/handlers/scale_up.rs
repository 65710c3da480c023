//! Woken for a fleet: looks at its whole level and launches what is missing.
//!
//! [`look`] takes over what a dead invocation left, plans and reserves; [`fulfil`] launches a reservation's instances
//! and writes them down; [`register`] hands each its registration; [`doubts`] asks GitHub about jobs that the webhook could
//! not tell all of; [`reruns`] has runs made again whose jobs were interrupted, [`pool`] gives jobs what is ready, and
//! [`start`] starts of that what is stopped. [`pace`]
//! says when each may, [`refusals`] notes what EC2 and GitHub refuse. A crash between any two of these leaves a
//! reservation or a runner whose lease runs out, and the next look takes it over.

mod doubts;
mod fulfil;
mod look;
mod pace;
mod pool;
mod refusals;
mod register;
mod reruns;
pub(super) mod start;

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use tracing::{Instrument, error, error_span, warn};

pub use pace::Owed;

use super::{
    batch::{GivenBack, backoff, receive_count},
    ending,
};
use crate::{
    clock::{Clock, Millis},
    compute::Compute,
    decide::bucket::Limits,
    fleets::{Fleet, Fleets},
    github::{GitHub, runs::Runs},
    handover::Handover,
    ledger::{Ledger, Notes, Reruns},
    metrics::{Metric, Metrics},
    report::Chain,
    trace::{self, TraceId},
    wake::{self, Wake, WakeUp},
};

/// After so many receives a wake-up is replaced by a new one: its queue gives it up after 20, and what failed may take
/// longer to pass.
const MOST_RECEIVES: u32 = 8;
/// After so many in all, which is after two hours, it goes to the dead-letter queue: what fails for so long is for a
/// person.
const MOST_ATTEMPTS: u32 = 60;

/// A look is dropped when no more time is left ([`super::ending`]), and its wake-up given back.
const TO_GIVE_BACK: Millis = 1500;
/// The queue is told nothing more when no more is left: then what is given back is seen again after the queue's own time.
const TO_END: Millis = 700;

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// Where jobs and runners are kept, and what need not be asked twice.
    type Ledger: Ledger + Notes + Reruns;
    /// Where instances come from.
    type Compute: Compute;
    /// Where runners are registered, and runs are made again.
    type GitHub: GitHub + Runs;
    /// How registrations get to their instances.
    type Handover: Handover;
    /// The queue.
    type Wake: Wake;
    /// Time and chance.
    type Clock: Clock;
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<P: Ports> {
    /// Name of this installation of Dayfly.
    pub deployment: String,
    /// The fleets.
    pub fleets: Fleets,
    /// How fast EC2, SSM and GitHub may be called.
    pub limits: Limits,
    /// What this process did ahead of its turn.
    pub owed: Owed,
    /// The ledger.
    pub ledger: P::Ledger,
    /// Where instances come from.
    pub compute: P::Compute,
    /// GitHub.
    pub github: P::GitHub,
    /// How registrations get to their instances.
    pub handover: P::Handover,
    /// The queue.
    pub wake: P::Wake,
    /// What is measured.
    pub metrics: Metrics,
    /// Time and chance.
    pub clock: P::Clock,
}

/// What is to become of the wake-up after a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Something failed that may pass: the message goes back to its queue.
    failed: bool,
    /// Leases of others run that are to be seen out: whoever looks next is to do that too.
    watches: bool,
    /// Something is to be had then, and perhaps more later: the next look finds out. It is a new wake-up, since a shortage
    /// may outlast all the times a message may be received.
    next: Option<Millis>,
}

impl Outcome {
    /// The level is met, or can't be and was reported.
    const DONE: Self = Self { failed: false, watches: false, next: None };
    /// Something failed that may pass.
    const AGAIN: Self = Self { failed: true, ..Self::DONE };

    /// Something is to be had then.
    fn at(next: Millis) -> Self {
        Self { next: Some(next), ..Self::DONE }
    }

    /// Of several the earliest counts: what comes later is found by the look then.
    fn and(self, other: Self) -> Self {
        let next = self.next.into_iter().chain(other.next).min();
        Self { failed: self.failed || other.failed, watches: self.watches || other.watches, next }
    }
}

/// The wake-ups for one fleet.
struct Woken<'a> {
    fleet: &'a Fleet,
    trace: Option<TraceId>,
    /// Each, and how often it was received, as other messages too.
    messages: Vec<(&'a SqsMessage, u32)>,
}

/// Handles a batch of wake-ups, in an invocation that is killed at `deadline`.
pub async fn handle<P: Ports>(deps: &Deps<P>, batch: &SqsEvent, deadline: Millis) -> SqsBatchResponse {
    let mut fleets: BTreeMap<String, Woken<'_>> = BTreeMap::new();
    let mut given_back = GivenBack::default();
    let mut runs = Vec::new();
    for message in &batch.records {
        let WakeUp { fleet: name, trace, attempts, run, .. } = match read(message) {
            Ok(wake_up) => wake_up,
            Err((reason, why)) => {
                deps.metrics.refused(reason);
                warn!(message.id = message.message_id, reason, "Put a wake-up aside: {why}");
                given_back.put_aside(message, &format!("{reason}: {why}"), &deps.wake).await;
                continue;
            }
        };
        if let Some(run) = run {
            runs.push((message, name, run));
            continue;
        }
        if let Some(fleet) = deps.fleets.get(&name) {
            let woken = fleets.entry(name).or_insert(Woken { fleet, trace: None, messages: Vec::new() });
            // Of several, one look serves all; the first is as good as any.
            woken.trace = woken.trace.take().or_else(|| TraceId::read(&trace?));
            woken.messages.push((message, attempts.saturating_add(receive_count(message))));
        } else {
            // A function that started later may have a newer fleets document, which names it. After some minutes none has:
            // the fleet was removed, and its jobs are reconcile's, which would also look at a new one by then.
            let received = receive_count(message);
            let is_removed = received >= MOST_RECEIVES;
            deps.metrics.refused(if is_removed { "removed_fleet" } else { "unknown_fleet" });
            warn!(message.id = message.message_id, fleet.name = name, received, "There is no fleet \"{name}\" here");
            if !is_removed {
                given_back.add(message, backoff(received), &deps.wake).await;
            }
        }
    }
    let (cut_at, end_at) = (deadline.saturating_sub(TO_GIVE_BACK), deadline.saturating_sub(TO_END));
    let looks = fleets.values().map(async |woken| {
        let Woken { fleet, trace, messages } = woken;
        let redelivered = messages.iter().any(|(_, received)| *received > 1);
        // Of the highest level, so that no filter takes it off the lines.
        let span = error_span!("look", fleet.name = fleet.name, trace.id = trace.as_ref().map(TraceId::as_str));
        let look = async {
            let looked = Box::pin(look::look(deps, fleet, deadline, redelivered));
            let outcome = ending::by(&deps.clock, cut_at, looked).await.unwrap_or_else(|| {
                warn!(fleet.name = fleet.name, "Time is up amid a look at fleet {}; the next goes on", fleet.name);
                Outcome::AGAIN
            });
            ending::by(&deps.clock, end_at, settle(deps, woken, outcome)).await.unwrap_or(After::Leave)
        };
        (woken, trace::within(trace.clone(), look).instrument(span).await)
    });
    let of_runs = runs.iter().map(async |(message, fleet, run)| {
        let looked = Box::pin(reruns::look(deps, message, fleet, *run, deadline));
        let after = ending::by(&deps.clock, cut_at, looked).await;
        (*message, after.unwrap_or(After::GiveBack(backoff(receive_count(message)))))
    });
    let (of_fleets, of_runs) = futures::join!(join_all(looks), join_all(of_runs));
    let of_fleets = of_fleets.into_iter().filter_map(|(woken, after)| {
        // All of them say the same, so one is enough; the one that was received least often has the most left.
        let message = woken.messages.iter().min_by_key(|(_, received)| *received).map(|(message, _)| *message);
        Some((message?, after))
    });
    for (message, after) in of_runs.into_iter().chain(of_fleets) {
        let told = async {
            match after {
                After::Done => {}
                After::Leave => given_back.leave(message),
                After::GiveBack(wait) => given_back.add(message, wait, &deps.wake).await,
                After::PutAside(reason) => given_back.put_aside(message, &reason, &deps.wake).await,
            }
        };
        if ending::by(&deps.clock, end_at, told).await.is_none() {
            given_back.leave(message);
        }
    }
    if let Some(remaining) = deps.github.remaining() {
        deps.metrics.add(Metric::GitHubRemaining, remaining, &[]);
    }
    given_back.into_response()
}

/// A wake-up; or for what reason it can't be read, as the metrics and the log have it.
fn read(message: &SqsMessage) -> Result<WakeUp, (&'static str, String)> {
    let body = message.body.as_deref().unwrap_or_default();
    let it: WakeUp =
        serde_json::from_str(body).map_err(|error| ("unreadable", format!("it is not understood ({error})")))?;
    if it.version > wake::VERSION {
        let why = format!("it is version {}, and versions up to {} are known", it.version, wake::VERSION);
        return Err(("too_new", why));
    }
    Ok(it)
}

/// What becomes of the messages of a fleet that was looked at.
enum After {
    /// They are done with.
    Done,
    /// One of them is to be seen again after the queue's own time.
    Leave,
    /// One of them is to be seen again after this time.
    GiveBack(Duration),
    /// One of them is for a person, with the reason.
    PutAside(String),
}

/// Has the fleet looked at again where there is something to be had, or where something failed: then by the same message,
/// longer each time, by a new one before its queue gives it up, and after long enough no more.
async fn settle<P: Ports>(deps: &Deps<P>, woken: &Woken<'_>, outcome: Outcome) -> After {
    let (fleet, now) = (woken.fleet, deps.clock.now());
    let least = woken.messages.iter().min_by_key(|(_, received)| *received);
    let received = least.map_or(1, |(_, received)| *received);
    let as_this_message = least.map_or(1, |(message, _)| receive_count(message));
    let patience = backoff(received);
    let wait = outcome.next.map(|next| Duration::from_millis(next.saturating_sub(now)));
    // What is to be had before counts as an advance: the failures are counted anew.
    if let Some(wait) = wait.filter(|wait| !outcome.failed || *wait < patience) {
        let attempts = u32::from(outcome.failed || outcome.watches);
        let sent = wake(deps, fleet, attempts, wait).await;
        return if sent { After::Done } else { After::GiveBack(patience) };
    }
    if !outcome.failed {
        return After::Done;
    }
    if received >= MOST_ATTEMPTS {
        deps.metrics.refused("given_up");
        error!(fleet.name = fleet.name, received, "Fleet {} is not looked at any more for this wake-up", fleet.name);
        return After::PutAside(format!("given_up: {received} looks at fleet {} failed", fleet.name));
    }
    if as_this_message >= MOST_RECEIVES && wake(deps, fleet, received, patience).await {
        return After::Done;
    }
    After::GiveBack(patience)
}

/// Wakes `fleet` after `wait`, by a message that stands for so many attempts; whether that could be done.
async fn wake<P: Ports>(deps: &Deps<P>, fleet: &Fleet, attempts: u32, wait: Duration) -> bool {
    let sent = deps.wake.send(&WakeUp::new(&fleet.name).after(attempts), wait).await;
    if let Err(error) = &sent {
        error!(fleet.name = fleet.name, error = %Chain(error), "Fleet {} can't be woken later", fleet.name);
    }
    sent.is_ok()
}

#[cfg(test)]
mod telling;
#[cfg(test)]
mod tests;
