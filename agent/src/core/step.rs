//! The transitions.

use dayfly_contract::{Job, Phase, Reason};

use super::exits::{self, Next};
use super::{Action, EXIT_NOT_ENDED, Ending, Event, Exit, Facts, Limits, Stage, Starting, State, Verdict};
use crate::clock::Uptime;

/// Takes one event: the state after it, and what to do now.
#[must_use]
pub fn step(mut state: State, event: Event, now: Uptime) -> (State, Vec<Action>) {
    learn(&mut state.facts, &event, now);
    let (next, actions) = advance(state.stage, &mut state.facts, state.limits, event, now);
    state.stage = next;
    (state, actions)
}

/// What an event tells is kept whatever the stage: the runner may write while it is being stopped, and an agent that
/// was restarted reads all its output again.
fn learn(facts: &mut Facts, event: &Event, now: Uptime) {
    match event {
        // After the end began, nothing may change any more: the message may be under way.
        _ if facts.verdict.is_some() => {}
        Event::Claimed(claimed) => {
            facts.claimed = Some(claimed.clone());
            facts.began(Phase::Claimed, now);
        }
        Event::ClaimTrouble(trouble) => facts.claim_trouble = Some(trouble.clone()),
        Event::Installed => facts.began(Phase::Installed, now),
        Event::Started(runner) => {
            facts.runner = Some(*runner);
            facts.began(Phase::Started, now);
        }
        Event::Listening => facts.began(Phase::Listening, now),
        Event::JobStarted { name } => {
            if facts.job.as_ref().is_none_or(|job| job.name != *name) {
                facts.job = Some(Job { name: name.clone(), result: None });
            }
            facts.began(Phase::JobStarted, now);
        }
        Event::JobEnded { result } => {
            if let Some(job) = &mut facts.job {
                job.result = Some(result.clone());
                facts.began(Phase::JobEnded, now);
            }
        }
        Event::Exited(exit) => {
            facts.runner = None;
            facts.exit_code = if let Exit::Code(code) = exit { Some(*code) } else { None };
        }
        Event::Began
        | Event::Tick
        | Event::ClaimRefused(_)
        | Event::Unusable(_)
        | Event::Updated
        | Event::StopAsked
        | Event::Reported
        | Event::Terminated
        | Event::NotTerminated
        | Event::NotPoweredOff => {}
    }
}

#[expect(clippy::match_same_arms, reason = "one arm for each transition, in the order of a life")]
fn advance(stage: Stage, facts: &mut Facts, limits: Limits, event: Event, now: Uptime) -> (Stage, Vec<Action>) {
    match (stage, event) {
        // A Tick that comes early, such as one for a deadline that has moved, is for nobody.
        (Stage::Claiming { until }, Event::Tick) if now >= until => {
            let waited = limits.claim.as_secs();
            let detail = match &facts.claim_trouble {
                Some(trouble) => format!("no registration within {waited} s: {trouble}"),
                None => format!("no registration within {waited} s"),
            };
            end(facts, Verdict::failed(Reason::RegistrationMissing, detail), now)
        }
        (Stage::Starting(Starting::Pausing { until }), Event::Tick) if now >= until => launch(facts),
        (Stage::Starting(Starting::Connecting { until }), Event::Tick) if now >= until => {
            let detail = format!("the runner did not listen within {} s", Limits::CONNECT.as_secs());
            drain(Verdict::failed(Reason::RunnerFailed, detail), limits, now)
        }
        (Stage::Draining { until, killed: false, verdict }, Event::Tick) if now >= until => kill(verdict, now),
        // It hangs in the kernel. The instance takes it along.
        (Stage::Draining { until, killed: true, verdict }, Event::Tick) if now >= until => end(facts, verdict, now),
        (Stage::Ending(ending), event) => wind_up(ending, &event, now),
        (stage, Event::Tick) => (stage, vec![]),

        // A first start, or a restart before anything was taken.
        (Stage::Booting | Stage::Claiming { .. }, Event::Began) => {
            let until = facts.phases.get(&Phase::Agent).copied().unwrap_or(now) + limits.claim;
            (Stage::Claiming { until }, vec![Action::Claim, Action::ReadAhead])
        }
        (Stage::Claiming { .. }, Event::Claimed(_)) => (Stage::Installing, vec![Action::Install]),
        (Stage::Claiming { .. }, Event::ClaimRefused(why)) => {
            end(facts, Verdict::failed(Reason::RegistrationUnreadable, why), now)
        }
        (stage @ Stage::Claiming { .. }, Event::ClaimTrouble(_)) => (stage, vec![]),

        (Stage::Installing, Event::Installed) => launch(facts),
        (Stage::Installing | Stage::Starting(_), Event::Unusable(why)) => {
            end(facts, Verdict::failed(Reason::RunnerUnusable, why), now)
        }
        (Stage::Starting(Starting::Launching), Event::Started(_)) => {
            (Stage::Starting(Starting::Connecting { until: now + Limits::CONNECT }), vec![])
        }
        (Stage::Starting(Starting::Updating), Event::Updated) => launch(facts),
        // Each line stands for itself: the runner may be quicker than the news that it was started.
        (Stage::Starting(Starting::Launching | Starting::Connecting { .. }) | Stage::Listening, Event::Listening) => {
            (Stage::Listening, vec![Action::StopReadingAhead])
        }
        (
            Stage::Starting(Starting::Launching | Starting::Connecting { .. }) | Stage::Listening | Stage::Running,
            Event::JobStarted { .. },
        ) => (Stage::Running, vec![Action::StopReadingAhead]),
        (stage @ (Stage::Listening | Stage::Running), Event::Started(_)) => (stage, vec![]),
        (Stage::Running, Event::JobEnded { .. }) => (Stage::Listening, vec![]),
        (
            stage @ Stage::Draining { .. },
            Event::Started(_) | Event::Listening | Event::JobStarted { .. } | Event::JobEnded { .. },
        ) => (stage, vec![]),

        (Stage::Starting(_) | Stage::Listening | Stage::Running, Event::Exited(exit)) => {
            match exits::after(exit, facts) {
                Next::Again => (Stage::Starting(Starting::Pausing { until: now + Limits::PAUSE }), vec![]),
                Next::AfterUpdate => (Stage::Starting(Starting::Updating), vec![Action::AwaitUpdate]),
                Next::End(verdict) => end(facts, verdict, now),
            }
        }
        // The stop may come between the launch and its failure.
        (Stage::Draining { verdict, .. }, Event::Exited(_) | Event::Unusable(_)) => end(facts, verdict, now),

        // Without a process there is nothing to wait for.
        (
            Stage::Booting
            | Stage::Claiming { .. }
            | Stage::Installing
            | Stage::Starting(Starting::Pausing { .. } | Starting::Updating),
            Event::StopAsked,
        ) => end(facts, Verdict::finished(Reason::Stopped), now),
        (Stage::Starting(_) | Stage::Listening | Stage::Running, Event::StopAsked) => {
            drain(Verdict::finished(Reason::Stopped), limits, now)
        }
        (Stage::Draining { killed: false, verdict, .. }, Event::StopAsked) => kill(verdict, now),

        // The agent was restarted, and here is what it finds of its earlier self.
        (stage @ Stage::Starting(Starting::Pausing { .. }), Event::Began) => (stage, vec![]),
        (stage @ Stage::Starting(Starting::Updating), Event::Began) => (stage, vec![Action::AwaitUpdate]),
        // The registration was held in memory alone, or a process may run that nobody knows: neither can be mended.
        (Stage::Installing | Stage::Starting(Starting::Launching), Event::Began) => end(
            facts,
            Verdict::failed(Reason::RunnerFailed, "the agent was restarted while it started the runner"),
            now,
        ),
        (
            stage @ (Stage::Starting(Starting::Connecting { .. })
            | Stage::Listening
            | Stage::Running
            | Stage::Draining { .. }),
            Event::Began,
        ) => (stage, vec![Action::Adopt]),

        (stage, _) => (stage, vec![Action::Ignore]),
    }
}

