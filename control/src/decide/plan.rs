//! How many instances are missing.
//!
//! ```text
//! demand = jobs queued, past the fleet's delay + runners that people asked for
//! supply = unresolved reservations + runners within their boot deadline, or at work + spent runners
//! launch = clamp(demand - supply, 0, max - alive)
//! ```
//!
//! What is missing is taken from the pool first ([`super::pool`]), then launched; what room is left then fills the pool.
//!
//! A runner can only take jobs of the owner it is registered for, and only those whose labels it carries. So demand and
//! supply are counted apart for each owner (scope) and what its jobs ask for beyond the fleet. Where `max` leaves too
//! little for all, those whose job has waited longest come first; those for whom EC2 has nothing at present, or to whom
//! GitHub gives no runners, take no part. What was refused for good is tried with one instance, and the others follow if
//! that goes well. A fleet that a person has drained has room for none. For jobs that make up for those of interrupted
//! spot instances on-demand ones are launched: which runner gets which job is for GitHub to say.

mod needs;

pub(super) use needs::is_reserved;

use crate::{
    clock::Millis,
    decide::{
        offers::{self, Choice, choose},
        pool::{Ready, is_unstarted},
        refusals,
        runners::RunnerState,
        wishes::{Unwished, Wishes},
    },
    fleets::{Fleet, Market, PoolKind, Target},
    ledger::{LastPlan, Reservation, Runner, View},
};
use needs::{Need, needs, pool_need, spare};

/// The most instances of one reservation. Its resolution puts an item for each in one transaction, and DynamoDB takes
/// 100 in one; a fourth of that also keeps what one crash leaves behind small.
pub const LARGEST_RESERVATION: u32 = 25;
/// What [`LastError::code`](crate::ledger::LastError) says where no instance of a fleet can be handed its registration.
pub const UNREGISTERED: &str = "Handover";

/// How long one instance is given to show that what was refused is allowed by now, before the others are looked after.
const TRIAL: Millis = 5000;

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to launch: each a reservation of its own.
    pub launches: Vec<Wanted>,
    /// Instances of the pool that jobs get, which are to be registered.
    pub claims: Vec<Claim>,
    /// Instances of the pool that nobody needs.
    pub surplus: Vec<Runner>,
    /// Instances of the pool that are to be stopped.
    pub stops: Vec<Runner>,
    /// The jobs that it launches for, some of which may have runners already.
    pub jobs: Vec<u64>,
    /// Jobs past the fleet's delay, and runners that people asked for.
    pub demand: u64,
    /// Runners that will take one.
    pub supply: u64,
    /// What is missing but does not fit under the fleet's `max`.
    pub held_back: u64,
    /// What is missing and EC2 has none of, or GitHub gives no runners for.
    pub unavailable: u64,
    /// When they are to be asked again for that.
    pub available_at: Option<Millis>,
    /// Until then nothing is launched, since something just was.
    pub cooling_until: Option<Millis>,
    /// Whether a person wants the fleet to launch nothing more.
    pub drained: bool,
    /// What jobs ask for that the fleet does not allow, any more.
    pub unwished: Vec<Unwished>,
}

impl Plan {
    /// How many instances it launches.
    #[must_use]
    pub fn launched(&self) -> u64 {
        self.launches.iter().map(|it| u64::from(it.count)).sum()
    }

    /// Leaves so many of what is missing until then.
    fn put_off(&mut self, count: u64, until: Millis) {
        self.unavailable += count;
        self.available_at = Some(self.available_at.map_or(until, |it| it.min(until)));
    }

    /// What is told of it to whoever asks.
    #[must_use]
    pub fn told(&self, fleet: &Fleet, now: Millis) -> LastPlan {
        LastPlan {
            at: now,
            demand: self.demand,
            supply: self.supply + self.claims.len() as u64,
            launched: self.launched(),
            held_back: self.held_back,
            max: if self.drained { 0 } else { fleet.max },
            paused_until: self.cooling_until.unwrap_or(0),
        }
    }
}

/// What is told of a look that found the fleet paused.
#[must_use]
pub fn paused(fleet: &Fleet, view: &View, now: Millis) -> LastPlan {
    let plan = plan(fleet, view, now);
    let (demand, supply) = (plan.demand, plan.supply + plan.claims.len() as u64);
    let paused_until = view.meta.paused_until;
    LastPlan { at: now, demand, supply, launched: 0, held_back: 0, max: fleet.max, paused_until }
}

/// Instances for one owner, of one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who the runners are for.
    pub target: Target,
    /// What their jobs ask for beyond the fleet.
    pub asks: Vec<String>,
    /// On-demand or spot.
    pub market: Market,
    /// Names of the offers that are not to be asked for.
    pub without: Vec<String>,
    /// Whether they stand by, for the fleet's pool.
    pub standby: bool,
    /// Whether they are the pool's, and no job's.
    pub pool: bool,
    /// How many, at most [`LARGEST_RESERVATION`].
    pub count: u32,
}

