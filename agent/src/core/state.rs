//! All there is to know about an agent's life.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_contract::{Job, Kind, Phase, Reason};
use serde::{Deserialize, Serialize};

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
    /// Waiting for the registration.
    Claiming {
        /// When to give up.
        until: Uptime,
    },
    /// The registration is taken; the runner is looked at and given it.
    Installing,
    /// The runner is about to run, or has not reached GitHub yet.
    Starting(Starting),
    /// The runner waits for a job, or is about to exit after one.
    Listening,
    /// The runner runs a job.
    Running,
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
    /// The lifecycle message is being sent.
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

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the agent's start until the registration is there.
    pub claim: Duration,
    /// From asking the runner to stop until it is killed.
    pub stop: Duration,
}

impl Limits {
    /// From the runner's start until it listens: a cold disk and .NET take some 20 s, GitHub's JIT configs expire
    /// after about 300 s.
    pub const CONNECT: Duration = Duration::from_mins(5);
    /// Between a runner's exit and its next start; what the runner's own `run-helper.sh` waits.
    pub const PAUSE: Duration = Duration::from_secs(5);
    /// How often a runner is started in all.
    pub const STARTS: u32 = 6;
    /// From the kill until the kernel has taken the process away; longer only if it hangs in I/O.
    pub const KILL: Duration = Duration::from_secs(5);
    /// From EC2's agreement to the machine's shutdown.
    pub const SHUTDOWN: Duration = Duration::from_mins(1);
    /// From the power-off's start to its end.
    pub const POWER_OFF: Duration = Duration::from_mins(1);
}

/// What an agent has learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When each phase began. The first time counts.
    pub phases: BTreeMap<Phase, Uptime>,
    /// The registration that was taken.
    pub claimed: Option<Claimed>,
    /// Why it was not taken so far.
    pub claim_trouble: Option<String>,
    /// The runner's process, while it runs.
    pub runner: Option<RunnerId>,
    /// How often the runner was started.
    pub starts: u32,
    /// The job it was given.
    pub job: Option<Job>,
    /// The exit code of the runner's last process.
    pub exit_code: Option<i32>,
    /// Why the instance ends.
    pub verdict: Option<Verdict>,
}

impl Facts {
    /// Notes that `phase` began at `now`, unless it did before.
    pub fn began(&mut self, phase: Phase, now: Uptime) {
        self.phases.entry(phase).or_insert(now);
    }
}

/// A registration as far as it is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The reservation this instance was launched under.
    pub reservation: String,
    /// The runner's id at GitHub.
    pub runner_id: u64,
    /// The runner's name at GitHub.
    pub runner_name: String,
}

/// A process, told apart from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerId {
    /// Process id, and id of its process group.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks from boot to its start.
    pub start_ticks: u64,
}

/// Why an instance ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it did what it was launched for.
    pub kind: Kind,
    /// The reason, for programs.
    pub reason: Reason,
    /// The reason, for people, where there is more to tell.
    pub detail: Option<String>,
}

impl Verdict {
    pub(super) fn finished(reason: Reason) -> Self {
        Self { kind: Kind::Finished, reason, detail: None }
    }

    pub(super) fn failed(reason: Reason, detail: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, reason, detail: Some(detail.into()) }
    }
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
            | Stage::Draining { until, .. }
            | Stage::Ending(Ending::Waiting { until } | Ending::PoweringOff { until }) => Some(*until),
            Stage::Booting
            | Stage::Installing
            | Stage::Starting(Starting::Launching | Starting::Updating)
            | Stage::Listening
            | Stage::Running
            | Stage::Ending(Ending::Reporting | Ending::Terminating | Ending::Over { .. }) => None,
        }
    }

    /// The stage in one word, for logs and transcripts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.stage {
            Stage::Booting => "Booting",
            Stage::Claiming { .. } => "Claiming",
            Stage::Installing => "Installing",
            Stage::Starting(_) => "Starting",
            Stage::Listening => "Listening",
            Stage::Running => "Running",
            Stage::Draining { .. } => "Draining",
            Stage::Ending(Ending::Over { .. }) => "Over",
            Stage::Ending(_) => "Ending",
        }
    }
}
