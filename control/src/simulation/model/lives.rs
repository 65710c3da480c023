//! GitHub and the instances: jobs that are queued and run, instances that boot, claim, listen, run and end.

use dayfly_contract::{Grant, Job as ContractJob, Kind, Lifecycle, Phase, Reason, Registration, names};
use serde_json::json;

use super::{Message, Model, delivery};
use crate::{decide::jobs::JobState, simulation::world::Registered};

pub(super) const CLAIM_DEADLINE: u64 = 120_000;
/// After so long without a job, GitHub takes a JIT runner away, and a reusable one asks to retire.
pub(super) const IDLE_LIMIT: u64 = 600_000;

/// How long control may take to delete a retiring runner.
const RETIRE: u64 = 60_000;
/// How often an agent says that its job runs.
const HEARTBEAT: u64 = 60_000;

pub(super) struct Job {
    pub(super) labels: Vec<&'static str>,
    pub(super) state: JobState,
    pub(super) runs: u32,
    pub(super) runner: Option<String>,
}

pub(super) enum Life {
    Booting {
        until: u64,
    },
    Claiming {
        since: u64,
    },
    /// It waits for a registration until its lifetime is over, and says so now and then.
    StandingBy {
        until: u64,
        heartbeat: u64,
    },
    /// It is stopped, from then on.
    Asleep {
        at: u64,
    },
    /// It has asked whether it may go.
    Leaving {
        until: u64,
    },
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
        heartbeat: u64,
        job: u64,
        claim: Claim,
    },
    Retiring {
        until: u64,
        claim: Claim,
    },
}

/// What an instance claimed.
#[derive(Clone)]
pub(super) struct Claim {
    reservation: String,
    /// The runner's id at GitHub; 0 before it has one.
    id: u64,
    /// The labels that a reusable runner registers with.
    reusable: Option<Vec<String>>,
    /// The job it ran last.
    last: Option<u64>,
}

impl Claim {
    fn of(it: Registration) -> Self {
        let id = it.runner_id().unwrap_or_default();
        let reusable = match it.grant {
            Grant::Jit { .. } => None,
            Grant::Token { labels, .. } => Some(labels),
            Grant::Leave { .. } => unreachable!("it is not claimed"),
        };
        Self { reservation: it.reservation, id, reusable, last: None }
    }
}

pub(super) struct Instance {
    pub(super) fleet: String,
    pub(super) life: Life,
}

impl Model {
    /// GitHub tells of job `id`, late and perhaps twice.
    pub(super) fn tell(&mut self, id: u64, action: &str) {
        if self.setting.quiet && action == "in_progress" {
            return;
        }
        let job = &self.jobs[&id];
        let runners = self.port.0.runners.borrow();
        let id_at_github = job.runner.as_ref().and_then(|name| runners.get(name)).map(|it| it.id);
        drop(runners);
        let body = json!({
            "action": action,
            "workflow_job": {"id": id, "run_id": 1, "run_attempt": 1, "labels": job.labels, "runner_name": job.runner,
                             "runner_id": id_at_github},
            "repository": {"full_name": "octo-org/octo-repo"},
            "installation": {"id": 77},
        });
        let request = delivery(&body.to_string());
        for _ in 0..if self.random.chance(30) { 2 } else { 1 } {
            let at = self.now() + self.random.below(self.setting.lateness + 1);
            self.deliveries.push((at, request.clone()));
        }
    }

