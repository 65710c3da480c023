//! One look at a fleet: what was left, what is missing, and the reservation of it.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::{Deps, Outcome, Ports, doubts, fulfil::fulfil, register};
use crate::{
    clock::{Clock, Millis},
    decide::{
        answer::refusal_wait_seconds,
        plan::{self, Plan, Wanted, plan},
        runners::RunnerState,
    },
    fleets::Fleet,
    github::{GitHub, GitHubError},
    ledger::{
        ATTEMPTS, Committed, Doubt, LastError, LastPlan, Ledger, LedgerError, Offers, Reservation, Runner, View, Write,
    },
    report::Chain,
    trace,
};

/// Registrations in flight at a time: enough to hide GitHub's 150 ms, few enough not to look like an attack.
const CONCURRENT_REGISTRATIONS: usize = 8;
/// A lease outlasts its invocation by this much, since clocks differ.
const LEASE_MARGIN: Millis = 2000;
/// A look that finds the fleet paused comes back a little after the pause.
pub(super) const AFTER_PAUSE: Duration = Duration::from_secs(1);
/// And one that waits for a lease a little after that.
const AFTER_LEASE: Duration = Duration::from_secs(1);

/// What one invocation has to do for one fleet, and until when.
pub(super) struct Task<'a> {
    pub(super) fleet: &'a Fleet,
    /// When the invocation is killed.
    pub(super) deadline: Millis,
    /// Until when what it works on is its own.
    pub(super) lease_until: Millis,
    /// Whether the wake-up was received before.
    redelivered: bool,
    pub(super) permits: Semaphore,
    /// The breakers, as the look found them.
    pub(super) offers: Offers,
    /// How often in a row the fleet was refused for good; none where it is well.
    pub(super) refusals: Option<u64>,
}

/// Looks at `fleet` and launches what is missing.
///
/// A wake-up that was `redelivered` may be that of a killed invocation, or of one that lost the ledger's answer, whose
/// leases still run: nobody else would look when they have run out, so it has a look then. One that comes for the first
/// time leaves the leases it meets to the wake-ups of those who hold them; else each of a burst would beget another.
pub(super) async fn look<P: Ports>(
    deps: &Deps<P>,
    fleet: &Fleet,
    deadline: Millis,
    redelivered: bool,
) -> Result<Outcome, LedgerError> {
    let permits = Semaphore::new(CONCURRENT_REGISTRATIONS);
    let mut task = Task {
        fleet,
        deadline,
        lease_until: deadline + LEASE_MARGIN,
        redelivered,
        permits,
        offers: Offers { fleet: fleet.name.clone(), ..Offers::default() },
        refusals: None,
    };
    let mut work = Work::default();
    // What was reserved before the ledger failed is still to be fulfilled.
    let reserved = reserve_all(deps, &mut task, &mut work).await;
    let launches = join_all(work.reservations.into_iter().map(|it| fulfil(deps, &task, it)));
    let registrations = join_all(work.runners.into_iter().map(|it| register::register(deps, &task, it)));
    let doubts = doubts::settle(deps, &task, redelivered, work.doubts);
    let (of_launches, of_registrations, of_doubts) = futures::join!(launches, registrations, doubts);
    let outcomes = of_launches.into_iter().chain(of_registrations).chain([work.outcome, of_doubts]);
    let outcome = outcomes.max().unwrap_or(Outcome::Done);
    reserved.map(|()| outcome)
}

/// What a look came to.
struct Work {
    reservations: Vec<Reservation>,
    runners: Vec<Runner>,
    doubts: Vec<Doubt>,
    outcome: Outcome,
}

impl Default for Work {
    fn default() -> Self {
        Self { reservations: Vec::new(), runners: Vec::new(), doubts: Vec::new(), outcome: Outcome::Done }
    }
}

