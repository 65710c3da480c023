//! What of a pool there is: for jobs, and beside its size.

use super::{START, is_own};
use crate::{
    clock::Millis,
    decide::{breaker::Breakers, offers, plan::is_reserved, runners::RunnerState},
    fleets::{Eviction, Fleet, Market, Pool, PoolKind},
    ledger::{Runner, View},
};

/// So many of a pool's stopped instances are replaced at a time by such of a fresh image: a tenth.
const AT_A_TIME: usize = 10;

/// The instances of a pool that has them stand by or be stopped, without those that are being written down.
#[derive(Clone, Debug, Default)]
pub(in crate::decide) struct Ready<'a> {
    /// All, those that begin the soonest first: what stands by, what is stopped, what boots, each the oldest first.
    members: Vec<&'a Runner>,
    /// Those that are reserved.
    reserved: u64,
    /// How many stopped ones may be started.
    starts: usize,
    /// Runners of an idle pool that are silent.
    silent: u64,
    now: Millis,
}

/// What a pool lacks or has too many of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::decide) struct Wants {
    /// So many are missing.
    pub(in crate::decide) missing: u64,
    /// These are to go.
    pub(in crate::decide) surplus: Vec<Runner>,
    /// These are to be stopped.
    pub(in crate::decide) stops: Vec<Runner>,
}

impl<'a> Ready<'a> {
    /// Those of `view`, the level of `fleet`.
    pub(in crate::decide) fn of(fleet: &Fleet, view: &'a View, now: Millis) -> Self {
        let is_member = |it: &&Runner| rank(it.state).is_some() && !is_reserved(view, it);
        let mut members: Vec<&Runner> = view.runners.iter().filter(is_member).collect();
        members.sort_by_key(|it| (rank(it.state), it.launched_at, it.instance.clone()));
        let reserved = view.reservations.iter().filter(|it| it.standby).map(|it| u64::from(it.count)).sum();
        let starts = starts(&view.offers.breakers, now);
        let is_silent = |it: &&Runner| {
            matches!(it.state, RunnerState::Launched | RunnerState::Registered)
                && it.boot_deadline <= now
                && is_own(fleet, it)
        };
        let silent = view.runners.iter().filter(is_silent).count() as u64;
        Self { members, reserved, starts, silent, now }
    }

    /// Gives up to `count` of them away, to jobs with these `asks`.
    pub(in crate::decide) fn take(&mut self, count: u64, asks: &[String]) -> Vec<Runner> {
        // What EC2 would have to be asked for is not here.
        if offers::asks_key(asks).is_some() {
            return Vec::new();
        }
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        let (mut starts, now) = (self.starts, self.now);
        let mut taken = Vec::new();
        self.members.retain(|it| {
            let asleep = it.state == RunnerState::Stopped;
            let gives = left > 0 && it.state != RunnerState::Stopping && !is_silent(it, now) && (!asleep || starts > 0);
            if gives {
                left -= 1;
                starts -= usize::from(asleep);
                taken.push((*it).clone());
            }
            !gives
        });
        self.starts = starts;
        taken
    }

    /// Compares them with what the pool of `fleet` is to be. `held_back`: jobs for which `max` leaves no room. `spare`: idle
    /// runners of the pool's owner beyond its jobs.
    ///
    /// One that is silent keeps its place, though no job gets it, until it is known to be dead: where the lifecycle queue is
    /// down all are silent, and none is to be replaced; and those that die silently must not be replaced for ever.
    pub(in crate::decide) fn compare(&self, fleet: &Fleet, held_back: u64, spare: u64) -> Wants {
        let pool = fleet.pool.as_ref();
        let size = pool.map_or(0, |pool| pool.size(self.now).saturating_sub(held_back));
        let kind = pool.map(|pool| pool.kind);
        let mut all = self.members.clone();
        all.sort_by_key(|it| (it.launched_at, it.instance.clone()));
        if let (Some(PoolKind::Idle), mut wants) = (kind, Wants::default()) {
            wants.missing = size.saturating_sub(spare + self.silent);
            wants.surplus = all.into_iter().cloned().collect();
            return wants;
        }
        let (mut own, others): (Vec<&Runner>, Vec<&Runner>) = all.into_iter().partition(|it| match kind {
            Some(PoolKind::Standby) => !it.state.is_asleep(),
            // EC2 stops no spot instance of ours.
            Some(PoolKind::Stopped) => it.market == Some(Market::OnDemand),
            Some(PoolKind::Idle) | None => false,
        });
        if pool.is_some_and(|pool| pool.eviction == Eviction::Newest) {
            own.reverse();
        }
        // Of those that are too many first what is of the least use.
        own.sort_by_key(|it| !is_silent(it, self.now));
        let have = own.len() as u64 + self.reserved;
        let too_many = usize::try_from(have.saturating_sub(size)).unwrap_or(usize::MAX).min(own.len());
        let kept = own.split_off(too_many);
        let stale = if too_many == 0 && have >= size { self.stale(pool, &kept) } else { Vec::new() };
        // The lease of one that EC2 was asked to stop before is the time until it is asked again; any other is of its launch.
        let may_be_asked = |it: &Runner| it.lease_until <= self.now || !it.history.has(RunnerState::Stopping.name());
        let is_due = |it: &&Runner| it.state == RunnerState::Standby && may_be_asked(it) && !is_silent(it, self.now);
        let stops = kept.iter().copied().filter(is_due).filter(|_| kind == Some(PoolKind::Stopped));
        Wants {
            missing: size.saturating_sub(have),
            stops: stops.cloned().collect(),
            surplus: others.into_iter().chain(own).chain(stale).cloned().collect(),
        }
    }

    /// Stopped ones that have had their time. A few at a time, and the next when those that take their place are there.
    fn stale<'b>(&self, pool: Option<&Pool>, kept: &[&'b Runner]) -> Vec<&'b Runner> {
        let Some(pool) = pool.filter(|pool| pool.kind == PoolKind::Stopped) else { return Vec::new() };
        // One that is silent may be of an image that never speaks: then none better takes the place of what is here.
        if self.reserved > 0 || kept.iter().any(|it| it.state == RunnerState::Warming || is_silent(it, self.now)) {
            return Vec::new();
        }
        let lifetime = pool.lifetime_seconds * 1000;
        let is_stale = |it: &&&Runner| it.state == RunnerState::Stopped && it.launched_at + lifetime <= self.now;
        kept.iter().filter(is_stale).take(kept.len().div_ceil(AT_A_TIME)).copied().collect()
    }
}

/// In which order jobs get them; none where it is none of a pool's.
fn rank(state: RunnerState) -> Option<u8> {
    match state {
        RunnerState::Standby => Some(0),
        // Its disk has been read before; one that boots for the first time is not ready sooner.
        RunnerState::Stopped => Some(1),
        RunnerState::Warming => Some(2),
        RunnerState::Stopping => Some(3),
        _ => None,
    }
}

/// Whether nothing was heard of it in its time. One that is stopped has nothing to say.
fn is_silent(runner: &Runner, now: Millis) -> bool {
    !runner.state.is_asleep() && runner.boot_deadline <= now
}

/// How many stopped instances may be started: none while EC2 has refused that, then one to find out.
fn starts(breakers: &Breakers, now: Millis) -> usize {
    match (breakers.open(START, now), breakers.is_due(START, now)) {
        (Some(_), _) => 0,
        (None, true) => 1,
        (None, false) => usize::MAX,
    }
}
