//! Jobs on runners: GitHub gives them, and they end.

use dayfly_contract::{Kind, Reason};
use dayfly_control::{decide::jobs::JobState, simulation::world::Registered};

use super::{Doom, Instance, Life, MINUTE, SECOND};
use crate::{Model, claim::Claim};

impl Model {
    /// GitHub gives a queued job to a runner that listens and fits.
    pub(crate) fn assign(&mut self) -> bool {
        if !self.assignable || self.idle.is_empty() || self.queued.is_empty() {
            return false;
        }
        let turn = self.random.pick(self.idle.len());
        let idle: Vec<String> = self.idle.iter().cycle().skip(turn).take(self.idle.len()).cloned().collect();
        for id in idle {
            let it = &self.instances[&id];
            let (Life::Listening { claim, .. } | Life::Retiring { claim, .. }) = &it.life else { continue };
            let runners = self.port.0.runners.borrow();
            let gets = |at: &Registered| at.id == claim.id && at.online && !at.busy && it.ready_at <= self.now();
            let Some(runner) = runners.get(&it.name).filter(|it| gets(it)) else {
                continue;
            };
            let fits = |job: &u64| self.jobs[job].labels.iter().all(|it| runner.labels.iter().any(|own| own == it));
            let fitting: Vec<u64> = self.queued.iter().filter(|job| fits(job)).take(20).copied().collect();
            drop(runners);
            if !fitting.is_empty() {
                let job = fitting[self.random.pick(fitting.len())];
                self.begin(&id, job);
                return true;
            }
        }
        self.assignable = false;
        false
    }

    fn begin(&mut self, id: &str, job: u64) {
        let now = self.now();
        let Some(mut it) = self.instances.get(id).cloned() else { return };
        let (Life::Listening { claim, .. } | Life::Retiring { claim, .. }) = it.life.clone() else { return };
        self.note(|| format!("GitHub: {} gets job {job}", it.name));
        if self.refuses(&it.fleet, job) {
            let (name, fleet) = (&it.name, &it.fleet);
            self.found = Some(format!("job {job} of a fork runs on {name}, and fleet {fleet} refuses forks"));
        }
        self.idle.remove(id);
        self.queued.remove(&job);
        if let Some(job) = self.jobs.get_mut(&job) {
            (job.state, job.runner, job.starts) = (JobState::Running, Some(it.name.clone()), job.starts + 1);
            self.waits.push(u32::try_from(now - job.queued_at).unwrap_or(u32::MAX));
        }
        if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(&it.name) {
            runner.busy = true;
        }
        let until = now + self.random.range(100, self.setting.longest_job);
        self.due.remove(&(it.due, id.to_owned()));
        if !it.mute && self.has_faults() && self.random.chance(self.setting.faults.dooms) {
            let doom = match self.random.below(3) {
                _ if self.random.chance(self.setting.faults.interruptions) => Doom::Interrupted,
                0 => Doom::Vanishes,
                1 => Doom::CutOff(self.random.range(MINUTE, 8 * MINUTE)),
                _ => Doom::LosesAgent,
            };
            it.doom = Some((now + self.random.below(until - now), doom));
        } else if !it.mute && self.has_faults() && self.random.chance(self.setting.faults.unseen) {
            it.doom = Some((now + self.random.below(MINUTE), self.blindness()));
        }
        if !it.mute && self.has_faults() && self.random.chance(self.setting.faults.forgotten) {
            it.doom = Some((now + self.random.range(SECOND, 5 * MINUTE), Doom::Forgotten));
        }
        it.due = until.min(it.heartbeat).min(it.doom.map_or(u64::MAX, |(at, _)| at));
        self.due.insert((it.due, id.to_owned()));
        it.life = Life::Running { until, job, claim: claim.clone() };
        self.say(id, &it, Kind::JobStarted, &claim.with(job));
        if self.has_faults() && self.random.chance(self.setting.faults.forged) {
            self.forge(id);
        }
        self.instances.insert(id.to_owned(), it);
        let run = self.jobs[&job].run;
        self.sync(run);
        self.tell(job, "in_progress");
    }

    /// Its job has come to its end.
    pub(super) fn finish(&mut self, id: &str, it: &mut Instance, job: u64, claim: &Claim) -> Option<(Life, u64)> {
        let (now, claim) = (self.now(), claim.with(job));
        // GitHub has given it up meanwhile.
        let given_up = self.jobs[&job].state == JobState::Done;
        if claim.reusable.is_some() {
            if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(&it.name) {
                runner.busy = false;
            }
        } else {
            self.port.0.runners.borrow_mut().remove(&it.name);
        }
        if !given_up {
            let conclusion = if self.random.chance(10) { "failure" } else { "success" };
            self.conclude(job, conclusion);
        }
        if it.mute {
            if claim.reusable.is_some() {
                // Without its agent it listens on, and takes others, until it dies too.
                if it.doom.is_none() {
                    it.doom = Some((now + self.random.range(MINUTE, 40 * MINUTE), Doom::LosesRunner));
                }
                self.idle.insert(id.to_owned());
                self.assignable = true;
                return Some((Life::Listening { since: now, claim }, 5 * SECOND));
            }
            it.doom = None;
            self.note(|| format!("{id} has no agent that would end it"));
            return Some((Life::Hung, u64::MAX - now));
        }
        if claim.reusable.is_some() {
            self.say(id, it, Kind::JobCompleted, &claim);
            self.idle.insert(id.to_owned());
            self.assignable = true;
            return Some((Life::Listening { since: now, claim }, 5 * SECOND));
        }
        self.end(id, it, Kind::Finished, Reason::JobDone, Some(&claim));
        None
    }
}
