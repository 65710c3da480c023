//! What an agent can do. `effects` carries these out, one arm each.

/// Carried out in order; none waits for another's end. What comes of them comes back as events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the registration from the store, trying until it is stopped.
    Claim,
    /// Stop trying to take the registration.
    StopClaiming,
    /// Read the runner's files, so that they are in memory when the runner needs them.
    ReadAhead,
    /// Stop reading them: the runner needs the disk itself now.
    StopReadingAhead,
    /// See that the runner is there, and write its registration beside it.
    Install,
    /// Start the runner's process.
    Start,
    /// Wait until the runner has updated itself, for a limited time.
    AwaitUpdate,
    /// Watch a runner that an earlier agent started.
    Adopt,
    /// Ask the runner to stop: it cancels its job, says goodbye to GitHub and exits.
    Interrupt,
    /// Kill the runner and what it started.
    Kill,
    /// Send the lifecycle message.
    Report,
    /// Have EC2 terminate this instance.
    Terminate,
    /// Power the machine off.
    PowerOff,
    /// End the agent's process with this exit code.
    Exit(u8),
    /// Nothing; the event does not belong to the state. Logged, so that a surprise stays visible.
    Ignore,
}
