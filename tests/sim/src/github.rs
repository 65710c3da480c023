//! GitHub: jobs and their runs, webhooks and what becomes of them, jobs that are given to runners.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use dayfly_control::{
    decide::{jobs::JobState, reconcile::deliveries::Failed},
    github::{
        self,
        runs::{Again, OpenRun, RunJob, RunState},
    },
    simulation::delivery,
};
use serde_json::json;

use crate::{Model, checks::Wrong, faults::is_within};

/// Where all jobs are.
pub(crate) const REPOSITORY: &str = "octo-org/octo-repo";
/// Somebody's fork of it.
const FORK: &str = "mallory/octo-repo";
const MINUTE: u64 = 60_000;
/// The ids of a run's jobs are so far apart: those that are run again lie in between.
const APART: u64 = 10_000;
/// After so long a person makes a failed delivery again, where nobody else does.
const PERSON: u64 = 60_000;
/// The statuses of runs that are not over.
const OPEN: [&str; 2] = ["queued", "in_progress"];

/// One execution of a job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) run: u64,
    pub(crate) attempt: u64,
    pub(crate) labels: Vec<&'static str>,
    pub(crate) state: JobState,
    pub(crate) conclusion: Option<&'static str>,
    pub(crate) runner: Option<String>,
    pub(crate) queued_at: u64,
    pub(crate) done_at: u64,
    /// How often it was given to a runner.
    pub(crate) starts: u32,
    /// Whether EC2 took its instance away.
    pub(crate) interrupted: bool,
    /// Whether every webhook about its being queued has vanished.
    pub(crate) untold: bool,
}

/// A workflow run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) attempt: u64,
    /// The latest executions of its jobs.
    pub(crate) jobs: Vec<u64>,
    /// Whether it runs what a fork of its repository, which is public then, has.
    pub(crate) is_fork: bool,
}

/// A delivery of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    guid: u64,
    pub(crate) request: ApiGatewayV2httpRequest,
}

impl Model {
    /// The next run is queued, where its time has come.
    pub(crate) fn queue_jobs(&mut self) -> bool {
        if self.next_run_at > self.now() || self.made >= self.setting.jobs {
            return false;
        }
        let id = self.runs_made + 1;
        self.runs_made = id;
        let count = (1 + self.random.below(3)).min(self.setting.jobs - self.made);
        let jobs: Vec<u64> = (1..=count).map(|k| (id * 10 + k) * APART).collect();
        let is_fork = self.setting.forks > 0 && self.random.chance(self.setting.forks);
        self.runs.insert(id, Run { attempt: 1, jobs: jobs.clone(), is_fork });
        let head = if is_fork { FORK } else { REPOSITORY };
        self.port.0.heads.borrow_mut().insert(id, head.to_owned());
        for job in jobs {
            let labels = if is_fork { &self.setting.of_forks } else { &self.setting.labels };
            let labels = labels[self.random.pick(labels.len())].clone();
            self.make(job, id, 1, labels);
        }
        self.made += count;
        let each = self.setting.spread / self.setting.jobs;
        self.next_run_at += if each == 0 { 0 } else { self.random.below(2 * each * count + 1) };
        self.sync(id);
        true
    }

    fn make(&mut self, id: u64, run: u64, attempt: u64, labels: Vec<&'static str>) {
        self.note(|| format!("GitHub: job {id} of run {run} is queued"));
        let job = Job {
            run,
            attempt,
            labels,
            state: JobState::Queued,
            conclusion: None,
            runner: None,
            queued_at: self.now(),
            done_at: 0,
            starts: 0,
            interrupted: false,
            untold: false,
        };
        self.jobs.insert(id, job);
        self.queued.insert(id);
        self.assignable = true;
        if self.random.chance(self.setting.held) {
            self.tell(id, "waiting");
        }
        self.tell(id, "queued");
        // One that no fleet takes waits for its person.
        if self.is_nobodys(id) || self.random.chance(self.setting.cancelled) {
            let at = self.now() + self.random.range(MINUTE, 20 * MINUTE);
            self.cancels.push(at, id);
        }
    }

    /// Whether job `id` is a fork's, and `fleet` refuses those.
    pub(crate) fn refuses(&self, fleet: &str, id: u64) -> bool {
        let is_fork = self.jobs.get(&id).and_then(|job| self.runs.get(&job.run)).is_some_and(|run| run.is_fork);
        is_fork && self.setting.fleets.get(fleet).is_some_and(|fleet| !fleet.admission.public_forks)
    }

    fn is_nobodys(&self, id: u64) -> bool {
        self.setting.fleets.fleets.iter().all(|fleet| self.refuses(&fleet.name, id))
    }