    /// The next step of one instance's life, if one is due.
    pub(super) fn play_instances(&mut self) -> bool {
        let now = self.now();
        let ids: Vec<String> = self.instances.keys().cloned().collect();
        for id in ids {
            let stands_by = self.stands_by_now(&id);
            let instance = self.instances.get_mut(&id).unwrap();
            let name = names::runner_name(&instance.fleet, &id);
            let id_at_github = self.port.0.runners.borrow().get(&name).map(|it| it.id);
            let is_known = |claim: &Claim| id_at_github == Some(claim.id);
            match &instance.life {
                Life::Booting { until } if *until <= now => instance.life = Life::Claiming { since: *until },
                Life::Claiming { .. } | Life::StandingBy { .. } | Life::Leaving { .. } if stands_by => {
                    if !self.stand_by(&id) {
                        continue;
                    }
                }
                Life::Claiming { since } => {
                    let claimed = self.port.0.parameters.borrow_mut().remove(&id);
                    if let Some(it) = claimed {
                        instance.life = Life::Starting { until: now + 3000, claim: Claim::of(it) };
                    } else if since + CLAIM_DEADLINE <= now {
                        self.end(&id, Kind::Failed, Reason::RegistrationMissing, None);
                    } else {
                        continue;
                    }
                }
                Life::Starting { until, claim } if *until <= now => {
                    let (claim, known) = (claim.clone(), is_known(claim));
                    self.listen(&id, &name, claim, known);
                }
                Life::Listening { claim, .. } if !is_known(claim) => {
                    let claim = claim.clone();
                    self.end(&id, Kind::Finished, Reason::RunnerExited, Some(&claim));
                }
                Life::Listening { since, claim } if since + IDLE_LIMIT <= now => {
                    let claim = claim.clone();
                    if claim.reusable.is_some() {
                        self.say(&id, Kind::Retire, &claim);
                        self.live(&id, Life::Retiring { until: now + RETIRE, claim });
                    } else {
                        self.port.0.runners.borrow_mut().retain(|_, it| it.id != claim.id);
                        self.end(&id, Kind::Finished, Reason::RunnerExited, Some(&claim));
                    }
                }
                Life::Retiring { until, claim } if !is_known(claim) || *until <= now => {
                    let claim = claim.clone();
                    self.end(&id, Kind::Finished, Reason::Idle, Some(&claim));
                }
                Life::Running { until, heartbeat, job, claim } if *heartbeat <= now && now < *until => {
                    let (until, heartbeat, job, claim) = (*until, now + HEARTBEAT, *job, claim.clone());
                    self.say(&id, Kind::Heartbeat, &Claim { last: Some(job), ..claim.clone() });
                    self.live(&id, Life::Running { until, heartbeat, job, claim });
                }
                Life::Running { until, job, claim, .. } if *until <= now => {
                    let (job, claim) = (*job, Claim { last: Some(*job), ..claim.clone() });
                    self.jobs.get_mut(&job).unwrap().state = JobState::Done;
                    if claim.reusable.is_some() {
                        self.port.0.runners.borrow_mut().get_mut(&name).unwrap().busy = false;
                        self.tell(job, "completed");
                        self.say(&id, Kind::JobCompleted, &claim);
                        self.live(&id, Life::Listening { since: now, claim });
                    } else {
                        self.port.0.runners.borrow_mut().retain(|_, it| it.id != claim.id);
                        self.tell(job, "completed");
                        self.end(&id, Kind::Finished, Reason::JobDone, Some(&claim));
                    }
                }
                _ => continue,
            }
            return true;
        }
        false
    }

    fn stands_by_now(&self, id: &str) -> bool {
        self.stands_by(&self.instances[id].fleet)
    }

    /// The next step of an instance that may stand by; whether there was one.
    fn stand_by(&mut self, id: &str) -> bool {
        let now = self.now();
        let claimed = self.port.0.parameters.borrow_mut().remove(id);
        match claimed.map(|it| (matches!(it.grant, Grant::Leave { .. }), it)) {
            Some((true, _)) => self.end(id, Kind::Finished, Reason::Idle, None),
            Some((false, it)) => self.live(id, Life::Starting { until: now + 3000, claim: Claim::of(it) }),
            None => match self.instances[id].life {
                Life::Claiming { .. } => {
                    self.tell_of_standby(id, Kind::Standby);
                    let until = now + self.random.range(60_000, 1_200_000);
                    self.live(id, Life::StandingBy { until, heartbeat: now + HEARTBEAT });
                }
                Life::StandingBy { until, .. } if until <= now => {
                    self.tell_of_standby(id, Kind::Retire);
                    self.live(id, Life::Leaving { until: now + RETIRE });
                }
                Life::StandingBy { until, heartbeat } if heartbeat <= now => {
                    self.tell_of_standby(id, Kind::Heartbeat);
                    self.live(id, Life::StandingBy { until, heartbeat: now + HEARTBEAT });
                }
                Life::Leaving { until } if until <= now => self.end(id, Kind::Finished, Reason::MaxLifetime, None),
                _ => return false,
            },
        }
        true
    }

    fn tell_of_standby(&mut self, id: &str, kind: Kind) {
        let it = Lifecycle::new(kind, id, &self.instances[id].fleet);
        self.send(it, None);
    }

    fn live(&mut self, id: &str, life: Life) {
        self.instances.get_mut(id).unwrap().life = life;
    }

