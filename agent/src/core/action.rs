//! What an agent can do. `effects` carries these out, one arm each.

use dayfly_contract::Kind;

/// Carried out in order; none waits for another's end. What comes of them comes back as events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the registration from the store, trying until it is stopped.
    Claim,
    /// Stop trying to take the registration.
    StopClaiming,
    /// Delete the registration unread: nobody will take it any more.
    Discard,
    /// See that the runner's files are there, and install them where they are not. What is there is read into memory, so
    /// that the runner need not wait for a cold disk.
    Prepare,
    /// Stop that: the runner needs the disk itself now, or nobody needs the runner.
    StopPreparing,
    /// Give the runner its registration and its surroundings.
    Install,
    /// Start the runner's process.
    Start,
    /// Wait until the runner has updated itself, for a limited time.
    AwaitUpdate,
    /// Watch a runner that an earlier agent started.
    Adopt,
    /// Look whether the runner has a Worker.
    LookForWorker,
    /// Start what is to run beside a runner that listens.
    StartExtras,
    /// Ask the runner to stop: it cancels its job, says goodbye to GitHub and exits.
    Interrupt,
    /// Kill the runner and what it started.
    Kill,
    /// Tell control. Never of the end: that is [`Action::Report`].
    Tell(Kind),
    /// Run what is to be run before the end.
    CloseUp,
    /// Send the last lifecycle message.
    Report,
    /// Have EC2 terminate this instance.
    Terminate,
    /// Power the machine off.
    PowerOff,
    /// End the agent's process with this exit code.
    Exit(u8),
    /// The signs of a job contradict each other. Logged.
    Disagree(Disagreement),
    /// Nothing; the event does not belong to the state. Logged, so that a surprise stays visible.
    Ignore,
}

/// How the signs of a job can contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// A hook says that a job began, and the runner has no Worker. Somebody else has called it.
    HookWithoutWorker,
    /// There is a Worker, and the runner has not said that it runs a job.
    WorkerWithoutWord,
    /// The runner says that its job is over, and the Worker lives.
    WorkerAfterJob,
}
