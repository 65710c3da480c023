//! Jobs that have been in one state for long: GitHub is asked, and its answer is taken as a webhook would be.

use std::{collections::BTreeSet, time::Duration};

use dayfly_contract::names;
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::{Done, Ports, Run, gaps};
use crate::{
    clock::Clock,
    decide::{
        asks, doubt,
        events::{self, JobEvent},
        jobs::JobState,
        reconcile::jobs::{Memory, Open},
        route,
    },
    fleets::{Level, Owner, Scope, Target},
    github::{self, GitHub, GitHubError, watch::Watch},
    handlers::raising,
    ledger::{ATTEMPTS, Census, Committed, Job, Ledger, LedgerError, Write},
    metrics::Metric,
    report::{BoxError, Chain},
    told,
    wake::Wake,
};

/// The most jobs that GitHub is asked about in one run.
const MOST_ASKED: usize = 10;
/// The most pages of the table, of 1 MB each, that are walked through in one run.
const MOST_PAGES: u32 = 4;

/// The note of this step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// Where the walk over the table goes on.
    from: Option<String>,
    /// What was asked.
    asked: Memory,
}

/// Asks about the jobs that are due.
pub(super) async fn ask<P: Ports>(run: &Run<'_, P>) -> Done {
    let before: Note = run.recall("jobs").await?;
    let mut note = before.clone();
    let mut open = walk(run, &mut note).await?;
    // The walk waits where more are due than are asked about in a run: when it comes by again others will be.
    if note.asked.due(&open, run.now(), MOST_ASKED + 1).len() > MOST_ASKED {
        note.from.clone_from(&before.from);
    }
    for level in run.levels.borrow().values() {
        open.extend(level.view.queued.iter().map(Open::of_marker));
    }
    note.asked.tidy(run.now());
    for it in note.asked.due(&open, run.now(), MOST_ASKED) {
        if !run.has_time() {
            break;
        }
        match one(run, &it, &mut note.asked).await {
            Ok(true) => {}
            Ok(false) => break,
            // It is asked about again later, and is in nobody's way until then.
            Err(failed) => {
                note.asked.ask(&it, run.now());
                run.deps.metrics.refused("reconcile");
                error!(job.id = it.id, error = %Chain(failed.as_ref()), "Job {} is not looked after", it.id);
            }
        }
    }
    if note != before {
        run.remember("jobs", &note).await;
    }
    Ok(())
}

/// The open jobs of the next pages of the table. It has those that wait for something else than a runner, and those
/// that run; the queued ones are in their fleets' levels, too.
async fn walk<P: Ports>(run: &Run<'_, P>, note: &mut Note) -> Result<Vec<Open>, LedgerError> {
    let mut open = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = run.deps.ledger.open_jobs(note.from.as_deref()).await?;
        for why in &page.unread {
            run.deps.metrics.refused("unread_item");
            error!("Passed over in the ledger: {why}");
        }
        run.met.borrow_mut().extend(page.jobs.iter().map(|job| (job.repository.clone(), job.installation)));
        open.extend(page.jobs.iter().filter_map(Open::of_job));
        note.from = page.next;
        if note.from.is_none() || !run.has_time() {
            break;
        }
    }
    Ok(open)
}

/// Asks about one job; answers whether GitHub is to be asked about more.
async fn one<P: Ports>(run: &Run<'_, P>, open: &Open, asked: &mut Memory) -> Result<bool, BoxError> {
    // The page may be old.
    let Some(job) = run.deps.ledger.job(open.id).await?.filter(|job| job.state != JobState::Done) else {
        asked.0.remove(&open.id);
        return Ok(true);
    };
    asked.ask(open, run.now());
    let target = target(run, &job);
    let answer = match run.deps.github.known_job(&target, &job.repository, open.id).await {
        Ok(answer) => answer,
        Err(error) => return Ok(may_go_on(run, open, &error)),
    };
    let Some(state) = asked.hear(open.id, answer.as_ref()) else {
        info!(job.id = open.id, job.found = answer.is_some(), "GitHub tells nothing new of job {}", open.id);
        return Ok(true);
    };
    if state > job.state {
        // It is but a sign; the job is taken all the same.
        if let Err(error) = gaps::miss(run, open.id).await {
            warn!(job.id = open.id, "{}", Chain(&error));
        }
    }
    let fleet = if (job.state, state) == (JobState::Waiting, JobState::Queued) {
        match fleet_for(run, &job, &target).await {
            Ok(fleet) => fleet,
            Err(error) => return Ok(may_go_on(run, open, &error)),
        }
    } else {
        Some(job.fleet.clone())
    };
    match fleet {
        Some(fleet) => take(run, Job { fleet, ..job }, state, answer.as_ref()).await?,
        None => refuse(run, job).await?,
    }
    Ok(true)
}

/// Whether GitHub, which did not answer about one job, is to be asked about others.
fn may_go_on<P: Ports>(run: &Run<'_, P>, open: &Open, error: &GitHubError) -> bool {
    let passes = matches!(error, GitHubError::Limited { .. } | GitHubError::Transient(_));
    if passes {
        warn!(job.id = open.id, "{}", Chain(error));
    } else {
        run.deps.metrics.refused("github");
        error!(job.id = open.id, "{}", Chain(error));
    }
    !passes
}

/// The fleet of a job that was only noted as waiting and turns out to be queued; none where nobody takes it. It may have
/// been noted when it was not known whose code it runs, or just because of that; and its fleet may be gone.
async fn fleet_for<P: Ports>(run: &Run<'_, P>, job: &Job, target: &Target) -> Result<Option<String>, GitHubError> {
    Ok(routed(run, job, target).await?.map(|(fleet, _)| fleet))
}

