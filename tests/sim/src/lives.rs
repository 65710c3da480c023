//! The instances and their agents: how one leads from step to step, from its launch to its end.
//!
//! [`boots`] is how they come up, [`standby`] how they wait in a pool, [`work`] which jobs they get, [`leaving`] how they ask to go;
//! [`dooms`] what befalls them, [`astray`] how others lose sight of them, and [`words`] what their agents tell.

mod astray;
mod boots;
mod dooms;
mod leaving;
mod standby;
mod words;
mod work;

use dayfly_contract::{Kind, Lifecycle, Reason, names};
use dayfly_control::{
    decide::{jobs::JobState, runners::RunnerState},
    simulation::world::Registered,
};
use dooms::Doom;

use crate::{Model, claim::Claim};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// How long an agent waits for its registration.
const CLAIM_DEADLINE: u64 = 2 * MINUTE;
/// How often it looks for that.
const POLL: u64 = 2 * SECOND;
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
        reason: Reason,
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
    /// Until when GitHub takes it for offline, though it is not.
    unseen_until: u64,
    /// From when on GitHub gives it jobs.
    ready_at: u64,
    /// Whether the ledger has lost it.
    pub(crate) astray: bool,
    /// Whether the ledger has, or had, it.
    pub(crate) known: bool,
    /// Since when the ledger counts it no longer, though it has a registration.
    pub(crate) forgotten: Option<u64>,
    /// When it asked to retire.
    asked_at: Option<u64>,
}

impl Instance {
    /// Whether its agent lives, can be heard, and has a registration.
    pub(crate) fn has_claimed(&self, now: u64) -> bool {
        let claimed = matches!(
            self.life,
            Life::Starting { .. } | Life::Listening { .. } | Life::Running { .. } | Life::Retiring { .. }
        );
        claimed && !self.mute && self.cut_until <= now
    }
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
                unseen_until: 0,
                ready_at: 0,
                astray: false,
                known: false,
                forgotten: None,
                asked_at: None,
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
            if it.has_claimed(self.now()) {
                return Err(self.wrong(&format!("control has ended {id}, which lives: {:?}", it.life)));
            }
            let counts = self.port.0.ledger.borrow().runner(&it.fleet, &id).map(|it| it.state);
            if let Some(state @ (RunnerState::Launched | RunnerState::Registered | RunnerState::Busy)) = counts {
                return Err(self.wrong(&format!("control has ended {id}, which is {} by its ledger", state.name())));
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
        if (1..=now).contains(&it.unseen_until) {
            self.see_again(&id, &mut it);
        }
        if it.cut_until > 0 && it.cut_until <= now {
            it.cut_until = 0;
            self.set_online(&it.name, true);
            self.set_busy(&it.name, matches!(it.life, Life::Running { .. }));
            self.note(|| format!("{id} is back on the network"));
        }
        if it.heartbeat <= now {
            it.heartbeat = now + HEARTBEAT;
            self.beat(&id, &it);
        }
        let life = it.life.clone();
        if let Some((next, wait)) = self.live(&id, &mut it, life) {
            it.life = next;
            let unseen = if it.unseen_until > 0 { it.unseen_until } else { u64::MAX };
            let dues = [now + wait, it.heartbeat, it.doom.map_or(u64::MAX, |(at, _)| at), unseen];
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
                    Some(self.start_runner(claim))
                } else if since + CLAIM_DEADLINE <= now {
                    if self.port.0.taken_away.borrow().contains(id) {
                        self.found = Some(format!("{id} waited for its registration, which control has taken away"));
                    }
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
            // GitHub takes a JIT runner away, and a reusable one asks to retire.
            Life::Listening { since, claim } if since + self.setting.idle <= now && !it.mute => {
                if claim.reusable.is_some() {
                    return Some(self.ask_to_retire(id, it, claim, Reason::Idle));
                }
                self.port.0.runners.borrow_mut().remove(&it.name);
                self.end(id, it, Kind::Finished, Reason::RunnerExited, Some(&claim));
                None
            }
            Life::Listening { since, claim } => {
                self.assignable |= it.ready_at > 0;
                Some((Life::Listening { since, claim }, 5 * SECOND))
            }
            Life::Retiring { reason, claim, .. } if at_github != Some(claim.id) => {
                self.end(id, it, Kind::Finished, reason, Some(&claim));
                None
            }
            Life::Retiring { until, reason, claim } if until <= now => self.unanswered(id, it, reason, claim),
            Life::Retiring { until, reason, claim } => {
                self.assignable |= it.ready_at > 0;
                Some((Life::Retiring { until, reason, claim }, POLL))
            }
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

    /// The runner connects to GitHub: a reusable one registers first, in place of any of its name.
    fn listen(&mut self, id: &str, it: &mut Instance, mut claim: Claim, at_github: Option<u64>) -> Option<(Life, u64)> {
        if let Some(labels) = claim.reusable.clone() {
            claim.id = self.random.below(1 << 40) + 1;
            let runner = Registered { id: claim.id, online: false, busy: false, labels };
            self.note(|| format!("GitHub: {} registers itself as runner {}", it.name, runner.id));
            self.port.0.runners.borrow_mut().insert(it.name.clone(), runner);
        } else if at_github != Some(claim.id) {
            self.found = Some(format!("{id} has claimed its registration, and its runner was deleted before it began"));
            self.end(id, it, Kind::Failed, Reason::RunnerFailed, Some(&claim));
            return None;
        }
        self.set_online(&it.name, true);
        self.say(id, it, Kind::Listening, &claim);
        self.idle.insert(id.to_owned());
        self.assignable = true;
        self.is_noticed(it);
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

    /// It has its registration: its runner connects to GitHub next, on a cold disk after a while.
    fn start_runner(&mut self, claim: Claim) -> (Life, u64) {
        let is_slow = self.has_faults() && self.random.chance(self.setting.faults.slow);
        let wait = if is_slow { self.random.range(3 * SECOND, 50 * SECOND) } else { 3 * SECOND };
        (Life::Starting { until: self.now() + wait, claim }, wait)
    }

    fn set_busy(&self, name: &str, busy: bool) {
        if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(name) {
            runner.busy = busy;
        }
    }

    fn set_online(&self, name: &str, online: bool) {
        if let Some(runner) = self.port.0.runners.borrow_mut().get_mut(name) {
            runner.online = online;
        }
    }
}
