//! Every state that can be reached, with every event there is.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use dayfly_contract::{JobFacts, Kind, Reason};

use super::*;
use crate::clock::Uptime;

mod histories;

/// Usual limits.
pub(crate) fn limits() -> Limits {
    Limits {
        claim: Duration::from_mins(2),
        stop: Duration::from_secs(30),
        idle: Duration::from_mins(5),
        minimum_running: Duration::from_mins(10),
        lifetime: Some(Duration::from_hours(24)),
        job: Duration::from_hours(6),
        grace: Duration::from_secs(30),
        retire: Duration::from_mins(1),
        before_end: None,
        standby: None,
        stopped: false,
        kept: false,
    }
}

fn claimed(ephemeral: bool) -> Event {
    let runner_id = ephemeral.then_some(1);
    Event::Claimed(Claimed {
        reservation: "r".to_owned(),
        runner_id,
        runner_name: "n".to_owned(),
        ephemeral,
        trace: None,
    })
}

/// One of each event, with the arguments that differ.
fn events() -> Vec<Event> {
    let said = |saying| Event::Said { number: u64::MAX, saying };
    let notice = |reason, at| Event::Notice(Notice { reason, at, detail: "soon".to_owned() });
    vec![
        Event::Began,
        Event::Tick,
        claimed(true),
        claimed(false),
        Event::ClaimTrouble("denied".to_owned()),
        Event::ClaimRefused("bad".to_owned()),
        Event::Withdrawn("surplus".to_owned()),
        Event::Prepared,
        Event::Installed,
        Event::Unusable { reason: Reason::RunnerUnusable, why: "no runner".to_owned() },
        Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        Event::Updated,
        said(Saying::Listening),
        said(Saying::JobStarted { name: "build".to_owned() }),
        said(Saying::JobEnded { result: "Succeeded".to_owned() }),
        Event::Hook(HookCall::Started(JobFacts::default())),
        Event::Hook(HookCall::Completed(JobFacts::default())),
        Event::Worker(true),
        Event::Worker(false),
        Event::Exited(Exit::Code(0)),
        Event::Exited(Exit::Code(1)),
        Event::Exited(Exit::Code(2)),
        Event::Exited(Exit::Code(3)),
        Event::Exited(Exit::Signal(9)),
        Event::Exited(Exit::Unknown),
        notice(Reason::SpotInterruption, Some(Uptime(u64::MAX / 2))),
        notice(Reason::SpotInterruption, Some(Uptime(0))),
        notice(Reason::Rebalance, None),
        Event::DiskLow { free_mib: 1 },
        Event::Slept(Duration::from_mins(9)),
        Event::HeartbeatDue,
        Event::StopAsked,
        Event::ClosedUp,
        Event::Reported,
        Event::Terminated,
        Event::NotTerminated,
        Event::NotPoweredOff,
    ]
}

/// A life so far, as far as the rules below ask about it.
#[derive(Clone, Debug)]
struct Life {
    state: State,
    now: Uptime,
    deleted: bool,
    reports: u32,
    terminations: u32,
    restarted: bool,
}

impl Life {
    fn new(limits: Limits) -> Self {
        let state = State::new(limits, Uptime(400));
        Self { state, now: Uptime(500), deleted: false, reports: 0, terminations: 0, restarted: false }
    }

    /// What tells lives apart: times, counts that only grow and texts are left out, and of the many reasons to leave only
    /// those that `core` itself tells apart, so that there are not too many.
    fn key(&self) -> String {
        let facts = &self.state.facts;
        let stage = match &self.state.stage {
            Stage::Draining { killed, .. } => format!("Draining {killed}"),
            stage => format!("{stage:?}").chars().filter(|c| !c.is_ascii_digit()).collect(),
        };
        let leaving = facts
            .leaving
            .as_ref()
            .map(|leaving| (leaving.reason == Reason::Idle, leaving.reason == Reason::Stopped, leaving.hard.is_some()));
        let ended = facts.verdict.is_some();
        // What has ended is told apart by how far the end has come, and by nothing else.
        let facts = (!ended).then(|| {
            format!(
                "{:?} {:?} {} {} {:?} {leaving:?} {} {}",
                facts.claimed.as_ref().map(|claimed| claimed.ephemeral),
                facts.job.as_ref().map(|job| job.result.is_some()),
                facts.runner.is_some(),
                facts.starts >= Limits::STARTS,
                (facts.signs.word, facts.signs.hook, facts.signs.worker),
                facts.prepared,
                facts.interrupted,
            )
        });
        format!("{stage} {facts:?} {} {}", self.reports.min(2), self.terminations.min(1))
    }

