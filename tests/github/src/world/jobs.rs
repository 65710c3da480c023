//! What happens to jobs and runs.

use jiff::Timestamp;

use super::World;
use crate::job_state::{Conclusion, JobEvent, JobState, step};
use crate::model::{Happening, Job, JobSpec, Run, Step};

/// Why a job could not be queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadJob {
    #[error("repository: found {0:?}, expected owner/name of the organization {1:?}")]
    Repository(String, String),
    #[error("labels: found none, expected at least one, or a group")]
    NoLabels,
    #[error("run_id: found {0}, expected a run of the same repository, or nothing for a new one")]
    Run(u64),
}

/// Why an event was refused by a job or run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no such job or run")]
    Unknown,
    #[error("its state does not allow that")]
    State,
}

/// Which jobs of a run are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    All,
    Failed,
    One(u64),
}

impl World {
    /// Queues a job, in a new run unless one is named.
    pub(crate) fn queue(&mut self, spec: JobSpec, now: Timestamp) -> Result<u64, BadJob> {
        let repository = self.repository_for(spec.repository.as_deref())?;
        if spec.labels.is_empty() && spec.group.is_none() {
            return Err(BadJob::NoLabels);
        }
        let workflow = spec.workflow.unwrap_or_else(|| "CI".to_owned());
        let actor = spec.actor.unwrap_or_else(|| "octocat".to_owned());
        let head_branch = spec.head_branch.unwrap_or_else(|| "main".to_owned());
        let run = match spec.run_id {
            Some(id) => {
                self.runs.get(&id).filter(|run| run.repository == repository).cloned().ok_or(BadJob::Run(id))?
            }
            None => self.new_run(&repository, workflow, actor, head_branch, now),
        };
        let name = spec.name.unwrap_or_else(|| "build".to_owned());
        let hello = || vec![Step { name: "Say hello".to_owned(), run: "echo \"Hello from $RUNNER_NAME\"".to_owned() }];
        let state = if spec.waiting { JobState::Waiting } else { JobState::Queued };
        let job = Job {
            run_id: run.id,
            run_attempt: run.attempt,
            job_key: spec.job_key.unwrap_or_else(|| key_of(&name)),
            name,
            repository,
            workflow: run.workflow,
            actor: run.actor,
            head_branch: run.head_branch,
            labels: spec.labels,
            group: spec.group,
            steps: if spec.steps.is_empty() { hello() } else { spec.steps },
            env: spec.env,
            ..Job::default()
        };
        Ok(self.add(job, state, "created", now))
    }

    fn repository_for(&mut self, asked: Option<&str>) -> Result<String, BadJob> {
        let Some(name) = asked.or(self.repositories.first().map(String::as_str)).map(str::to_owned) else {
            return Err(BadJob::Repository(String::new(), self.org.clone()));
        };
        if let Some(known) = self.repository(&name) {
            return Ok(known.to_owned());
        }
        match name.split_once('/') {
            Some((owner, rest)) if owner.eq_ignore_ascii_case(&self.org) && !rest.is_empty() && !rest.contains('/') => {
                self.repositories.push(name.clone());
                Ok(name)
            }
            _ => Err(BadJob::Repository(name, self.org.clone())),
        }
    }

    fn new_run(
        &mut self,
        repository: &str,
        workflow: String,
        actor: String,
        head_branch: String,
        now: Timestamp,
    ) -> Run {
        let id = self.next_run;
        self.next_run += 1;
        let number = self.runs.values().filter(|run| run.repository == repository).count() as u64 + 1;
        let repository = repository.to_owned();
        let run =
            Run { id, number, attempt: 1, repository, workflow, actor, head_branch, created_at: now, started_at: now };
        self.runs.insert(id, run.clone());
        run
    }

