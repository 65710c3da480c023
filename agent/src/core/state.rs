//! All there is to know about an agent's life.

use serde::{Deserialize, Serialize};

use dayfly_contract::Phase;

use super::{Facts, Limits, Verdict};
use crate::clock::Uptime;

/// The agent's exit code when it could not have the instance ended: the unit file does not restart on it, but fails,
/// and systemd powers the machine off. 70 is `EX_SOFTWARE` of sysexits.h.
pub const EXIT_NOT_ENDED: u8 = 70;

/// Where the agent stands, and what it has learned on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub stage: Stage,
    /// What it has learned.
    pub facts: Facts,
    /// How long things may take.
    pub limits: Limits,
}

/// The stages of an agent's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The config is known; nothing was done yet.
    Booting,
    /// Waiting for the registration, while the runner's files are made ready.
    Claiming {
        /// When to give up.
        until: Uptime,
    },
    /// The registration is taken; the runner's files are made ready, and it is given its registration.
    Installing,
    /// The runner is about to run, or has not reached GitHub yet.
    Starting(Starting),
    /// The runner waits for a job, or is about to exit after one.
    Listening {
        /// Since when it has none.
        since: Uptime,
    },
    /// The runner runs a job.
    Running,
    /// The runner has no job and shall get none: control was asked to delete it at GitHub, which ends it.
    Retiring {
        /// When to stop it ourselves.
        until: Uptime,
        /// Whether a last look for a job is under way.
        looking: bool,
    },
    /// The runner was asked to stop.
    Draining {
        /// When to kill it, or, if that was done, to wait no longer.
        until: Uptime,
        /// Whether it was killed.
        killed: bool,
        /// How the life ends when it has stopped.
        verdict: Verdict,
    },
    /// The instance is being ended.
    Ending(Ending),
}

/// How far the runner's start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starting {
    /// The process is being made.
    Launching,
    /// It exited and asked to be started again.
    Pausing {
        /// When to start it.
        until: Uptime,
    },
    /// It exited to be replaced by a newer version of itself.
    Updating,
    /// The process runs and connects to GitHub.
    Connecting {
        /// When to give up.
        until: Uptime,
    },
}

/// How far the instance's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// What is to be run before the end runs.
    ClosingUp {
        /// When to wait no longer.
        until: Uptime,
    },
    /// The last lifecycle message is being sent.
    Reporting,
    /// EC2 is asked to terminate the instance.
    Terminating,
    /// EC2 has agreed; the machine will be shut down around us.
    Waiting {
        /// When to wait no longer.
        until: Uptime,
    },
    /// EC2 has not agreed; the machine powers itself off.
    PoweringOff {
        /// When to wait no longer.
        until: Uptime,
    },
    /// There is nothing left to do.
    Over {
        /// The agent's exit code.
        code: u8,
    },
}

impl State {
    /// The state of an agent that started at `started`.
    #[must_use]
    pub fn new(limits: Limits, started: Uptime) -> Self {
        let mut facts = Facts::default();
        facts.began(Phase::Kernel, Uptime(0));
        facts.began(Phase::Agent, started);
        Self { stage: Stage::Booting, facts, limits }
    }

    /// When the state wants a [`super::Event::Tick`].
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        match &self.stage {
            Stage::Claiming { until }
            | Stage::Starting(Starting::Pausing { until } | Starting::Connecting { until })
            | Stage::Retiring { until, .. }
            | Stage::Draining { until, .. }
            | Stage::Ending(Ending::ClosingUp { until } | Ending::Waiting { until } | Ending::PoweringOff { until }) => {
                Some(*until)
            }
            Stage::Listening { since } => {
                let idle = self.idle_until(*since);
                Some(self.lifetime_until().map_or(idle, |lifetime| lifetime.min(idle)))
            }
            Stage::Running => {
                let hard = self.facts.leaving.as_ref().and_then(|leaving| leaving.hard);
                earlier(earlier(hard, self.facts.lingers_until()), self.lifetime_until())
            }
            Stage::Installing => self.facts.phases.get(&Phase::Claimed).map(|claimed| *claimed + Limits::INSTALL),
            Stage::Booting
            | Stage::Starting(Starting::Launching | Starting::Updating)
            | Stage::Ending(Ending::Reporting | Ending::Terminating | Ending::Over { .. }) => None,
        }
    }

    /// Until when a runner that has no job `since` then may wait for one, or, after its only job, for its own end.
    #[must_use]
    pub fn idle_until(&self, since: Uptime) -> Uptime {
        if !self.facts.is_ephemeral() {
            let first = self.facts.phases.get(&Phase::Listening).copied().unwrap_or(since);
            return (since + self.limits.idle).max(first + self.limits.minimum_running);
        }
        since + if self.facts.had_job() { Limits::AFTER_JOB } else { self.limits.idle }
    }

    /// When the runner has lived for long enough; `None` where it may live for ever, or where that has come already.
    #[must_use]
    pub fn lifetime_until(&self) -> Option<Uptime> {
        // One that stood by has waited for its registration, and lives as a runner since.
        let from = if self.limits.standby.is_some() { Phase::Claimed } else { Phase::Agent };
        let started = self.facts.phases.get(&from).copied().unwrap_or_default();
        let until = started + self.limits.lifetime?;
        let noted = self.facts.leaving.as_ref().is_some_and(|leaving| leaving.hard.is_some_and(|hard| hard >= until));
        (!noted).then_some(until)
    }

    /// The stage in one word, for logs and transcripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.stage {
            Stage::Booting => "Booting",
            Stage::Claiming { .. } => "Claiming",
            Stage::Installing => "Installing",
            Stage::Starting(_) => "Starting",
            Stage::Listening { .. } => "Listening",
            Stage::Running => "Running",
            Stage::Retiring { .. } => "Retiring",
            Stage::Draining { .. } => "Draining",
            Stage::Ending(Ending::Over { .. }) => "Over",
            Stage::Ending(_) => "Ending",
        }
    }
}

fn earlier(one: Option<Uptime>, other: Option<Uptime>) -> Option<Uptime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
