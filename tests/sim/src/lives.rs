//! The instances and their agents: they boot, claim, listen, run jobs and end; some die, hang, are cut off or taken away.

mod boots;

use dayfly_contract::{Job as ContractJob, Kind, Lifecycle, Phase, Reason, names};
use dayfly_control::{decide::jobs::JobState, simulation::world::Registered};

use crate::{Model, claim::Claim, faults::is_within, functions::Message};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// How long an agent waits for its registration.
const CLAIM_DEADLINE: u64 = 2 * MINUTE;
/// How often it looks for that.
const POLL: u64 = 2 * SECOND;
/// After so long without a job, GitHub takes a JIT runner away, and a reusable one asks to retire.
const IDLE_LIMIT: u64 = 10 * MINUTE;
/// How long control may take to delete a retiring runner.
const RETIRE: u64 = MINUTE;
/// How often an agent says that it lives.
const HEARTBEAT: u64 = MINUTE;

#[derive(Clone, Debug)]
pub(crate) enum Life {
    Booting,
    Claiming {
        since: u64,
    },
    /// It waits for a registration until its lifetime is over.
    StandingBy {
        until: u64,
    },
    /// It has asked whether it may go.
    Leaving {
        until: u64,
    },
    /// EC2 has stopped it, or is about to.
    Asleep,
    Starting {
        until: u64,
        claim: Claim,
    },
    Listening {
        since: u64,
        claim: Claim,
    },
    Running {
        until: u64,
        job: u64,
        claim: Claim,
    },
    Retiring {
        until: u64,
        claim: Claim,
    },
    /// EC2 takes it away, and its job with it.
    Interrupted {
        until: u64,
        job: u64,
        claim: Claim,
    },
    /// Nothing happens on it any more, and it does not end.
    Hung,
}

/// What befalls an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doom {
    Vanishes,
    Interrupted,
    /// From the network, for so long.
    CutOff(u64),
    /// Its agent dies, and its runner goes on.
    LosesAgent,
    /// Its agent gives up.
    Fails,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) fleet: String,
    pub(crate) name: String,
    pub(crate) life: Life,
    /// When it does something next.
    pub(crate) due: u64,
    heartbeat: u64,
    doom: Option<(u64, Doom)>,
    /// Whether its agent is dead.
    mute: bool,
    cut_until: u64,
    /// Whether the ledger has, or had, it.
    pub(crate) known: bool,
}

impl Model {
    /// Takes in the instances that were launched, and those that control has ended.
    pub(crate) fn take_instances(&mut self) -> Result<(), String> {
        let now = self.now();
        let born: Vec<(String, String)> = self.port.0.born.borrow_mut().drain(..).collect();
        for (id, fleet) in born {
            self.launches += 1;
            let name = names::runner_name(&fleet, &id);
            let mut it = Instance {
                fleet,
                name,
                life: Life::Booting,
                due: now + self.random.range(5 * SECOND, 40 * SECOND),
                heartbeat: u64::MAX,
                doom: None,
                mute: false,
                cut_until: 0,
                known: false,
            };
            self.may_not_boot(&mut it);
            self.due.insert((it.due, id.clone()));
            self.instances.insert(id, it);
        }
        let switched: Vec<(String, bool)> = self.port.0.switched.borrow_mut().drain(..).collect();
        for (id, starts) in switched {
            self.switch(&id, starts)?;
        }
        let ended: Vec<String> = self.port.0.terminated.borrow_mut().drain(..).collect();
        for id in ended {
            let Some(it) = self.instances.get(&id) else { continue };
            if let Life::Running { job, .. } = it.life
                && self.jobs[&job].state == JobState::Running
            {
                return Err(self.wrong(&format!("control has ended {id}, which runs job {job}")));
            }
            let name = it.name.clone();
            if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(&name) {
                runner.online = false;
            }
            self.remove(&id);
        }
        Ok(())
    }

    fn remove(&mut self, id: &str) -> Option<Instance> {
        let it = self.instances.remove(id)?;
        self.due.remove(&(it.due, id.to_owned()));
        self.idle.remove(id);
        Some(it)
    }

