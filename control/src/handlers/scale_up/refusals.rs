//! What is refused: by GitHub to one owner, and by EC2 or a store to the fleet. It is noted where the next look and
//! `dayfly explain` find it, and tried ever more seldom.

use std::time::Duration;

use tracing::{error, warn};

use super::{
    Deps, Outcome, Ports,
    look::{AFTER_PAUSE, Task},
};
use crate::{
    clock::{Clock, Millis},
    decide::{
        answer::refusal_wait_seconds,
        refusals::{self, Said, What},
    },
    fleets::Scope,
    github::GitHubError,
    ledger::{ATTEMPTS, Committed, LastError, Ledger, LedgerError, Offers, Write},
    report::Chain,
};

/// How long nothing is launched for the job of one runner that was refused where others of its kind were not.
const ALONE: Millis = 15_000;

/// What to do after GitHub refused something for a runner of `scope` with these `asks`: logged here, once. What is refused
/// for longer is noted at the look's end, by [`note`].
pub(super) fn hear<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    scope: &Scope,
    asks: &[String],
    error: &GitHubError,
) -> Outcome {
    let (fleet, owner) = (&task.fleet.name, scope.to_string());
    let say = |what| task.said.borrow_mut().push(Said { scope: scope.clone(), asks: asks.to_vec(), what });
    let why = Chain(error).to_string();
    match error {
        GitHubError::Limited { wait, .. } => {
            warn!(fleet.name = fleet, github.owner = owner, wait_s = wait.as_secs(), "{why}");
            say(What::Limited(deps.clock.now() + millis(*wait), why));
            Outcome::DONE
        }
        GitHubError::Transient(_) | GitHubError::NameTaken { .. } => {
            warn!(fleet.name = fleet, github.owner = owner, "{why}");
            Outcome::AGAIN
        }
        GitHubError::Permanent(_) => {
            deps.metrics.refused("github");
            error!(fleet.name = fleet, github.owner = owner, "{why}");
            say(What::Refused(why));
            Outcome::DONE
        }
    }
}

/// Notes what was refused in this look, and what is given again. In the good case that is no call.
pub(super) async fn note<P: Ports>(deps: &Deps<P>, task: &Task<'_>) -> Outcome {
    let (said, of_fleet) = (task.said.take(), task.refused.take());
    let mut noted = note_owners(deps, task, &said).await;
    if let (Ok(outcome), Some((code, why))) = (&noted, of_fleet) {
        let outcome = *outcome;
        noted = refuse(deps, task, code, &why).await.map(|it| it.and(outcome));
    }
    noted.unwrap_or_else(|error| {
        error!(fleet.name = task.fleet.name, error = %Chain(&error), "What was refused is not noted");
        Outcome::AGAIN
    })
}

async fn note_owners<P: Ports>(deps: &Deps<P>, task: &Task<'_>, said: &[Said]) -> Result<Outcome, LedgerError> {
    let chance = u64::try_from(deps.clock.random() % u128::from(u64::MAX)).unwrap_or_default();
    let mut offers: Offers = task.offers.clone();
    for attempt in 1..=ATTEMPTS {
        let now = deps.clock.now();
        let changed = refusals::hear(&mut offers.breakers, said, now, chance);
        if !changed || deps.ledger.commit(vec![Write::PutOffers(offers.clone())]).await? == Committed::Yes {
            let refused = said.iter().filter(|it| it.what != What::Worked);
            let back = refused.map(|it| match refusals::open(&offers.breakers, &it.scope, &it.asks, now) {
                Some(until) => until + AFTER_PAUSE,
                None => now + ALONE,
            });
            return Ok(back.min().map_or(Outcome::DONE, Outcome::at));
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        offers = deps.ledger.offers(&task.fleet.name).await?;
    }
    Err(LedgerError::new(
        format!("noting what GitHub refuses to {}", task.fleet.name),
        format!("the ledger changed under {ATTEMPTS} attempts"),
    ))
}

/// Notes that the fleet can't launch until a person changes something, and leaves it alone, longer each time.
pub(super) async fn refuse<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    code: &str,
    message: &str,
) -> Result<Outcome, LedgerError> {
    let before = task.refusals.unwrap_or(0);
    let at = deps.clock.now();
    let until = at + refusal_wait_seconds(before) * 1000;
    // EC2 and SSM explain themselves in less; an item has room for 400 KB in all.
    let message = message.chars().take(1000).collect();
    let error = LastError { code: code.to_owned(), message, at, count: before + 1 };
    deps.ledger.refuse(&task.fleet.name, &error, until).await?;
    Ok(Outcome::at(until + AFTER_PAUSE))
}

/// Leaves the fleet alone for `wait`, whoever is woken for it.
pub(super) async fn pause<P: Ports>(deps: &Deps<P>, task: &Task<'_>, wait: Duration) -> Result<Outcome, LedgerError> {
    let until = deps.clock.now() + millis(wait);
    deps.ledger.pause(&task.fleet.name, until).await?;
    Ok(Outcome::at(until + AFTER_PAUSE))
}

fn millis(wait: Duration) -> Millis {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 4)
}
