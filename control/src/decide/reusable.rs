//! What is heard of a reusable runner on its way: by webhooks of its jobs, and by its agent.
//!
//! It is supply while it has no job. Of its jobs the webhooks are believed, each in its own order as
//! [`super::jobs`] has it: what is late or repeated changes nothing. A runner that is taken for busy and is not costs an
//! instance; one that is taken for idle and is not makes a job wait. So it is busy until all jobs that began on it have
//! ended, and the agent's word ends them only where it is younger than the last that was heard of them: that heals a
//! lost webhook. An idle runner counts for a while after its agent's last sign of life, and no longer.

use dayfly_contract::{Kind, Lifecycle, Phase};

use super::{
    events::JobEvent,
    jobs::JobState,
    runners::{self, RunnerEvent, RunnerNext, RunnerState, RunnerStep},
};
use crate::{
    clock::Millis,
    ledger::{Runner, Write},
};

/// How long an idle runner counts as supply after it was last heard of, in milliseconds. A heartbeat a minute renews it.
pub const LISTENING: Millis = 300_000;

/// What `event` does to the reusable `runner` that it names. `moved`: whether the job itself moved by it; a webhook
/// that is late or repeated moves none.
#[must_use]
pub fn job_told(mut runner: Runner, event: &JobEvent, moved: bool, now: Millis) -> (Option<Write>, RunnerStep) {
    let Some(reuse) = runner.reuse.as_mut().filter(|_| moved) else { return (None, RunnerStep::NONE) };
    reuse.running.retain(|job| *job != event.id);
    if event.state == JobState::Running {
        reuse.running.push(event.id);
        runner.history.add(now, RunnerState::Busy.name(), format!("job {}", event.id));
    }
    reuse.told_at = Some(now);
    let heard = if reuse.running.is_empty() { RunnerEvent::JobEnded } else { RunnerEvent::Job };
    runner.runner_id = event.runner_id.or(runner.runner_id);
    let step = runners::step(Some(runner.state), heard);
    let write = match step.next {
        // Its state is the same, and its jobs are others.
        RunnerNext::Keep => runner.state.is_alive().then_some(Write::PutRunner(runner)),
        RunnerNext::Be(state) => Some(Write::PutRunner(be(runner, state, now))),
        RunnerNext::Delete => Some(Write::DropRunner(runner)),
    };
    (write, step)
}

/// What the word of its agent does to the reusable `runner`. `job_started` does nothing: the runner stands in for the
/// job's marker until the webhook takes both.
#[must_use]
pub fn word(message: &Lifecycle, mut runner: Runner, now: Millis) -> Option<Write> {
    let reuse = runner.reuse.as_mut()?;
    if !matches!(message.kind, Kind::Listening | Kind::Heartbeat | Kind::JobCompleted) {
        return None;
    }
    let ended_at = message.timeline.get(Phase::JobEnded).filter(|_| message.kind == Kind::JobCompleted);
    let heard = if runner.state == RunnerState::Busy && ended_at > reuse.told_at {
        reuse.running.clear();
        RunnerEvent::JobEnded
    } else {
        RunnerEvent::Listening
    };
    // A heartbeat that comes while it retires says nothing new.
    if runner.state == RunnerState::Retiring && message.kind == Kind::Heartbeat {
        return None;
    }
    match runners::step(Some(runner.state), heard).next {
        // Not every heartbeat is a write.
        RunnerNext::Be(state) if !is_fresh(&runner, now) => Some(Write::PutRunner(be(runner, state, now))),
        RunnerNext::Be(_) | RunnerNext::Keep | RunnerNext::Delete => None,
    }
}

/// Whether `runner` listens, and counts for so long that it need not be noted again.
pub(super) fn is_fresh(runner: &Runner, now: Millis) -> bool {
    runner.state == RunnerState::Registered && runner.boot_deadline > now + LISTENING / 2
}

/// `runner` in `state`; one without a job counts from now on.
fn be(mut runner: Runner, state: RunnerState, now: Millis) -> Runner {
    runner.state = state;
    if state == RunnerState::Registered {
        runner.boot_deadline = runner.boot_deadline.max(now + LISTENING);
    }
    runner
}

#[cfg(test)]
mod tests;