/// An instance of the pool, and for what it is to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// It, as it was read.
    pub runner: Runner,
    /// Who its job is of.
    pub target: Target,
    /// What its job asks for beyond the fleet.
    pub asks: Vec<String>,
}

/// Plans for `fleet`, whose level is `view`.
#[must_use]
pub fn plan(fleet: &Fleet, view: &View, now: Millis) -> Plan {
    let drained = view.meta.drained_at.is_some();
    // One that is drained keeps nothing ready.
    let without_pool = (drained && fleet.pool.is_some()).then(|| Fleet { pool: None, ..fleet.clone() });
    let fleet = without_pool.as_ref().unwrap_or(fleet);
    let needs = needs(fleet, view, now);
    let cool = view.meta.reserved_at + fleet.cooldown_seconds * 1000;
    let cooling = fleet.cooldown_seconds > 0 && cool > now;
    let breakers = &view.offers.breakers;
    let mut base = missing_base(fleet, view);
    let mut room = if drained { 0 } else { fleet.max.saturating_sub(view.meta.alive) };
    // What the whole fleet was refused is tried out by one instance too.
    let mut trials = if view.meta.last_error.is_some() { u64::from(view.reservations.is_empty()) } else { u64::MAX };
    let mut claimable = claimable(view, trials);
    let mut plan = Plan { drained, ..Plan::default() };
    let mut ready = Ready::of(fleet, view, now);
    let spare = spare(fleet, &needs);
    // The pool is last: what it lacks is known when the jobs have theirs.
    for need in needs.into_iter().chain([pool_need(fleet)]) {
        let wishes = Wishes::read(need.asks.iter().map(String::as_str), &fleet.steering);
        let mut missing = need.demand.saturating_sub(need.supply);
        let mut on_the_way = need.on_the_way;
        if need.pool.is_some() {
            let wants = ready.compare(fleet, plan.held_back, spare);
            plan.surplus = if cooling { Vec::new() } else { wants.surplus };
            (missing, plan.stops) = (wants.missing, wants.stops);
        } else {
            plan.demand += need.demand;
            plan.supply += need.supply;
            // Wishes that the fleet does not allow are told below.
            let spot = wishes.as_ref().map_or(0, |wishes| missing.saturating_sub(for_on_demand(fleet, &need, wishes)));
            let most = if drained { 0 } else { spot.min(claimable) };
            let claims = claims(view, &need, most, &mut ready, now);
            if !claims.is_empty() {
                on_the_way = true;
                missing -= claims.len() as u64;
                claimable = claimable.saturating_sub(claims.len() as u64);
                plan.jobs.extend(&need.jobs);
                plan.claims.extend(claims);
            }
        }
        if missing == 0 {
            continue;
        }
        if cooling {
            plan.cooling_until = Some(cool);
            continue;
        }
        let wishes = match wishes {
            Ok(wishes) => wishes,
            Err(unwished) => {
                plan.unwished.push(unwished);
                continue;
            }
        };
        let scope = &need.target.scope;
        // EC2 stops no spot instance of ours.
        let first = match need.pool {
            Some(PoolKind::Stopped) => Market::OnDemand,
            _ => offers::first_market(fleet, &wishes),
        };
        let choice = match refusals::open(breakers, scope, &need.asks, now) {
            Some(until) => Choice::Wait(until),
            None => choice(fleet, view, &need.asks, &wishes, first, now),
        };
        let (market, without) = match choice {
            Choice::Ask { market, without } => (market, without),
            Choice::Wait(until) => {
                plan.put_off(if need.pool.is_some() { 0 } else { missing }, until);
                continue;
            }
        };
        let trial = refusals::is_due(breakers, scope, &need.asks, now);
        let most = if trial { trials.min(u64::from(!on_the_way)) } else { trials };
        // What waits for how a trial goes needs no room yet: the pool is not to make any for it.
        let due = missing.min(most);
        if due < missing {
            plan.put_off(missing - due, now + TRIAL);
        }
        let launch = due.min(room);
        trials = trials.saturating_sub(launch);
        room -= launch;
        if need.pool.is_none() {
            plan.held_back += due - launch;
        }
        if launch > 0 && !need.jobs.iter().any(|job| plan.jobs.contains(job)) {
            plan.jobs.extend(&need.jobs);
        }
        // Where there is no on-demand either, spot is better than nothing.
        let mut left = launch;
        let on_demand = base.max(need.on_demand());
        if market == Market::Spot
            && wishes.market.is_none()
            && on_demand > 0
            && let Choice::Ask { market, without } = choose(fleet, &wishes, Market::OnDemand, breakers, now)
        {
            let part = launch.min(on_demand);
            (base, left) = (base.saturating_sub(part), launch - part);
            plan.launches.extend(wanted(&need, market, &without, part));
        }
        plan.launches.extend(wanted(&need, market, &without, left));
    }
    plan
}

