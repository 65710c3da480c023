//! The outside, as wide as it is used.

use futures::future::BoxFuture;
use secrecy::SecretString;

use super::Events;
use crate::aws::CallError;
use crate::core::RunnerId;
use crate::runner::jit::JitFiles;

/// Holds this instance's registration, once.
pub trait Registrations: Send + Sync {
    /// The registration, if it is there.
    fn get(&self) -> BoxFuture<'_, Result<Option<SecretString>, CallError>>;

    /// Deletes it; fine if it is gone already.
    fn delete(&self) -> BoxFuture<'_, Result<(), CallError>>;
}

/// Takes lifecycle messages.
pub trait Outbox: Send + Sync {
    /// Sends one.
    fn send(&self, message: String) -> BoxFuture<'_, Result<(), CallError>>;
}

/// Ends this instance.
pub trait Terminator: Send + Sync {
    /// Asks for it; fine if it was asked before.
    fn terminate(&self) -> BoxFuture<'_, Result<(), CallError>>;
}

/// Why there is no runner that could be started: one sentence, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// The runner, and the machine it is on.
pub trait Machine: Send + Sync {
    /// Begins to read the runner's files into memory.
    fn read_ahead(&self);

    /// Ends that.
    fn stop_reading_ahead(&self);

    /// Sees that the runner is there and gives it its registration.
    fn install(&self, registration: JitFiles) -> Result<(), Unusable>;

    /// Starts the runner; its output and exit go to `events`.
    fn start(&self, events: Events) -> Result<RunnerId, Unusable>;

    /// Watches a runner that was started by an earlier agent; its output, from the beginning, and its exit go to `events`.
    fn adopt(&self, runner: Option<RunnerId>, events: Events);

    /// Waits until the runner has updated itself, for a limited time.
    fn await_update(&self) -> BoxFuture<'static, ()>;

    /// Asks the runner to stop.
    fn interrupt(&self);

    /// Kills the runner and its group.
    fn kill(&self);

    /// Powers the machine off.
    fn power_off(&self) -> Result<(), std::io::Error>;
}
