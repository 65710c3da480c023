//! Woken for a fleet: looks at its whole level and launches what is missing.
//!
//! [`look`] takes over what a dead invocation left, plans and reserves; [`fulfil`] launches a reservation's instances
//! and writes them down; [`register`] hands each its registration; [`doubts`] asks GitHub about jobs that the webhook could
//! not tell all of. A crash between any two of these leaves a
//! reservation or a runner whose lease runs out, and the next look takes it over.

mod doubts;
mod fulfil;
mod look;
mod pace;
mod register;

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use tracing::{Instrument, error, error_span, warn};

use super::batch::{GivenBack, backoff, receive_count};
use crate::{
    clock::{Clock, Millis},
    compute::Compute,
    decide::bucket::Limits,
    fleets::{Fleet, Fleets},
    github::GitHub,
    handover::Handover,
    ledger::{Ledger, LedgerError, Notes},
    metrics::{Metric, Metrics},
    report::Chain,
    trace::{self, TraceId},
    wake::{self, Wake, WakeUp},
};

/// After so many receives a wake-up is replaced by a new one: its queue gives it up after 20, and what failed may take
/// longer to pass.
const MOST_RECEIVES: u32 = 8;

/// The outside world: in production AWS and GitHub, in tests one that is simulated.
pub trait Ports {
    /// Where jobs and runners are kept, and what need not be asked twice.
    type Ledger: Ledger + Notes;
    /// Where instances come from.
    type Compute: Compute;
    /// Where runners are registered.
    type GitHub: GitHub;
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

/// What is to become of the wake-up after a look. Of several, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The level is met, or can't be and was reported.
    Done,
    /// Something is to be had later: a new wake-up then. Not the same message, since a shortage may outlast all
    /// the times a message may be received.
    Later(Duration),
    /// Something failed that may pass: the message goes back to its queue.
    Again,
}

/// Handles a batch of wake-ups, in an invocation that is killed at `deadline`.
pub async fn handle<P: Ports>(deps: &Deps<P>, batch: &SqsEvent, deadline: Millis) -> SqsBatchResponse {
    let mut fleets: BTreeMap<String, (Option<TraceId>, Vec<&SqsMessage>)> = BTreeMap::new();
    let mut given_back = GivenBack::default();
    for message in &batch.records {
        let WakeUp { fleet: name, trace, .. } = match read(message) {
            Ok(wake_up) => wake_up,
            Err((reason, why)) => {
                deps.metrics.refused(reason);
                warn!(message.id = message.message_id, "Dropped a wake-up: {why}");
                continue;
            }
        };
        if deps.fleets.get(&name).is_some() {
            let (of_fleet, messages) = fleets.entry(name).or_default();
            // Of several, one look serves all; the first is as good as any.
            *of_fleet = of_fleet.take().or_else(|| TraceId::read(&trace?));
            messages.push(message);
        } else {
            // A function that started later may have a newer fleets document, which names it.
            deps.metrics.refused("unknown_fleet");
            warn!(message.id = message.message_id, fleet.name = name, "There is no fleet \"{name}\" here");
            given_back.add(message, backoff(receive_count(message)), &deps.wake).await;
        }
    }
    let looks = fleets.iter().filter_map(|(name, (trace, messages))| Some((deps.fleets.get(name)?, trace, messages)));
    let looks = looks.map(async |(fleet, trace, messages)| {
        let redelivered = messages.iter().any(|message| receive_count(message) > 1);
        // Of the highest level, so that no filter takes it off the lines.
        let span = error_span!("look", fleet.name = fleet.name, trace.id = trace.as_ref().map(TraceId::as_str));
        let look = async {
            let outcome = look::look(deps, fleet, deadline, redelivered).await;
            settle(deps, fleet, outcome).await
        };
        (fleet, messages, trace::within(trace.clone(), look).instrument(span).await)
    });
    for (fleet, messages, done) in join_all(looks).await {
        if !done {
            // All of them say the same, so one is enough; the one that was received least often has the most left.
            if let Some(message) = messages.iter().min_by_key(|message| receive_count(message)) {
                give_back(deps, fleet, message, &mut given_back).await;
            }
        }
    }
    if let Some(remaining) = deps.github.remaining() {
        deps.metrics.add(Metric::GitHubRemaining, remaining, &[]);
    }
    given_back.into_response()
}

/// Has the fleet looked at again after what failed: by the same message, longer each time, and by a new one before its
/// queue gives it up.
async fn give_back<P: Ports>(deps: &Deps<P>, fleet: &Fleet, message: &SqsMessage, given_back: &mut GivenBack) {
    let received = receive_count(message);
    let wait = backoff(received);
    if received < MOST_RECEIVES {
        return given_back.add(message, wait, &deps.wake).await;
    }
    if let Err(error) = deps.wake.wake(&fleet.name, wait).await {
        error!(fleet.name = fleet.name, error = %Chain(&error), "Fleet {} can't be woken later", fleet.name);
        given_back.add(message, wait, &deps.wake).await;
    }
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

/// Whether the wake-up is done with.
async fn settle<P: Ports>(deps: &Deps<P>, fleet: &Fleet, outcome: Result<Outcome, LedgerError>) -> bool {
    match outcome {
        Ok(Outcome::Done) => true,
        Ok(Outcome::Again) => false,
        Ok(Outcome::Later(wait)) => match deps.wake.wake(&fleet.name, wait).await {
            Ok(()) => true,
            Err(error) => {
                error!(fleet.name = fleet.name, error = %Chain(&error), "Fleet {} can't be woken later", fleet.name);
                false
            }
        },
        Err(error) => {
            error!(fleet.name = fleet.name, error = %Chain(&error), "Fleet {} could not be looked at", fleet.name);
            false
        }
    }
}

#[cfg(test)]
mod telling;
#[cfg(test)]
mod tests;
