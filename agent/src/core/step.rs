//! The transitions. Those about a runner that is to take no further job are in `leaving`, those of the end in `ending`.

use dayfly_contract::{Kind, Phase, Reason};

use super::exits::{self, Next};
use super::{
    Action, Disagreement, Event, Exit, Facts, HookCall, Leaving, Limits, Saying, Stage, Starting, State, Verdict,
    ending, leaving, standby,
};
use crate::clock::Uptime;

/// Takes one event: the state after it, and what to do now.
#[must_use]
pub fn step(mut state: State, event: Event, now: Uptime) -> (State, Vec<Action>) {
    if is_old_news(&state.facts, &event) {
        return (state, vec![]);
    }
    let disagreement = disagreement(&state.facts, &event);
    learn(&mut state.facts, &event, now);
    let deadline = state.deadline();
    let (next, mut actions) = match event {
        // A tick that comes early, such as one for a deadline that has moved, is for nobody.
        Event::Tick if deadline.is_none_or(|deadline| now < deadline) => (state.stage.clone(), vec![]),
        event => advance(&mut state, event, now),
    };
    state.stage = next;
    actions.extend(disagreement.map(Action::Disagree));
    (state, actions)
}

/// What `event` says against what is known.
fn disagreement(facts: &Facts, event: &Event) -> Option<Disagreement> {
    let signs = facts.signs;
    match event {
        Event::Worker(false) if signs.hook && !signs.word => Some(Disagreement::HookWithoutWorker),
        Event::Worker(true) if !signs.word => match &facts.job {
            Some(job) if job.result.is_some() => Some(Disagreement::WorkerAfterJob),
            _ => Some(Disagreement::WorkerWithoutWord),
        },
        _ => None,
    }
}

/// A restarted agent reads the runner's output from its beginning.
fn is_old_news(facts: &Facts, event: &Event) -> bool {
    matches!(event, Event::Said { number, .. } if *number <= facts.heard)
}

/// What an event tells is kept whatever the stage: the runner may write while it is being stopped.
fn learn(facts: &mut Facts, event: &Event, now: Uptime) {
    // After the end began, nothing may change any more: the message may be under way.
    if facts.verdict.is_some() {
        return;
    }
    match event {
        Event::Began => {
            facts.begins.retain(|begun| *begun + Limits::BEGINS_WITHIN > now);
            facts.begins.push(now);
        }
        Event::Claimed(claimed) => {
            facts.claimed = Some(claimed.clone());
            facts.began(Phase::Claimed, now);
        }
        Event::ClaimTrouble(trouble) => facts.claim_trouble = Some(trouble.clone()),
        Event::ClaimRefused(_) | Event::Withdrawn(_) => facts.refused = true,
        Event::Prepared => facts.prepared = true,
        Event::Installed => facts.began(Phase::Installed, now),
        Event::Started(runner) => {
            facts.runner = Some(*runner);
            facts.began(Phase::Started, now);
        }
        Event::Said { number, saying } => {
            facts.heard = *number;
            facts.heard(saying, now);
        }
        Event::Hook(call) => facts.hooked(call),
        Event::Worker(there) => facts.worker(*there, now),
        Event::Exited(exit) => {
            facts.runner = None;
            facts.exit_code = if let Exit::Code(code) = exit { Some(*code) } else { None };
        }
        _ => {}
    }
}