    /// Takes `event` and checks all that must hold of any single step.
    fn take(&self, event: &Event) -> Self {
        let mut life = self.clone();
        // A tick comes at the deadline, or, where there is none, at any time.
        life.now = match event {
            Event::Tick => self.state.deadline().unwrap_or(self.now + Duration::from_secs(1)).max(self.now),
            // Crashes far enough apart; those in a row have a test of their own.
            Event::Began => self.now + Limits::BEGINS_WITHIN,
            _ => self.now + Duration::from_millis(10),
        };
        let event = match event {
            Event::Said { saying, .. } => Event::Said { number: self.state.facts.heard + 1, saying: saying.clone() },
            event => event.clone(),
        };
        let (next, actions) = step(self.state.clone(), event.clone(), life.now);
        let told = || format!("{:?} + {event:?} -> {next:?} {actions:?}", self.state);

        // By what these events say.
        life.deleted |= matches!(event, Event::Claimed(_) | Event::ClaimRefused(_) | Event::Withdrawn(_));
        let was_ending = matches!(self.state.stage, Stage::Ending(_));
        let is_ending = matches!(next.stage, Stage::Ending(_));
        assert!(!was_ending || is_ending, "Ending was left: {}", told());
        assert_eq!(next.facts.verdict.is_some(), is_ending, "a verdict is for the end: {}", told());
        assert!(!was_ending || next.facts == self.state.facts, "the end changed its mind: {}", told());
        if is_ending && !was_ending {
            assert!(actions.contains(&Action::Report) || actions.contains(&Action::CloseUp), "{}", told());
            assert!(actions.contains(&Action::Kill) && actions.contains(&Action::StopClaiming), "{}", told());
            life.deleted |= actions.contains(&Action::Discard);
            assert!(life.deleted, "the registration stays: {}", told());
        }
        life.restarted |= event == Event::Began && self.state.stage != Stage::Booting;
        self.check_the_job(&next, &event, life.now, &told);
        for action in &actions {
            match action {
                Action::Start | Action::Adopt | Action::Install => {
                    assert!(life.deleted, "before the registration was deleted: {}", told());
                }
                Action::Report => life.reports += 1,
                Action::Terminate => {
                    assert!(life.reports > 0, "terminated before it was reported: {}", told());
                    life.terminations += 1;
                }
                Action::PowerOff => assert!(life.terminations > 0, "powered off before EC2 was asked: {}", told()),
                Action::Exit(_) => assert!(life.terminations > 0, "left before EC2 was asked: {}", told()),
                Action::Tell(kind) => assert!(!kind.is_last() && !is_ending, "{}", told()),
                _ => {}
            }
        }
        assert!(life.restarted || life.reports <= 1, "more than one last message: {}", told());
        assert!(next.facts.starts <= Limits::STARTS, "started too often: {}", told());
        life.state = next;
        life
    }

    /// A job that runs is stopped only where its time is over, and control is told.
    fn check_the_job(&self, next: &State, event: &Event, now: Uptime, told: &dyn Fn() -> String) {
        let runs = matches!(self.state.stage, Stage::Running);
        let stops = matches!(next.stage, Stage::Draining { .. } | Stage::Ending(_));
        if !runs || !stops || matches!(event, Event::Exited(_)) {
            return;
        }
        if self.state.facts.lingers_until().is_some_and(|until| until <= now) {
            return;
        }
        let leaving = self.state.facts.leaving.as_ref().expect("a reason");
        let its_time = leaving.hard.is_some_and(|hard| hard <= now) && *event == Event::Tick;
        let twice = leaving.reason == Reason::Stopped && *event == Event::StopAsked;
        assert!(its_time || twice, "a job was stopped: {}", told());
        assert!(next.facts.interrupted, "nobody was told of the job: {}", told());
    }
}

/// All lives that differ, found by giving each one every event.
fn all_lives(limits: Limits) -> Vec<Life> {
    let first = Life::new(limits);
    let mut seen = BTreeSet::from([first.key()]);
    let mut open = VecDeque::from([first]);
    let mut lives = Vec::new();
    while let Some(life) = open.pop_front() {
        for event in events() {
            let next = life.take(&event);
            if seen.insert(next.key()) {
                // What a restarted agent would load.
                let text = serde_json::to_string(&next.state).unwrap();
                assert_eq!(serde_json::from_str::<State>(&text).unwrap(), next.state);
                open.push_back(next);
            }
        }
        lives.push(life);
    }
    lives
}

#[test]
fn every_state_takes_every_event() {
    let lives = all_lives(limits());
    let stages: BTreeSet<&str> = lives.iter().map(|life| life.state.name()).collect();
    let all = [
        "Booting",
        "Claiming",
        "Draining",
        "Ending",
        "Installing",
        "Listening",
        "Over",
        "Retiring",
        "Running",
        "Starting",
    ];
    assert_eq!(stages, BTreeSet::from(all), "a state that nothing leads to");
    assert!(lives.len() > 500, "only {} lives", lives.len());
}

