//! One look at a fleet: what was left, what is missing, and the reservation of it.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::{Deps, Outcome, Ports, fulfil::fulfil, register};
use crate::{
    clock::{Clock, Millis},
    decide::{
        plan::{self, Wanted, plan},
        runners::RunnerState,
    },
    fleets::Fleet,
    github::{GitHub, GitHubError},
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Reservation, Runner, View, Write},
    report::Chain,
};

/// Registrations in flight at a time: enough to hide GitHub's 150 ms, few enough not to look like an attack.
const CONCURRENT_REGISTRATIONS: usize = 8;
/// A lease outlasts its invocation by this much, since clocks differ.
const LEASE_MARGIN: Millis = 2000;
/// A look that finds the fleet paused comes back a little after the pause.
const AFTER_PAUSE: Duration = Duration::from_secs(1);
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
    let task = Task { fleet, deadline, lease_until: deadline + LEASE_MARGIN, redelivered, permits };
    let mut work = Work::default();
    // What was reserved before the ledger failed is still to be fulfilled.
    let reserved = reserve_all(deps, &task, &mut work).await;
    let launches = join_all(work.reservations.into_iter().map(|it| fulfil(deps, &task, it)));
    let registrations = join_all(work.runners.into_iter().map(|it| register::register(deps, &task, it)));
    let (of_launches, of_registrations) = futures::join!(launches, registrations);
    let outcomes = of_launches.into_iter().chain(of_registrations).chain([work.outcome]);
    let outcome = outcomes.max().unwrap_or(Outcome::Done);
    reserved.map(|()| outcome)
}

/// What a look came to.
struct Work {
    reservations: Vec<Reservation>,
    runners: Vec<Runner>,
    outcome: Outcome,
}

impl Default for Work {
    fn default() -> Self {
        Self { reservations: Vec::new(), runners: Vec::new(), outcome: Outcome::Done }
    }
}

/// Takes over what was left and reserves what is missing, again and again until the ledger has not changed under it.
async fn reserve_all<P: Ports>(deps: &Deps<P>, task: &Task<'_>, work: &mut Work) -> Result<(), LedgerError> {
    let fleet = task.fleet;
    for attempt in 1..=ATTEMPTS {
        let mut view = deps.ledger.view(&fleet.name).await?;
        let now = deps.clock.now();
        work.outcome = work.outcome.max(see_out(task, &view, work, now));
        let pause = view.meta.paused_until.saturating_sub(now);
        if pause > 0 {
            info!(fleet.name = fleet.name, pause_ms = pause, "Fleet {} is left alone for now", fleet.name);
            work.outcome = work.outcome.max(Outcome::Later(Duration::from_millis(pause) + AFTER_PAUSE));
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
            plan.launches = planned.launches.iter().map(|it| it.count).sum::<u32>(),
            plan.held_back = planned.held_back,
            fleet.alive = view.meta.alive,
            "Fleet {} wants {} and has {}",
            fleet.name,
            planned.demand,
            planned.supply
        );
        if planned.launches.is_empty() || reserve(deps, task, view.meta.rev, planned.launches, work).await? {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    warn!(fleet.name = fleet.name, "The level of {} changed under {ATTEMPTS} looks", fleet.name);
    work.outcome = Outcome::Again;
    Ok(())
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

/// Reserves `launches` one after the other on the level at `rev`. Answers whether all were: otherwise somebody else
/// reserved meanwhile.
async fn reserve<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    mut rev: u64,
    launches: Vec<Wanted>,
    work: &mut Work,
) -> Result<bool, LedgerError> {
    let fleet = task.fleet;
    for Wanted { target, count } in launches {
        // Before anything is launched: an instance without a registration is money for nothing.
        if let Err(error) = deps.github.authorize(&target).await {
            work.outcome = work.outcome.max(refused(deps, fleet, &error).await?);
            continue;
        }
        let mut it = Reservation {
            fleet: fleet.name.clone(),
            id: deps.clock.uuid(),
            count,
            scope: target.scope,
            installation: target.installation,
            created_at: deps.clock.now(),
            lease_until: task.lease_until,
            version: 0,
        };
        let counted = Write::Reserve { fleet: fleet.name.clone(), rev, count, max: fleet.max };
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
            error!(fleet.name = fleet.name, "{}", Chain(error));
            Ok(Outcome::Done)
        }
    }
}

/// Leaves the fleet alone for `wait`, whoever is woken for it.
pub(super) async fn pause<P: Ports>(deps: &Deps<P>, fleet: &Fleet, wait: Duration) -> Result<Outcome, LedgerError> {
    let until = deps.clock.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX / 2);
    deps.ledger.pause(&fleet.name, until).await?;
    Ok(Outcome::Later(wait + AFTER_PAUSE))
}
