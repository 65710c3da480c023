//! Whether a job runs what a fork has.
//!
//! Anybody can fork a public repository and open a pull request whose workflow asks for a fleet's labels. A
//! `workflow_job` event does not tell such a job from others: its `head_branch` and `head_sha` are the fork's, but no
//! field says whose they are. So GitHub is asked for the run, which names its `head_repository`: only where it matters,
//! and once for a run ([`crate::handlers::forks`]).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

use serde_json::Value;

use super::{Deps, Ports, payload::Origin};
use crate::{
    decide::{
        events::JobEvent,
        jobs::JobState,
        route::{Job, route},
    },
    fleets::{Fleets, Owner},
    handlers::forks::{self, Unknown},
};

/// Runs that a process remembers; all are forgotten when there are more.
const MOST_RUNS: usize = 4096;

/// Of which runs it is known whether they are forks', by repository and run; and when it was last noted that a delivery
/// was heard.
#[derive(Debug, Default)]
pub struct KnownRuns {
    forks: Mutex<HashMap<String, bool>>,
    pub(super) heard: AtomicU64,
}

impl KnownRuns {
    fn get(&self, key: &str) -> Option<bool> {
        self.forks.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn put(&self, key: String, is_fork: bool) {
        let mut known = self.forks.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_RUNS {
            known.clear();
        }
        known.insert(key, is_fork);
    }
}

/// Whether the job of `event` runs what a fork of a public repository has.
pub(super) async fn is_public_fork<P: Ports>(
    deps: &Deps<P>,
    event: &JobEvent,
    origin: &Origin,
) -> Result<bool, Unknown> {
    if !origin.public || !matters(&deps.fleets, event, &origin.owner) {
        return Ok(false);
    }
    if event.public_fork {
        return Ok(true);
    }
    let key = forks::key(&origin.repository, event.run_id);
    if let Some(known) = deps.runs.get(&key) {
        return Ok(known);
    }
    let ports = (&deps.ledger, &deps.github, &deps.clock);
    let is_fork = Box::pin(forks::is_fork(ports, &origin.target, &origin.repository, event.run_id)).await?;
    deps.runs.put(key, is_fork);
    Ok(is_fork)
}

/// Whether anybody wants to know: a runner is asked for, from a fleet that refuses forks.
fn matters(fleets: &Fleets, event: &JobEvent, owner: &Owner) -> bool {
    let wanted = matches!(event.state, JobState::Waiting | JobState::Queued);
    wanted && taken(fleets, event, owner, false) != taken(fleets, event, owner, true)
}

/// The fleet that takes the job if it is a fork's, or if it is not.
pub(super) fn taken(fleets: &Fleets, event: &JobEvent, owner: &Owner, public_fork: bool) -> Option<String> {
    let job = Job { public_fork, ..Job::of(event, owner) };
    route(fleets, &job).fleet.map(|fleet| fleet.name.clone())
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
