//! What can happen to an agent.

use super::{Claimed, RunnerId};

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
    /// The registration can't be used, for this reason.
    ClaimRefused(String),
    /// The runner is there and its registration lies beside it.
    Installed,
    /// There is no runner that could be started, for this reason.
    Unusable(String),
    /// The runner's process runs.
    Started(RunnerId),
    /// The runner has updated itself, or has had the time for it.
    Updated,
    /// The runner says that it listens for jobs.
    Listening,
    /// The runner says that it runs a job.
    JobStarted {
        /// The job's display name.
        name: String,
    },
    /// The runner says that the job is over.
    JobEnded {
        /// The job's result in the runner's words.
        result: String,
    },
    /// The runner's process is gone; all it wrote was told before.
    Exited(Exit),
    /// The agent was asked to stop (SIGTERM or SIGINT).
    StopAsked,
    /// The lifecycle message was sent, or can't be.
    Reported,
    /// EC2 has agreed to terminate the instance.
    Terminated,
    /// EC2 does not terminate the instance.
    NotTerminated,
    /// The machine can't be powered off either, or must not be.
    NotPoweredOff,
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
