//! What to do about an instance: moto's state of it against ours. A table, nothing more.

use crate::State;
use crate::machine::{Phase, Record};

/// Our side of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ours {
    /// No machine, or that of an earlier life.
    Absent,
    /// Not up yet.
    Booting,
    /// Its first process runs.
    Up,
    /// Asked to end.
    Stopping,
    /// Gone.
    Ended,
}

impl Ours {
    /// Where a machine stands.
    pub(super) fn of(record: &Record) -> Self {
        if record.reached(Phase::Gone) {
            Self::Ended
        } else if record.asked {
            Self::Stopping
        } else if record.phases.contains_key(&Phase::Leader) {
            // One that ends by itself is up until it is gone.
            Self::Up
        } else {
            Self::Booting
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Nothing,
    Boot,
    TellRunning,
    PowerOff,
    /// The same, and its disk is kept for the next boot.
    Stop,
    PullPlug,
    /// The machine ended by itself: moto terminates or stops the instance, as its shutdown behaviour says.
    TellShutdown,
    TellStopped,
    TellTerminated,
    /// Both sides agree that it is over.
    Forget,
}

pub(super) fn step(theirs: State, ours: Ours) -> Step {
    match (theirs, ours) {
        (State::Pending, Ours::Absent) => Step::Boot,
        (State::Pending, Ours::Up) => Step::TellRunning,
        // Also one that has no machine: moto remembers it from before this host, and it has nothing to run on.
        (State::Running, Ours::Absent) | (State::Pending | State::Running, Ours::Ended) => Step::TellShutdown,
        (State::ShuttingDown, Ours::Booting | Ours::Up) => Step::PowerOff,
        (State::Stopping, Ours::Booting | Ours::Up) => Step::Stop,
        (State::ShuttingDown, Ours::Absent | Ours::Ended) => Step::TellTerminated,
        (State::Stopping, Ours::Absent | Ours::Ended) => Step::TellStopped,
        // Nobody waits for it any more.
        (State::Stopped | State::Terminated, Ours::Booting | Ours::Up) => Step::PullPlug,
        (State::Stopped | State::Terminated, Ours::Ended) => Step::Forget,
        // Already on its way, or as it should be.
        (State::Pending, Ours::Booting | Ours::Stopping)
        | (State::Running, Ours::Booting | Ours::Up | Ours::Stopping)
        | (State::ShuttingDown | State::Stopping | State::Stopped | State::Terminated, Ours::Stopping)
        | (State::Stopped | State::Terminated, Ours::Absent) => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [Ours; 5] = [Ours::Absent, Ours::Booting, Ours::Up, Ours::Stopping, Ours::Ended];

    /// What a step leads to: moto's state and ours after it, the machine having done what it was asked for.
    fn after(theirs: State, ours: Ours) -> (State, Ours) {
        match step(theirs, ours) {
            Step::Boot => (theirs, Ours::Booting),
            Step::TellRunning => (State::Running, ours),
            Step::PowerOff | Step::Stop | Step::PullPlug => (theirs, Ours::Stopping),
            Step::TellShutdown | Step::TellTerminated => (State::Terminated, ours),
            Step::TellStopped => (State::Stopped, ours),
            Step::Forget => (theirs, Ours::Absent),
            Step::Nothing if ours == Ours::Booting => (theirs, Ours::Up),
            Step::Nothing if ours == Ours::Stopping => (theirs, Ours::Ended),
            Step::Nothing => (theirs, ours),
        }
    }

    #[test]
    fn every_pair_settles_and_only_a_running_instance_keeps_its_machine() {
        for theirs in State::ALL {
            for ours in OURS {
                let mut pair = (theirs, ours);
                for _ in 0..10 {
                    pair = after(pair.0, pair.1);
                }
                assert_eq!(after(pair.0, pair.1), pair, "{theirs:?} with {ours:?} does not settle");
                assert!(
                    matches!(pair, (State::Running, Ours::Up) | (State::Stopped | State::Terminated, Ours::Absent)),
                    "{theirs:?} with {ours:?} ends as {pair:?}"
                );
            }
        }
    }

    #[test]
    fn no_pair_boots_a_second_machine_and_none_kills_one_that_shall_run() {
        for theirs in State::ALL {
            for ours in OURS {
                let step = step(theirs, ours);
                assert!(step != Step::Boot || (theirs, ours) == (State::Pending, Ours::Absent));
                if matches!(step, Step::PowerOff | Step::Stop | Step::PullPlug) {
                    assert!(!matches!(theirs, State::Pending | State::Running), "{theirs:?} with {ours:?}: {step:?}");
                }
                assert!(step != Step::Stop || theirs == State::Stopping, "{theirs:?} with {ours:?} keeps a disk");
                if step == Step::TellTerminated {
                    assert!(matches!(ours, Ours::Absent | Ours::Ended), "told the end of a live machine");
                }
            }
        }
    }

    #[test]
    fn our_side_follows_from_the_record() {
        let at = |phase, asked| {
            let mut record = Record { asked, ..Record::default() };
            record.phases.insert(phase, jiff::Timestamp::UNIX_EPOCH);
            Ours::of(&record)
        };
        assert_eq!(at(Phase::Queued, false), Ours::Booting);
        assert_eq!(at(Phase::Leader, false), Ours::Up);
        assert_eq!(at(Phase::Ended, false), Ours::Booting, "its first process never ran");
        assert_eq!(at(Phase::Ready, true), Ours::Stopping);
        assert_eq!(at(Phase::Gone, true), Ours::Ended);
    }
}
