//! What is known of a job, into the ledger, and whoever is to be woken.

use std::time::Duration;

use dayfly_contract::names;
use tracing::info;

use crate::{
    clock::{Clock, Millis},
    decide::{
        asks,
        doubt::{self, Why},
        events::{self, JobEvent},
        jobs::JobState,
        rerun,
        route::{self, Decision, route},
        waiting::queue_ms,
    },
    fleets::{Fleets, Owner},
    handlers::raising,
    ledger::{ATTEMPTS, Committed, Doubt, Job, Ledger, LedgerError, Reruns, Runner, Write},
    metrics::{Metric, Metrics},
    report::BoxError,
    told,
    wake::{Look, Wake, WakeUp},
};

/// What it takes to take a job in: by a webhook, or by whoever finds one that no webhook told of.
pub(in crate::handlers) struct Door<'a, L, W, C> {
    /// The fleets.
    pub(in crate::handlers) fleets: &'a Fleets,
    /// The ledger.
    pub(in crate::handlers) ledger: &'a L,
    /// The queue.
    pub(in crate::handlers) wake: &'a W,
    /// What is measured.
    pub(in crate::handlers) metrics: &'a Metrics,
    /// Time and chance.
    pub(in crate::handlers) clock: &'a C,
}

pub(in crate::handlers) enum Taken {
    Noted,
    NotOurs,
}

