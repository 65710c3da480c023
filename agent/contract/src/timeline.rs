//! When each phase of an instance's life began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Phases of an instance's life, in their usual order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The kernel started.
    Kernel,
    /// The agent's process started.
    Agent,
    /// The registration was taken and deleted.
    Claimed,
    /// The runner's files are on the disk.
    Installed,
    /// The runner's process was started.
    Started,
    /// The runner listens for jobs.
    Listening,
    /// The job began.
    JobStarted,
    /// The job ended.
    JobEnded,
    /// The agent began to end the instance.
    End,
}

impl Phase {
    /// All phases in their usual order.
    pub const ALL: [Self; 9] = [
        Self::Kernel,
        Self::Agent,
        Self::Claimed,
        Self::Installed,
        Self::Started,
        Self::Listening,
        Self::JobStarted,
        Self::JobEnded,
        Self::End,
    ];

    /// The phase's name in a document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Agent => "agent",
            Self::Claimed => "claimed",
            Self::Installed => "installed",
            Self::Started => "started",
            Self::Listening => "listening",
            Self::JobStarted => "job_started",
            Self::JobEnded => "job_ended",
            Self::End => "end",
        }
    }
}

/// Milliseconds since 1970 (UTC) at which each phase began. Phases of a newer agent are kept by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(pub BTreeMap<String, u64>);

impl Timeline {
    /// Notes that `phase` began at `millis`. The first time counts: a phase begins once.
    pub fn set(&mut self, phase: Phase, millis: u64) {
        self.0.entry(phase.name().to_owned()).or_insert(millis);
    }

    /// When `phase` began.
    #[must_use]
    pub fn get(&self, phase: Phase) -> Option<u64> {
        self.0.get(phase.name()).copied()
    }
}
