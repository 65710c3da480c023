//! One look at a fleet: what was left, what is missing, and the reservation of it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use futures::future::join_all;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports, doubts,
    fulfil::fulfil,
    pace::{self, Turn},
    pool, refusals, register,
};
use crate::{
    clock::{Clock, Millis},
    decide::{
        self,
        plan::{self, LARGEST_RESERVATION, Plan, Wanted, plan},
        refusals::Said,
        runners::RunnerState,
    },
    fleets::{Fleet, RunnerGroup, Scope, Target},
    github::{GitHub, GitHubError},
    ledger::{ATTEMPTS, Committed, Doubt, LastPlan, Ledger, LedgerError, Offers, Reservation, Runner, View, Write},
    report::Chain,
    trace,
};

/// Registrations in flight at a time: enough to hide GitHub's 150 ms, few enough not to look like an attack.
const CONCURRENT_REGISTRATIONS: usize = 8;
/// A lease outlasts its invocation by this much, since clocks differ.
const LEASE_MARGIN: Millis = 2000;
/// A look that finds the fleet paused, or something out of reach, comes back a little after.
pub(super) const AFTER_PAUSE: Millis = 1000;
/// And one that waits for a lease a little after that.
const AFTER_LEASE: Millis = 1000;

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
    /// Registrations whose turns were taken with their launch.
    pub(super) paid: Cell<u32>,
    /// The breakers, as the look found them.
    pub(super) offers: Offers,
    /// How often in a row the fleet was refused for good; none where it is well.
    pub(super) refusals: Option<u64>,
    /// What GitHub said in this look.
    pub(super) said: RefCell<Vec<Said>>,
    /// What refused the registrations of the whole fleet for good, and why.
    pub(super) refused: RefCell<Option<(&'static str, String)>>,
}

/// Looks at `fleet` and launches what is missing.
///
/// A wake-up that was `redelivered` may be that of a killed invocation, or of one that lost the ledger's answer, whose
/// leases still run: nobody else would look when they have run out, so it has a look then. One that comes for the first
/// time leaves the leases it meets to the wake-ups of those who hold them; else each of a burst would beget another.
pub(super) async fn look<P: Ports>(deps: &Deps<P>, fleet: &Fleet, deadline: Millis, redelivered: bool) -> Outcome {
    let mut task = Task {
        fleet,
        deadline,
        lease_until: deadline + LEASE_MARGIN,
        redelivered,
        permits: Semaphore::new(CONCURRENT_REGISTRATIONS),
        paid: Cell::new(0),
        offers: Offers { fleet: fleet.name.clone(), ..Offers::default() },
        refusals: None,
        said: RefCell::default(),
        refused: RefCell::default(),
    };
    let mut work = Work::default();
    // What was reserved before the ledger failed is still to be fulfilled.
    if let Err(error) = reserve_all(deps, &mut task, &mut work).await {
        error!(fleet.name = fleet.name, error = %Chain(&error), "Fleet {} could not be looked at", fleet.name);
        work.outcome = work.outcome.and(Outcome::AGAIN);
    }
    let turns = pace::registrations(deps, &task, work.runners.len()).await;
    let launches = join_all(work.reservations.into_iter().map(|(it, turn)| fulfil(deps, &task, it, turn)));
    let left = work.runners.into_iter().zip(turns);
    let registrations = join_all(left.map(|(it, turn)| register::register(deps, &task, it, turn)));
    let doubts = doubts::settle(deps, &task, redelivered, work.doubts);
    let withdrawn = pool::tell(deps, &task, work.withdrawn);
    let stopping = pool::stop(deps, &task, work.stopping);
    let (of_launches, of_registrations, of_doubts, of_stops, ()) =
        futures::join!(launches, registrations, doubts, stopping, withdrawn);
    let noted = refusals::note(deps, &task).await;
    of_launches
        .into_iter()
        .chain(of_registrations)
        .chain([work.outcome, noted, of_doubts, of_stops])
        .fold(Outcome::DONE, Outcome::and)
}

/// What a look came to.
#[derive(Default)]
pub(super) struct Work {
    /// What is to be launched, and when.
    reservations: Vec<(Reservation, Turn)>,
    /// What is to be registered: what a dead invocation left, and what the pool gives.
    pub(super) runners: Vec<Runner>,
    /// What the pool has no use for, and has to be told so.
    pub(super) withdrawn: Vec<Runner>,
    /// What EC2 is to be asked to stop.
    pub(super) stopping: Vec<Runner>,
    /// Jobs that GitHub is to be asked about.
    doubts: Vec<Doubt>,
    /// Turns for launches that others were faster to reserve.
    spare: pace::Granted,
    outcome: Outcome,
}

impl Work {
    pub(super) fn and(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.and(outcome);
    }
}

