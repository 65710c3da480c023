//! What can happen to an agent.

use dayfly_contract::{JobFacts, Reason};
use std::time::Duration;

use super::{Claimed, RunnerId};
use crate::clock::Uptime;

/// All sources are turned into these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent's process begins its work: for the first time, or again with a state it has loaded.
    Began,
    /// A deadline of the state has passed.
    Tick,
    /// The registration was taken, and deleted from the store.
    Claimed(Claimed),
    /// Taking the registration does not succeed so far, for this reason. It is tried on.
    ClaimTrouble(String),
    /// The registration can't be used, for this reason; it was deleted.
    ClaimRefused(String),
    /// Control has told that no registration will come, for this reason.
    Withdrawn(String),
    /// The runner's files are on the disk.
    Prepared,
    /// The runner is there and its registration lies beside it.
    Installed,
    /// There is no runner that could be started.
    Unusable {
        /// Why, for programs: [`Reason::InstallFailed`] or [`Reason::RunnerUnusable`].
        reason: Reason,
        /// Why, for people.
        why: String,
    },
    /// The runner's process runs.
    Started(RunnerId),
    /// The runner has updated itself, or has had the time for it.
    Updated,
    /// The runner has written a line that tells something.
    Said {
        /// The how-manyth such line of this process it is, from 1. An agent that was restarted reads them all again.
        number: u64,
        /// What it tells.
        saying: Saying,
    },
    /// A job's hook was called. It is the job's own word.
    Hook(HookCall),
    /// Whether the runner has a `Runner.Worker`, the process of a job.
    Worker(bool),
    /// The runner's process is gone; all it wrote was told before.
    Exited(Exit),
    /// EC2 announces that it takes the instance away.
    Notice(Notice),
    /// The disk has too little room for a further job.
    DiskLow {
        /// What is free, in MiB.
        free_mib: u64,
    },
    /// The machine stood still for so long: it was suspended, or hibernated.
    Slept(Duration),
    /// It is time for a sign of life.
    HeartbeatDue,
    /// The agent was asked to stop (SIGTERM or SIGINT).
    StopAsked,
    /// What is to be run before the end has run, or has had its time.
    ClosedUp,
    /// The lifecycle message was sent, or can't be.
    Reported,
    /// EC2 has agreed to terminate the instance.
    Terminated,
    /// EC2 does not terminate the instance.
    NotTerminated,
    /// The machine can't be powered off either, or must not be.
    NotPoweredOff,
}

/// What a line of the runner's output tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// It listens for jobs.
    Listening,
    /// It runs a job.
    JobStarted {
        /// The job's display name.
        name: String,
    },
    /// The job is over.
    JobEnded {
        /// The job's result in the runner's words.
        result: String,
    },
}

/// What a job's hook tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookCall {
    /// The job's first step.
    Started(JobFacts),
    /// The job's last step.
    Completed(JobFacts),
}

/// An announcement of EC2's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// [`Reason::SpotInterruption`], [`Reason::Rebalance`] or [`Reason::Maintenance`].
    pub reason: Reason,
    /// When the instance is taken away, where that was told.
    pub at: Option<Uptime>,
    /// The announcement, for people.
    pub detail: String,
}

/// How the runner's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It was another agent's child, so nobody could be told.
    Unknown,
}
