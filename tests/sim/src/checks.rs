//! What must be true.

use dayfly_control::decide::{jobs::JobState, runners::RunnerState};

use crate::Model;

/// Nothing, or what is wrong.
pub(crate) type Wrong = Result<(), String>;

const MINUTE: u64 = 60_000;
/// The longest that it takes to get over any one fault once no more come, see `docs/decisions/0027`: an instance that hangs
/// with a registration is silent for 10 minutes, GitHub must not have seen it for 30 more, and it may have been the last
/// that had room; before that a job may have waited for a webhook to be made again, which is tried after as long again as
/// it has failed; after it for its fleet's pause and a boot.
const RECOVERY: u64 = 75 * MINUTE;
/// After so long nothing is left: runners at GitHub without an instance are given an hour, strays and instances that hang
/// 40 minutes, one after the other.
const CLEAN: u64 = 4 * 60 * MINUTE;
/// For so long one whose end the ledger has noted may run on: whoever gives it up ends it next.
const FORGOTTEN: u64 = 3 * MINUTE;

impl Model {
    /// By when a job that is queued has a runner: the recovery, as long as webhooks may be made again the more seldom, and
    /// its turn among those that share `max`.
    pub(crate) fn bound(&self) -> u64 {
        let max = self.setting.fleets.fleets.iter().map(|fleet| fleet.max).min().unwrap_or(1);
        let turns = (self.setting.jobs * 3).div_ceil(max);
        RECOVERY + 2 * self.setting.faults.until + turns * (self.setting.longest_job + 2 * MINUTE)
    }

    /// What is true at every moment.
    pub(crate) fn check(&mut self) -> Wrong {
        if let Some(found) = self.found.take() {
            return Err(self.wrong(&found));
        }
        let changes = self.port.0.ledger.borrow().changes;
        if self.checked.replace(changes) == changes {
            return Ok(());
        }
        let ledger = self.port.0.ledger.borrow();
        for fleet in &self.setting.fleets.fleets {
            let counts = ledger.metas.get(&fleet.name).map_or(0, |meta| meta.alive);
            let has = ledger.counted(&fleet.name);
            // Of items that were lost the count knows nothing, until reconcile has mended it.
            let skew = self.skew.get(&fleet.name).copied().unwrap_or(0);
            if counts == has && skew > 0 {
                self.skew.remove(&fleet.name);
            }
            if counts != has && counts != has + skew {
                return Err(self.wrong(&format!("fleet {} counts {counts} instances and has {has}", fleet.name)));
            }
            if counts > fleet.max {
                return Err(self.wrong(&format!("fleet {} has {counts} instances of {}", fleet.name, fleet.max)));
            }
        }
        let mut waiting = ledger.markers.keys().take(if self.setting.forks > 0 { usize::MAX } else { 0 });
        let taken = waiting.find(|(fleet, job)| self.refuses(fleet, *job));
        if let Some((fleet, job)) = taken {
            return Err(self.wrong(&format!("job {job} of a fork waits in fleet {fleet}, which refuses forks")));
        }
        if self.setting.exact {
            self.pooled.extend(
                ledger.runners.values().filter(|it| it.state == RunnerState::Warming).map(|it| it.instance.clone()),
            );
            let claimed = ledger.runners.values().filter(|it| it.history.has("claimed"));
            self.claimed.extend(claimed.map(|it| it.instance.clone()));
        }
        let mut back = None;
        // Not of a week's jobs, at each change.
        if self.jobs.len() <= 100 {
            self.known_jobs.retain(|id, _| ledger.jobs.contains_key(id));
            for (id, job) in &ledger.jobs {
                let before = self.known_jobs.insert(*id, job.state);
                back = before.filter(|before| *before > job.state).map(|before| (*id, before, job.state)).or(back);
            }
        }
        drop(ledger);
        if let Some((id, before, now)) = back {
            let what = format!("job {id} was {} by its ledger, and is {} again", before.name(), now.name());
            return Err(self.wrong(&what));
        }
        if self.instances.len() > 100 { Ok(()) } else { self.check_instances() }
    }

    /// Each instance that runs is counted: as a runner, or by its reservation. One that was may be given up and end.
    fn check_instances(&mut self) -> Wrong {
        let ledger = self.port.0.ledger.borrow();
        let seen = self.port.0.census.instances.borrow();
        let mut nobodys = None;
        for (id, it) in &mut self.instances {
            if it.known {
                continue;
            }
            let key = (it.fleet.clone(), id.clone());
            if ledger.runners.contains_key(&key) {
                it.known = true;
                continue;
            }
            let token = seen.get(id).map(|it| it.reservation.clone()).unwrap_or_default();
            let reserved = ledger.reservations.values().find(|it| it.token() == token);
            let launched = self.port.0.launched.borrow().get(&token).map_or(0, Vec::len);
            match reserved {
                Some(of) if launched <= of.count as usize => {}
                Some(_) => nobodys = Some(format!("EC2 has launched more than was reserved, among them {id}")),
                None => nobodys = Some(format!("{id} runs, and nobody has written it down")),
            }
        }
        drop((ledger, seen));
        nobodys.map_or(Ok(()), |it| Err(self.wrong(&it)))
    }