#[expect(clippy::match_same_arms, reason = "one arm for each transition, in the order of a life")]
fn advance(life: &mut State, event: Event, now: Uptime) -> (Stage, Vec<Action>) {
    let State { stage: from, facts, limits } = life;
    let limits = *limits;
    match (from.clone(), event) {
        (Stage::Ending(ending), event) => ending::wind_up(facts, ending, &event, now),
        (Stage::Draining { until, killed, verdict }, event) => {
            ending::drained(facts, &limits, (until, killed, verdict), &event, now)
        }
        (stage, Event::Began) => began(stage, facts, &limits, now),
        (Stage::Claiming { .. }, Event::Tick) if limits.standby.is_some() => standby::waited(facts, &limits, now),
        (Stage::Claiming { .. }, Event::Tick) => {
            let waited = limits.claim.as_secs();
            let detail = match &facts.claim_trouble {
                Some(trouble) => format!("no registration within {waited} s: {trouble}"),
                None => format!("no registration within {waited} s"),
            };
            ending::end(facts, &limits, Verdict::failed(Reason::RegistrationMissing, detail), now)
        }
        (Stage::Claiming { .. }, Event::Claimed(_)) => {
            // It may have been about to go for want of a job.
            facts.leaving = None;
            (Stage::Installing, if facts.prepared { vec![Action::Install] } else { vec![] })
        }
        (Stage::Claiming { .. }, Event::ClaimRefused(why)) => {
            ending::end(facts, &limits, Verdict::failed(Reason::RegistrationUnreadable, why), now)
        }
        (Stage::Claiming { .. }, Event::Withdrawn(why)) => {
            let verdict = Verdict { detail: Some(why), ..Verdict::finished(Reason::Idle) };
            ending::end(facts, &limits, verdict, now)
        }
        (stage @ Stage::Claiming { .. }, Event::Prepared) if limits.standby.is_some() => {
            (stage, vec![Action::Tell(Kind::Standby)])
        }
        (stage @ Stage::Claiming { .. }, Event::ClaimTrouble(_) | Event::Prepared) => (stage, vec![]),
        (Stage::Installing, Event::Prepared) => (Stage::Installing, vec![Action::Install]),
        (Stage::Installing, Event::Installed) => launch(facts),
        (Stage::Installing, Event::Tick) => {
            let detail = format!("the runner was not ready within {} s", Limits::INSTALL.as_secs());
            ending::end(facts, &limits, Verdict::failed(Reason::InstallFailed, detail), now)
        }
        (Stage::Claiming { .. } | Stage::Installing | Stage::Starting(_), Event::Unusable { reason, why }) => {
            ending::end(facts, &limits, Verdict::failed(reason, why), now)
        }

        (Stage::Starting(Starting::Launching), Event::Started(_)) => {
            (Stage::Starting(Starting::Connecting { until: now + Limits::CONNECT }), vec![])
        }
        (Stage::Starting(Starting::Pausing { .. }), Event::Tick) => launch(facts),
        (Stage::Starting(Starting::Updating), Event::Updated) => launch(facts),
        (Stage::Starting(Starting::Connecting { .. }), Event::Tick) => {
            let detail = format!("the runner did not listen within {} s", Limits::CONNECT.as_secs());
            ending::drain(Verdict::failed(Reason::RunnerFailed, detail), &limits, now)
        }
        // An agent that was restarted at the very start finds no process: none was made, or none lives.
        (Stage::Starting(Starting::Launching), Event::Exited(Exit::Unknown)) if facts.starts < Limits::STARTS => {
            launch(facts)
        }
        // Each line stands for itself: the runner may be quicker than the news that it was started.
        (
            Stage::Starting(Starting::Launching | Starting::Connecting { .. }),
            Event::Said { saying: Saying::Listening, .. },
        ) => {
            let actions = vec![Action::StopPreparing, Action::Tell(Kind::Listening), Action::StartExtras];
            (Stage::Listening { since: now }, actions)
        }
        (stage @ (Stage::Listening { .. } | Stage::Running | Stage::Retiring { .. }), Event::Started(_)) => {
            (stage, vec![])
        }

        (
            stage @ (Stage::Starting(_) | Stage::Listening { .. } | Stage::Running | Stage::Retiring { .. }),
            event @ (Event::Said { .. } | Event::Hook(_) | Event::Worker(_)),
        ) => weigh(stage, facts, &limits, &event, now),

        (Stage::Retiring { .. }, Event::Exited(_)) => {
            let verdict = leaving::verdict(facts);
            ending::end(facts, &limits, verdict, now)
        }
        (Stage::Starting(_) | Stage::Listening { .. } | Stage::Running, Event::Exited(exit)) => {
            match exits::after(exit, facts) {
                Next::Again => (Stage::Starting(Starting::Pausing { until: now + Limits::PAUSE }), vec![]),
                Next::AfterUpdate => (Stage::Starting(Starting::Updating), vec![Action::AwaitUpdate]),
                Next::End(verdict) => ending::end(facts, &limits, verdict, now),
            }
        }

        (Stage::Listening { since }, Event::Tick) => leaving::waited(life, since, now),
        (Stage::Running, Event::Tick) => leaving::out_of_time(facts, &limits, now),
        (Stage::Retiring { looking, .. }, Event::Tick) => leaving::unanswered(facts, &limits, looking, now),
        (stage, event @ (Event::StopAsked | Event::Notice(_) | Event::DiskLow { .. } | Event::Slept(_))) => {
            leaving::told(stage, facts, &limits, event, now)
        }

        (stage @ (Stage::Booting | Stage::Claiming { .. }), Event::HeartbeatDue) => {
            let actions = if standby::is_ready(facts, &limits) { vec![Action::Tell(Kind::Heartbeat)] } else { vec![] };
            (stage, actions)
        }
        (stage, Event::HeartbeatDue) => (stage, vec![Action::Tell(Kind::Heartbeat)]),

        (stage, _) => (stage, vec![Action::Ignore]),
    }
}

