//! The processes of one function: who may run, who waits idle, who must go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::sandbox::{Deployed, Sandbox};

/// A function's processes. `S` is [`Sandbox`]; tests use less.
#[derive(Debug)]
pub(crate) struct Pool<S = Sandbox> {
    /// What new processes are started from.
    pub(crate) deployed: Arc<Deployed>,
    idle: Vec<(S, Instant)>,
    running: usize,
    /// The function was deleted while invocations ran; they end in peace.
    deleted: bool,
}

/// What the pool needs to know of a process.
pub(crate) trait Pooled {
    /// What it was started from.
    fn deployed(&self) -> &Arc<Deployed>;
    /// Whether its process has ended.
    fn is_gone(&self) -> bool;
}

impl Pooled for Sandbox {
    fn deployed(&self) -> &Arc<Deployed> {
        &self.deployed
    }

    fn is_gone(&self) -> bool {
        Sandbox::is_gone(self)
    }
}

/// Whether an invocation may run, and in what.
#[derive(Debug)]
pub(crate) enum Admission<S> {
    /// In a process that waits.
    Warm(S),
    /// In a new one.
    Cold(Arc<Deployed>),
    /// Not now.
    Throttled,
}

impl<S: Pooled> Pool<S> {
    /// A pool without processes.
    pub(crate) fn new(deployed: Arc<Deployed>) -> Self {
        Self { deployed, idle: Vec::new(), running: 0, deleted: false }
    }

    /// How many invocations run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Lets one in. `unreserved` is what all functions without a reservation may still start; one with a reservation
    /// has that and no more. `fresh` wants a new process in any case.
    pub(crate) fn admit(&mut self, unreserved: usize, fresh: bool) -> Admission<S> {
        let free = match self.deployed.function.reserved {
            Some(reserved) => reserved.saturating_sub(self.running),
            None => unreserved,
        };
        if free == 0 {
            return Admission::Throttled;
        }
        self.running += 1;
        // The one used last is the warmest.
        while let Some((sandbox, _)) = self.idle.pop_if(|_| !fresh) {
            if !sandbox.is_gone() {
                return Admission::Warm(sandbox);
            }
        }
        Admission::Cold(Arc::clone(&self.deployed))
    }

    /// Takes back what an invocation ran in, where it may run another. Answers what must end.
    pub(crate) fn done(&mut self, sandbox: Option<S>, now: Instant) -> Option<S> {
        self.running -= 1;
        let sandbox = sandbox?;
        if self.deleted || !self.serves(&sandbox) {
            return Some(sandbox);
        }
        self.idle.push((sandbox, now));
        None
    }

    /// Whether a process is of the version that is deployed.
    fn serves(&self, sandbox: &S) -> bool {
        sandbox.deployed().function.same_process(&self.deployed.function)
    }

    /// Goes over to another version. Answers the processes that must end; those that run end when they are done.
    pub(crate) fn deploy(&mut self, deployed: Arc<Deployed>) -> Vec<S> {
        self.deployed = deployed;
        self.deleted = false;
        let (stay, go): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.idle).into_iter().partition(|(sandbox, _)| self.serves(sandbox));
        self.idle = stay;
        go.into_iter().map(|(sandbox, _)| sandbox).collect()
    }

    /// Whether [`Pool::delete`] was called, and no [`Pool::deploy`] since.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Its function is no more. Answers the processes that must end.
    pub(crate) fn delete(&mut self) -> Vec<S> {
        self.deleted = true;
        self.idle.drain(..).map(|(sandbox, _)| sandbox).collect()
    }

    /// Takes out the processes that have been idle for too long, or are gone.
    pub(crate) fn expire(&mut self, now: Instant, idle_after: Duration) -> Vec<S> {
        self.idle
            .extract_if(.., |(sandbox, since)| now.duration_since(*since) >= idle_after || sandbox.is_gone())
            .map(|(sandbox, _)| sandbox)
            .collect()
    }
}

#[cfg(test)]
#[path = "pool/tests.rs"]
mod tests;
