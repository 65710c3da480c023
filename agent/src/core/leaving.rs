//! A runner that shall take no further job.
//!
//! Two keys turn an idle one off: control deletes it at GitHub, so that no job can be assigned to it, and the listener,
//! told so by GitHub, exits by itself; only then does the instance end, and only if there is still no job. A job that
//! slipped in between is seen, and runs.

use std::time::Duration;

use dayfly_contract::{Kind, Reason};

use super::ending::{drain, end};
use super::{Action, Event, Facts, Leaving, Limits, Notice, Stage, Starting, State, Verdict, standby};
use crate::clock::Uptime;

type Step = (Stage, Vec<Action>);

/// How a life ends whose runner was asked to leave.
pub(super) fn verdict(facts: &Facts) -> Verdict {
    facts.leaving.as_ref().map_or_else(|| Verdict::finished(Reason::RunnerExited), Leaving::verdict)
}

/// Something outside wants the instance to end.
pub(super) fn told(stage: Stage, facts: &mut Facts, limits: &Limits, event: Event, now: Uptime) -> Step {
    if event == Event::StopAsked && limits.stopped && matches!(stage, Stage::Claiming { .. }) {
        return standby::stopped();
    }
    let leaving = match event {
        Event::StopAsked => {
            let again = facts.leaving.as_ref().is_some_and(|leaving| leaving.reason == Reason::Stopped);
            if again && matches!(stage, Stage::Running | Stage::Retiring { .. }) {
                // Asked twice: whoever asks does not want to wait.
                return cut(facts, limits, now);
            }
            let hard = now + Limits::SIGTERM.saturating_sub(limits.grace);
            Leaving { hard: Some(hard), ..Leaving::of(Reason::Stopped) }
        }
        Event::Notice(notice) => noticed(notice, limits, now),
        Event::DiskLow { free_mib } => {
            let detail = Some(format!("{free_mib} MiB are free on the disk"));
            Leaving { detail, ..Leaving::of(Reason::DiskFull) }
        }
        Event::Slept(slept) => {
            let detail = Some(format!("the machine stood still for {} s", slept.as_secs()));
            Leaving { detail, ..Leaving::of(Reason::ClockJump) }
        }
        _ => return (stage, vec![Action::Ignore]),
    };
    // A machine that has no room from the start, or that EC2 wants back before it was of use, is a failure: after one that
    // ended well control would launch the like again at once, and again.
    let unready = matches!(&stage, Stage::Booting | Stage::Claiming { .. } | Stage::Installing | Stage::Starting(_));
    let pauses = match leaving.reason {
        Reason::DiskFull => true,
        // One that stood by was of use.
        Reason::Rebalance | Reason::Maintenance => !standby::is_ready(facts, limits),
        _ => false,
    };
    let leaving = Leaving { failed: unready && pauses, ..leaving };
    let verdict = leaving.verdict();
    match stage {
        // Nobody at GitHub is known yet who could have grown old.
        Stage::Booting | Stage::Claiming { .. } | Stage::Installing | Stage::Starting(_)
            if leaving.reason == Reason::ClockJump =>
        {
            (stage, vec![])
        }
        // Without a process there is nothing to wait for.
        Stage::Booting
        | Stage::Claiming { .. }
        | Stage::Installing
        | Stage::Starting(Starting::Pausing { .. } | Starting::Updating) => end(facts, limits, verdict, now),
        Stage::Starting(Starting::Launching) => drain(verdict, limits, now),
        stage => {
            let leaving = match facts.leaving.take() {
                // Idleness is over when somebody wants something.
                Some(before) if before.reason != Reason::Idle => before.or(leaving),
                _ => leaving,
            };
            facts.leaving = Some(leaving);
            match stage {
                // It exits by itself now.
                Stage::Listening { .. } if facts.is_ephemeral() && facts.had_job() => (stage, vec![]),
                Stage::Listening { .. } | Stage::Starting(_) => retire(facts, limits, now),
                Stage::Retiring { until, looking } => {
                    (Stage::Retiring { until: until.min(retire_until(facts, limits, now)), looking }, vec![])
                }
                stage => (stage, vec![]),
            }
        }
    }
}

fn noticed(notice: Notice, limits: &Limits, now: Uptime) -> Leaving {
    let at = match notice.reason {
        Reason::SpotInterruption => Some(notice.at.unwrap_or(now + Limits::SPOT)),
        _ => notice.at,
    };
    let hard = at.map(|at| Uptime(at.0.saturating_sub(millis(limits.grace))).max(now));
    Leaving { detail: Some(notice.detail), hard, ..Leaving::of(notice.reason) }
}