    /// Who lives and has claimed its registration is counted by the ledger: who was given up is ended, or has ended.
    fn check_claimed(&mut self) {
        let (now, mut forgotten) = (self.now(), None);
        let ledger = self.port.0.ledger.borrow();
        for (id, it) in &mut self.instances {
            let counts = ledger.runners.get(&(it.fleet.clone(), id.clone())).is_some_and(|it| it.state.is_alive());
            if counts || it.astray || !it.has_claimed(now) {
                it.forgotten = None;
            } else if *it.forgotten.get_or_insert(now) + FORGOTTEN <= now {
                forgotten = Some(format!("{id} runs, and its ledger counts it no longer"));
            }
        }
        drop(ledger);
        self.found = forgotten.or(self.found.take());
    }

    /// Once a minute: no job waits for too long, and nobody is forgotten.
    pub(crate) fn look_after(&mut self) {
        self.check_claimed();
        let (now, bound) = (self.now(), self.bound());
        let calm = self.beginning + self.setting.faults.until;
        let late: Vec<u64> =
            self.queued.iter().filter(|id| self.jobs[id].queued_at.max(calm) + bound <= now).copied().collect();
        for id in late {
            // Of this one GitHub has told nobody, and what there is to notice that by may not have come together.
            if self.jobs[&id].untold && !self.port.0.ledger.borrow().jobs.contains_key(&id) {
                self.count("jobs that nobody could know of");
                self.conclude(id, "cancelled");
            } else {
                let minutes = bound / MINUTE;
                self.found = Some(format!("job {id} has no runner {minutes} minutes after the last fault"));
            }
        }
        if !self.instances.is_empty() && self.instances.len() > 100 {
            self.found = self.check_instances().err().or(self.found.take());
        }
        let is_done = self.made >= self.setting.jobs && self.queued.is_empty() && self.done == self.jobs_made();
        if is_done && !self.has_faults() {
            let since = *self.over_at.get_or_insert(now);
            if since + CLEAN <= now {
                self.found =
                    Some(format!("{} hours after the last job this is left: {}", CLEAN / MINUTE / 60, self.left()));
            }
        } else {
            self.over_at = None;
        }
    }

    fn jobs_made(&self) -> u64 {
        self.made + self.injected.borrow().get("jobs run again").copied().unwrap_or(0)
    }

    /// Whether all is done and nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.made >= self.setting.jobs
            && !self.has_faults()
            && self.running.is_empty()
            && self.deliveries.is_empty()
            && self.wakes.is_empty()
            && self.endings.is_empty()
            && self.instances.is_empty()
            && self.lost.is_empty()
            && self.done == self.jobs_made()
            && self.left().is_empty()
    }

    /// What is left in the ledger, at GitHub and in SSM.
    fn left(&self) -> String {
        let world = &self.port.0;
        let ledger = world.ledger.borrow();
        let mut left: Vec<String> = Vec::new();
        left.extend(self.instances.iter().map(|(id, it)| format!("instance {id} ({:?})", it.life)));
        left.extend(ledger.reservations.values().map(|it| format!("reservation {}", it.token())));
        // A `gone` item is the echo of a repeated message and expires.
        let runners = ledger.runners.values().filter(|it| it.state != RunnerState::Gone);
        left.extend(runners.map(|it| format!("runner {}, which is {}", it.instance, it.state.name())));
        left.extend(ledger.markers.values().map(|it| format!("the marker of job {}", it.job)));
        let open = ledger.jobs.values().filter(|it| it.state != JobState::Done);
        left.extend(open.map(|it| format!("job {}, which is {}", it.id, it.state.name())));
        let counted = ledger.metas.iter().filter(|(_, meta)| meta.alive > 0);
        left.extend(counted.map(|(fleet, meta)| format!("{} instances that {fleet} counts", meta.alive)));
        left.extend(world.runners.borrow().keys().map(|name| format!("{name} at GitHub")));
        left.extend(world.parameters.borrow().keys().map(|id| format!("the registration of {id}")));
        left.join("; ")
    }

    /// What is true at the end.
    pub(crate) fn check_end(&self) -> Wrong {
        for (id, job) in &self.jobs {
            if job.starts > 1 || (job.starts == 0 && job.conclusion != Some("cancelled")) {
                return Err(self.wrong(&format!("attempt {} of job {id} began {} times", job.attempt, job.starts)));
            }
        }
        if let Some(what) = self.port.0.forbidden.borrow().first() {
            return Err(self.wrong(what));
        }
        // What was launched for a pool, and given to no job, was no job's.
        let spare = self.pooled.difference(&self.claimed).count() as u64;
        if self.setting.exact && self.launches - spare != self.done {
            return Err(self.wrong(&format!("{} launches for {} jobs", self.launches - spare, self.done)));
        }
        Ok(())
    }

    pub(crate) fn wrong(&self, what: &str) -> String {
        format!("{} WRONG: {what}", self.port.0.time())
    }
}
