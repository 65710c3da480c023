//! What the listener decides: `step(state, event, uptime)` answers with the next state and what to do.
//!
//! ```text
//! Idle -> Busy -> Idle                    a runner for many jobs
//! Idle -> Busy -> Ended                   a runner for one job
//! Busy -> Stopping -> (Killing) -> Ended  stopped or deleted in mid-job; back to Idle if only the job was cancelled
//! ```

use std::time::Duration;

/// Where the listener stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No job.
    Idle,
    /// A worker runs.
    Busy,
    /// The worker was asked to end.
    Stopping {
        /// What asked.
        why: Why,
        /// The uptime at which it is killed.
        kill_at: Duration,
    },
    /// The worker was killed and is about to be reaped.
    Killing {
        /// What asked.
        why: Why,
    },
    /// No way back.
    Ended(Ending),
}

/// Why a job was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The job was cancelled at the server; the runner goes on.
    JobCancelled,
    /// SIGINT or SIGTERM.
    Shutdown,
    /// The runner was deleted at the server.
    Gone,
    /// The runner's token was revoked.
    Revoked,
}

/// How the listener ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a signal.
    Stopped,
    /// After its one job.
    JobDone,
    /// Deleted at the server.
    Gone,
    /// Its token was revoked.
    Revoked,
    /// To be replaced by a newer version.
    Updating,
    /// To be started again with a refreshed configuration.
    Refreshed,
    /// This version is too old for the server.
    VersionRefused,
    /// An answer that nobody understands: start again.
    Broken,
}

/// What happens to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server handed out a job.
    Job,
    /// The running job was cancelled at the server.
    Cancelled,
    /// The worker is gone.
    WorkerEnded,
    /// The server does not know the runner.
    Gone,
    /// The server refuses the token.
    Revoked,
    /// SIGINT or SIGTERM.
    Signal,
    /// A newer version is there.
    Update,
    /// The configuration was refreshed.
    Refresh,
    /// The server refuses this version.
    VersionRefused,
    /// The server's answer makes no sense.
    Broken,
    /// Time went on.
    Tick,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker for the job that came.
    StartWorker,
    /// SIGINT to the worker.
    InterruptWorker,
    /// SIGKILL to the worker and its steps.
    KillWorker,
    /// Report the job's end and tell it.
    FinishJob,
    /// Nothing; into the log, so that a surprise stays visible.
    Ignored(Event),
}

/// What does not change while a listener lives.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Ends after one job.
    pub once: bool,
    /// Never replaces itself.
    pub disable_update: bool,
    /// How long a worker may take to end. With the real one, all of stopping takes up to 30 s.
    pub grace: Duration,
}

/// Decides. `now` is the time since the listener's start.
#[must_use]
pub fn step(mode: &Mode, state: State, event: Event, now: Duration) -> (State, Vec<Action>) {
    use Action::{FinishJob, Ignored, InterruptWorker, KillWorker, StartWorker};
    let stop = |why| (State::Stopping { why, kill_at: now + mode.grace }, vec![InterruptWorker]);
    match (state, event) {
        (State::Idle, Event::Job) => (State::Busy, vec![StartWorker]),
        (State::Idle, Event::Signal) => (State::Ended(Ending::Stopped), vec![]),
        (State::Idle, Event::Gone) => (State::Ended(Ending::Gone), vec![]),
        (State::Idle, Event::Revoked) => (State::Ended(Ending::Revoked), vec![]),
        (State::Idle, Event::Update) if !mode.disable_update => (State::Ended(Ending::Updating), vec![]),
        (State::Idle, Event::Refresh) => (State::Ended(Ending::Refreshed), vec![]),
        (State::Idle, Event::VersionRefused) => (State::Ended(Ending::VersionRefused), vec![]),
        (State::Idle, Event::Broken) => (State::Ended(Ending::Broken), vec![]),

        (State::Busy, Event::Cancelled) => stop(Why::JobCancelled),
        (State::Busy, Event::Signal) => stop(Why::Shutdown),
        (State::Busy, Event::Gone) => stop(Why::Gone),
        (State::Busy, Event::Revoked) => stop(Why::Revoked),
        (State::Busy, Event::WorkerEnded) => {
            (if mode.once { State::Ended(Ending::JobDone) } else { State::Idle }, vec![FinishJob])
        }

        (State::Stopping { kill_at, why }, Event::Tick) if now >= kill_at => (State::Killing { why }, vec![KillWorker]),
        (State::Stopping { why, .. } | State::Killing { why }, Event::WorkerEnded) => {
            (after(mode, why), vec![FinishJob])
        }
        // The job ends already; what changes is what comes after it. The first reason to end the runner stays.
        (State::Stopping { why: Why::JobCancelled, kill_at }, Event::Signal | Event::Gone | Event::Revoked) => {
            (State::Stopping { why: why_of(event), kill_at }, vec![])
        }
        (State::Killing { why: Why::JobCancelled }, Event::Signal | Event::Gone | Event::Revoked) => {
            (State::Killing { why: why_of(event) }, vec![])
        }

        (state, Event::Tick) => (state, vec![]),
        (state, event) => (state, vec![Ignored(event)]),
    }
}

fn why_of(event: Event) -> Why {
    match event {
        Event::Gone => Why::Gone,
        Event::Revoked => Why::Revoked,
        _ => Why::Shutdown,
    }
}

fn after(mode: &Mode, why: Why) -> State {
    match why {
        Why::JobCancelled if mode.once => State::Ended(Ending::JobDone),
        Why::JobCancelled => State::Idle,
        Why::Shutdown => State::Ended(Ending::Stopped),
        Why::Gone => State::Ended(Ending::Gone),
        Why::Revoked => State::Ended(Ending::Revoked),
    }
}

#[cfg(test)]
mod tests;