/// Takes over what was left and reserves what is missing, again and again until the ledger has not changed under it.
async fn reserve_all<P: Ports>(deps: &Deps<P>, task: &mut Task<'_>, work: &mut Work) -> Result<(), LedgerError> {
    let fleet = task.fleet;
    for attempt in 1..=ATTEMPTS {
        let mut view = deps.ledger.view(&fleet.name).await?;
        let now = deps.clock.now();
        for unread in &view.unread {
            deps.metrics.refused("unread_item");
            error!(fleet.name = fleet.name, "Passed over in the ledger: {}", unread.why);
        }
        task.offers = view.offers.clone();
        work.doubts = std::mem::take(&mut view.doubts);
        task.refusals = view.meta.last_error.as_ref().map(|it| it.count);
        work.and(see_out(task, &view, work, now));
        // Also in a pause: what was launched before it runs, and waits for its registration.
        take_over(deps, task, &mut view, work).await?;
        if view.meta.paused_until > now {
            let pause_ms = view.meta.paused_until - now;
            info!(fleet.name = fleet.name, pause_ms, "Fleet {} is left alone for now", fleet.name);
            work.and(Outcome::at(view.meta.paused_until + AFTER_PAUSE));
            tell(deps, fleet, &view, plan::paused(fleet, &view, now)).await;
            // What is ready is no launch.
            let planned = Plan { launches: Vec::new(), surplus: Vec::new(), ..plan(fleet, &view, now) };
            let idle = planned.claims.is_empty() && planned.stops.is_empty();
            if idle || pool::settle(deps, task, &view, &planned, work).await?.is_some() {
                return Ok(());
            }
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        }
        let mut planned = plan(fleet, &view, now);
        if planned.jobs.len() > LARGEST_RESERVATION as usize {
            // A job may have met its runner while the query ran: seen queued before, and its runner busy after. What
            // is queued still, after the runners were read, was so all the time. Of fewer jobs the reservation sees to
            // it itself.
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
            plan.claims = planned.claims.len(),
            plan.surplus = planned.surplus.len(),
            plan.stops = planned.stops.len(),
            fleet.alive = view.meta.alive,
            "Fleet {} wants {} and has {}",
            fleet.name,
            planned.demand,
            planned.supply
        );
        work.and(wait_for(deps, fleet, &planned, now));
        // What is ready goes first: a job that gets it waits for no turn of a launch's.
        let Some(rev) = pool::settle(deps, task, &view, &planned, work).await? else {
            deps.clock.sleep(deps.clock.jitter(attempt)).await;
            continue;
        };
        let turns = pace_out(deps, task, &mut planned, work).await;
        let told = planned.told(fleet, now);
        if planned.launches.is_empty() {
            tell(deps, fleet, &view, told).await;
            return Ok(());
        }
        if reserve(deps, task, &view, rev, planned, turns, told, work).await? {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    warn!(fleet.name = fleet.name, "The level of {} changed under {ATTEMPTS} looks", fleet.name);
    work.and(Outcome::AGAIN);
    Ok(())
}

/// Leaves of what is planned what can go now, and answers when. Only that is reserved: the rest is planned anew then.
async fn pace_out<P: Ports>(deps: &Deps<P>, task: &Task<'_>, planned: &mut Plan, work: &mut Work) -> Vec<Millis> {
    let counts: Vec<u32> = planned.launches.iter().map(|it| it.count).collect();
    let wanted: u32 = counts.iter().sum();
    let mut granted = std::mem::take(&mut work.spare);
    if granted.launches.len() < counts.len() || granted.room < wanted {
        granted = pace::launches(deps, task, &counts).await;
    }
    let mut room = granted.room;
    planned.launches.truncate(granted.launches.len());
    for launch in &mut planned.launches {
        launch.count = launch.count.min(room);
        room -= launch.count;
    }
    planned.launches.retain(|it| it.count > 0);
    if planned.launched() < u64::from(wanted) {
        work.and(Outcome::at(granted.later));
    }
    let turns = granted.launches.clone();
    work.spare = granted;
    turns
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
            "There is nothing for {} jobs of {} at present",
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
    until.map_or(Outcome::DONE, |until| Outcome::at(until + AFTER_PAUSE))
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
    let is_own = |id: &str| work.reservations.iter().any(|(own, _)| own.id == id);
    let reservations = view.reservations.iter().filter(|it| !is_own(&it.id));
    let is_own = |it: &&Runner| work.runners.iter().any(|own| own.instance == it.instance);
    let runners = view.runners.iter().filter(|it| it.state == RunnerState::Launched && !is_own(it));
    let leases = reservations.map(|it| it.lease_until).chain(runners.map(|it| it.lease_until));
    // A longer one is no invocation's: it was given with a wake-up of its own, or for good.
    match leases.filter(|until| task.redelivered && (now + 1..=task.lease_until).contains(until)).max() {
        Some(until) => Outcome { watches: true, ..Outcome::at(until + AFTER_LEASE) },
        None => Outcome::DONE,
    }
}

/// Takes over what a dead invocation left; of several that try, one gets it. What is an owner's whom GitHub gives no
/// runners is left until it does.
async fn take_over<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    view: &mut View,
    work: &mut Work,
) -> Result<(), LedgerError> {
    let (now, lease_until) = (deps.clock.now(), task.lease_until);
    let closed = |scope: &Scope, asks: &[String]| decide::refusals::open(&view.offers.breakers, scope, asks, now);
    let mut taken = Vec::new();
    for left in plan::left_reservations(view, now) {
        if let Some(until) = closed(&left.scope, &left.asks) {
            work.and(Outcome::at(until + AFTER_PAUSE));
            continue;
        }
        let mut it = Reservation { lease_until, ..left };
        if deps.ledger.commit(vec![Write::PutReservation(it.clone())]).await? == Committed::Yes {
            warn!(fleet.name = it.fleet, reservation.id = it.id, "Took over a reservation that was left unresolved");
            it.version += 1;
            taken.push(it);
        }
    }
    if !taken.is_empty() {
        let counts: Vec<u32> = taken.iter().map(|it| it.count).collect();
        let granted = pace::launches(deps, task, &counts).await;
        let turns = granted.launches.into_iter().map(Turn::At).chain(std::iter::repeat(Turn::NotBefore(granted.later)));
        work.reservations.extend(taken.into_iter().zip(turns));
    }
    for left in plan::left_runners(view, now) {
        if let Some(until) = left.scope.as_ref().and_then(|scope| closed(scope, &left.asks)) {
            work.and(Outcome::at(until + AFTER_PAUSE));
            continue;
        }
        // From now on GitHub may be asked, whatever becomes of this invocation.
        let untouched = left.untouched;
        let mut it = Runner { lease_until, untouched: false, ..left };
        if deps.ledger.commit(vec![Write::PutRunner(it.clone())]).await? == Committed::Yes {
            warn!(fleet.name = it.fleet, instance.id = it.instance, "Took over a runner that was left unregistered");
            (it.version, it.untouched) = (it.next_version(), untouched);
            work.runners.push(it);
        }
    }
    pool::take_over(deps, task, view, work).await
}

/// Reserves what is `planned`, one after the other, on the level that is `view`. Answers whether all was: otherwise
/// somebody else reserved meanwhile, or a job has got its runner. `rev`: the fleet's, as it is by now.
#[expect(clippy::too_many_arguments, reason = "the look's own parts, one after the other")]
async fn reserve<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    view: &View,
    mut rev: u64,
    planned: Plan,
    turns: Vec<Millis>,
    told: LastPlan,
    work: &mut Work,
) -> Result<bool, LedgerError> {
    let fleet = task.fleet;
    let checks = still_queued(fleet, &planned);
    let mut refused: Vec<Scope> = Vec::new();
    let mut reserved_at = view.meta.reserved_at;
    for (Wanted { target, asks, market, without, standby, pool, count }, turn) in
        planned.launches.into_iter().zip(turns)
    {
        if refused.contains(&target.scope) {
            continue;
        }
        // Before anything is launched: an instance without a registration is money for nothing.
        if let Err(error) = admit(deps, fleet, &target).await {
            work.and(refusals::hear(deps, task, &target.scope, &[], &error));
            refused.push(target.scope);
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
            standby,
            scope: target.scope,
            installation: target.installation,
            trace: trace::current().map(|trace| trace.to_string()),
            created_at: at,
            lease_until: task.lease_until,
            version: 0,
        };
        // No job waits for the cooldown of the pool's own launches.
        reserved_at = if pool { reserved_at } else { at };
        let (name, max) = (fleet.name.clone(), fleet.max);
        let counted = Write::Reserve { fleet: name, rev, count, max, at: reserved_at, plan: Some(told) };
        let mut writes = vec![counted, Write::PutReservation(it.clone())];
        writes.extend(checks.iter().cloned());
        if deps.ledger.commit(writes).await? == Committed::Conflict {
            return Ok(false);
        }
        rev += 1;
        it.version = 1;
        work.reservations.push((it, Turn::At(turn)));
        work.spare.use_up(count);
    }
    Ok(true)
}

/// The checks that the jobs of `planned` wait still; none where there are too many, and the ledger was asked.
pub(super) fn still_queued(fleet: &Fleet, planned: &Plan) -> Vec<Write> {
    let checks = planned.jobs.iter().filter(|_| planned.jobs.len() <= LARGEST_RESERVATION as usize);
    checks.map(|job| Write::StillQueued { fleet: fleet.name.clone(), job: *job }).collect()
}

/// Whether GitHub will register runners of `fleet` for `target`, as far as that can be known beforehand.
pub(super) async fn admit<P: Ports>(deps: &Deps<P>, fleet: &Fleet, target: &Target) -> Result<(), GitHubError> {
    deps.github.authorize(target).await?;
    match &fleet.github.runner_group {
        RunnerGroup::Name(name) if fleet.ephemeral => deps.github.group(target, name).await.map(drop),
        // Reusable runners name it themselves.
        RunnerGroup::Name(_) | RunnerGroup::Id(_) => Ok(()),
    }
}