    /// The next step of the instance that is due first, if one is.
    pub(crate) fn play_instance(&mut self) -> bool {
        let now = self.now();
        let Some(id) = self.due.first().filter(|(at, _)| *at <= now).map(|(_, id)| id.clone()) else { return false };
        let Some(mut it) = self.instances.get(&id).cloned() else { return false };
        if let Some((at, doom)) = it.doom
            && at <= now
        {
            it.doom = None;
            if !self.befall(&id, &mut it, doom) {
                return true;
            }
        }
        if it.cut_until > 0 && it.cut_until <= now {
            it.cut_until = 0;
            self.set_online(&it.name, true);
            self.note(|| format!("{id} is back on the network"));
        }
        if it.heartbeat <= now {
            it.heartbeat = now + HEARTBEAT;
            self.beat(&id, &it);
        }
        let life = it.life.clone();
        if let Some((next, wait)) = self.live(&id, &mut it, life) {
            it.life = next;
            let dues = [now + wait, it.heartbeat, it.doom.map_or(u64::MAX, |(at, _)| at)];
            let due = dues.into_iter().min().unwrap_or(u64::MAX).max(now + 1);
            self.due.remove(&(it.due, id.clone()));
            it.due = due;
            if due < u64::MAX {
                self.due.insert((due, id.clone()));
            }
            self.instances.insert(id, it);
        }
        true
    }

    /// What `it` is next, and when to look at it again; none where it has ended.
    fn live(&mut self, id: &str, it: &mut Instance, life: Life) -> Option<(Life, u64)> {
        let now = self.now();
        let at_github = self.port.0.runners.borrow().get(&it.name).map(|it| it.id);
        let never = u64::MAX - now;
        if it.cut_until > now {
            return Some((life, it.cut_until - now));
        }
        match life {
            // Its agent never comes up.
            Life::Booting | Life::Hung if it.mute => {
                it.doom = None;
                self.note(|| format!("{id} hangs"));
                Some((Life::Hung, never))
            }
            Life::Booting => {
                it.heartbeat = now + HEARTBEAT;
                Some((Life::Claiming { since: now }, 0))
            }
            Life::Hung => Some((Life::Hung, never)),
            // It does nothing by itself.
            Life::Asleep => Some((Life::Asleep, never)),
            Life::Claiming { .. } | Life::StandingBy { .. } | Life::Leaving { .. } if self.stands_by(&it.fleet) => {
                self.stand_by(id, it, &life)
            }
            Life::Claiming { since } => {
                let claimed = self.port.0.parameters.borrow_mut().remove(id).and_then(Claim::of);
                if let Some(claim) = claimed {
                    self.note(|| format!("{id} has claimed its registration"));
                    Some((Life::Starting { until: now + 3 * SECOND, claim }, 3 * SECOND))
                } else if since + CLAIM_DEADLINE <= now {
                    self.end(id, it, Kind::Failed, Reason::RegistrationMissing, None);
                    None
                } else {
                    Some((Life::Claiming { since }, POLL))
                }
            }
            // The fleet has no pool any more.
            Life::StandingBy { .. } | Life::Leaving { .. } => Some((Life::Claiming { since: now }, 0)),
            Life::Starting { until, claim } if until > now => Some((Life::Starting { until, claim }, until - now)),
            Life::Starting { claim, .. } => self.listen(id, it, claim, at_github),
            Life::Listening { claim, .. } if at_github != Some(claim.id) => {
                self.end(id, it, Kind::Finished, Reason::RunnerExited, Some(&claim));
                None
            }
            Life::Listening { since, claim } if since + IDLE_LIMIT <= now => {
                if claim.reusable.is_some() {
                    self.say(id, it, Kind::Retire, &claim);
                    return Some((Life::Retiring { until: now + RETIRE, claim }, POLL));
                }
                self.port.0.runners.borrow_mut().remove(&it.name);
                self.end(id, it, Kind::Finished, Reason::RunnerExited, Some(&claim));
                None
            }
            Life::Listening { since, claim } => Some((Life::Listening { since, claim }, 5 * SECOND)),
            Life::Retiring { until, claim } if at_github != Some(claim.id) || until <= now => {
                self.end(id, it, Kind::Finished, Reason::Idle, Some(&claim));
                None
            }
            Life::Retiring { until, claim } => Some((Life::Retiring { until, claim }, POLL)),
            Life::Running { until, job, claim } if until > now => {
                Some((Life::Running { until, job, claim }, until - now))
            }
            Life::Running { job, claim, .. } => self.finish(id, it, job, &claim),
            Life::Interrupted { until, job, claim } if until > now => {
                Some((Life::Interrupted { until, job, claim }, until - now))
            }
            Life::Interrupted { job, claim, .. } => {
                self.port.0.runners.borrow_mut().remove(&it.name);
                self.conclude(job, "failure");
                self.end(id, it, Kind::Finished, Reason::SpotInterruption, Some(&claim.with(job)));
                None
            }
        }
    }

