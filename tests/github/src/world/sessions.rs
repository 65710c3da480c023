//! What connected runners do: open a session, ask for a job, report on it, fall silent.

use jiff::{SignedDuration, Timestamp};

use super::World;
use crate::assign::next_job;
use crate::job_state::{Conclusion, JobEvent};
use crate::model::{Happening, Job, Runner, Session, TakenBy};

/// Whom a secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A registered runner.
    Runner(u64),
    /// A runner that is registered no more.
    Gone(u64),
    /// Nobody.
    Nobody,
}

/// What a runner that asks for a message gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// A job.
    Job(Box<Job>),
    /// Nothing yet.
    Nothing,
    /// The session is not the runner's.
    OtherSession,
    /// The runner is registered no more.
    Gone,
}

/// A job of which the runner has said nothing for so long is handed to it once more: the answer that carried it may have
/// been lost. GitHub keeps a message until the runner deletes it.
const UNHEARD: SignedDuration = SignedDuration::from_secs(15);

impl World {
    /// Whom the secret belongs to; a registered runner was heard of now.
    pub(crate) fn who(&mut self, secret: &str, now: Timestamp) -> Who {
        let Some(&id) = self.secrets.get(secret) else { return Who::Nobody };
        let Some(runner) = self.runners.get_mut(&id) else { return Who::Gone(id) };
        if let Some(session) = &mut runner.session {
            session.last_seen = now;
        }
        Who::Runner(id)
    }

    /// Opens a session. A silent one is replaced; one in use is not.
    /// To be asked before [`World::who`]: that would count as hearing of the silent one.
    pub(crate) fn open_session(
        &mut self,
        secret: &str,
        version: Option<String>,
        now: Timestamp,
    ) -> Result<String, SessionProblem> {
        let id = match self.secrets.get(secret) {
            None => return Err(SessionProblem::Nobody),
            Some(id) => *id,
        };
        let runner = self.runners.get(&id).ok_or(SessionProblem::Gone)?;
        if self.is_online(runner, now) {
            return Err(SessionProblem::Conflict);
        }
        let session = self.secret("", 36);
        let runner = self.runners.get_mut(&id).ok_or(SessionProblem::Gone)?;
        runner.version = version;
        runner.session = Some(Session { id: session.clone(), last_seen: now });
        Ok(session)
    }

    /// Whether [`World::message`] would answer anything but "nothing yet".
    pub(crate) fn has_message(&self, id: u64, session: &str, now: Timestamp) -> bool {
        let Some(runner) = self.runners.get(&id) else { return true };
        if runner.session.as_ref().is_none_or(|open| open.id != session) {
            return true;
        }
        match runner.job {
            Some(_) => unheard(runner, now),
            None => next_job(self.jobs.values(), runner, &self.groups).is_some(),
        }
    }

    /// Gives the runner a job, if there is one for it.
    pub(crate) fn message(&mut self, id: u64, session: &str, now: Timestamp) -> Message {
        let Some(runner) = self.runners.get(&id) else { return Message::Gone };
        if runner.session.as_ref().is_none_or(|open| open.id != session) {
            return Message::OtherSession;
        }
        if let Some(job) = runner.job {
            return if unheard(runner, now) { self.handed(job) } else { Message::Nothing };
        }
        let Some(job) = next_job(self.jobs.values(), runner, &self.groups) else { return Message::Nothing };
        let taken = TakenBy {
            id,
            name: runner.name.clone(),
            group_id: runner.group_id,
            group_name: self.group(runner.group_id).map(|group| group.name.clone()).unwrap_or_default(),
        };
        let what = format!("handed to {}", taken.name);
        if let Some(job) = self.jobs.get_mut(&job) {
            job.runner = Some(taken);
        }
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.job = Some(job);
            runner.job_known = false;
            runner.busy_since = Some(now);
        }
        // A queued job can always be handed out, and next_job answers no other.
        let _ = self.move_job(job, JobEvent::HandOut, &what, now);
        self.handed(job)
    }

    fn handed(&self, job: u64) -> Message {
        self.jobs.get(&job).map_or(Message::Nothing, |job| Message::Job(Box::new(job.clone())))
    }

    /// The job of that id, if it is or was the runner's, which now has spoken of it.
    pub(crate) fn job_of(&mut self, runner: u64, job: u64) -> Option<&mut Job> {
        if let Some(runner) = self.runners.get_mut(&runner)
            && runner.job == Some(job)
        {
            runner.job_known = true;
        }
        self.jobs.get_mut(&job).filter(|job| job.runner.as_ref().is_some_and(|taken| taken.id == runner))
    }

    /// The runner says how its job ended. Saying it again is fine: the first answer may have been lost.
    pub(crate) fn report(&mut self, runner: u64, job: u64, result: &str, now: Timestamp) -> Result<(), NoSuchJob> {
        let conclusion = match result {
            "Succeeded" => Conclusion::Success,
            "Canceled" => Conclusion::Cancelled,
            _ => Conclusion::Failure,
        };
        let found = self.job_of(runner, job).ok_or(NoSuchJob)?;
        if found.state.is_over() {
            let at = now;
            found.history.push(Happening { at, state: found.state, what: format!("reported again: {result}") });
            return Ok(());
        }
        found.result = Some(result.to_owned());
        self.move_job(job, JobEvent::Report(conclusion), &format!("reported {result}"), now).map_err(|_| NoSuchJob)
    }

    /// The runner goes away; a job it still has is lost.
    pub(crate) fn close_session(&mut self, id: u64, now: Timestamp) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        runner.session = None;
        if let Some(job) = runner.job {
            // Refused only where the job is over, and then the runner has none.
            let _ = self.move_job(job, JobEvent::Vanish, "its runner closed the session", now);
        }
    }

    /// Ends the jobs of runners that were not heard of for too long.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let lost: Vec<u64> = self
            .runners
            .values()
            .filter(|runner| !self.is_online(runner, now))
            .filter_map(|runner| runner.job)
            .collect();
        for job in lost {
            // Refused only where the job is over, and then the runner has none.
            let _ = self.move_job(job, JobEvent::Vanish, "its runner was not heard of for too long", now);
        }
    }
}

fn unheard(runner: &Runner, now: Timestamp) -> bool {
    !runner.job_known && runner.busy_since.is_some_and(|since| now.duration_since(since) >= UNHEARD)
}

/// The runner has or had no such job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSuchJob;

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionProblem {
    /// The secret is nobody's.
    Nobody,
    /// The runner is registered no more.
    Gone,
    /// Another session is open.
    Conflict,
}
