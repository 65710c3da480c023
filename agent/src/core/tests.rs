//! Every state that can be reached, with every event there is.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::clock::Uptime;

/// One of each event, with the exits that differ.
fn events() -> Vec<Event> {
    vec![
        Event::Began,
        Event::Tick,
        Event::Claimed(Claimed { reservation: "r".to_owned(), runner_id: 1, runner_name: "n".to_owned() }),
        Event::ClaimTrouble("denied".to_owned()),
        Event::ClaimRefused("bad".to_owned()),
        Event::Installed,
        Event::Unusable("no runner".to_owned()),
        Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        Event::Updated,
        Event::Listening,
        Event::JobStarted { name: "build".to_owned() },
        Event::JobEnded { result: "Succeeded".to_owned() },
        Event::Exited(Exit::Code(0)),
        Event::Exited(Exit::Code(1)),
        Event::Exited(Exit::Code(2)),
        Event::Exited(Exit::Code(3)),
        Event::Exited(Exit::Signal(9)),
        Event::Exited(Exit::Unknown),
        Event::StopAsked,
        Event::Reported,
        Event::Terminated,
        Event::NotTerminated,
        Event::NotPoweredOff,
    ]
}

fn start() -> State {
    State::new(Limits { claim: Duration::from_mins(2), stop: Duration::from_secs(30) }, Uptime(400))
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
    fn new() -> Self {
        Self { state: start(), now: Uptime(500), deleted: false, reports: 0, terminations: 0, restarted: false }
    }

    /// What tells lives apart: times and counts that only grow are left out, so that there are finitely many.
    fn key(&self) -> String {
        let facts = &self.state.facts;
        let stage = format!("{:?}", self.state.stage);
        let stage: String = stage.chars().filter(|c| !c.is_ascii_digit()).collect();
        let job = facts.job.as_ref().map(|job| job.result.is_some());
        let (reports, ends) = (self.reports.min(2), self.terminations.min(1));
        format!(
            "{stage} {job:?} {} {} {} {reports} {ends} {} {:?}",
            facts.claimed.is_some(),
            facts.runner.is_some(),
            facts.starts >= Limits::STARTS,
            self.restarted,
            facts.verdict.as_ref().map(|verdict| verdict.reason),
        )
    }

    /// Takes `event` and checks all that must hold of any single step.
    fn take(&self, event: &Event) -> Self {
        let mut life = self.clone();
        // A tick comes at the deadline, or, where there is none, at any time.
        life.now = match event {
            Event::Tick => self.state.deadline().unwrap_or(self.now + Duration::from_secs(1)).max(self.now),
            _ => self.now + Duration::from_millis(10),
        };
        let (next, actions) = step(self.state.clone(), event.clone(), life.now);
        let told = format!("{:?} + {event:?} -> {:?} {actions:?}", self.state, next);

        let was_ending = matches!(self.state.stage, Stage::Ending(_));
        let is_ending = matches!(next.stage, Stage::Ending(_));
        assert!(!was_ending || is_ending, "Ending was left: {told}");
        assert_eq!(next.facts.verdict.is_some(), is_ending, "a verdict is for the end: {told}");
        assert!(!was_ending || next.facts == self.state.facts, "the end changed its mind: {told}");
        if is_ending && !was_ending {
            assert!(actions.contains(&Action::Report) && actions.contains(&Action::Kill), "{told}");
            assert!(actions.contains(&Action::StopClaiming), "{told}");
        }
        life.restarted |= *event == Event::Began && self.state.stage != Stage::Booting;
        life.deleted |= matches!((&self.state.stage, event), (Stage::Claiming { .. }, Event::Claimed(_)));
        for action in &actions {
            match action {
                Action::Start | Action::Adopt | Action::Install => {
                    assert!(life.deleted, "before the registration was deleted: {told}");
                }
                Action::Report => life.reports += 1,
                Action::Terminate => {
                    assert!(life.reports > 0, "terminated before it was reported: {told}");
                    life.terminations += 1;
                }
                Action::PowerOff => assert!(life.terminations > 0, "powered off before EC2 was asked: {told}"),
                Action::Exit(_) => assert!(life.terminations > 0, "left before EC2 was asked: {told}"),
                _ => {}
            }
        }
        assert!(life.restarted || life.reports <= 1, "more than one message: {told}");
        assert!(next.facts.starts <= Limits::STARTS, "started too often: {told}");
        if let Some(deadline) = next.deadline() {
            assert!(deadline >= life.now || next == self.state, "a deadline in the past: {told}");
        }
        // What a restarted agent would load.
        let text = serde_json::to_string(&next).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), next);
        life.state = next;
        life
    }
}