    /// Its job has come to its end.
    fn finish(&mut self, id: &str, it: &mut Instance, job: u64, claim: &Claim) -> Option<(Life, u64)> {
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
                // Without its agent it listens on, and takes others.
                self.set_online(&it.name, false);
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

    /// Whether it is still there after what befalls it.
    fn befall(&mut self, id: &str, it: &mut Instance, doom: Doom) -> bool {
        let now = self.now();
        self.note(|| format!("{id}: {doom:?}"));
        match (doom, it.life.clone()) {
            (Doom::Vanishes, life) => {
                self.count("instances vanished");
                self.set_online(&it.name, false);
                if let Life::Running { job, .. } | Life::Interrupted { job, .. } = life {
                    self.lose(job);
                }
                self.remove(id);
                self.port.0.end(id);
                false
            }
            (Doom::Interrupted, Life::Running { job, claim, .. }) => {
                self.count("interruptions");
                if let Some(job) = self.jobs.get_mut(&job).filter(|job| job.state == JobState::Running) {
                    job.interrupted = true;
                }
                self.tell_interrupted(id, it, &claim.with(job));
                let until = now + self.random.range(2 * SECOND, 30 * SECOND);
                it.life = Life::Interrupted { until, job, claim };
                true
            }
            (Doom::CutOff(lasts), _) => {
                self.count("instances cut off");
                it.cut_until = now + lasts;
                self.set_online(&it.name, false);
                true
            }
            (Doom::LosesAgent, _) => {
                self.count("agents lost");
                (it.mute, it.heartbeat) = (true, u64::MAX);
                // Long after control has missed it, GitHub misses its runner too, for a moment.
                if self.random.chance(60) {
                    let at = now + self.random.range(10 * MINUTE, 14 * MINUTE);
                    it.doom = Some((at, Doom::CutOff(self.random.range(2 * MINUTE, 8 * MINUTE))));
                }
                true
            }
            (Doom::Interrupted, _) => true,
            (Doom::Fails, _) => {
                self.end(id, it, Kind::Failed, Reason::InstallFailed, None);
                false
            }
        }
    }

    /// GitHub gives the job of a lost runner up after 10 to 15 minutes.
    fn lose(&mut self, job: u64) {
        let at = self.now() + self.random.range(10 * MINUTE, 15 * MINUTE);
        self.lost.push(at, job);
    }

    fn set_online(&self, name: &str, online: bool) {
        if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(name) {
            runner.online = online;
        }
    }

    /// Whether instances of `fleet` may wait for a registration.
    fn stands_by(&self, fleet: &str) -> bool {
        let pool = self.setting.fleets.get(fleet).and_then(|fleet| fleet.pool.as_ref());
        pool.is_some_and(|pool| pool.kind.stands_by())
    }

    /// The next step of one that may stand by.
    fn stand_by(&mut self, id: &str, it: &mut Instance, life: &Life) -> Option<(Life, u64)> {
        let now = self.now();
        let found = self.port.0.parameters.borrow_mut().remove(id);
        if let Some(found) = found {
            let Some(claim) = Claim::of(found) else {
                self.end(id, it, Kind::Finished, Reason::Idle, None);
                return None;
            };
            self.note(|| format!("{id} has claimed its registration"));
            return Some((Life::Starting { until: now + 3 * SECOND, claim }, 3 * SECOND));
        }
        match *life {
            Life::StandingBy { until } if until <= now => {
                self.tell_of_standby(id, it, Kind::Retire);
                Some((Life::Leaving { until: now + RETIRE }, POLL))
            }
            Life::StandingBy { until } => Some((Life::StandingBy { until }, POLL)),
            Life::Leaving { until } if until <= now => {
                self.end(id, it, Kind::Finished, Reason::MaxLifetime, None);
                None
            }
            Life::Leaving { until } => Some((Life::Leaving { until }, POLL)),
            _ => {
                self.tell_of_standby(id, it, Kind::Standby);
                let until = now + self.random.range(MINUTE, 20 * MINUTE);
                Some((Life::StandingBy { until }, POLL))
            }
        }
    }

    /// The runner connects to GitHub: a reusable one registers first, in place of any of its name.
    fn listen(&mut self, id: &str, it: &mut Instance, mut claim: Claim, at_github: Option<u64>) -> Option<(Life, u64)> {
        if let Some(labels) = claim.reusable.clone() {
            claim.id = self.random.below(1 << 40) + 1;
            let runner = Registered { id: claim.id, online: false, busy: false, labels };
            self.note(|| format!("GitHub: {} registers itself as runner {}", it.name, runner.id));
            self.port.0.runners.borrow_mut().insert(it.name.clone(), runner);
        } else if at_github != Some(claim.id) {
            self.end(id, it, Kind::Failed, Reason::RunnerFailed, Some(&claim));
            return None;
        }
        self.set_online(&it.name, true);
        self.say(id, it, Kind::Listening, &claim);
        self.idle.insert(id.to_owned());
        self.assignable = true;
        Some((Life::Listening { since: self.now(), claim }, 5 * SECOND))
    }

    /// An instance ends and says so.
    fn end(&mut self, id: &str, it: &mut Instance, kind: Kind, reason: Reason, claim: Option<&Claim>) {
        self.note(|| format!("{id} ends: {reason:?}"));
        self.set_online(&it.name, false);
        let message = Lifecycle { reason: Some(reason), ..Lifecycle::new(kind, id, &it.fleet) };
        self.send(it, message, claim);
        self.remove(id);
        self.port.0.end(id);
    }

    /// It says that it lives.
    fn beat(&mut self, id: &str, it: &Instance) {
        match &it.life {
            Life::Running { job, claim, .. } => self.say(id, it, Kind::Heartbeat, &claim.with(*job)),
            Life::Listening { claim, .. } | Life::Retiring { claim, .. } => {
                self.say(id, it, Kind::Heartbeat, &Claim { last: None, ..claim.clone() });
            }
            Life::StandingBy { .. } => self.tell_of_standby(id, it, Kind::Heartbeat),
            _ => {}
        }
    }

    fn tell_of_standby(&mut self, id: &str, it: &Instance, kind: Kind) {
        self.send(it, Lifecycle::new(kind, id, &it.fleet), None);
    }

    fn tell_interrupted(&mut self, id: &str, it: &Instance, claim: &Claim) {
        let message = Lifecycle::new(Kind::Interrupted, id, &it.fleet);
        self.send(it, Lifecycle { reason: Some(Reason::SpotInterruption), ..message }, Some(claim));
    }

    /// An instance tells something on its way.
    fn say(&mut self, id: &str, it: &Instance, kind: Kind, claim: &Claim) {
        let mut message = Lifecycle::new(kind, id, &it.fleet);
        if kind == Kind::JobCompleted {
            message.timeline.set(Phase::JobEnded, self.now());
        }
        self.send(it, message, Some(claim));
    }

    /// A message, perhaps twice, or none where the agent or the queue is not there.
    fn send(&mut self, of: &Instance, mut it: Lifecycle, claim: Option<&Claim>) {
        let now = self.now();
        if of.mute || of.cut_until > now {
            return;
        }
        if is_within(self.setting.faults.queue_down, self.since()) {
            self.count("messages lost");
            self.note(|| format!("SQS: a message of {} is lost: {:?}", it.instance_id, it.kind));
            return;
        }
        it.reservation = claim.map(|claim| claim.reservation.clone());
        it.runner_id = claim.filter(|claim| claim.reusable.is_none()).map(|claim| claim.id);
        it.job = claim.and_then(|claim| claim.last).map(|job| ContractJob {
            name: format!("job {}", job / 10_000),
            result: Some("Succeeded".into()),
            ..ContractJob::default()
        });
        let (body, sender) = (serde_json::to_string(&it).unwrap_or_default(), format!("AROAX:{}", it.instance_id));
        let message = Message { body, sender, sent_at: now, received: 0 };
        for _ in 0..if self.random.chance(20) { 2 } else { 1 } {
            let at = now + self.random.below(5000);
            self.enqueue(false, at, &message);
        }
    }

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
            let Some(runner) = runners.get(&it.name).filter(|it| it.id == claim.id && it.online && !it.busy) else {
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
        if self.has_faults() && self.random.chance(self.setting.faults.dooms) {
            let doom = match self.random.below(3) {
                _ if self.random.chance(self.setting.faults.interruptions) => Doom::Interrupted,
                0 => Doom::Vanishes,
                1 => Doom::CutOff(self.random.range(MINUTE, 8 * MINUTE)),
                _ => Doom::LosesAgent,
            };
            it.doom = Some((now + self.random.below(until - now), doom));
        }
        it.due = until.min(it.heartbeat).min(it.doom.map_or(u64::MAX, |(at, _)| at));
        self.due.insert((it.due, id.to_owned()));
        it.life = Life::Running { until, job, claim: claim.clone() };
        self.say(id, &it, Kind::JobStarted, &claim.with(job));
        self.instances.insert(id.to_owned(), it);
        let run = self.jobs[&job].run;
        self.sync(run);
        self.tell(job, "in_progress");
    }
}