/// Takes `event`, of a repository of `owner`'s, into the ledger and wakes who is to be woken. `doubt`: it is noted as
/// waiting, and GitHub has to be asked again about it.
pub(in crate::handlers) async fn take<L: Ledger + Reruns, W: Wake, C: Clock>(
    deps: &Door<'_, L, W, C>,
    delivery: &str,
    event: &JobEvent,
    owner: &Owner,
    doubt: Option<Why>,
) -> Result<Taken, BoxError> {
    let decision = route(deps.fleets, &route::Job::of(event, owner));
    let routed = decision.fleet;
    // GitHub tells of nearly each job that waits only once: it is taken for new, which the ledger checks, and looked up
    // where it is not. That spares a call for each job.
    let mut blind = routed.is_some() && matches!(event.state, JobState::Waiting | JobState::Queued);
    for attempt in 1..=ATTEMPTS {
        let (job, runner) = if blind { (None, None) } else { read(deps, event, routed.is_some()).await? };
        // GitHub may give a runner of ours a job that no fleet of ours would take: then it is noted with the runner's.
        let known = job.as_ref().filter(|job| stays(deps.fleets, job, event)).map(|job| job.fleet.clone());
        let fleet = known.or(routed.map(|fleet| fleet.name.clone())).or(runner.as_ref().map(|it| it.fleet.clone()));
        let Some(fleet) = fleet else {
            deps.metrics.refused("no_fleet");
            tell_routed(delivery, event, &decision);
            return Ok(Taken::NotOurs);
        };
        let before = job.as_ref().map(|job| job.state);
        let asks = deps.fleets.get(&fleet).map(|fleet| asks::asks(fleet, &event.labels)).unwrap_or_default();
        let event = &JobEvent { asks, ..event.clone() };
        let now = deps.clock.now();
        let waited = queue_ms(job.as_ref(), event, now);
        let (job, left) = moved(job, &fleet);
        let interrupted =
            event.state == JobState::Done && job.as_ref().is_some_and(|it| it.history.has(rerun::INTERRUPTED));
        let mut follows = events::job_event(event, job.clone(), &fleet, runner, now);
        raising::raise((deps.ledger, deps.fleets), &mut follows.writes, event, &fleet, now).await?;
        if before.is_none() {
            note_passed_over(&mut follows.writes, &decision, now);
        }
        let changed = !follows.writes.is_empty();
        if changed {
            follows.writes.extend(left);
        }
        // Of a job that has come further, enough is known.
        let doubt = doubt.as_ref().filter(|_| before.is_none_or(|state| state == JobState::Waiting));
        let doubt = doubt.map(|why| note_doubt(&mut follows.writes, job, why, now));
        let writes = !follows.writes.is_empty();
        if writes && deps.ledger.commit(follows.writes).await? == Committed::Conflict {
            if std::mem::take(&mut blind) {
                continue;
            }
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        if before.is_none() {
            tell_routed(delivery, event, &decision);
        }
        for fleet in &follows.wake {
            deps.wake.wake(fleet, delay(deps.fleets, fleet, event.state)).await.map_err(BoxError::from)?;
        }
        if let Some(ask_at) = doubt {
            let wait = Duration::from_millis(ask_at.saturating_sub(deps.clock.now()));
            deps.wake.wake(&fleet, wait).await.map_err(BoxError::from)?;
        }
        if interrupted {
            // Its run may have completed with it.
            let look = WakeUp { run: Some(Look { id: event.run_id, at: 0 }), ..WakeUp::new(&fleet) };
            deps.wake.send(&look, Duration::from_millis(rerun::AFTER_JOB)).await.map_err(BoxError::from)?;
        }
        if changed {
            told::job(event, &fleet, waited, now);
        }
        measure(deps.metrics, event, &fleet, changed, waited);
        info!(
            delivery.id = delivery,
            job.id = event.id,
            job.queue_ms = waited,
            job.repository = event.repository,
            job.before = before.map(JobState::name),
            job.told = event.state.name(),
            fleet.name = fleet,
            runner.name = event.runner_name,
            changed,
            "Job {} is {}",
            event.id,
            event.state.name()
        );
        return Ok(Taken::Noted);
    }
    Err(format!("the ledger changed under {ATTEMPTS} attempts").into())
}

/// Whether `job`, which is known, stays with its fleet whatever the fleets document says by now. While it only waits,
/// nothing was launched for it, and it was not yet known for sure whose code it runs; and nobody is woken for a fleet
/// that is gone.
fn stays(fleets: &Fleets, job: &Job, event: &JobEvent) -> bool {
    match (job.state, event.state) {
        (JobState::Waiting, JobState::Waiting | JobState::Queued) => false,
        (JobState::Queued, JobState::Queued) => fleets.get(&job.fleet).is_some(),
        _ => true,
    }
}

/// The job as `fleet` has it, and what is to be taken away where that is another one than before. A queued one is
/// noted anew.
fn moved(job: Option<Job>, fleet: &str) -> (Option<Job>, Vec<Write>) {
    match job {
        Some(mut job) if job.fleet != fleet && job.state <= JobState::Queued => {
            let (id, old) = (job.id, std::mem::replace(&mut job.fleet, fleet.to_owned()));
            job.state = JobState::Waiting;
            let left =
                vec![Write::TakeMarker { fleet: old.clone(), job: id }, Write::DropDoubt { fleet: old, job: id }];
            (Some(job), left)
        }
        job => (job, Vec::new()),
    }
}

/// Adds to `writes` that GitHub is to be asked again about the job, and answers when. `job` is what the ledger has of it:
/// it is put again, so that its version tells whether it has changed.
fn note_doubt(writes: &mut Vec<Write>, job: Option<Job>, why: &Why, now: Millis) -> Millis {
    let ask_at = doubt::ask_at(why, now, now);
    let expires = why.expires(now);
    if !writes.iter().any(|write| matches!(write, Write::PutJob(_))) {
        writes.extend(job.map(Write::PutJob));
    }
    let mut noted = None;
    for write in writes.iter_mut() {
        if let Write::PutJob(job) = write {
            job.expires = job.expires.max(expires);
            if why.name() == doubt::FORK {
                job.history.add(now, why.name(), "GitHub has not told yet whether it runs a fork's code");
            }
            noted = Some((job.fleet.clone(), job.id));
        }
    }
    writes.extend(
        noted.map(|(fleet, job)| Write::PutDoubt(Doubt { fleet, job, why: why.clone(), since: now, ask_at, expires })),
    );
    ask_at
}

/// Tells of a job that is new to us which fleet takes it, and of each fleet why or why not. A job that none takes is
/// not remembered, and told at each of its events.
fn tell_routed(delivery: &str, event: &JobEvent, decision: &Decision<'_>) {
    let fleet = decision.fleet.map(|fleet| fleet.name.as_str());
    info!(
        delivery.id = delivery,
        job.id = event.id,
        job.labels = event.labels.join(","),
        job.repository = event.repository,
        job.public_fork = event.public_fork,
        job.state = event.state.name(),
        fleet.name = fleet,
        route.candidates = %decision,
        "{} takes job {}",
        fleet.map_or("No fleet".to_owned(), |name| format!("Fleet {name}")),
        event.id
    );
}

/// Adds to a new job's history which fleets do not take it, and why.
fn note_passed_over(writes: &mut [Write], decision: &Decision<'_>, now: Millis) {
    for write in writes {
        if let Write::PutJob(job) = write {
            let others = decision.candidates.iter().filter(|it| it.fleet != job.fleet);
            let why: Vec<String> = others.map(ToString::to_string).collect();
            // An item has room for 400 KB in all, and a fleets document for many fleets.
            let why: String = why.join("; ").chars().take(1000).collect();
            if !why.is_empty() {
                job.history.add(now, "passed over", why);
            }
        }
    }
}

/// Counts an event that changed something.
fn measure(metrics: &Metrics, event: &JobEvent, fleet: &str, changed: bool, waited: Option<u64>) {
    if changed {
        metrics.add(Metric::Jobs, 1, &[("Fleet", fleet), ("Action", event.state.name())]);
    }
    if let Some(waited) = waited {
        metrics.add(Metric::QueueTime, waited, &[("Fleet", fleet)]);
    }
}

/// The job, and the runner it names where that is one of ours. A job that no fleet takes is looked up only once it
/// runs or has ended: it may have been taken when the fleets were others, and its marker must go.
async fn read<L: Ledger, W, C>(
    deps: &Door<'_, L, W, C>,
    event: &JobEvent,
    routed: bool,
) -> Result<(Option<Job>, Option<Runner>), LedgerError> {
    let late = matches!(event.state, JobState::Running | JobState::Done);
    let job = async { if routed || late { deps.ledger.job(event.id).await } else { Ok(None) } };
    let runner = async {
        match event.runner_name.as_deref().filter(|_| late).and_then(ours) {
            Some((fleet, instance)) => deps.ledger.runner(fleet, instance).await,
            None => Ok(None),
        }
    };
    futures::future::try_join(job, runner).await
}

/// Fleet and instance of a runner's name, where it is one of ours.
pub(super) fn ours(runner_name: &str) -> Option<(&str, &str)> {
    let instance = names::instance_of_runner(runner_name)?;
    let fleet = runner_name.strip_suffix(instance)?.strip_suffix('-')?;
    names::is_name(fleet).then_some((fleet, instance))
}

/// A job counts once it has waited for the fleet's delay; looking sooner would see nothing. Where a runner was used up
/// for another job, the look is due now.
fn delay(fleets: &Fleets, fleet: &str, state: JobState) -> Duration {
    let queued = state == JobState::Queued;
    let seconds = fleets.get(fleet).filter(|_| queued).map_or(0, |fleet| fleet.delay_seconds);
    Duration::from_secs(seconds)
}
