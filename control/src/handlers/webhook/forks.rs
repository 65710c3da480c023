//! Whether a job runs what a fork has.
//!
//! Anybody can fork a public repository and open a pull request whose workflow asks for a fleet's labels. A
//! `workflow_job` event does not tell such a job from others: its `head_branch` and `head_sha` are the fork's, but no
//! field says whose they are. So GitHub is asked for the run, which names its `head_repository`: only where it matters,
//! and once for a run.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tracing::{error, warn};

use super::{Deps, Ports, asking, payload::Origin};
use crate::{
    clock::{Clock, seconds},
    decide::{events::JobEvent, jobs::JobState, route::route},
    fleets::Fleets,
    github::GitHubError,
    ledger::Notes,
    report::{BoxError, Chain},
};

/// Runs that a process remembers; all are forgotten when there are more.
const MOST_RUNS: usize = 4096;
/// How long the ledger remembers a run. GitHub ends one after 35 days, and lets it be run again for 30.
const RUN_SECONDS: u64 = 65 * 24 * 3600;

/// Of which runs it is known whether they are forks', by repository and run.
#[derive(Debug, Default)]
pub struct KnownRuns(Mutex<HashMap<String, bool>>);

impl KnownRuns {
    fn get(&self, key: &str) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn put(&self, key: String, is_fork: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_RUNS {
            known.clear();
        }
        known.insert(key, is_fork);
    }
}

/// Whether the job of `event` runs what a fork of a public repository has. What GitHub refuses to tell is taken for a
/// fork's; where it can't be asked just now, that is an error.
pub(super) async fn is_public_fork<P: Ports>(
    deps: &Deps<P>,
    event: &JobEvent,
    origin: &Origin,
) -> Result<bool, BoxError> {
    if !origin.public || !matters(&deps.fleets, event) {
        return Ok(false);
    }
    if event.public_fork {
        return Ok(true);
    }
    let key = format!("fork#{}#{}", origin.repository.to_lowercase(), event.run_id);
    if let Some(known) = deps.runs.get(&key) {
        return Ok(known);
    }
    if let Some(noted) = deps.ledger.recall(&key).await? {
        deps.runs.put(key, noted != 0);
        return Ok(noted != 0);
    }
    let is_fork = match asking::run(deps, origin, event.run_id).await {
        Ok(run) => run.is_of_fork(&origin.repository),
        Err(refused @ GitHubError::Permanent(_)) => {
            error!(
                job.id = event.id, job.repository = origin.repository, job.run_id = event.run_id, error = %Chain(&refused),
                "GitHub does not tell whose code job {} runs; it is taken for a fork's", event.id
            );
            return Ok(true);
        }
        Err(passing) => return Err(passing.into()),
    };
    let expires = seconds(deps.clock.now()) + RUN_SECONDS;
    if let Err(error) = deps.ledger.remember(&key, u64::from(is_fork), expires).await {
        warn!("{}", Chain(&error));
    }
    deps.runs.put(key, is_fork);
    Ok(is_fork)
}

/// Whether anybody wants to know: a runner is asked for, from a fleet that refuses forks.
fn matters(fleets: &Fleets, event: &JobEvent) -> bool {
    let wanted = matches!(event.state, JobState::Waiting | JobState::Queued);
    let taken = |public_fork| {
        let event = JobEvent { public_fork, ..event.clone() };
        route(fleets, &(&event).into()).fleet.map(|fleet| fleet.name.clone())
    };
    wanted && taken(false) != taken(true)
}

/// Whether a `check_run` payload itself tells that it is a fork's. Of a branch in a fork, GitHub says, `head_branch` is
/// null and `pull_requests` is empty; a pull request that is listed names the repository of its head. Where neither is
/// so, nothing is known.
pub(super) fn told_by_check_run(value: &Value) -> bool {
    let suite = &value["check_run"]["check_suite"];
    let branchless = suite.get("head_branch").is_some_and(Value::is_null);
    let own = value["repository"]["id"].as_u64();
    let others = suite["pull_requests"].as_array().into_iter().flatten().any(|it| {
        let head = it["head"]["repo"]["id"].as_u64();
        head.is_some() && own.is_some() && head != own
    });
    branchless || others
}