/// From wherever a life stands, the world's plain answers lead to its end: nothing leaves an instance running.
#[test]
fn every_life_ends() {
    let usual = limits();
    let settings = [
        usual,
        Limits { before_end: Some(Duration::from_secs(9)), ..usual },
        Limits { standby: Some(Duration::from_hours(4)), ..usual },
        Limits { kept: true, lifetime: Some(Duration::from_hours(1)), ..usual },
    ];
    for limits in settings {
        for life in all_lives(limits) {
            for (terminates, exits) in [(true, true), (false, true), (true, false)] {
                ends(life.clone(), terminates, exits);
            }
        }
    }
}

fn ends(mut life: Life, terminates: bool, exits: bool) {
    let begun = life.clone();
    for _ in 0..60 {
        if matches!(life.state.stage, Stage::Ending(Ending::Over { .. })) {
            break;
        }
        life = life.take(&plain_answer(&life.state, terminates, exits));
    }
    assert!(matches!(life.state.stage, Stage::Ending(Ending::Over { .. })), "{begun:?} stays {life:?}");
    assert!(life.reports > 0 && life.terminations > 0, "{begun:?} ended quietly: {life:?}");
}

/// What happens where nothing goes wrong; a runner that never `exits` by itself is ended by deadlines alone.
fn plain_answer(state: &State, terminates: bool, exits: bool) -> Event {
    match &state.stage {
        Stage::Booting => Event::Began,
        Stage::Installing if !state.facts.prepared => Event::Prepared,
        Stage::Installing => Event::Installed,
        Stage::Starting(Starting::Launching) => Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        Stage::Starting(Starting::Updating) => Event::Updated,
        Stage::Listening { .. } | Stage::Running | Stage::Retiring { .. } if exits => Event::Exited(Exit::Code(0)),
        Stage::Retiring { looking: true, .. } => Event::Worker(false),
        Stage::Ending(Ending::Reporting) => Event::Reported,
        Stage::Ending(Ending::Terminating) if terminates => Event::Terminated,
        Stage::Ending(Ending::Terminating) => Event::NotTerminated,
        _ => Event::Tick,
    }
}

#[test]
fn an_early_tick_does_nothing() {
    let (claiming, _) = step(State::new(limits(), Uptime(400)), Event::Began, Uptime(500));
    let (next, actions) = step(claiming.clone(), Event::Tick, Uptime(120_399));
    assert_eq!((next, actions), (claiming, vec![]));
}

#[test]
fn a_restarted_agent_has_no_more_time_to_claim_than_the_first() {
    let (claiming, _) = step(State::new(limits(), Uptime(400)), Event::Began, Uptime(500));
    let (claiming, actions) = step(claiming, Event::Began, Uptime(60_000));
    assert_eq!(claiming.deadline(), Some(Uptime(120_400)));
    assert_eq!(actions, [Action::Claim, Action::Prepare]);
}

/// An agent that crashes for ever ends its instance; not one in which a job runs.
#[test]
fn five_crashes_in_a_minute_end_an_instance_without_a_job() {
    for life in all_lives(limits()) {
        let before = life.clone();
        let (mut state, mut actions) = (life.state, vec![]);
        for crash in 0..5 {
            (state, actions) = step(state, Event::Began, life.now + Duration::from_secs(crash));
        }
        let told = format!("{before:?} -> {state:?} {actions:?}");
        match before.state.stage {
            Stage::Running => assert_eq!((state.stage, actions), (Stage::Running, vec![Action::Adopt]), "{told}"),
            Stage::Draining { .. } | Stage::Ending(_) => assert_eq!(state.name(), before.state.name(), "{told}"),
            Stage::Listening { .. }
            | Stage::Retiring { .. }
            | Stage::Starting(Starting::Launching | Starting::Connecting { .. }) => {
                assert!(matches!(state.stage, Stage::Retiring { looking: true, .. }), "{told}");
                assert_eq!(actions, [Action::Adopt, Action::LookForWorker], "{told}");
                let (drained, _) = step(state.clone(), Event::Worker(false), life.now);
                assert!(matches!(drained.stage, Stage::Draining { .. }), "{told}");
                let (spared, _) = step(state, Event::Worker(true), life.now);
                assert_eq!(spared.stage, Stage::Running, "{told}");
            }
            _ => {
                let verdict = state.facts.verdict.expect("an end");
                assert_eq!((verdict.kind, verdict.reason), (Kind::Failed, Reason::AgentFailed), "{told}");
            }
        }
    }
}
