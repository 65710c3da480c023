//! Takes the registration: reads it, then deletes it, and only then is it taken.
//!
//! A registration that can't be deleted is not used, though it would work: what stays behind could be read by the job
//! through the instance's role, and a deployment whose agents may not delete would run unnoticed into SSM's limit of
//! 10,000 parameters. So deleting is tried until the claim's deadline, like reading, and then the instance ends and
//! says why; the job is still queued.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_contract::{Registration, RegistrationError};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::Registrations;
use crate::aws::{CallError, Fault};
use crate::backoff::{Backoff, random};
use crate::core::Claimed;
use crate::runner::jit::{JitError, JitFiles};

/// A registration that exists nowhere else any more. Only [`take`] makes one.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) claimed: Claimed,
    pub(super) files: JitFiles,
}

/// Why a registration can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The document is bad.
    #[error("{0}")]
    Document(#[from] RegistrationError),
    /// The JIT config in it is bad.
    #[error("registration: {0}")]
    Jit(#[from] JitError),
}

/// How often a registration that can't be used is deleted at most: nobody waits for it.
const DELETE_TRIES: u32 = 3;

/// Tries until the registration is taken or refused; whoever calls limits the time. `trouble` is told once of each
/// new thing that is in the way, other than that the registration is not there yet.
pub(super) async fn take(store: &dyn Registrations, trouble: impl Fn(String)) -> Result<Taken, Refused> {
    let mut tries = Tries::new(&trouble);
    let text = loop {
        match store.get().await {
            Ok(Some(text)) => break text,
            Ok(None) => tries.pause().await,
            Err(error) if error.fault == Fault::Denied => tries.pause_after_denial(&error).await,
            Err(error) => tries.pause_after(&error).await,
        }
    };
    let taken = match read(&text) {
        Ok(taken) => taken,
        Err(refused) => {
            discard(store).await;
            return Err(refused);
        }
    };
    drop(text);
    let mut tries = Tries::new(&trouble);
    while let Err(error) = store.delete().await {
        tries.pause_after(&error).await;
    }
    Ok(taken)
}

fn read(text: &SecretString) -> Result<Taken, Refused> {
    let registration = Registration::read(text.expose_secret())?;
    let files = JitFiles::decode(&registration.jit_config)?;
    let Registration { reservation, runner_id, runner_name, .. } = registration;
    Ok(Taken { claimed: Claimed { reservation, runner_id, runner_name }, files })
}

async fn discard(store: &dyn Registrations) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
    for _ in 0..DELETE_TRIES {
        match store.delete().await {
            Ok(()) => return,
            Err(error) => warn!(%error, "The refused registration can't be deleted"),
        }
        sleep(backoff.next(random())).await;
    }
}

/// Waits between tries, and tells each trouble once.
struct Tries<'a, F> {
    backoff: Backoff,
    trouble: &'a F,
    told: BTreeSet<String>,
}

impl<'a, F: Fn(String)> Tries<'a, F> {
    fn new(trouble: &'a F) -> Self {
        Self {
            backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            trouble,
            told: BTreeSet::new(),
        }
    }

    async fn pause(&mut self) {
        let pause = self.backoff.next(random());
        debug!(pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "No registration yet");
        sleep(pause).await;
    }

    async fn pause_after(&mut self, error: &CallError) {
        // GetParameter allows 40 calls a second to a whole account, DeleteParameter 5.
        if error.fault == Fault::Throttled {
            self.backoff.slow_down(Duration::from_secs(5));
        }
        self.tell(error.to_string());
        self.pause().await;
    }

    /// The role may read parameters that are tagged with its instance. One that is not there has no tag, so that IAM
    /// denies what SSM would not find; which of the two it was can't be told from the answer.
    async fn pause_after_denial(&mut self, error: &CallError) {
        self.tell(format!("it is not there yet, or the role may not read it ({error})"));
        self.pause().await;
    }

    fn tell(&mut self, text: String) {
        if self.told.insert(text.clone()) {
            (self.trouble)(text);
        }
    }
}