    /// A person cancels a job that has not begun.
    pub(crate) fn cancel_jobs(&mut self) -> bool {
        let Some(id) = self.cancels.pop(self.now()) else { return false };
        if self.queued.contains(&id) {
            self.count("jobs cancelled");
            self.conclude(id, "cancelled");
        }
        true
    }

    /// GitHub tells of job `id`, late and perhaps twice, or not at all.
    pub(crate) fn tell(&mut self, id: u64, action: &'static str) {
        if self.setting.quiet && action == "in_progress" {
            return;
        }
        let since = self.since();
        let faults = &self.setting.faults;
        let mute = is_within(faults.mute, since);
        let vanishes = self.has_faults() && action != "queued" && self.random.chance(faults.vanished);
        if mute || vanishes {
            self.count("webhooks vanished");
            self.note(|| format!("GitHub: nobody is told that job {id} is {action}"));
            if let Some(job) = self.jobs.get_mut(&id).filter(|_| action == "queued") {
                job.untold = true;
                self.count("jobs untold");
            }
            return;
        }
        let job = &self.jobs[&id];
        let runner_id = job.runner.as_ref().and_then(|name| Some(self.port.0.runners.borrow().get(name)?.id));
        let body = json!({
            "action": action,
            "workflow_job": {"id": id, "run_id": job.run, "run_attempt": job.attempt, "labels": job.labels,
                             "runner_name": job.runner, "runner_id": runner_id, "conclusion": job.conclusion},
            "repository": {"full_name": REPOSITORY, "visibility": if self.setting.forks > 0 { "public" } else { "private" },
                           "owner": {"login": "octo-org", "type": "Organization"}},
            "installation": {"id": 77},
        });
        self.guids += 1;
        let delivery = Delivery { guid: self.guids, request: delivery(&body.to_string()) };
        for _ in 0..if self.random.chance(30) { 2 } else { 1 } {
            let at = self.now() + self.random.below(self.setting.lateness + 1);
            self.deliveries.push(at, delivery.clone());
        }
    }

    /// Whether a delivery gets to the webhook.
    pub(crate) fn arrives(&mut self, delivery: &Delivery) -> bool {
        let down = is_within(self.setting.faults.endpoint_down, self.since());
        let fails = self.has_faults() && self.random.chance(self.setting.faults.failed);
        let last = &self.port.0.census.delivered;
        let now = Some(self.now());
        let good = if down || fails { last.get().good } else { now };
        last.set(dayfly_control::decide::reconcile::gaps::Delivered { any: now, good });
        if down || fails {
            self.count("webhooks failed");
            self.fails(delivery.clone());
        }
        !(down || fails)
    }

    /// A delivery was not taken: it is in GitHub's list.
    pub(crate) fn fails(&mut self, delivery: Delivery) {
        self.next_delivery += 1;
        let id = self.next_delivery;
        self.note(|| format!("GitHub: delivery {id} of event {} has failed", delivery.guid));
        let guid = format!("{:08}", delivery.guid);
        if self.setting.alone {
            self.deliveries.push(self.now() + PERSON, delivery);
            return;
        }
        let failed = Failed { id, guid, at: self.now(), event: "workflow_job".into(), status: 502 };
        self.port.0.census.failed.borrow_mut().insert((failed.at, id), failed);
        self.failed.insert(id, delivery);
    }

    /// Makes the deliveries again that control has asked for.
    pub(crate) fn redeliver(&mut self) -> Wrong {
        let asked: Vec<u64> = self.port.0.census.redelivered.borrow_mut().drain(..).collect();
        for id in asked {
            self.count("webhooks made again");
            // Who is killed, or can't note it, does it again; else each failure is made up for once.
            if !self.has_faults() && !self.remade.insert(id) {
                return Err(self.wrong(&format!("delivery {id} is made again twice")));
            }
            if let Some(delivery) = self.failed.get(&id).cloned() {
                let at = self.now() + self.random.below(3000);
                self.deliveries.push(at, delivery);
            }
        }
        Ok(())
    }

    /// Has the jobs run again that control has asked for.
    pub(crate) fn run_again(&mut self) -> Wrong {
        let asked: Vec<_> = self.port.0.known_runs.again.borrow_mut().drain(..).collect();
        for (run, attempt, what) in asked {
            self.note(|| format!("GitHub: attempt {attempt} of run {run} is run again, as control asks: {what:?}"));
            let before = self.runs[&run].jobs.clone();
            let jobs = self.port.0.known_runs.runs.borrow()[&run].1.clone();
            let mut after = Vec::new();
            for (old, new) in before.into_iter().zip(jobs) {
                after.push(new.id);
                if old != new.id {
                    self.may_run_again(old, what)?;
                    self.count("jobs run again");
                    let labels = self.jobs[&old].labels.clone();
                    self.make(new.id, run, attempt + 1, labels);
                    self.again.insert(new.id, old);
                }
            }
            let is_fork = self.runs[&run].is_fork;
            self.runs.insert(run, Run { attempt: attempt + 1, jobs: after, is_fork });
            self.sync(run);
        }
        Ok(())
    }