/// The fleet that takes `job` by the fleets that there are now, its own before others, and whether it runs a public fork's
/// code, as far as that makes a difference; none where nobody takes it.
pub(super) async fn routed<P: Ports>(
    run: &Run<'_, P>,
    job: &Job,
    target: &Target,
) -> Result<Option<(String, bool)>, GitHubError> {
    // Of its owner nothing is known here but the name, which it was routed by before.
    let (fleets, owner) = (&run.deps.fleets, Owner::default());
    let Job { id, ref labels, ref repository, .. } = *job;
    let takes = |public_fork| {
        let job = route::Job { id, labels, repository: Some(repository), owner: &owner, public_fork };
        route::route(fleets, &job).fleet.map(|fleet| fleet.name.clone())
    };
    let own = fleets.get(&job.fleet).map(|fleet| fleet.name.clone()).or_else(|| takes(false));
    let as_forks = takes(true);
    if own == as_forks {
        return Ok(own.map(|fleet| (fleet, false)));
    }
    let is_forks = run.deps.github.run(target, repository, job.run_id).await?.is_of_public_fork(repository);
    Ok(if is_forks { as_forks } else { own }.map(|fleet| (fleet, is_forks)))
}

/// Notes, once, that no fleet takes a job.
pub(super) async fn refuse<P: Ports>(run: &Run<'_, P>, mut job: Job) -> Result<(), LedgerError> {
    let id = job.id;
    info!(job.id = id, fleet.name = job.fleet, "No fleet takes job {id}");
    if !job.history.has(doubt::NO_FLEET) {
        run.deps.metrics.refused("no_fleet");
        job.history.add(run.now(), doubt::NO_FLEET, "GitHub has told what it is, and no fleet takes it");
        // Where it has changed meanwhile, it is another matter.
        let _: Committed = run.deps.ledger.commit(vec![Write::PutJob(job)]).await?;
    }
    Ok(())
}

/// Who has the token for a job's repository.
pub(super) fn target<P: Ports>(run: &Run<'_, P>, job: &Job) -> Target {
    let level = run.deps.fleets.get(&job.fleet).map(|fleet| fleet.github.level);
    let scope = match (level, job.repository.split_once('/')) {
        (Some(Level::Organization), Some((owner, _))) => Scope::Organization(owner.to_owned()),
        // Also of an enterprise, whose installation has no repositories.
        _ => Scope::Repository(job.repository.clone()),
    };
    Target { scope, installation: job.installation }
}

/// Takes what GitHub told, as the webhook does with an event.
async fn take<P: Ports>(
    run: &Run<'_, P>,
    job: Job,
    state: JobState,
    told: Option<&github::Job>,
) -> Result<(), BoxError> {
    let (id, fleet) = (job.id, job.fleet.clone());
    let asks = run.deps.fleets.get(&fleet).map(|fleet| asks::asks(fleet, &job.labels)).unwrap_or_default();
    let event = JobEvent {
        state,
        id,
        labels: job.labels.clone(),
        asks,
        repository: job.repository.clone(),
        public_fork: false,
        run_id: job.run_id,
        run_attempt: job.run_attempt,
        installation: job.installation,
        runner_name: told.and_then(|told| told.runner_name.clone()),
        runner_id: told.and_then(|told| told.runner_id),
        conclusion: None,
        waited_ms: None,
    };
    let mut now_is = Some(job);
    for attempt in 1..=ATTEMPTS {
        let before = now_is.as_ref().map(|job| job.state);
        let runner = match event.runner_name.as_deref().and_then(ours) {
            Some((fleet, instance)) => run.deps.ledger.runner(fleet, instance).await?,
            None => None,
        };
        let mut follows = events::job_event(&event, now_is, &fleet, runner, run.now());
        let ports = (&run.deps.ledger, &run.deps.fleets);
        raising::raise(ports, &mut follows.writes, &event, &fleet, run.now()).await?;
        let changed = !follows.writes.is_empty();
        if changed && run.deps.ledger.commit(follows.writes).await? == Committed::Conflict {
            run.deps.clock.sleep(run.deps.clock.jitter(attempt)).await;
            now_is = run.deps.ledger.job(id).await?;
            // Nothing was launched for one that waits still: it is the fleet's that was just decided upon.
            if let Some(waiting) = now_is.as_mut().filter(|it| it.state == JobState::Waiting) {
                waiting.fleet.clone_from(&fleet);
            }
            continue;
        }
        for fleet in follows.wake.iter().collect::<BTreeSet<_>>() {
            run.deps.wake.wake(fleet, Duration::ZERO).await?;
        }
        if changed {
            told::job(&event, &fleet, None, run.now());
            run.deps.metrics.mended("job");
            run.deps.metrics.add(Metric::Jobs, 1, &[("Fleet", &fleet), ("Action", state.name())]);
            warn!(
                job.id = id,
                fleet.name = fleet,
                job.before = before.map(JobState::name),
                job.told = state.name(),
                "Job {id} is {}, and no webhook told of it",
                state.name()
            );
        } else {
            info!(job.id = id, fleet.name = fleet, job.told = state.name(), "Job {id} is {} still", state.name());
        }
        return Ok(());
    }
    Err(format!("job {id} changed under {ATTEMPTS} attempts").into())
}

/// Fleet and instance of a runner's name, where it is one of ours.
fn ours(runner_name: &str) -> Option<(&str, &str)> {
    let instance = names::instance_of_runner(runner_name)?;
    let fleet = runner_name.strip_suffix(instance)?.strip_suffix('-')?;
    names::is_name(fleet).then_some((fleet, instance))
}