/// Takes over what was left and reserves what is missing, again and again until the ledger has not changed under it.
async fn reserve_all<P: Ports>(deps: &Deps<P>, task: &mut Task<'_>, work: &mut Work) -> Result<(), LedgerError> {
    let fleet = task.fleet;
    for attempt in 1..=ATTEMPTS {
        let mut view = deps.ledger.view(&fleet.name).await?;
        let now = deps.clock.now();
        task.offers = view.offers.clone();
        work.doubts = std::mem::take(&mut view.doubts);
        task.refusals = view.meta.last_error.as_ref().map(|it| it.count);
        work.outcome = work.outcome.max(see_out(task, &view, work, now));
        let pause = view.meta.paused_until.saturating_sub(now);
        if pause > 0 {
            info!(fleet.name = fleet.name, pause_ms = pause, "Fleet {} is left alone for now", fleet.name);
            work.outcome = work.outcome.max(Outcome::Later(Duration::from_millis(pause) + AFTER_PAUSE));
            tell(deps, fleet, &view, plan::paused(fleet, &view, now)).await;
            return Ok(());
        }
        take_over(deps, task, &view, work).await?;
        let mut planned = plan(fleet, &view, now);
        if !planned.launches.is_empty() {
            // A job may have met its runner while the query ran: seen queued before, and its runner busy after. What
            // is queued still, after the runners were read, was so all the time.
            let still: BTreeSet<u64> =
                deps.ledger.queued(&fleet.name, u32::MAX).await?.iter().map(|marker| marker.job).collect();
            view.queued.retain(|marker| still.contains(&marker.job));
            planned = plan(fleet, &view, now);
        }
        info!(
            fleet.name = fleet.name,
            plan.demand = planned.demand,
            plan.supply = planned.supply,
            plan.launches = planned.launched(),
            plan.held_back = planned.held_back,
            fleet.alive = view.meta.alive,
            "Fleet {} wants {} and has {}",
            fleet.name,
            planned.demand,
            planned.supply
        );
        work.outcome = work.outcome.max(wait_for(deps, fleet, &planned, now));
        let told = planned.told(fleet, now);
        if planned.launches.is_empty() {
            tell(deps, fleet, &view, told).await;
            return Ok(());
        }
        if reserve(deps, task, &view, planned.launches, told, work).await? {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    warn!(fleet.name = fleet.name, "The level of {} changed under {ATTEMPTS} looks", fleet.name);
    work.outcome = Outcome::Again;
    Ok(())
}

/// When to look again for what is missing and can't be launched now; says why, once.
fn wait_for<P: Ports>(deps: &Deps<P>, fleet: &Fleet, planned: &Plan, now: Millis) -> Outcome {
    for unwished in &planned.unwished {
        deps.metrics.refused("wish");
        error!(fleet.name = fleet.name, "Jobs of {} ask for what they may not: {unwished}", fleet.name);
    }
    if let Some(until) = planned.available_at {
        warn!(
            fleet.name = fleet.name,
            plan.unavailable = planned.unavailable,
            wait_ms = until.saturating_sub(now),
            "EC2 has nothing for {} jobs of {} at present",
            planned.unavailable,
            fleet.name
        );
    }
    if let Some(until) = planned.cooling_until {
        info!(
            fleet.name = fleet.name,
            wait_ms = until.saturating_sub(now),
            "Fleet {} has just launched and lets jobs gather",
            fleet.name
        );
    }
    let until = planned.available_at.into_iter().chain(planned.cooling_until).min();
    until.map_or(Outcome::Done, |until| Outcome::Later(Duration::from_millis(until.saturating_sub(now)) + AFTER_PAUSE))
}

/// Notes why nothing was launched though something is missing, unless that is noted already. It is for people: where it
/// fails, nothing is lost but that.
async fn tell<P: Ports>(deps: &Deps<P>, fleet: &Fleet, view: &View, plan: LastPlan) {
    let missing = plan.held_back > 0 || plan.demand > plan.supply;
    if !missing || view.meta.last_plan.is_some_and(|last| last.is_like(&plan)) {
        return;
    }
    if let Err(error) = deps.ledger.tell(&fleet.name, plan).await {
        warn!(fleet.name = fleet.name, error = %Chain(&error), "What the plan for {} came to is not noted", fleet.name);
    }
}

/// When to look again for the sake of leases that are not this invocation's own and run.
fn see_out(task: &Task<'_>, view: &View, work: &Work, now: Millis) -> Outcome {
    let reservations = view.reservations.iter().filter(|it| work.reservations.iter().all(|own| own.id != it.id));
    let is_own = |it: &&Runner| work.runners.iter().any(|own| own.instance == it.instance);
    let runners = view.runners.iter().filter(|it| it.state == RunnerState::Launched && !is_own(it));
    let leases = reservations.map(|it| it.lease_until).chain(runners.map(|it| it.lease_until));
    // A longer one is no invocation's: it was given with a wake-up of its own, or for good.
    match leases.filter(|until| task.redelivered && (now + 1..=task.lease_until).contains(until)).max() {
        Some(until) => Outcome::Later(Duration::from_millis(until - now) + AFTER_LEASE),
        None => Outcome::Done,
    }
}

/// Takes over what a dead invocation left; of several that try, one gets it.
async fn take_over<P: Ports>(deps: &Deps<P>, task: &Task<'_>, view: &View, work: &mut Work) -> Result<(), LedgerError> {
    let (now, lease_until) = (deps.clock.now(), task.lease_until);
    for left in plan::left_reservations(view, now) {
        let mut it = Reservation { lease_until, ..left };
        if deps.ledger.commit(vec![Write::PutReservation(it.clone())]).await? == Committed::Yes {
            warn!(fleet.name = it.fleet, reservation.id = it.id, "Took over a reservation that was left unresolved");
            it.version += 1;
            work.reservations.push(it);
        }
    }
    for left in plan::left_runners(view, now) {
        let mut it = Runner { lease_until, ..left };
        if deps.ledger.commit(vec![Write::PutRunner(it.clone())]).await? == Committed::Yes {
            warn!(fleet.name = it.fleet, instance.id = it.instance, "Took over a runner that was left unregistered");
            it.version += 1;
            work.runners.push(it);
        }
    }
    Ok(())
}

/// Reserves `launches` one after the other on the level that is `view`. Answers whether all were: otherwise somebody
/// else reserved meanwhile.
async fn reserve<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    view: &View,
    launches: Vec<Wanted>,
    told: LastPlan,
    work: &mut Work,
) -> Result<bool, LedgerError> {
    let (fleet, mut rev) = (task.fleet, view.meta.rev);
    for Wanted { target, asks, market, without, count } in launches {
        // Before anything is launched: an instance without a registration is money for nothing.
        if let Err(error) = deps.github.authorize(&target).await {
            let outcome = match &error {
                GitHubError::Permanent(_) => {
                    deps.metrics.refused("github");
                    error!(fleet.name = fleet.name, "{}", Chain(&error));
                    refuse(deps, task, "GitHub", &Chain(&error).to_string()).await?
                }
                _ => refused(deps, fleet, &error).await?,
            };
            work.outcome = work.outcome.max(outcome);
            continue;
        }
        let at = deps.clock.now();
        let mut it = Reservation {
            fleet: fleet.name.clone(),
            id: deps.clock.uuid(),
            group: 0,
            count,
            market: Some(market),
            without,
            asks,
            scope: target.scope,
            installation: target.installation,
            trace: trace::current().map(|trace| trace.to_string()),
            created_at: at,
            lease_until: task.lease_until,
            version: 0,
        };
        let (name, max) = (fleet.name.clone(), fleet.max);
        let counted = Write::Reserve { fleet: name, rev, count, max, at, plan: Some(told) };
        if deps.ledger.commit(vec![counted, Write::PutReservation(it.clone())]).await? == Committed::Conflict {
            return Ok(false);
        }
        rev += 1;
        it.version = 1;
        work.reservations.push(it);
    }
    Ok(true)
}

/// What to do after GitHub refused something for `fleet`: logged here, once.
pub(super) async fn refused<P: Ports>(
    deps: &Deps<P>,
    fleet: &Fleet,
    error: &GitHubError,
) -> Result<Outcome, LedgerError> {
    match error {
        GitHubError::Limited { wait, .. } => {
            warn!(fleet.name = fleet.name, wait_s = wait.as_secs(), "{}", Chain(error));
            pause(deps, fleet, *wait).await
        }
        GitHubError::Transient(_) | GitHubError::NameTaken { .. } => {
            warn!(fleet.name = fleet.name, "{}", Chain(error));
            Ok(Outcome::Again)
        }
        GitHubError::Permanent(_) => {
            deps.metrics.refused("github");
            error!(fleet.name = fleet.name, "{}", Chain(error));
            Ok(Outcome::Done)
        }
    }
}

/// Notes that `fleet` can't launch until a person changes something, and leaves it alone, longer each time.
pub(super) async fn refuse<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    code: &str,
    message: &str,
) -> Result<Outcome, LedgerError> {
    let wait = Duration::from_secs(refusal_wait_seconds(task.refusals.unwrap_or(0)));
    note_error(deps, task, code, message, wait).await?;
    Ok(Outcome::Later(wait + AFTER_PAUSE))
}

/// Notes what was refused for good, and leaves the fleet alone for `wait`.
pub(super) async fn note_error<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    code: &str,
    message: &str,
    wait: Duration,
) -> Result<(), LedgerError> {
    let at = deps.clock.now();
    // GitHub and EC2 explain themselves in less; an item has room for 400 KB in all.
    let message = message.chars().take(1000).collect();
    let error = LastError { code: code.to_owned(), message, at, count: task.refusals.unwrap_or(0) + 1 };
    let until = at + u64::try_from(wait.as_millis()).unwrap_or_default();
    deps.ledger.refuse(&task.fleet.name, &error, until).await
}

/// Leaves the fleet alone for `wait`, whoever is woken for it.
pub(super) async fn pause<P: Ports>(deps: &Deps<P>, fleet: &Fleet, wait: Duration) -> Result<Outcome, LedgerError> {
    let until = deps.clock.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
    deps.ledger.pause(&fleet.name, until).await?;
    Ok(Outcome::Later(wait + AFTER_PAUSE))
}