/// A runner without a job has waited for long enough, or an ephemeral one with its job done has not exited.
pub(super) fn waited(state: &mut State, since: Uptime, now: Uptime) -> Step {
    let (idle, lifetime) = (state.idle_until(since), state.lifetime_until());
    let State { facts, limits, .. } = state;
    if facts.is_ephemeral() && facts.had_job() && now >= idle {
        return drain(Verdict::finished(Reason::JobDone), limits, now);
    }
    facts.leaving = Some(if lifetime.is_some_and(|lifetime| now >= lifetime) {
        lived(limits, now)
    } else {
        Leaving::of(Reason::Idle)
    });
    retire(facts, limits, now)
}

fn lived(limits: &Limits, now: Uptime) -> Leaving {
    let lifetime = limits.lifetime.unwrap_or_default().as_secs();
    let detail = Some(format!("the runner has lived for {lifetime} s"));
    Leaving { detail, hard: Some(now + limits.job), ..Leaving::of(Reason::MaxLifetime) }
}

/// A job runs, and either it has no more time, or the runner has lived for long enough.
pub(super) fn out_of_time(facts: &mut Facts, limits: &Limits, now: Uptime) -> Step {
    if facts.leaving.as_ref().is_some_and(|leaving| leaving.hard.is_some_and(|hard| now >= hard)) {
        return cut(facts, limits, now);
    }
    if facts.lingers_until().is_some_and(|until| now >= until) {
        return drain(Verdict::finished(Reason::JobDone), limits, now);
    }
    let lived = lived(limits, now);
    facts.leaving = Some(match facts.leaving.take() {
        Some(before) => before.or(lived),
        None => lived,
    });
    (Stage::Running, vec![])
}

/// Stops the runner; control is told of the job that is lost with it.
pub(super) fn cut(facts: &mut Facts, limits: &Limits, now: Uptime) -> Step {
    let (stage, mut actions) = drain(verdict(facts), limits, now);
    if facts.signs.busy() {
        facts.interrupted = true;
        actions.insert(0, Action::Tell(Kind::Interrupted));
    }
    (stage, actions)
}

/// A job has begun, wherever the runner stood.
pub(super) fn job_begun(facts: &mut Facts) -> Step {
    if facts.leaving.as_ref().is_some_and(|leaving| leaving.reason == Reason::Idle) {
        facts.leaving = None;
    }
    (Stage::Running, vec![Action::StopPreparing, Action::Tell(Kind::JobStarted)])
}

/// The job is over by all signs.
pub(super) fn job_over(facts: &Facts, limits: &Limits, now: Uptime) -> Step {
    let told = Action::Tell(Kind::JobCompleted);
    if facts.is_ephemeral() || facts.leaving.is_none() {
        return (Stage::Listening { since: now }, vec![told]);
    }
    let (stage, actions) = retire(facts, limits, now);
    (stage, [vec![told], actions].concat())
}

/// Control has not answered, or GitHub has not told the listener.
pub(super) fn unanswered(facts: &mut Facts, limits: &Limits, looking: bool, now: Uptime) -> Step {
    if looking {
        return cut(facts, limits, now);
    }
    // Control wants it to stay. Whether it is heard at all is no matter: the lifetime is.
    let idle = facts.leaving.as_ref().is_some_and(|leaving| leaving.reason == Reason::Idle);
    if limits.kept && limits.lifetime.is_some() && idle && !facts.is_ephemeral() {
        facts.leaving = None;
        return (Stage::Listening { since: now }, vec![Action::Tell(Kind::Listening)]);
    }
    (Stage::Retiring { until: now + Limits::LOOK, looking: true }, vec![Action::LookForWorker])
}

/// Turns the first key.
fn retire(facts: &Facts, limits: &Limits, now: Uptime) -> Step {
    let until = retire_until(facts, limits, now);
    (Stage::Retiring { until, looking: false }, vec![Action::StopPreparing, Action::Tell(Kind::Retire)])
}

fn retire_until(facts: &Facts, limits: &Limits, now: Uptime) -> Uptime {
    let Some(leaving) = &facts.leaving else { return now + limits.retire };
    let patience =
        if leaving.reason == Reason::Stopped { Limits::SIGTERM_RETIRE.min(limits.retire) } else { limits.retire };
    let until = now + patience;
    leaving.hard.map_or(until, |hard| hard.min(until)).max(now)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