    /// The runner connects to GitHub: a reusable one registers first, in place of any of its name.
    fn listen(&mut self, id: &str, name: &str, mut claim: Claim, known: bool) {
        if let Some(labels) = claim.reusable.clone() {
            claim.id = self.random.below(1 << 40) + 1;
            let it = Registered { id: claim.id, online: false, busy: false, labels };
            self.note(|| format!("{name} registers itself as {}", it.id));
            self.port.0.runners.borrow_mut().insert(name.to_owned(), it);
        } else if !known {
            return self.end(id, Kind::Failed, Reason::RunnerFailed, Some(&claim));
        }
        self.port.0.runners.borrow_mut().get_mut(name).unwrap().online = true;
        if claim.reusable.is_some() {
            self.say(id, Kind::Listening, &claim);
        }
        let since = self.now();
        self.live(id, Life::Listening { since, claim });
    }

    /// An instance ends and says so.
    fn end(&mut self, id: &str, kind: Kind, reason: Reason, claim: Option<&Claim>) {
        self.note(|| format!("{id} ends: {reason:?}, job {:?}", claim.and_then(|claim| claim.last)));
        let fleet = self.instances.remove(id).unwrap().fleet;
        self.port.0.dead.borrow_mut().insert(id.to_owned());
        let it = Lifecycle { reason: Some(reason), ..Lifecycle::new(kind, id, &fleet) };
        self.send(it, claim);
    }

    /// An instance tells something on its way.
    fn say(&mut self, id: &str, kind: Kind, claim: &Claim) {
        let mut it = Lifecycle::new(kind, id, &self.instances[id].fleet);
        if kind == Kind::JobCompleted {
            it.timeline.set(Phase::JobEnded, self.now());
        }
        self.send(it, Some(claim));
    }

    /// A message, perhaps twice.
    fn send(&mut self, mut it: Lifecycle, claim: Option<&Claim>) {
        it.reservation = claim.map(|claim| claim.reservation.clone());
        it.runner_id = claim.filter(|claim| claim.reusable.is_none()).map(|claim| claim.id);
        it.job = claim.and_then(|claim| claim.last).map(|job| ContractJob {
            name: format!("job {job}"),
            result: Some("Succeeded".into()),
            ..ContractJob::default()
        });
        let (body, sender) = (serde_json::to_string(&it).unwrap(), format!("AROAX:{}", it.instance_id));
        for _ in 0..if self.random.chance(20) { 2 } else { 1 } {
            let visible_at = self.now() + self.random.below(5_000);
            self.endings.push(Message { body: body.clone(), sender: sender.clone(), visible_at, received: 0 });
        }
    }

    /// GitHub gives a queued job to any runner that listens and fits.
    pub(super) fn assign(&mut self) -> bool {
        let listening: Vec<String> = self
            .instances
            .iter()
            .filter(|(_, it)| matches!(it.life, Life::Listening { .. }))
            .map(|(id, _)| id.clone())
            .collect();
        if listening.is_empty() {
            return false;
        }
        let id = listening[self.random.pick(listening.len())].clone();
        let instance = &self.instances[&id];
        let name = names::runner_name(&instance.fleet, &id);
        let Life::Listening { claim, .. } = &instance.life else { return false };
        let known = self.port.0.runners.borrow().get(&name).filter(|it| it.id == claim.id).cloned();
        let Some(labels) = known.map(|it| it.labels) else { return false };
        let fits =
            |job: &Job| job.state == JobState::Queued && job.labels.iter().all(|it| labels.contains(&(*it).into()));
        let jobs: Vec<u64> = self.jobs.iter().filter(|(_, job)| fits(job)).map(|(id, _)| *id).collect();
        if jobs.is_empty() {
            return false;
        }
        let job = jobs[self.random.pick(jobs.len())];
        self.note(|| format!("{name} takes job {job}"));
        let until = self.now() + self.random.range(100, self.setting.longest_job);
        let it = self.jobs.get_mut(&job).unwrap();
        it.state = JobState::Running;
        it.runs += 1;
        it.runner = Some(name.clone());
        self.port.0.runners.borrow_mut().get_mut(&name).unwrap().busy = true;
        let instance = self.instances.get_mut(&id).unwrap();
        let Life::Listening { claim, .. } = &instance.life else { unreachable!() };
        let claim = claim.clone();
        let heartbeat = self.port.0.now.get() + HEARTBEAT;
        instance.life = Life::Running { until, heartbeat, job, claim: claim.clone() };
        self.say(&id, Kind::JobStarted, &Claim { last: Some(job), ..claim });
        self.tell(job, "in_progress");
        true
    }
}