    /// Adds a job like `model`, to which nothing has happened yet but this.
    fn add(&mut self, model: Job, state: JobState, what: &str, now: Timestamp) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        let job = Job {
            id,
            state,
            conclusion: None,
            result: None,
            runner: None,
            handed_out: 0,
            created_at: now,
            started_at: None,
            completed_at: None,
            history: vec![Happening { at: now, state, what: what.to_owned() }],
            log: String::new(),
            ..model
        };
        self.outbox.push((state.status(), job.clone()));
        self.jobs.insert(id, job);
        id
    }

    /// Moves a job. Its end frees its runner, or ends it where it is ephemeral.
    pub(crate) fn move_job(&mut self, id: u64, event: JobEvent, what: &str, now: Timestamp) -> Result<(), Refused> {
        let job = self.jobs.get_mut(&id).ok_or(Refused::Unknown)?;
        let (state, conclusion) = step(job.state, event).ok_or(Refused::State)?;
        let announced = state.status() != job.state.status();
        job.state = state;
        job.history.push(Happening { at: now, state, what: what.to_owned() });
        match state {
            JobState::InProgress => {
                job.started_at = Some(now);
                job.handed_out += 1;
            }
            JobState::Completed => {
                job.completed_at = Some(now);
                job.conclusion = conclusion;
            }
            JobState::Waiting | JobState::Queued | JobState::Cancelling => {}
        }
        let job = job.clone();
        if state.is_over()
            && let Some(runner) = &job.runner
        {
            self.job_ended(runner.id);
        }
        if announced {
            self.outbox.push((state.status(), job));
        }
        Ok(())
    }

    /// Cancels all of a run that is not over.
    pub(crate) fn cancel_run(&mut self, run: u64, now: Timestamp) -> Result<(), Refused> {
        let open: Vec<u64> = self.of_run(run)?.iter().filter(|job| !job.state.is_over()).map(|job| job.id).collect();
        if open.is_empty() {
            return Err(Refused::State);
        }
        open.into_iter().try_for_each(|id| self.move_job(id, JobEvent::Cancel, "cancelled", now))
    }

    /// Runs jobs of a completed run again: new jobs, under the next attempt.
    pub(crate) fn rerun(&mut self, run: u64, again: Again, now: Timestamp) -> Result<Vec<u64>, Refused> {
        let latest = self.of_run(run)?;
        if latest.iter().any(|job| !job.state.is_over()) {
            return Err(Refused::State);
        }
        let chosen: Vec<Job> = latest
            .into_iter()
            .filter(|job| match again {
                Again::All => true,
                Again::Failed => job.conclusion != Some(Conclusion::Success),
                Again::One(id) => job.id == id,
            })
            .cloned()
            .collect();
        if chosen.is_empty() {
            return Err(Refused::State);
        }
        let run = self.runs.get_mut(&run).ok_or(Refused::Unknown)?;
        run.attempt += 1;
        run.started_at = now;
        let run_attempt = run.attempt;
        let again = |old| self.add(Job { run_attempt, ..old }, JobState::Queued, "created again", now);
        Ok(chosen.into_iter().map(again).collect())
    }

    /// [`World::latest`] of a run that there is: each has a job.
    fn of_run(&self, run: u64) -> Result<Vec<&Job>, Refused> {
        let latest = self.latest(run);
        if latest.is_empty() { Err(Refused::Unknown) } else { Ok(latest) }
    }

    /// The latest attempt at each job of a run, oldest first.
    pub(crate) fn latest(&self, run: u64) -> Vec<&Job> {
        let of_run: Vec<&Job> = self.jobs.values().filter(|job| job.run_id == run).collect();
        let newer = |job: &Job| {
            of_run.iter().any(|other| {
                other.id > job.id
                    && other.run_attempt > job.run_attempt
                    && (&other.job_key, &other.name) == (&job.job_key, &job.name)
            })
        };
        of_run.iter().copied().filter(|job| !newer(job)).collect()
    }

    /// A run's status and conclusion, which are those of its jobs.
    pub(crate) fn run_status(&self, run: u64) -> (&'static str, Option<Conclusion>) {
        let jobs = self.latest(run);
        let any = |state: JobState| jobs.iter().any(|job| job.state == state);
        let state = if any(JobState::InProgress)
            || any(JobState::Cancelling)
            // GitHub says in_progress once the first job of several has begun.
            || any(JobState::Queued) && any(JobState::Completed)
        {
            JobState::InProgress
        } else {
            [JobState::Queued, JobState::Waiting].into_iter().find(|state| any(*state)).unwrap_or(JobState::Completed)
        };
        let worst = jobs.iter().filter_map(|job| job.conclusion).max();
        (state.status(), worst.filter(|_| state.is_over()))
    }
}

/// A workflow's job keys are letters, digits, `-` and `_`.
fn key_of(name: &str) -> String {
    let key: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let key = key.trim_matches('-');
    if key.is_empty() { "job".to_owned() } else { key.to_owned() }
}
