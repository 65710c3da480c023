//! Every pair of state and event, and the stories that matter.

use super::*;

const GRACE: Duration = Duration::from_secs(25);
const NOW: Duration = Duration::from_secs(100);

fn mode(once: bool) -> Mode {
    Mode { once, disable_update: false, grace: GRACE }
}

const WHYS: [Why; 4] = [Why::JobCancelled, Why::Shutdown, Why::Gone, Why::Revoked];
const EVENTS: [Event; 11] = [
    Event::Job,
    Event::Cancelled,
    Event::WorkerEnded,
    Event::Gone,
    Event::Revoked,
    Event::Signal,
    Event::Update,
    Event::Refresh,
    Event::VersionRefused,
    Event::Broken,
    Event::Tick,
];

fn states() -> Vec<State> {
    let endings = [
        Ending::Stopped,
        Ending::JobDone,
        Ending::Gone,
        Ending::Revoked,
        Ending::Updating,
        Ending::Refreshed,
        Ending::VersionRefused,
        Ending::Broken,
    ];
    let mut states = vec![State::Idle, State::Busy];
    for why in WHYS {
        states.push(State::Stopping { why, kill_at: NOW });
        states.push(State::Stopping { why, kill_at: NOW + GRACE });
        states.push(State::Killing { why });
    }
    states.extend(endings.map(State::Ended));
    states
}

fn has_worker(state: State) -> bool {
    matches!(state, State::Busy | State::Stopping { .. } | State::Killing { .. })
}

#[test]
fn every_pair_keeps_the_rules() {
    for once in [false, true] {
        for state in states() {
            for event in EVENTS {
                let (next, actions) = step(&mode(once), state, event, NOW);
                let pair = format!("{state:?} + {event:?} -> {next:?} {actions:?}");
                if matches!(state, State::Ended(_)) {
                    assert_eq!(next, state, "an end is an end: {pair}");
                    assert!(actions.iter().all(|action| matches!(action, Action::Ignored(_))), "{pair}");
                }
                let started = actions.contains(&Action::StartWorker);
                let finished = actions.contains(&Action::FinishJob);
                assert_eq!(started, !has_worker(state) && has_worker(next), "a worker starts where none was: {pair}");
                assert_eq!(finished, has_worker(state) && !has_worker(next), "each job is finished: {pair}");
                assert!(!finished || event == Event::WorkerEnded, "no job is finished before its worker: {pair}");
                let stopping = matches!(next, State::Stopping { .. }) && !matches!(state, State::Stopping { .. });
                assert_eq!(actions.contains(&Action::InterruptWorker), stopping, "asked exactly once: {pair}");
                let killing = matches!(next, State::Killing { .. }) && !matches!(state, State::Killing { .. });
                assert_eq!(actions.contains(&Action::KillWorker), killing, "killed exactly once: {pair}");
                assert!(!killing || matches!(state, State::Stopping { .. }), "never killed without asking: {pair}");
                if event != Event::Tick && next == state {
                    assert_eq!(actions, [Action::Ignored(event)], "nothing is passed over in silence: {pair}");
                }
            }
        }
    }
}

#[test]
fn a_runner_for_one_job_ends_after_it_and_another_goes_on() {
    assert_eq!(step(&mode(true), State::Busy, Event::WorkerEnded, NOW).0, State::Ended(Ending::JobDone));
    assert_eq!(step(&mode(false), State::Busy, Event::WorkerEnded, NOW).0, State::Idle);
}

#[test]
fn a_worker_that_does_not_end_is_killed_at_its_time() {
    let (state, _) = step(&mode(true), State::Busy, Event::Signal, NOW);
    assert_eq!(state, State::Stopping { why: Why::Shutdown, kill_at: NOW + GRACE });
    let (same, actions) = step(&mode(true), state, Event::Tick, NOW + GRACE.mul_f32(0.99));
    assert_eq!((same, actions), (state, vec![]));
    let (state, actions) = step(&mode(true), state, Event::Tick, NOW + GRACE);
    assert_eq!((state, actions), (State::Killing { why: Why::Shutdown }, vec![Action::KillWorker]));
    assert_eq!(step(&mode(true), state, Event::WorkerEnded, NOW).0, State::Ended(Ending::Stopped));
}

#[test]
fn a_cancelled_job_does_not_end_a_runner_for_many_unless_it_was_stopped_meanwhile() {
    let (state, _) = step(&mode(false), State::Busy, Event::Cancelled, NOW);
    assert_eq!(step(&mode(false), state, Event::WorkerEnded, NOW).0, State::Idle);
    let (state, _) = step(&mode(false), state, Event::Signal, NOW);
    assert_eq!(step(&mode(false), state, Event::WorkerEnded, NOW).0, State::Ended(Ending::Stopped));
}

#[test]
fn an_update_is_refused_where_it_is_disabled() {
    let mode = Mode { disable_update: true, ..mode(true) };
    assert_eq!(step(&mode, State::Idle, Event::Update, NOW).0, State::Idle);
}
