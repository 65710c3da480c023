//! GitHub and the instances: jobs that are queued and run, instances that boot, claim, listen, run and end.

use dayfly_contract::{Job as ContractJob, Kind, Lifecycle, Reason, names};
use serde_json::json;

use super::{Message, Model, delivery};
use crate::decide::jobs::JobState;

pub(super) const CLAIM_DEADLINE: u64 = 120_000;
/// After so long without a job, GitHub takes a JIT runner away.
pub(super) const IDLE_LIMIT: u64 = 600_000;

pub(super) struct Job {
    pub(super) labels: Vec<&'static str>,
    pub(super) state: JobState,
    pub(super) runs: u32,
    pub(super) runner: Option<String>,
}

pub(super) enum Life {
    Booting { until: u64 },
    Claiming { since: u64 },
    Starting { until: u64, registration: (String, u64) },
    Listening { since: u64, registration: (String, u64) },
    Running { until: u64, job: u64, registration: (String, u64) },
}

pub(super) struct Instance {
    pub(super) fleet: String,
    pub(super) life: Life,
}

impl Model {
    /// GitHub tells of job `id`, late and perhaps twice.
    pub(super) fn tell(&mut self, id: u64, action: &str) {
        let job = &self.jobs[&id];
        let body = json!({
            "action": action,
            "workflow_job": {"id": id, "run_id": 1, "run_attempt": 1, "labels": job.labels, "runner_name": job.runner},
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
            let instance = self.instances.get_mut(&id).unwrap();
            let name = names::runner_name(&instance.fleet, &id);
            let id_at_github = self.port.0.runners.borrow().get(&name).map(|it| it.id);
            let is_known = |registration: &(String, u64)| id_at_github == Some(registration.1);
            match &instance.life {
                Life::Booting { until } if *until <= now => instance.life = Life::Claiming { since: *until },
                Life::Claiming { since } => {
                    let claimed = self.port.0.parameters.borrow_mut().remove(&id);
                    if let Some(it) = claimed {
                        let id = it.runner_id().unwrap_or_default();
                        let registration = (it.reservation, id);
                        instance.life = Life::Starting { until: now + 3000, registration };
                    } else if since + CLAIM_DEADLINE <= now {
                        self.end(&id, Kind::Failed, Reason::RegistrationMissing, None, None);
                    } else {
                        continue;
                    }
                }
                Life::Starting { until, registration } if *until <= now => {
                    let registration = registration.clone();
                    if is_known(&registration) {
                        self.port.0.runners.borrow_mut().get_mut(&name).unwrap().online = true;
                        instance.life = Life::Listening { since: now, registration };
                    } else {
                        self.end(&id, Kind::Failed, Reason::RunnerFailed, Some(registration), None);
                    }
                }
                Life::Listening { since, registration } if !is_known(registration) || since + IDLE_LIMIT <= now => {
                    let registration = registration.clone();
                    self.port.0.runners.borrow_mut().retain(|_, it| it.id != registration.1);
                    self.end(&id, Kind::Finished, Reason::RunnerExited, Some(registration), None);
                }
                Life::Running { until, job, registration } if *until <= now => {
                    let (job, registration) = (*job, registration.clone());
                    self.port.0.runners.borrow_mut().retain(|_, it| it.id != registration.1);
                    self.jobs.get_mut(&job).unwrap().state = JobState::Done;
                    self.tell(job, "completed");
                    self.end(&id, Kind::Finished, Reason::JobDone, Some(registration), Some(job));
                }
                _ => continue,
            }
            return true;
        }
        false
    }

    /// An instance ends and says so, perhaps twice.
    fn end(&mut self, id: &str, kind: Kind, reason: Reason, registration: Option<(String, u64)>, job: Option<u64>) {
        self.note(|| format!("{id} ends: {reason:?}, job {job:?}"));
        let instance = self.instances.remove(id).unwrap();
        self.port.0.dead.borrow_mut().insert(id.to_owned());
        let mut it = Lifecycle::new(kind, id, &instance.fleet);
        it.reason = Some(reason);
        (it.reservation, it.runner_id) = registration.map_or((None, None), |(it, id)| (Some(it), Some(id)));
        it.job = job.map(|job| ContractJob {
            name: format!("job {job}"),
            result: Some("Succeeded".into()),
            ..ContractJob::default()
        });
        let (body, sender) = (serde_json::to_string(&it).unwrap(), format!("AROAX:{id}"));
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
        let Life::Listening { registration, .. } = &instance.life else { return false };
        let known = self.port.0.runners.borrow().get(&name).filter(|it| it.id == registration.1).cloned();
        let Some(labels) = known.map(|it| it.labels) else { return false };
        let fits =
            |job: &Job| job.state == JobState::Queued && job.labels.iter().all(|it| labels.contains(&(*it).into()));
        let jobs: Vec<u64> = self.jobs.iter().filter(|(_, job)| fits(job)).map(|(id, _)| *id).collect();
        if jobs.is_empty() {
            return false;
        }
        let job = jobs[self.random.pick(jobs.len())];
        self.note(|| format!("{name} takes job {job}"));
        let until = self.now() + self.random.range(100, 60_000);
        let it = self.jobs.get_mut(&job).unwrap();
        it.state = JobState::Running;
        it.runs += 1;
        it.runner = Some(name.clone());
        self.port.0.runners.borrow_mut().get_mut(&name).unwrap().busy = true;
        let instance = self.instances.get_mut(&id).unwrap();
        let Life::Listening { registration, .. } = &instance.life else { unreachable!() };
        instance.life = Life::Running { until, job, registration: registration.clone() };
        self.tell(job, "in_progress");
        true
    }
}