    /// Only what was interrupted is run again, and no more often than its fleet says.
    fn may_run_again(&self, id: u64, what: Again) -> Wrong {
        let job = &self.jobs[&id];
        if !job.interrupted {
            return Err(self.wrong(&format!("job {id} was not interrupted, and is run again ({what:?})")));
        }
        let limit = self.setting.fleets.fleets.iter().map(|fleet| fleet.interrupted.rerun).max().unwrap_or(0);
        let (mut times, mut at) = (1, id);
        while let Some(before) = self.again.get(&at) {
            (times, at) = (times + 1, *before);
        }
        if times > limit {
            return Err(self.wrong(&format!("job {id} is run again for the {times}. time")));
        }
        Ok(())
    }

    /// Job `id` has ended so.
    pub(crate) fn conclude(&mut self, id: u64, conclusion: &'static str) {
        let now = self.now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        (job.state, job.conclusion, job.done_at) = (JobState::Done, Some(conclusion), now);
        let run = job.run;
        self.queued.remove(&id);
        self.done += 1;
        self.note(|| format!("GitHub: job {id} has ended: {conclusion}"));
        self.sync(run);
        self.tell(id, "completed");
    }

    /// GitHub gives up the jobs of runners that it has lost.
    pub(crate) fn give_up_jobs(&mut self) -> bool {
        let Some(id) = self.lost.pop(self.now()) else { return false };
        if self.jobs[&id].state == JobState::Running {
            if let Some(name) = self.jobs[&id].runner.clone()
                && let Some(runner) = self.port.0.runners.borrow_mut().get_mut(&name)
            {
                runner.busy = false;
            }
            self.conclude(id, "failure");
        }
        true
    }

    /// Has the ports know how `run` stands.
    pub(crate) fn sync(&self, run: u64) {
        let Run { attempt, jobs, is_fork } = &self.runs[&run];
        let all: Vec<(u64, &Job)> = jobs.iter().map(|id| (*id, &self.jobs[id])).collect();
        let is_over = all.iter().all(|(_, job)| job.state == JobState::Done);
        let status = match all.iter().all(|(_, job)| job.state == JobState::Queued) {
            _ if is_over => "completed",
            true => "queued",
            false => "in_progress",
        };
        let good = all.iter().all(|(_, job)| job.conclusion == Some("success"));
        let conclusion = is_over.then(|| if good { "success" } else { "failure" }.to_owned());
        let state = RunState { status: status.to_owned(), conclusion, attempt: *attempt };
        let told = all.iter().map(|(id, job)| RunJob {
            id: *id,
            name: format!("job {}", id / APART),
            status: words(job.state).to_owned(),
            conclusion: job.conclusion.map(str::to_owned),
            attempt: job.attempt,
            labels: job.labels.iter().map(|it| (*it).to_owned()).collect(),
            runner_name: job.runner.clone(),
            completed_at: (job.done_at > 0).then_some(job.done_at),
            steps: vec![],
        });
        self.port.0.known_runs.runs.borrow_mut().insert(run, (state, told.collect()));
        let mut open = self.port.0.known_runs.open.borrow_mut();
        for each in OPEN {
            let runs = open.entry((REPOSITORY.to_owned(), each.to_owned())).or_default();
            runs.retain(|it| it.id != run);
            if each == status {
                let head_repository = Some(if *is_fork { FORK } else { REPOSITORY }.to_owned());
                let public = self.setting.forks > 0;
                runs.insert(0, OpenRun { id: run, public, of_person: false, head_repository });
            }
        }
        for (id, job) in all {
            let told = github::Job {
                run_id: job.run,
                run_attempt: job.attempt,
                status: words(job.state).to_owned(),
                labels: job.labels.iter().map(|it| (*it).to_owned()).collect(),
                runner_name: job.runner.clone(),
                runner_id: job.runner.as_ref().and_then(|name| Some(self.port.0.runners.borrow().get(name)?.id)),
            };
            self.port.0.github_jobs.borrow_mut().insert(id, told);
        }
    }
}

fn words(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "waiting",
        JobState::Queued => "queued",
        JobState::Running => "in_progress",
        JobState::Done => "completed",
    }
}
