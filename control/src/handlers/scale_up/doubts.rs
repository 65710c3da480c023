//! Jobs of which GitHub has to be asked again: the webhook could not tell when they are to be launched for.
//!
//! Of several looks that meet a doubt, the one that puts its next time asks, and sees to it that the fleet is looked at
//! then; so there is one wake-up on its way for it, however many looks there are.

use std::{collections::BTreeSet, time::Duration};

use tracing::{error, info, warn};

use super::{Deps, Outcome, Ports, look::Task};
use crate::{
    clock::{Clock, Millis, seconds},
    decide::{
        asks,
        doubt::{self, Why},
        events::{self, JobEvent},
        jobs::JobState,
    },
    fleets::{Fleet, Scope, Target},
    github::{GitHub, GitHubError},
    handlers::{asking, forks, raising},
    ledger::{Committed, Doubt, Job, Ledger, Write},
    metrics::Metric,
    report::{BoxError, Chain},
    told,
    wake::Wake,
};

/// The most that one look asks about, one after the other: what is learned of a run serves its other jobs.
const MOST: usize = 20;
/// When the rest is looked at.
const REST: Millis = 15_000;
/// No question is begun when less time is left.
const TIME_NEEDED: Millis = 10_000;

/// Asks about those of `doubts` that are due, and has the fleet woken for the others that it has asked about. Where the
/// wake-up was `redelivered`, whoever asked last may not have come to that.
pub(super) async fn settle<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    redelivered: bool,
    doubts: Vec<Doubt>,
) -> Outcome {
    if doubts.is_empty() {
        return Outcome::DONE;
    }
    let now = deps.clock.now();
    let (mut due, later): (Vec<_>, Vec<_>) = doubts.into_iter().partition(|it| it.ask_at <= now);
    due.sort_by_key(|it| it.ask_at);
    let mut looks: BTreeSet<Millis> = later.iter().filter(|_| redelivered).map(|it| it.ask_at).collect();
    let mut outcome = Outcome::DONE;
    let mut asked = 0;
    for doubt in &due {
        if asked == MOST || deps.clock.now().saturating_add(TIME_NEEDED) > task.deadline {
            looks.insert(now + REST);
            break;
        }
        match ask(deps, doubt).await {
            Ok(Asked::Again(at)) => {
                asked += 1;
                looks.insert(at);
            }
            Ok(Asked::Settled) => asked += 1,
            Ok(Asked::ByAnother) => {}
            Err(error) => {
                error!(fleet.name = doubt.fleet, job.id = doubt.job, error = %Chain(error.as_ref()), "Not asked about");
                outcome = Outcome::AGAIN;
            }
        }
    }
    for at in looks {
        let wait = Duration::from_millis(at.saturating_sub(deps.clock.now()));
        if let Err(error) = deps.wake.wake(&task.fleet.name, wait).await {
            error!(fleet.name = task.fleet.name, error = %Chain(&error), "The fleet can't be woken later");
            outcome = Outcome::AGAIN;
        }
    }
    outcome
}

/// What came of a doubt.
enum Asked {
    /// There is none any more.
    Settled,
    /// Another look is at it.
    ByAnother,
    /// GitHub is asked again then.
    Again(Millis),
}

async fn ask<P: Ports>(deps: &Deps<P>, doubt: &Doubt) -> Result<Asked, BoxError> {
    let now = deps.clock.now();
    let mut job = match deps.ledger.job(doubt.job).await? {
        Some(job) if job.state == JobState::Waiting && job.fleet == doubt.fleet => job,
        // Also after a crash between the ledger and the wake-up.
        Some(job) if job.state == JobState::Queued => {
            wake(deps, &job.fleet).await?;
            return settled(deps, doubt).await;
        }
        _ => return settled(deps, doubt).await,
    };
    if doubt.expires <= seconds(now) {
        deps.metrics.refused("doubt_expired");
        warn!(
            fleet.name = doubt.fleet,
            job.id = doubt.job,
            doubt = doubt.why.name(),
            "GitHub has not told of job {} in time; it is forgotten",
            doubt.job
        );
        return settled(deps, doubt).await;
    }
    let ask_at = doubt::ask_at(&doubt.why, doubt.since, now);
    let claim = vec![Write::PutJob(job.clone()), Write::PutDoubt(Doubt { ask_at, ..doubt.clone() })];
    if deps.ledger.commit(claim).await? == Committed::Conflict {
        return Ok(Asked::ByAnother);
    }
    job.version += 1;
    // Good for a person's repository as for an organization's.
    let target = Target { scope: Scope::Repository(job.repository.clone()), installation: job.installation };
    match answer(deps, doubt, &job, &target).await {
        Answer::Queued(fleet) => release(deps, doubt, job, fleet, ask_at).await,
        Answer::NoFleet => refuse(deps, doubt, job, ask_at).await,
        Answer::Over => settled(deps, doubt).await,
        Answer::Unknown => Ok(Asked::Again(ask_at)),
    }
}

