//! What has happened to a machine so far.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// Phases of a machine's life, in their order. One that was killed early skips some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked for; it may wait until fewer machines are booting.
    Queued,
    /// Its disk and network are there.
    Prepared,
    /// Its first process runs. In process mode: the agent.
    Leader,
    /// systemd has reached its default target. In process mode: the same as `Leader`.
    Ready,
    /// It was asked to power off, or does so by itself.
    Stopping,
    /// Its last process is gone.
    Ended,
    /// Nothing of it is left but its console log.
    Gone,
}

/// How a machine is asked to end. Only ever becomes harder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    /// Nobody asked.
    #[default]
    No,
    /// Power off in order.
    Off,
    /// Cut the power.
    Plug,
}

/// The story of one machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// When each phase began.
    pub phases: BTreeMap<Phase, Timestamp>,
    /// Process id of its first process.
    pub leader: Option<i32>,
    /// How its last process ended. Machines with systemd: 0 power-off, 133 reboot, 1 killed.
    pub exit_code: Option<i32>,
    /// Why it could not be booted, or not be cleaned up.
    pub problem: Option<String>,
    /// Whether it was asked to end from outside.
    pub asked: bool,
}

impl Record {
    /// Whether `phase`, or one after it, has begun.
    #[must_use]
    pub fn reached(&self, phase: Phase) -> bool {
        self.phases.keys().next_back().is_some_and(|latest| *latest >= phase)
    }

    /// The latest phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phases.keys().next_back().copied().unwrap_or(Phase::Queued)
    }

    /// Milliseconds from one phase to another, where both have begun.
    #[must_use]
    pub fn millis(&self, from: Phase, to: Phase) -> Option<i64> {
        let (from, to) = (self.phases.get(&from)?, self.phases.get(&to)?);
        Some(to.as_millisecond() - from.as_millisecond())
    }

    /// One sentence on how it ended.
    #[must_use]
    pub fn ending(&self) -> String {
        match (&self.problem, self.asked, self.exit_code) {
            (Some(problem), _, _) => format!("failed: {problem}"),
            (None, true, Some(code)) => format!("was told to end, exit code {code}"),
            (None, true, None) => "was told to end before it ran".to_owned(),
            (None, false, Some(code)) => format!("powered itself off, exit code {code}"),
            (None, false, None) => "has not ended".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_phase_implies_the_earlier_ones() {
        let mut record = Record::default();
        assert!(!record.reached(Phase::Queued));
        record.phases.insert(Phase::Ended, Timestamp::UNIX_EPOCH);
        assert!(record.reached(Phase::Ready));
        assert!(!record.reached(Phase::Gone));
        assert_eq!(record.phase(), Phase::Ended);
    }

    #[test]
    fn the_ending_tells_who_ended_it() {
        let by_itself = Record { exit_code: Some(0), ..Record::default() };
        assert_eq!(by_itself.ending(), "powered itself off, exit code 0");
        let told = Record { asked: true, exit_code: Some(1), ..Record::default() };
        assert_eq!(told.ending(), "was told to end, exit code 1");
        let failed = Record { problem: Some("no disk".to_owned()), ..Record::default() };
        assert_eq!(failed.ending(), "failed: no disk");
    }
}
