//! Instances with our tags that the ledger does not know.

use std::collections::BTreeSet;

use dayfly_contract::names;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::{Done, Ports, Run, deaths, memory::owners};
use crate::{
    compute::{Compute, instances::Seen},
    decide::reconcile::{
        Since,
        deaths::{AtEc2, AtGitHub, is_dark},
        strays::{Fate, Stray, fate, is_grace_over},
    },
    ledger::{Heard, Ledger},
    report::Chain,
};

/// The most that GitHub is asked about in one run.
const MOST_AT_GITHUB: usize = 10;

/// The note of this step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// Strays, and since when they are.
    since: Since,
    /// Those that GitHub does not see.
    unseen: Since,
}

/// Looks at all strays.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>) -> Done {
    run.read_all().await?;
    let Some(instances) = run.instances().await else { return Ok(()) };
    let before: Note = run.recall("strays").await?;
    let mut note = before.clone();
    let mut strays: Vec<&Seen> = instances.values().filter(|it| is_there(it) && !is_known(run, it)).collect();
    let is_stray = |id: &str| strays.iter().any(|it| it.id == id);
    note.since.retain(is_stray);
    note.unseen.retain(is_stray);
    // Of many, others each minute: those that live would be in the way of those that don't.
    let minute = usize::try_from(run.now() / 60_000).unwrap_or_default();
    let turn = minute.wrapping_mul(MOST_AT_GITHUB) % strays.len().max(1);
    strays.rotate_left(turn);
    let mut adopted = BTreeSet::new();
    let mut asked = 0;
    for seen in strays {
        if !run.has_time() {
            break;
        }
        let mut it = Stray {
            reserved: is_reserved(run, seen),
            grace_over: is_grace_over(seen.launched_at, note.since.see(&seen.id, run.now()), run.now()),
            silent: false,
            github: AtGitHub::Unasked,
            dark: false,
        };
        if !it.reserved && it.grace_over && asked < MOST_AT_GITHUB {
            asked += 1;
            if let Err(failed) = sight(run, seen, &mut it, &mut note).await {
                not_looked_after(run, seen, failed.as_ref());
                continue;
            }
        }
        match fate(it) {
            Fate::Adopt => drop(adopted.insert(seen.fleet.clone())),
            Fate::Wait => {}
            Fate::Keep => {
                warn!(fleet.name = seen.fleet, instance.id = seen.id, sighting = ?it, "{} is none of the ledger's, and lives", seen.id);
            }
            Fate::End => {
                if let Err(failed) = end(run, seen).await {
                    not_looked_after(run, seen, failed.as_ref());
                }
            }
        }
    }
    for fleet in adopted {
        run.wake(&fleet, "instances to adopt").await;
    }
    if note != before {
        run.remember("strays", &note).await;
    }
    Ok(())
}

/// Tells of one that is left to the next look: it is in no other's way.
fn not_looked_after<P: Ports>(run: &Run<'_, P>, seen: &Seen, error: &(dyn std::error::Error + 'static)) {
    run.deps.metrics.refused("reconcile");
    error!(fleet.name = seen.fleet, instance.id = seen.id, error = %Chain(error), "{} is not looked after", seen.id);
}

/// Whether it can still cost something: EC2 lists what is ending, too.
fn is_there(it: &Seen) -> bool {
    matches!(it.state, AtEc2::Running | AtEc2::Stopped)
}

/// Whether the ledger has it as alive. Of a fleet that is in nobody's document any more, and has left nothing in the
/// ledger, it has none.
fn is_known<P: Ports>(run: &Run<'_, P>, it: &Seen) -> bool {
    let levels = run.levels.borrow();
    let runners = levels.get(&it.fleet).map(|level| level.view.runners.iter());
    runners.is_some_and(|mut all| all.any(|runner| runner.instance == it.id && runner.state.is_alive()))
}

fn is_reserved<P: Ports>(run: &Run<'_, P>, it: &Seen) -> bool {
    let levels = run.levels.borrow();
    levels.get(&it.fleet).is_some_and(|level| level.view.reservations.iter().any(|of| of.token() == it.reservation))
}

/// What is to be known of a stray whose grace is over.
async fn sight<P: Ports>(run: &Run<'_, P>, seen: &Seen, it: &mut Stray, note: &mut Note) -> Done {
    let heard = run.deps.ledger.heard(&seen.fleet).await?;
    it.silent = run.is_silent(seen.launched_at, heard.get(&seen.id).copied());
    if !it.silent {
        note.unseen.0.remove(&seen.id);
        return Ok(());
    }
    it.github =
        deaths::standing(run, &owners(run, &seen.fleet).await?, &names::runner_name(&seen.fleet, &seen.id)).await;
    if matches!(it.github, AtGitHub::Offline | AtGitHub::Absent) {
        it.dark = is_dark(&mut note.unseen, &seen.id, run.now());
    } else {
        note.unseen.0.remove(&seen.id);
    }
    Ok(())
}

/// Ends a stray, unless the ledger has come to know it.
async fn end<P: Ports>(run: &Run<'_, P>, seen: &Seen) -> Done {
    if run.deps.ledger.runner(&seen.fleet, &seen.id).await?.is_some_and(|it| it.state.is_alive()) {
        return Ok(());
    }
    match run.deps.compute.terminate(std::slice::from_ref(&seen.id)).await {
        Ok(()) => {
            run.deps.metrics.mended("stray");
            error!(
                fleet.name = seen.fleet,
                instance.id = seen.id,
                reservation.id = seen.reservation,
                "A defect: {} was nobody's; ended",
                seen.id
            );
        }
        Err(failed) => {
            error!(instance.id = seen.id, error = %Chain(&failed), "{} is nobody's, and can't be ended", seen.id);
        }
    }
    Ok(())
}
