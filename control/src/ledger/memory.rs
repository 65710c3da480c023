//! The ledger's semantics in memory, for tests: the same conditions, the same all or nothing.

use std::collections::BTreeMap;

use super::{
    Committed, Doubt, Job, LastError, LastPlan, Life, Manual, Marker, Meta, Offers, Reservation, Runner, Unread, View,
    Write,
};
use crate::decide::{
    bucket::{self, Fulls, Taken, Takes},
    runners::RunnerState,
};

type Key = (String, String);

#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryLedger {
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) metas: BTreeMap<String, Meta>,
    pub(crate) offers: BTreeMap<String, Offers>,
    pub(crate) buckets: Fulls,
    pub(crate) markers: BTreeMap<(String, u64), Marker>,
    pub(crate) doubts: BTreeMap<(String, u64), Doubt>,
    pub(crate) manual: Vec<Manual>,
    pub(crate) reservations: BTreeMap<Key, Reservation>,
    pub(crate) runners: BTreeMap<Key, Runner>,
    pub(crate) unread: Vec<Unread>,
    pub(crate) lives: Vec<Life>,
    /// Changes so far.
    pub(crate) changes: u64,
}

impl MemoryLedger {
    pub(crate) fn view(&self, fleet: &str) -> View {
        View {
            meta: self.metas.get(fleet).cloned().unwrap_or_default(),
            offers: self.offers(fleet),
            queued: self.markers.values().filter(|it| it.fleet == fleet).cloned().collect(),
            doubts: self.doubts.values().filter(|it| it.fleet == fleet).cloned().collect(),
            manual: self.manual.iter().filter(|it| it.fleet == fleet).cloned().collect(),
            reservations: self.reservations.values().filter(|it| it.fleet == fleet).cloned().collect(),
            runners: self.runners.values().filter(|it| it.fleet == fleet).cloned().collect(),
            unread: self.unread.clone(),
        }
    }

    pub(crate) fn runner(&self, fleet: &str, instance: &str) -> Option<Runner> {
        self.runners.get(&(fleet.to_owned(), instance.to_owned())).cloned()
    }

    pub(crate) fn commit(&mut self, writes: &[Write]) -> Committed {
        if !writes.iter().all(|write| self.allows(write)) {
            return Committed::Conflict;
        }
        for write in writes {
            self.apply(write);
        }
        Committed::Yes
    }

    /// The condition of one write.
    fn allows(&self, write: &Write) -> bool {
        let reservation = |it: &Reservation| {
            self.reservations.get(&(it.fleet.clone(), it.id.clone())).map_or(0, |it| it.version) == it.version
        };
        let runner = |it: &Runner| self.runner(&it.fleet, &it.instance).map_or(0, |it| it.version) == it.version;
        match write {
            Write::PutJob(it) => self.jobs.get(&it.id).map_or(0, |it| it.version) == it.version,
            Write::PutOffers(it) => self.offers(&it.fleet).version == it.version,
            Write::Reserve { fleet, rev, count, max, .. } => {
                let meta = self.metas.get(fleet).cloned().unwrap_or_default();
                meta.rev == *rev && (*rev == 0 || meta.alive + u64::from(*count) <= *max)
            }
            Write::Advance { fleet, rev } => self.metas.get(fleet).map_or(0, |meta| meta.rev) == *rev,
            Write::PutReservation(it) => reservation(it),
            Write::DropReservation(it) => it.version > 0 && reservation(it),
            Write::PutRunner(it) => runner(it),
            Write::DropRunner(it) => it.version > 0 && runner(it),
            Write::StillQueued { fleet, job } => self.markers.contains_key(&(fleet.clone(), *job)),
            Write::Free { fleet, failure: Some(it), .. } => {
                let meta = self.metas.get(fleet).cloned().unwrap_or_default();
                meta.failures == it.seen && meta.paused_until <= it.at
            }
            Write::PutMarker(_)
            | Write::TakeMarker { .. }
            | Write::PutDoubt(_)
            | Write::DropDoubt { .. }
            | Write::PutLife(_)
            | Write::Free { .. }
            | Write::Recover { .. } => true,
        }
    }

    fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::PutJob(it) => drop(self.jobs.insert(it.id, Job { version: it.version + 1, ..it })),
            Write::PutMarker(it) => drop(self.markers.insert((it.fleet.clone(), it.job), it)),
            Write::TakeMarker { fleet, job } => drop(self.markers.remove(&(fleet, job))),
            Write::PutDoubt(it) => drop(self.doubts.insert((it.fleet.clone(), it.job), it)),
            Write::DropDoubt { fleet, job } => drop(self.doubts.remove(&(fleet, job))),
            Write::PutOffers(it) => {
                self.offers.insert(it.fleet.clone(), Offers { version: it.version + 1, ..it });
            }
            Write::Recover { fleet } => self.metas.entry(fleet).or_default().last_error = None,
            Write::Reserve { fleet, count, at, plan, .. } => {
                let meta = self.metas.entry(fleet).or_default();
                meta.reserved_at = at;
                meta.last_plan = plan.or(meta.last_plan);
                meta.rev += 1;
                meta.alive += u64::from(count);
            }
            Write::Advance { fleet, .. } => self.metas.entry(fleet).or_default().rev += 1,
            Write::StillQueued { .. } => {}
            Write::Free { fleet, count, ran_job, failure } => {
                assert!(count == 0 || self.metas.contains_key(&fleet), "a fleet with instances has a meta item");
                let meta = self.metas.entry(fleet).or_default();
                meta.alive = meta.alive.checked_sub(u64::from(count)).expect("alive never goes below 0");
                if ran_job {
                    meta.failures = 0;
                }
                if let Some(it) = failure {
                    (meta.failures, meta.paused_until) = (it.count, it.until);
                }
            }
            Write::PutReservation(it) => {
                let key = (it.fleet.clone(), it.id.clone());
                self.reservations.insert(key, Reservation { version: it.version + 1, ..it });
            }
            Write::DropReservation(it) => drop(self.reservations.remove(&(it.fleet, it.id))),
            Write::PutRunner(it) => {
                let key = (it.fleet.clone(), it.instance.clone());
                self.runners.insert(key, Runner { version: it.version + 1, ..it });
            }
            Write::PutLife(it) => self.lives.push(it),
            Write::DropRunner(it) => drop(self.runners.remove(&(it.fleet, it.instance))),
        }
        self.changes += 1;
    }

    pub(crate) fn pause(&mut self, fleet: &str, until: u64) {
        let meta = self.metas.entry(fleet.to_owned()).or_default();
        meta.paused_until = meta.paused_until.max(until);
    }

    pub(crate) fn tell(&mut self, fleet: &str, plan: LastPlan) {
        self.metas.entry(fleet.to_owned()).or_default().last_plan = Some(plan);
    }

    pub(crate) fn is_wanted(&self, fleet: &str, now: u64) -> bool {
        let view = self.view(fleet);
        view.queued.iter().any(|it| it.expires > now / 1000) || view.manual.iter().any(|it| it.expires > now / 1000)
    }

    pub(crate) fn refuse(&mut self, fleet: &str, error: &LastError, until: u64) {
        let meta = self.metas.entry(fleet.to_owned()).or_default();
        if meta.paused_until <= error.at {
            (meta.last_error, meta.paused_until) = (Some(error.clone()), until);
        }
    }

    pub(crate) fn offers(&self, fleet: &str) -> Offers {
        let none = Offers { fleet: fleet.to_owned(), ..Offers::default() };
        self.offers.get(fleet).cloned().unwrap_or(none)
    }

    pub(crate) fn take(&mut self, takes: &Takes) -> Taken {
        let came = bucket::take(&self.buckets, takes);
        if let Taken::Yes(full) = &came {
            self.buckets.clone_from(full);
        }
        came
    }

    /// What `alive` must be at every moment: every instance that is reserved, launching or running is counted once.
    pub(crate) fn counted(&self, fleet: &str) -> u64 {
        let view = self.view(fleet);
        let reserved: u64 = view.reservations.iter().map(|it| u64::from(it.count)).sum();
        let alive = view.runners.iter().filter(|it| RunnerState::is_alive(it.state)).count();
        reserved + u64::try_from(alive).unwrap()
    }
}