/// All lives that differ, found by giving each one every event.
fn all_lives() -> Vec<Life> {
    let mut seen = BTreeSet::from([Life::new().key()]);
    let mut open = VecDeque::from([Life::new()]);
    let mut lives = Vec::new();
    while let Some(life) = open.pop_front() {
        for event in events() {
            let next = life.take(&event);
            if seen.insert(next.key()) {
                open.push_back(next);
            }
        }
        lives.push(life);
    }
    lives
}

#[test]
fn every_state_takes_every_event() {
    let lives = all_lives();
    let stages: BTreeSet<&str> = lives.iter().map(|life| life.state.name()).collect();
    let all = ["Booting", "Claiming", "Draining", "Ending", "Installing", "Listening", "Over", "Running", "Starting"];
    assert_eq!(stages, BTreeSet::from(all), "a state that nothing leads to");
    assert!(lives.len() > 100, "only {} lives", lives.len());
}

/// From wherever a life stands, the world's plain answers lead to its end: nothing leaves an instance running.
#[test]
fn every_life_ends() {
    for life in all_lives() {
        for terminates in [true, false] {
            let mut life = life.clone();
            let begun = life.clone();
            for _ in 0..40 {
                if matches!(life.state.stage, Stage::Ending(Ending::Over { .. })) {
                    break;
                }
                life = life.take(&plain_answer(&life.state, terminates));
            }
            assert!(matches!(life.state.stage, Stage::Ending(Ending::Over { .. })), "{begun:?} stays {life:?}");
            assert!(life.reports > 0 && life.terminations > 0, "{begun:?} ended quietly: {life:?}");
        }
    }
}

fn plain_answer(state: &State, terminates: bool) -> Event {
    match &state.stage {
        Stage::Booting => Event::Began,
        Stage::Installing => Event::Installed,
        Stage::Starting(Starting::Launching) => Event::Started(RunnerId { pid: 7, start_ticks: 9 }),
        Stage::Starting(Starting::Updating) => Event::Updated,
        Stage::Listening | Stage::Running => Event::Exited(Exit::Code(0)),
        Stage::Ending(Ending::Reporting) => Event::Reported,
        Stage::Ending(Ending::Terminating) if terminates => Event::Terminated,
        Stage::Ending(Ending::Terminating) => Event::NotTerminated,
        Stage::Claiming { .. }
        | Stage::Starting(_)
        | Stage::Draining { .. }
        | Stage::Ending(Ending::Waiting { .. } | Ending::PoweringOff { .. } | Ending::Over { .. }) => Event::Tick,
    }
}

#[test]
fn an_early_tick_does_nothing() {
    let (claiming, _) = step(start(), Event::Began, Uptime(500));
    let (next, actions) = step(claiming.clone(), Event::Tick, Uptime(120_399));
    assert_eq!((next, actions), (claiming, vec![]));
}

#[test]
fn a_restarted_agent_has_no_more_time_to_claim_than_the_first() {
    let (claiming, _) = step(start(), Event::Began, Uptime(500));
    let (claiming, actions) = step(claiming, Event::Began, Uptime(60_000));
    assert_eq!(claiming.deadline(), Some(Uptime(120_400)));
    assert_eq!(actions, [Action::Claim, Action::ReadAhead]);
}