/// From here on only the machine's end is left. It takes no orders, and every way through it leads to an exit.
#[expect(clippy::match_same_arms, reason = "one arm for each transition, in the order of an end")]
fn wind_up(ending: Ending, event: &Event, now: Uptime) -> (Stage, Vec<Action>) {
    let (ending, actions) = match (ending, event) {
        (Ending::Reporting, Event::Reported) => (Ending::Terminating, vec![Action::Terminate]),
        (Ending::Terminating, Event::Terminated) => (Ending::Waiting { until: now + Limits::SHUTDOWN }, vec![]),
        (Ending::Terminating, Event::NotTerminated) => {
            (Ending::PoweringOff { until: now + Limits::POWER_OFF }, vec![Action::PowerOff])
        }
        // The shutdown has reached us, or was never to.
        (Ending::Waiting { .. }, Event::StopAsked) => over(0),
        (Ending::Waiting { until }, Event::Tick) if now >= until => over(0),
        (Ending::PoweringOff { .. }, Event::StopAsked) => over(0),
        (Ending::PoweringOff { .. }, Event::NotPoweredOff) => over(EXIT_NOT_ENDED),
        (Ending::PoweringOff { until }, Event::Tick) if now >= until => over(EXIT_NOT_ENDED),
        // The agent was restarted. A message sent twice is better than none.
        (Ending::Reporting, Event::Began) => (Ending::Reporting, vec![Action::Report]),
        (Ending::Terminating | Ending::Waiting { .. }, Event::Began) => (Ending::Terminating, vec![Action::Terminate]),
        (Ending::PoweringOff { until }, Event::Began) => (Ending::PoweringOff { until }, vec![Action::PowerOff]),
        (Ending::Over { code }, Event::Began) => over(code),
        // The shutdown of a machine that is ending anyway, and what its runner still says.
        (ending, Event::Tick | Event::StopAsked | Event::Exited(_)) => (ending, vec![]),
        (ending, _) => (ending, vec![Action::Ignore]),
    };
    (Stage::Ending(ending), actions)
}

fn over(code: u8) -> (Ending, Vec<Action>) {
    (Ending::Over { code }, vec![Action::Exit(code)])
}

fn launch(facts: &mut Facts) -> (Stage, Vec<Action>) {
    facts.starts += 1;
    (Stage::Starting(Starting::Launching), vec![Action::Start])
}

fn drain(verdict: Verdict, limits: Limits, now: Uptime) -> (Stage, Vec<Action>) {
    (Stage::Draining { until: now + limits.stop, killed: false, verdict }, vec![Action::Interrupt])
}

fn kill(verdict: Verdict, now: Uptime) -> (Stage, Vec<Action>) {
    (Stage::Draining { until: now + Limits::KILL, killed: true, verdict }, vec![Action::Kill])
}

/// The one way into [`Stage::Ending`]. What the runner left behind is killed: nothing of it shall outlive the message
/// that says it has ended.
fn end(facts: &mut Facts, verdict: Verdict, now: Uptime) -> (Stage, Vec<Action>) {
    facts.verdict = Some(verdict);
    facts.began(Phase::End, now);
    let actions = vec![Action::StopClaiming, Action::StopReadingAhead, Action::Kill, Action::Report];
    (Stage::Ending(Ending::Reporting), actions)
}
