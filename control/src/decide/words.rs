//! What the word of its agent does to a runner.
//!
//! A runner for one job moves by the webhooks and its end. But some webhooks never come: a hook that sends `check_run`
//! alone tells of no job that it has begun. The job's marker stands then, and nobody can say whose it is: the agent does
//! not know the job's id. So the runner stands in for it, as a spent one does: it is supply for as long as its agent says
//! that it has a job. Else another would be launched for that job each time that a boot takes, and find none.

use dayfly_contract::{Kind, Lifecycle};

use super::{
    pool,
    reusable::{self, LISTENING},
    runners::{self, RunnerEvent, RunnerNext, RunnerState},
};
use crate::{
    clock::Millis,
    ledger::{Runner, Write},
};

/// What its history calls a runner that has a job by its agent's word.
const WORKING: &str = "working";

/// Whether `message` may change a runner: whether it is worth a look into the ledger.
#[must_use]
pub fn may_change(message: &Lifecycle) -> bool {
    // A registration that names no runner is a token, which is a reusable runner's.
    let reusable = message.runner_id.is_none();
    pool::stands_by(message) || (message.reservation.is_some() && (reusable || tells_of_job(message)))
}

/// Whether `message` says that its instance has a job, or had one.
fn tells_of_job(message: &Lifecycle) -> bool {
    match message.kind {
        Kind::JobStarted => true,
        Kind::Heartbeat | Kind::JobCompleted => message.job.is_some(),
        _ => false,
    }
}

/// What `message`, the word of its agent on the way, does to `runner`. Where it was said is known (`said_at`), that it
/// stands by is true of then: a word that comes late says nothing of a job that it was given since.
#[must_use]
pub fn word(message: &Lifecycle, runner: Runner, said_at: Option<Millis>, now: Millis) -> Option<Write> {
    if pool::stands_by(message) {
        return pool::heard(runner, said_at.unwrap_or(now).min(now));
    }
    if runner.reuse.is_some() {
        return reusable::word(message, runner, now);
    }
    // Not every message is a write, and none is where the webhook is as fast as usual.
    if !tells_of_job(message) || reusable::is_fresh(&runner, now) {
        return None;
    }
    let RunnerNext::Be(state) = runners::step(Some(runner.state), RunnerEvent::Listening).next else { return None };
    let first = !is_working(&runner);
    let runner_id = message.runner_id.or(runner.runner_id);
    let mut runner = Runner { state, runner_id, boot_deadline: now + LISTENING, ..runner };
    if first {
        runner.history.add(now, WORKING, "by its agent's word");
    }
    Some(Write::PutRunner(runner))
}

/// Whether `runner` is one for a single job and has it by its agent's word.
#[must_use]
pub fn is_working(runner: &Runner) -> bool {
    runner.reuse.is_none() && runner.state == RunnerState::Registered && runner.history.has(WORKING)
}

#[cfg(test)]
mod tests;
