//! What an instance leaves behind is taken away: its registration, and its runner at GitHub.

use dayfly_contract::{Lifecycle, names};
use tracing::{error, info, warn};

use super::Deps;
use crate::{
    decide::{
        events,
        runners::{RunnerEvent, RunnerState},
    },
    fleets::Target,
    github::{Deletion, GitHub, GitHubError},
    handover::{Handover, HandoverError},
    ledger::Runner,
    report::{BoxError, Chain},
};

/// After so many attempts at cleaning up behind an instance, the ledger is settled without: the fleet's `max` matters
/// more than a stray runner entry at GitHub, which GitHub removes by itself after a day.
pub(super) const CLEANUP_ATTEMPTS: u32 = 4;

/// A reusable runner that was killed in a job is busy for GitHub until it notices, which takes minutes. So often its end
/// is told again, beside a ledger that is settled; its queue gives a message up after 200.
pub(super) const BUSY_ATTEMPTS: u32 = 18;

/// Whether an instance leaves a registration behind. One that had a job does not: it claimed its registration, and
/// GitHub removes an ephemeral runner after its job; a reusable one it keeps for two weeks. But a scale-up that took over
/// from a killed one may have made another, which nobody claims.
pub(super) fn leaves_something(it: &Lifecycle, runner: Option<&Runner>) -> bool {
    let had_job = events::ending(it) == RunnerEvent::EndedAfterJob;
    let another = runner.is_some_and(|runner| it.runner_id != runner.runner_id);
    !had_job || another || runner.is_some_and(|runner| runner.reuse.is_some())
}

/// Takes away what an instance leaves behind: its registration, if it did not claim it, and its runner at GitHub. Answers
/// whether that is a reusable one which GitHub still takes for busy, so that it is to be tried again.
pub(super) async fn clean_up<L, G: GitHub, H: Handover, W, C>(
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
pub(super) async fn registered<L, G: GitHub, H, W, C>(
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
