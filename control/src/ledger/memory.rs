//! The ledger's semantics in memory, for tests: the same conditions, the same all or nothing.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    reason = "what only tests and the simulation use"
)]

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
pub struct MemoryLedger {
    pub jobs: BTreeMap<u64, Job>,
    pub metas: BTreeMap<String, Meta>,
    pub offers: BTreeMap<String, Offers>,
    pub buckets: Fulls,
    pub markers: BTreeMap<(String, u64), Marker>,
    pub doubts: BTreeMap<(String, u64), Doubt>,
    pub manual: Vec<Manual>,
    pub reservations: BTreeMap<Key, Reservation>,
    pub runners: BTreeMap<Key, Runner>,
    pub unread: Vec<Unread>,
    pub lives: Vec<Life>,
    /// Changes so far.
    pub changes: u64,
}

impl MemoryLedger {
    pub fn view(&self, fleet: &str) -> View {
        View { reservations: self.reservations(fleet), runners: self.runners(fleet), ..self.head(fleet) }
    }

    /// What a query meets before the reservations.
    pub fn head(&self, fleet: &str) -> View {
        View {
            meta: self.metas.get(fleet).cloned().unwrap_or_default(),
            offers: self.offers(fleet),
            queued: self.queued(fleet),
            doubts: self.doubts.values().filter(|it| it.fleet == fleet).cloned().collect(),
            manual: self.manual.iter().filter(|it| it.fleet == fleet).cloned().collect(),
            unread: self.unread.clone(),
            ..View::default()
        }
    }

    pub fn queued(&self, fleet: &str) -> Vec<Marker> {
        let all = self.markers.range((fleet.to_owned(), 0)..);
        all.take_while(|((of, _), _)| of == fleet).map(|(_, it)| it.clone()).collect()
    }

    pub fn reservations(&self, fleet: &str) -> Vec<Reservation> {
        let all = self.reservations.range((fleet.to_owned(), String::new())..);
        all.take_while(|((of, _), _)| of == fleet).map(|(_, it)| it.clone()).collect()
    }

    pub fn runners(&self, fleet: &str) -> Vec<Runner> {
        let all = self.runners.range((fleet.to_owned(), String::new())..);
        all.take_while(|((of, _), _)| of == fleet).map(|(_, it)| it.clone()).collect()
    }

    pub fn runner(&self, fleet: &str, instance: &str) -> Option<Runner> {
        self.runners.get(&(fleet.to_owned(), instance.to_owned())).cloned()
    }

    pub fn commit(&mut self, writes: &[Write]) -> Committed {
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
                self.runners.insert(key, Runner { version: it.next_version(), ..it });
            }
            Write::PutLife(it) => self.lives.push(it),
            Write::DropRunner(it) => drop(self.runners.remove(&(it.fleet, it.instance))),
        }
        self.changes += 1;
    }

    pub fn pause(&mut self, fleet: &str, until: u64) {
        let meta = self.metas.entry(fleet.to_owned()).or_default();
        meta.paused_until = meta.paused_until.max(until);
    }

    pub fn tell(&mut self, fleet: &str, plan: LastPlan) {
        self.metas.entry(fleet.to_owned()).or_default().last_plan = Some(plan);
    }

    pub fn is_wanted(&self, fleet: &str, now: u64) -> bool {
        self.queued(fleet).iter().any(|it| it.expires > now / 1000)
            || self.manual.iter().any(|it| it.fleet == fleet && it.expires > now / 1000)
    }

    pub fn refuse(&mut self, fleet: &str, error: &LastError, until: u64) {
        let meta = self.metas.entry(fleet.to_owned()).or_default();
        if meta.paused_until <= error.at {
            (meta.last_error, meta.paused_until) = (Some(error.clone()), until);
        }
    }

    pub fn offers(&self, fleet: &str) -> Offers {
        let none = Offers { fleet: fleet.to_owned(), ..Offers::default() };
        self.offers.get(fleet).cloned().unwrap_or(none)
    }

    pub fn take(&mut self, takes: &Takes) -> Taken {
        let came = bucket::take(&self.buckets, takes);
        if let Taken::Yes(full) = &came {
            self.buckets.clone_from(full);
        }
        came
    }

    /// What `alive` must be at every moment: every instance that is reserved, launching or running is counted once.
    pub fn counted(&self, fleet: &str) -> u64 {
        let of = |(it, _): &(&Key, &Reservation)| it.0 == fleet;
        let from = (fleet.to_owned(), String::new());
        let reserved: u64 =
            self.reservations.range(from.clone()..).take_while(of).map(|(_, it)| u64::from(it.count)).sum();
        let runners = self.runners.range(from..).take_while(|(it, _)| it.0 == fleet);
        let alive = runners.filter(|(_, it)| RunnerState::is_alive(it.state)).count();
        reserved + u64::try_from(alive).unwrap()
    }
}