/// The agent's process begins its work: for the first time, or again, and here is what it finds of its earlier self.
fn began(stage: Stage, facts: &mut Facts, limits: &Limits, now: Uptime) -> (Stage, Vec<Action>) {
    let crashes = facts.begins.len() >= Limits::BEGINS;
    match stage {
        Stage::Booting
        | Stage::Claiming { .. }
        | Stage::Installing
        | Stage::Starting(Starting::Pausing { .. } | Starting::Updating)
            if crashes =>
        {
            let verdict = crashed(facts).verdict();
            ending::end(facts, limits, verdict, now)
        }
        // Between two crashes a job may have begun: it is looked for before anything is stopped.
        Stage::Starting(_) | Stage::Listening { .. } | Stage::Retiring { .. } if crashes => {
            facts.leaving = Some(crashed(facts));
            let stage = Stage::Retiring { until: now + Limits::LOOK, looking: true };
            (stage, vec![Action::Adopt, Action::LookForWorker])
        }
        // A first start, or a restart before anything was taken.
        Stage::Booting | Stage::Claiming { .. } => {
            let until =
                facts.phases.get(&Phase::Agent).copied().unwrap_or(now) + limits.standby.unwrap_or(limits.claim);
            (Stage::Claiming { until }, vec![Action::Claim, Action::Prepare])
        }
        Stage::Installing => {
            facts.prepared = false;
            (Stage::Installing, vec![Action::Prepare])
        }
        Stage::Starting(Starting::Pausing { .. }) => (stage, vec![]),
        Stage::Starting(Starting::Updating) => (stage, vec![Action::AwaitUpdate]),
        stage => (stage, vec![Action::Adopt]),
    }
}

/// What the signs of a job say now. One of them is enough to let a job run; none may be left to end it.
fn weigh(stage: Stage, facts: &mut Facts, limits: &Limits, event: &Event, now: Uptime) -> (Stage, Vec<Action>) {
    let looks = match event {
        // A hook is a step of a job, and runs below its Worker.
        Event::Hook(HookCall::Started(_)) => !facts.signs.worker,
        // Soon seen to be gone; without a look it would be a while.
        Event::Said { saying: Saying::JobEnded { .. }, .. } => facts.signs.worker,
        _ => false,
    };
    let mut actions = if looks { vec![Action::LookForWorker] } else { vec![] };
    let busy = facts.signs.busy();
    let (stage, more) = match stage {
        Stage::Running if !busy => leaving::job_over(facts, limits, now),
        Stage::Starting(Starting::Launching | Starting::Connecting { .. })
        | Stage::Listening { .. }
        | Stage::Retiring { .. }
            if busy =>
        {
            leaving::job_begun(facts)
        }
        Stage::Retiring { looking: true, .. } if matches!(event, Event::Worker(false)) => {
            ending::drain(leaving::verdict(facts), limits, now)
        }
        stage => (stage, vec![]),
    };
    actions.extend(more);
    (stage, actions)
}

fn launch(facts: &mut Facts) -> (Stage, Vec<Action>) {
    facts.starts += 1;
    // The new process begins its output anew.
    facts.heard = 0;
    facts.signs = super::Signs::default();
    (Stage::Starting(Starting::Launching), vec![Action::Start])
}

fn crashed(facts: &Facts) -> Leaving {
    let within = Limits::BEGINS_WITHIN.as_secs();
    let detail = format!("the agent was started {} times within {within} s", facts.begins.len());
    Leaving { detail: Some(detail), failed: true, ..Leaving::of(Reason::AgentFailed) }
}