/// `count` instances of one market for `need`, as many in each request as may be asked for at once.
fn wanted(need: &Need, market: Market, without: &[String], count: u64) -> Vec<Wanted> {
    let one = |count| Wanted {
        target: need.target.clone(),
        asks: need.asks.clone(),
        market,
        without: without.to_vec(),
        standby: need.pool.is_some_and(PoolKind::stands_by),
        pool: need.pool.is_some(),
        count,
    };
    split(count).map(one).collect()
}

/// How many instances of the pool may be given away. What EC2 refuses says nothing of those that are there already; where
/// none can be registered, it is tried out like a launch.
fn claimable(view: &View, trials: u64) -> u64 {
    let unregistered = view.meta.last_error.as_ref().is_some_and(|it| it.code == UNREGISTERED);
    if unregistered { trials } else { u64::MAX }
}

/// How many of what is missing are to be launched on-demand though something stands by: what does is spot, but for what
/// is stopped.
fn for_on_demand(fleet: &Fleet, need: &Need, wishes: &Wishes) -> u64 {
    let is_spot = fleet.pool.as_ref().is_none_or(|pool| pool.kind != PoolKind::Stopped);
    let free = is_spot && fleet.launch.market == Market::Spot && wishes.market.is_none();
    if free { need.on_demand() } else { 0 }
}

/// Which instances of the pool the jobs of `need` get, `most` of them. None where GitHub gives its owner no runners, and
/// one where that is to be tried out.
fn claims(view: &View, need: &Need, most: u64, ready: &mut Ready<'_>, now: Millis) -> Vec<Claim> {
    let (scope, breakers) = (&need.target.scope, &view.offers.breakers);
    if refusals::open(breakers, scope, &need.asks, now).is_some() {
        return Vec::new();
    }
    let trial = refusals::is_due(breakers, scope, &need.asks, now);
    let most = if trial { most.min(u64::from(!need.on_the_way)) } else { most };
    let claim = |runner| Claim { runner, target: need.target.clone(), asks: need.asks.clone() };
    ready.take(most, &need.asks).into_iter().map(claim).collect()
}

/// What to ask EC2 for, from the `first` market on; nothing where it has refused for good what these jobs ask.
fn choice(fleet: &Fleet, view: &View, asks: &[String], wishes: &Wishes, first: Market, now: Millis) -> Choice {
    let breakers = &view.offers.breakers;
    match offers::asks_key(asks).and_then(|key| breakers.open(&key, now)) {
        Some(until) => Choice::Wait(until),
        None => choose(fleet, wishes, first, breakers, now),
    }
}

/// How many on-demand instances are still missing below a spot fleet.
fn missing_base(fleet: &Fleet, view: &View) -> u64 {
    if fleet.launch.market != Market::Spot {
        return 0;
    }
    let on_demand = |market: Option<Market>| market == Some(Market::OnDemand);
    let reserved: u64 = view.reservations.iter().filter(|it| on_demand(it.market)).map(|it| u64::from(it.count)).sum();
    // What is stopped runs no job.
    let runs = |it: &Runner| it.state.is_alive() && !it.state.is_asleep();
    let alive = view.runners.iter().filter(|it| runs(it) && on_demand(it.market) && !is_reserved(view, it));
    fleet.launch.on_demand_base.saturating_sub(reserved).saturating_sub(alive.count() as u64)
}

/// `count` in parts of at most [`LARGEST_RESERVATION`].
fn split(count: u64) -> impl Iterator<Item = u32> {
    let largest = u64::from(LARGEST_RESERVATION);
    let parts = count.div_ceil(largest);
    // Each part is at most 25.
    (0..parts).map(move |i| u32::try_from((count - i * largest).min(largest)).unwrap_or(LARGEST_RESERVATION))
}

/// Reservations that a dead invocation left unresolved.
#[must_use]
pub fn left_reservations(view: &View, now: Millis) -> Vec<Reservation> {
    view.reservations.iter().filter(|it| it.lease_until <= now).cloned().collect()
}

/// Runners whose registration a dead invocation left undone and whose instance may still be waiting for it. What is stopped
/// waits for nothing ([`super::pool::unstarted`]).
#[must_use]
pub fn left_runners(view: &View, now: Millis) -> Vec<Runner> {
    let waits = |it: &Runner| it.state == RunnerState::Launched && !is_unstarted(it);
    let left = |it: &&Runner| waits(it) && it.lease_until <= now && it.boot_deadline > now;
    view.runners.iter().filter(left).cloned().collect()
}

#[cfg(test)]
mod tests;
