//! Registrations and runners at GitHub that nobody will use any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Done, Ports, Run, memory::owners};
use crate::{
    compute::instances::Instances,
    decide::reconcile::{
        Since,
        deaths::AtEc2,
        leftovers::{self, Listed, is_left, suspect},
    },
    fleets::Target,
    github::{Deletion, GitHub, GitHubError, watch::Watch},
    handover::{Handover, leftovers::Leftovers},
    ledger::{Ledger, LedgerError},
    report::Chain,
};

/// The most pages of registrations that are read in one run: 10 parameters each, or 1,000 objects.
const MOST_REGISTRATION_PAGES: u32 = 20;
/// The most pages of runners that GitHub is asked for in one run: 100 each.
const MOST_RUNNER_PAGES: u32 = 3;
/// The most runners that are deleted in one run.
const MOST_DELETED: usize = 10;
/// A runner that was not seen again for so long is another matter.
const FORGOTTEN: u64 = 24 * 3_600_000;

/// Deletes registrations whose instances are gone, or stopped for a pool.
pub(super) async fn registrations<P: Ports>(run: &Run<'_, P>) -> Done {
    let Some(mut alive) = run.alive().await? else { return Ok(()) };
    // What is stopped has none, or one of a job that it was not started for; whoever started it by hand would give it that.
    let asleep: BTreeMap<String, String> = {
        let levels = run.levels.borrow();
        let all = levels.values().flat_map(|level| &level.view.runners).filter(|it| it.state.is_asleep());
        all.map(|it| (it.instance.clone(), it.fleet.clone())).collect()
    };
    alive.retain(|it| !asleep.contains_key(it));
    let before: Option<String> = run.recall("registrations").await?;
    let mut from = before.clone();
    for _ in 0..MOST_REGISTRATION_PAGES {
        let (page, next) = match run.deps.handover.waiting(from.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                // Its token may be too old; the next run begins anew.
                if before.is_some() {
                    run.remember("registrations", &None::<String>).await;
                }
                return Err(error.into());
            }
        };
        for left in leftovers::registrations(&page, &alive, run.now()) {
            // It may have been given to another job since, and get that one's.
            if let Some(fleet) = asleep.get(&left.instance)
                && run.deps.ledger.runner(fleet, &left.instance).await?.is_some_and(|it| !it.state.is_asleep())
            {
                continue;
            }
            run.deps.handover.delete(&left.instance).await?;
            run.deps.metrics.mended("registration");
            warn!(
                instance.id = left.instance,
                "Deleted the registration of {}, which is gone or stopped", left.instance
            );
        }
        from = next;
        if from.is_none() || !run.has_time() {
            break;
        }
    }
    if from != before {
        run.remember("registrations", &from).await;
    }
    Ok(())
}

/// The note of the runners' step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// Whose runners are read.
    scope: String,
    /// The page of them that is read next; 0 and 1 are the first.
    page: u32,
    /// Runners that may be left behind, and since when.
    since: Since,
}

/// Deletes runners at GitHub that are offline and have no instance.
pub(super) async fn runners<P: Ports>(run: &Run<'_, P>) -> Done {
    let Some(alive) = run.alive().await? else { return Ok(()) };
    let targets = targets(run).await?;
    if targets.is_empty() {
        return Ok(());
    }
    let before: Note = run.recall("runners").await?;
    let mut note = before.clone();
    let now = run.now();
    note.since.0.retain(|_, since| *since + FORGOTTEN > now);
    let scopes: Vec<&String> = targets.keys().collect();
    let mut at = scopes.iter().position(|scope| **scope == note.scope).unwrap_or(0);
    if scopes[at] != &note.scope {
        note.page = 0;
    }
    for _ in 0..MOST_RUNNER_PAGES {
        if !run.has_time() {
            break;
        }
        let target = &targets[scopes[at]];
        let page = note.page.max(1);
        let more = match run.deps.github.runners(target, page).await {
            Ok((listed, more)) => {
                sweep(run, target, &listed, &alive, &mut note.since).await?;
                more
            }
            Err(error @ (GitHubError::Limited { .. } | GitHubError::Transient(_))) => return Err(error.into()),
            // One who is not there any more, or not ours, is in no other's way.
            Err(error) => {
                run.deps.metrics.refused("github");
                warn!(github.scope = %target.scope, "{}", Chain(&error));
                false
            }
        };
        let is_last = !more;
        note.page = if more { page + 1 } else { 1 };
        if is_last {
            at = (at + 1) % scopes.len();
        }
        note.scope.clone_from(scopes[at]);
        // Once around is enough.
        if is_last && at == 0 {
            break;
        }
    }
    if note != before {
        run.remember("runners", &note).await;
    }
    Ok(())
}

/// Everybody whom runners of ours may be registered for.
async fn targets<P: Ports>(run: &Run<'_, P>) -> Result<BTreeMap<String, Target>, LedgerError> {
    let names: Vec<String> = run.levels.borrow().keys().cloned().collect();
    let mut targets = BTreeMap::new();
    for name in names {
        targets.extend(owners(run, &name).await?.into_iter().map(|target| (target.scope.to_string(), target)));
    }
    Ok(targets)
}

/// Deletes those of a page that are left behind.
async fn sweep<P: Ports>(
    run: &Run<'_, P>,
    target: &Target,
    listed: &[Listed],
    alive: &BTreeSet<String>,
    since: &mut Since,
) -> Done {
    let mut left: Vec<(&Listed, String)> = Vec::new();
    for it in listed {
        match suspect(it, |fleet| run.deps.fleets.get(fleet).is_some(), alive) {
            Some(instance) if is_left(since, &it.name, run.now()) => left.push((it, instance.to_owned())),
            Some(_) => {}
            None => drop(since.0.remove(&it.name)),
        }
    }
    left.truncate(MOST_DELETED);
    if left.is_empty() {
        return Ok(());
    }
    // Another deployment of this account may have an instance for it.
    let ids: Vec<String> = left.iter().map(|(_, instance)| instance.clone()).collect();
    let states = run.deps.compute.states(&ids).await?;
    for (it, instance) in left {
        if states.get(&instance) != Some(&AtEc2::Gone) || !run.has_time() {
            continue;
        }
        match run.deps.github.delete_runner(target, it.id).await {
            Ok(Deletion::Gone) => {
                since.0.remove(&it.name);
                run.deps.metrics.mended("github_runner");
                warn!(
                    runner.name = it.name,
                    runner.id = it.id,
                    "Deleted runner {} at GitHub, whose instance is gone",
                    it.name
                );
            }
            Ok(Deletion::Busy) => info!(runner.name = it.name, runner.id = it.id, "{} is busy at GitHub", it.name),
            Err(error) => warn!(runner.name = it.name, "{}", Chain(&error)),
        }
    }
    Ok(())
}
