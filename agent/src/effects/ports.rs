//! The outside, as wide as it is used.

use std::collections::BTreeMap;

use dayfly_contract::{Phase, Reason, Registration};
use futures::future::BoxFuture;
use secrecy::SecretString;

use super::Events;
use crate::aws::CallError;
use crate::clock::Uptime;
use crate::core::{Event, RunnerId};

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
#[error("{why}")]
pub struct Unusable {
    /// [`Reason::InstallFailed`] or [`Reason::RunnerUnusable`].
    pub reason: Reason,
    /// The sentence.
    pub why: String,
}

impl Unusable {
    /// Of a runner that can't be run as it is.
    pub fn runner(why: impl Into<String>) -> Self {
        Self { reason: Reason::RunnerUnusable, why: why.into() }
    }

    /// Of a runner that can't be installed.
    pub fn install(why: impl Into<String>) -> Self {
        Self { reason: Reason::InstallFailed, why: why.into() }
    }
}

/// What comes of a runner that can't be started.
impl From<Unusable> for Event {
    fn from(Unusable { reason, why }: Unusable) -> Self {
        Self::Unusable { reason, why }
    }
}

/// The runner, and the machine it is on.
pub trait Machine: Send + Sync {
    /// Sees that the runner's files are there, and begins to read them into memory.
    fn prepare(&self) -> BoxFuture<'static, Result<(), Unusable>>;

    /// Ends that reading.
    fn stop_reading_ahead(&self);

    /// Gives the runner its registration and its surroundings; `timeline` are milliseconds since the kernel's start.
    fn install(
        &self,
        registration: Registration,
        timeline: BTreeMap<Phase, Uptime>,
    ) -> BoxFuture<'static, Result<(), Unusable>>;

    /// Starts the runner; its output, its Worker and its exit go to `events`.
    fn start(&self, events: Events) -> Result<RunnerId, Unusable>;

    /// Watches a runner that was started by an earlier agent; its output, from the beginning, its Worker and its exit go
    /// to `events`. Where nobody noted its process it is looked for.
    fn adopt(&self, runner: Option<RunnerId>, events: Events);

    /// Waits until the runner has updated itself, for a limited time.
    fn await_update(&self) -> BoxFuture<'static, ()>;

    /// Whether the runner has a Worker.
    fn has_worker(&self) -> bool;

    /// Starts what is to run beside a runner that listens.
    fn start_extras(&self);

    /// Asks the runner to stop.
    fn interrupt(&self);

    /// Kills the runner and all that it started.
    fn kill(&self);

    /// Runs what is to be run before the end, for a limited time.
    fn close_up(&self) -> BoxFuture<'static, ()>;

    /// The last lines of the runner's output, without secrets.
    fn last_lines(&self) -> Vec<String>;

    /// Powers the machine off.
    fn power_off(&self) -> Result<(), std::io::Error>;
}
