//! From the runner's stop to the instance's end. From here on it takes no orders, and every way through it leads to an
//! exit of the agent.

use dayfly_contract::{Kind, Phase};

use super::{Action, EXIT_NOT_ENDED, Ending, Event, Facts, Limits, Stage, Verdict};
use crate::clock::Uptime;

type Step = (Stage, Vec<Action>);

/// Asks the runner to stop. It cancels a job that it has.
pub(super) fn drain(verdict: Verdict, limits: &Limits, now: Uptime) -> Step {
    (Stage::Draining { until: now + limits.stop, killed: false, verdict }, vec![Action::Interrupt])
}

fn kill(verdict: Verdict, now: Uptime) -> Step {
    (Stage::Draining { until: now + Limits::KILL, killed: true, verdict }, vec![Action::Kill])
}

/// A runner that was asked to stop.
pub(super) fn drained(
    facts: &mut Facts,
    limits: &Limits,
    (until, killed, verdict): (Uptime, bool, Verdict),
    event: &Event,
    now: Uptime,
) -> Step {
    let stay = |verdict, actions| (Stage::Draining { until, killed, verdict }, actions);
    match event {
        Event::Tick | Event::StopAsked if !killed => kill(verdict, now),
        // The stop may come between the launch and its failure. What was killed and still is there hangs in the kernel:
        // the instance takes it along.
        Event::Exited(_) | Event::Unusable { .. } | Event::Tick => end(facts, limits, verdict, now),
        // What the state says may not have been done yet; twice does no harm.
        Event::Began => {
            let told = facts.interrupted.then_some(Action::Tell(Kind::Interrupted));
            let stop = if killed { Action::Kill } else { Action::Interrupt };
            stay(verdict, [Action::Adopt].into_iter().chain(told).chain([stop]).collect())
        }
        Event::HeartbeatDue => stay(verdict, vec![Action::Tell(Kind::Heartbeat)]),
        // A job that was assigned before GitHub knew: the runner cancels it.
        Event::Said { .. } | Event::Hook(_) | Event::Worker(true) if facts.signs.busy() && !facts.interrupted => {
            facts.interrupted = true;
            stay(verdict, vec![Action::Tell(Kind::Interrupted)])
        }
        Event::Started(_)
        | Event::Said { .. }
        | Event::Hook(_)
        | Event::Worker(_)
        | Event::Notice(_)
        | Event::DiskLow { .. }
        | Event::Slept(_)
        | Event::StopAsked => stay(verdict, vec![]),
        _ => stay(verdict, vec![Action::Ignore]),
    }
}

/// The one way into [`Stage::Ending`]. What the runner left behind is killed: nothing of it shall outlive the message
/// that says it has ended. A registration that nobody took shall not outlive it either.
pub(super) fn end(facts: &mut Facts, limits: &Limits, verdict: Verdict, now: Uptime) -> Step {
    facts.verdict = Some(verdict);
    facts.began(Phase::End, now);
    let (ending, next) = match limits.before_end {
        Some(limit) => (Ending::ClosingUp { until: now + limit + Limits::KILL }, Action::CloseUp),
        None => (Ending::Reporting, Action::Report),
    };
    let actions = [vec![Action::StopClaiming, Action::StopPreparing], begun_end(facts, next)].concat();
    (Stage::Ending(ending), actions)
}

fn begun_end(facts: &Facts, next: Action) -> Vec<Action> {
    let mut actions = vec![Action::Kill];
    if facts.claimed.is_none() && !facts.refused {
        actions.push(Action::Discard);
    }
    actions.push(next);
    actions
}

#[expect(clippy::match_same_arms, reason = "one arm for each transition, in the order of an end")]
pub(super) fn wind_up(facts: &Facts, ending: Ending, event: &Event, now: Uptime) -> Step {
    let (ending, actions) = match (ending, event) {
        // A machine that is going down has no time for it.
        (Ending::ClosingUp { .. }, Event::ClosedUp | Event::StopAsked | Event::Tick) => {
            (Ending::Reporting, vec![Action::Report])
        }
        (Ending::Reporting, Event::Reported) => (Ending::Terminating, vec![Action::Terminate]),
        (Ending::Terminating, Event::Terminated) => (Ending::Waiting { until: now + Limits::SHUTDOWN }, vec![]),
        (Ending::Terminating, Event::NotTerminated) => {
            (Ending::PoweringOff { until: now + Limits::POWER_OFF }, vec![Action::PowerOff])
        }
        // The shutdown has reached us, or was never to.
        (Ending::Waiting { .. }, Event::StopAsked) => over(0),
        // EC2 has agreed, and the machine still runs.
        (Ending::Waiting { .. }, Event::Tick) => {
            (Ending::PoweringOff { until: now + Limits::POWER_OFF }, vec![Action::PowerOff])
        }
        (Ending::PoweringOff { .. }, Event::StopAsked) => over(0),
        (Ending::PoweringOff { .. }, Event::NotPoweredOff | Event::Tick) => over(EXIT_NOT_ENDED),
        // The agent was restarted. A message sent twice is better than none; a script run twice is not.
        // The rest of the end's beginning may not have been done.
        (Ending::ClosingUp { .. } | Ending::Reporting, Event::Began) => {
            (Ending::Reporting, begun_end(facts, Action::Report))
        }
        (Ending::Terminating | Ending::Waiting { .. }, Event::Began) => (Ending::Terminating, vec![Action::Terminate]),
        (Ending::PoweringOff { until }, Event::Began) => (Ending::PoweringOff { until }, vec![Action::PowerOff]),
        (Ending::Over { code }, Event::Began) => over(code),
        // The shutdown of a machine that is ending anyway, what its runner still says, what was begun before.
        (
            ending,
            Event::Tick
            | Event::StopAsked
            | Event::Exited(_)
            | Event::ClosedUp
            | Event::Notice(_)
            | Event::DiskLow { .. }
            | Event::Slept(_)
            | Event::HeartbeatDue
            | Event::Worker(_)
            | Event::Hook(_)
            | Event::Said { .. },
        ) => (ending, vec![]),
        (ending, _) => (ending, vec![Action::Ignore]),
    };
    (Stage::Ending(ending), actions)
}

fn over(code: u8) -> (Ending, Vec<Action>) {
    (Ending::Over { code }, vec![Action::Exit(code)])
}