/// What GitHub tells of a job.
enum Answer<'a> {
    /// It waits for a runner of this fleet.
    Queued(&'a Fleet),
    /// It waits for a runner, and no fleet takes it.
    NoFleet,
    /// Another event tells, or has told, that it runs or has ended.
    Over,
    /// It is held still, or nothing is known.
    Unknown,
}

async fn answer<'a, P: Ports>(deps: &'a Deps<P>, doubt: &Doubt, job: &Job, target: &Target) -> Answer<'a> {
    let unknown = |reason, why: &(dyn std::error::Error + 'static)| {
        deps.metrics.refused(reason);
        warn!(
            fleet.name = doubt.fleet, job.id = job.id, error = %Chain(why),
            "GitHub does not tell of job {}; it is asked again", job.id
        );
        Answer::Unknown
    };
    let fleet_of = |name: &str| deps.fleets.get(name).map_or(Answer::NoFleet, Answer::Queued);
    let reason = |refused: bool| if refused { "github_refused" } else { "github_silent" };
    match &doubt.why {
        Why::Held => {
            let ask = async || deps.github.job(target, &job.repository, job.id).await;
            match asking::patiently(&deps.clock, ask).await {
                Ok(told) => match told.state() {
                    Some(JobState::Queued) => fleet_of(&job.fleet),
                    Some(JobState::Running | JobState::Done) => Answer::Over,
                    Some(JobState::Waiting) | None => Answer::Unknown,
                },
                Err(error) => unknown(reason(matches!(error, GitHubError::Permanent(_))), &error),
            }
        }
        Why::Fork { otherwise } => {
            let ports = (&deps.ledger, &deps.github, &deps.clock);
            match forks::is_fork(ports, target, &job.repository, job.run_id).await {
                Ok(false) => fleet_of(&job.fleet),
                Ok(true) => otherwise.as_deref().map_or(Answer::NoFleet, fleet_of),
                Err(error) => unknown(reason(matches!(error, forks::Unknown::Refused(_))), &error),
            }
        }
    }
}

/// The job is queued, for `fleet`.
async fn release<P: Ports>(
    deps: &Deps<P>,
    doubt: &Doubt,
    job: Job,
    fleet: &Fleet,
    ask_at: Millis,
) -> Result<Asked, BoxError> {
    let job = Job { fleet: fleet.name.clone(), ..job };
    let asks = asks::asks(fleet, &job.labels);
    let event = JobEvent { asks, ..asking::again(job.clone(), JobState::Queued) };
    let now = deps.clock.now();
    let mut changes = events::job_event(&event, Some(job), &fleet.name, None, now);
    raising::raise((&deps.ledger, &deps.fleets), &mut changes.writes, &event, &fleet.name, now).await?;
    if deps.ledger.commit(changes.writes).await? == Committed::Conflict {
        // An event has told more meanwhile; next time there is nothing left to ask.
        return Ok(Asked::Again(ask_at));
    }
    told::job(&event, &fleet.name, None, now);
    deps.metrics.add(Metric::Jobs, 1, &[("Fleet", &fleet.name), ("Action", JobState::Queued.name())]);
    info!(fleet.name = fleet.name, job.id = doubt.job, doubt = doubt.why.name(), "Job {} is queued", doubt.job);
    wake(deps, &fleet.name).await?;
    settled(deps, doubt).await
}

/// The job runs a fork's code, and no fleet takes that.
async fn refuse<P: Ports>(deps: &Deps<P>, doubt: &Doubt, mut job: Job, ask_at: Millis) -> Result<Asked, BoxError> {
    job.history.add(deps.clock.now(), doubt::NO_FLEET, "GitHub has told what it is, and no fleet takes it");
    let (fleet, id) = (doubt.fleet.clone(), doubt.job);
    let writes = vec![Write::PutJob(job), Write::DropDoubt { fleet, job: id }];
    if deps.ledger.commit(writes).await? == Committed::Conflict {
        return Ok(Asked::Again(ask_at));
    }
    deps.metrics.refused("no_fleet");
    info!(job.id = id, doubt = doubt.why.name(), "No fleet takes job {id}");
    Ok(Asked::Settled)
}

/// The doubt has done its work.
async fn settled<P: Ports>(deps: &Deps<P>, doubt: &Doubt) -> Result<Asked, BoxError> {
    let drop = Write::DropDoubt { fleet: doubt.fleet.clone(), job: doubt.job };
    match deps.ledger.commit(vec![drop]).await? {
        Committed::Yes => Ok(Asked::Settled),
        // It has no condition: somebody is at the item at this very moment.
        Committed::Conflict => Ok(Asked::ByAnother),
    }
}

async fn wake<P: Ports>(deps: &Deps<P>, fleet: &str) -> Result<(), BoxError> {
    let delay = deps.fleets.get(fleet).map_or(0, |fleet| fleet.delay_seconds);
    Ok(deps.wake.wake(fleet, Duration::from_secs(delay)).await?)
}
