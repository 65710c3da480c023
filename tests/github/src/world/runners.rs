//! Who is registered.

use jiff::Timestamp;

use super::World;
use crate::job_state::JobEvent;
use crate::model::{Owner, Runner, RunnerView};

/// A runner to be registered.
#[derive(Clone, Debug)]
pub(crate) struct NewRunner {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) group_id: u64,
    pub(crate) labels: Vec<String>,
    pub(crate) ephemeral: bool,
    /// Takes the place of a runner of the same name.
    pub(crate) replace: bool,
}

/// A runner of that name is registered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameTaken;

/// Why a runner was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDeleted {
    Unknown,
    Busy,
}

impl World {
    /// Registers a runner; answers its id and the secret it is to show.
    pub(crate) fn register(&mut self, new: NewRunner, now: Timestamp) -> Result<(u64, String), NameTaken> {
        let namesake = self
            .runners
            .values()
            .find(|runner| runner.owner == new.owner && runner.name.eq_ignore_ascii_case(&new.name))
            .map(|runner| runner.id);
        match namesake {
            Some(id) if new.replace => self.remove(id, now),
            Some(_) => return Err(NameTaken),
            None => {}
        }
        let id = self.next_runner;
        self.next_runner += 1;
        let secret = self.secret("", 52);
        self.secrets.insert(secret.clone(), id);
        let runner = Runner {
            id,
            name: new.name,
            owner: new.owner,
            group_id: new.group_id,
            labels: new.labels,
            ephemeral: new.ephemeral,
            version: None,
            session: None,
            job: None,
            busy_since: None,
            job_known: false,
            created_at: now,
        };
        self.runners.insert(id, runner);
        Ok((id, secret))
    }

    /// Deletes a runner by request, if it is not busy (or the quirk says that this is no matter).
    pub(crate) fn delete(&mut self, owner: &Owner, id: u64, now: Timestamp) -> Result<(), NotDeleted> {
        let runner = self.runners.get(&id).filter(|runner| runner.owner == *owner).ok_or(NotDeleted::Unknown)?;
        if runner.job.is_some() && !self.quirks.delete_busy {
            return Err(NotDeleted::Busy);
        }
        self.remove(id, now);
        Ok(())
    }

    /// Takes a runner away; a job it has fails.
    pub(crate) fn remove(&mut self, id: u64, now: Timestamp) {
        let job = self.runners.remove(&id).and_then(|runner| runner.job);
        if let Some(job) = job {
            // Refused only where the job is over, and then there is nothing left to do.
            let _ = self.move_job(job, JobEvent::Vanish, "its runner was deleted", now);
        }
    }

    /// The runner's job is over: it is free, or gone where it is ephemeral.
    pub(crate) fn job_ended(&mut self, id: u64) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        runner.job = None;
        runner.busy_since = None;
        if runner.ephemeral {
            self.runners.remove(&id);
        }
    }

    /// The runners of an owner, by id.
    pub(crate) fn runners_of<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Runner> {
        self.runners.values().filter(move |runner| runner.owner == *owner)
    }

    /// Whether a runner has a session and was heard of lately.
    pub(crate) fn is_online(&self, runner: &Runner, now: Timestamp) -> bool {
        runner.session.as_ref().is_some_and(|session| !self.too_long_ago(session.last_seen, now))
    }

    /// Whether GitHub would say that a runner is busy, which may be late.
    pub(crate) fn looks_busy(&self, runner: &Runner, now: Timestamp) -> bool {
        runner
            .busy_since
            .is_some_and(|since| now.duration_since(since).as_millis() >= i128::from(self.quirks.busy_lag_ms))
    }

    /// All runners, as the admin API shows them.
    pub(crate) fn runner_views(&self, now: Timestamp) -> Vec<RunnerView> {
        let view = |runner: &Runner| RunnerView {
            id: runner.id,
            name: runner.name.clone(),
            owner: runner.owner.clone(),
            group_id: runner.group_id,
            labels: runner.labels.clone(),
            ephemeral: runner.ephemeral,
            online: self.is_online(runner, now),
            job: runner.job,
            version: runner.version.clone(),
            created_at: runner.created_at,
        };
        self.runners.values().map(view).collect()
    }
}
