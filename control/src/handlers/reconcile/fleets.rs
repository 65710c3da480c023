//! Each fleet's level: the dead, the count, and what is missing.

use std::collections::BTreeSet;

use tracing::{error, info};

use super::{Done, Ports, Run, asleep, deaths, drained, gauges, memory::Memory, removed};
use crate::{
    decide::reconcile::{counter, voices::Voices, wakes},
    ledger::{Census, Committed, LedgerError, Runner},
    report::Chain,
};

/// Looks at all fleets: those of the document, and those that had something when they were still in it.
pub(super) async fn all<P: Ports>(run: &Run<'_, P>) -> Done {
    let noted: BTreeSet<String> = run.recall("fleets").await?;
    let own: BTreeSet<String> = run.deps.fleets.fleets.iter().map(|fleet| fleet.name.clone()).collect();
    // What could not be looked at for want of time comes first the next time.
    let first: String = run.recall("fleet").await?;
    let names: Vec<&String> = own.union(&noted).collect();
    let at = names.iter().position(|name| **name == first).unwrap_or(0);
    // As the last run heard them: of this one not all are known yet.
    let last: Voices = run.recall("voices").await?;
    let mut voices = Voices::default();
    let (mut left, mut all_met) = (None, true);
    let mut kept = own.clone();
    for name in names.iter().cycle().skip(at).take(names.len()) {
        if left.is_some() || !run.has_time() {
            left.get_or_insert((*name).clone());
            kept.insert((*name).clone());
            continue;
        }
        match one(run, name, last, &mut voices).await {
            Ok(true) => drop(kept.insert((*name).clone())),
            Ok(false) => {}
            Err(failed) => {
                kept.insert((*name).clone());
                all_met = false;
                run.deps.metrics.refused("reconcile");
                error!(fleet.name = name, error = %Chain(&failed), "Fleet {name} is looked at again in the next run");
            }
        }
    }
    let next = left.unwrap_or_default();
    // Of a run that did not come to all of them, those of the fleets that it met are no whole.
    if next.is_empty() && all_met && voices != last {
        run.remember("voices", &voices).await;
    }
    if next != first {
        run.remember("fleet", &next).await;
    }
    if kept != noted {
        run.remember("fleets", &kept).await;
    }
    Ok(())
}

/// Looks at one fleet; answers whether there is anything of it. `last`: what the last run heard of all agents; what is
/// heard of this fleet's is added to `voices`.
async fn one<P: Ports>(run: &Run<'_, P>, name: &str, last: Voices, voices: &mut Voices) -> Result<bool, LedgerError> {
    run.read(name).await?;
    let fleet = run.deps.fleets.get(name);
    let key = format!("fleet#{name}");
    let before: Memory = run.recall(&key).await?;
    let mut memory = before.clone();
    let view = run.levels.borrow().get(name).map(|level| level.view.clone()).unwrap_or_default();
    gauges::tell(&run.deps.metrics, name, &view, run.now());
    memory.learn(fleet, &view);
    let own = {
        let levels = run.levels.borrow();
        let heard = |it: &Runner| levels.get(name)?.heard.get(&it.instance).copied();
        Voices::of(&view, heard, run.deps.silence, run.now())
    };
    *voices = voices.and(own);
    let buried = deaths::look(run, name, &mut memory, last.with_news(own)).await + asleep::look(run, name, &view).await;
    drained::look(run, name, &view).await;
    if fleet.is_none() {
        removed::look(run, name, &view).await;
    }
    let mut mended = false;
    // Who was buried has changed the count just now; it is compared again in a minute.
    let mismatch = if buried > 0 { None } else { counter::mismatch(&view) };
    match counter::mend(before.mismatch.as_ref(), mismatch.as_ref()) {
        Some(it) => {
            memory.mismatch = None;
            // Where it changed meanwhile, it is another matter.
            if run.deps.ledger.mend(name, it.alive, it.rev, it.counted).await? == Committed::Yes {
                mended = true;
                run.deps.metrics.mended("count");
                error!(
                    fleet.name = name,
                    fleet.alive = it.alive,
                    fleet.counted = it.counted,
                    "A defect: fleet {name} counted {} instances and has {}; mended",
                    it.alive,
                    it.counted
                );
            }
        }
        None => memory.mismatch = mismatch,
    }
    let why = fleet.and_then(|fleet| wakes::wake(fleet, &view, run.now()));
    if fleet.is_some() && (mended || buried > 0) {
        run.wake(name, "mended").await;
    } else if let Some(why) = why {
        info!(fleet.name = name, wake.reason = why.name(), "Fleet {name} has something to do");
        run.wake(name, why.name()).await;
    }
    if memory != before {
        run.remember(&key, &memory).await;
    }
    Ok(!view.runners.is_empty() || !view.reservations.is_empty() || !view.queued.is_empty())
}
