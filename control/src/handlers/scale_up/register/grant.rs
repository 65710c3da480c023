//! What lets a runner in at GitHub: a JIT config, or a token.

use dayfly_contract::{Grant, names};

use super::{Deps, Failed, Ports};
use crate::{
    decide::{asks, pool::is_unstarted},
    fleets::{Fleet, RunnerGroup, Target},
    github::{Deletion, GitHub, GitHubError, Jit, NewRunner},
    handover::Handover,
    ledger::Runner,
};

/// What lets a runner in at GitHub.
pub(super) enum Granted {
    /// This, which is to be handed over.
    Now(Grant),
    /// What a killed invocation has handed over; with GitHub's id of the runner, where it is known.
    Before(Option<u64>),
}

/// What the runner is at GitHub: its fleet's labels, and what its job asked for.
fn labels(fleet: &Fleet, runner: &Runner) -> Vec<String> {
    asks::labels(fleet, &runner.asks)
}

/// An ephemeral runner is made at GitHub, under a name that may be taken.
pub(super) async fn by_jit_config<P: Ports>(
    deps: &Deps<P>,
    fleet: &Fleet,
    target: &Target,
    runner: &Runner,
) -> Result<Granted, Failed> {
    let group = match &fleet.github.runner_group {
        RunnerGroup::Id(id) => *id,
        RunnerGroup::Name(name) => deps.github.group(target, name).await?,
    };
    let name = names::runner_name(&fleet.name, &runner.instance);
    let new = NewRunner { name, labels: labels(fleet, runner), group };
    let Jit { runner_id, config } = match deps.github.jit_config(target, &new).await {
        Err(GitHubError::NameTaken { name }) => {
            // Only after a crash. Whoever registered it got further or did not.
            let Some(found) = deps.github.find_runner(target, &name).await? else {
                return Err(GitHubError::NameTaken { name }.into());
            };
            // Of what is stopped it is of an earlier claim, perhaps for a job that asked for something else.
            let is_stale = is_unstarted(runner) && !found.online;
            if found.online || (!is_stale && deps.handover.exists(fleet.handover, &runner.instance).await?) {
                return Ok(Granted::Before(Some(found.id)));
            }
            // Offline, and its registration is not there: it was never handed over, or it was claimed and the runner
            // is starting just now. Only one that is found so twice is the former.
            if !is_stale && runner.runner_id != Some(found.id) {
                return Err(Failed::Starting(found.id));
            }
            if deps.github.delete_runner(target, found.id).await? == Deletion::Busy {
                return Ok(Granted::Before(Some(found.id)));
            }
            deps.github.jit_config(target, &new).await?
        }
        other => other?,
    };
    Ok(Granted::Now(Grant::Jit { runner_id, jit_config: config }))
}

/// A reusable runner registers itself, and takes the place of a stale one of its name (`--replace`).
pub(super) async fn by_token<P: Ports>(
    deps: &Deps<P>,
    fleet: &Fleet,
    target: &Target,
    runner: &Runner,
    fresh: bool,
) -> Result<Granted, Failed> {
    if !fresh {
        // A second token would lie about in the store for as long as the instance lives.
        if deps.handover.exists(fleet.handover, &runner.instance).await? {
            return Ok(Granted::Before(None));
        }
        let name = names::runner_name(&fleet.name, &runner.instance);
        if let Some(found) = deps.github.find_runner(target, &name).await? {
            return Ok(Granted::Before(Some(found.id)));
        }
    }
    let registration_token = deps.github.registration_token(target).await?;
    let runner_group = match &fleet.github.runner_group {
        RunnerGroup::Name(name) => Some(name.clone()),
        // The default one; `config.sh` knows groups by their names alone, and the fleets' reader sees to that.
        RunnerGroup::Id(_) => None,
    };
    let (url, labels) = (deps.github.runner_url(&target.scope), labels(fleet, runner));
    Ok(Granted::Now(Grant::Token { registration_token, url, labels, runner_group }))
}
