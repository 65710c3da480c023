//! Takes the registration: reads it, then deletes it, and only then is it taken.
//!
//! A registration that can't be deleted is not used, though it would work: what stays behind could be read by the job
//! through the instance's role, and a deployment whose agents may not delete would run unnoticed into SSM's limit of
//! 10,000 parameters. So deleting is tried until the claim's deadline, like reading, and then the instance ends and
//! says why; the job is still queued.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_contract::{Grant, Registration, RegistrationError};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::Registrations;
use crate::aws::{CallError, Fault};
use crate::backoff::{Backoff, random};
use crate::core::Claimed;
use crate::memory::Memory;
use crate::runner::jit::{JitError, JitFiles};

/// A registration that exists nowhere else any more, but in the agent's memory. Only [`take`] makes one.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) claimed: Claimed,
    pub(super) registration: Registration,
}

/// Why a registration can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The document is bad.
    #[error("{0}")]
    Document(#[from] RegistrationError),
    /// It is none: control has told to leave, for this reason.
    #[error("control has no use for this instance: {0}")]
    Withdrawn(String),
    /// The JIT config in it is bad.
    #[error("registration: {0}")]
    Jit(#[from] JitError),
}

/// How often a registration that can't be used is deleted at most: nobody waits for it.
const DELETE_TRIES: u32 = 3;

/// Tries until the registration is taken or refused; whoever calls limits the time. `trouble` is told once of each
/// new thing that is in the way, other than that the registration is not there yet.
///
/// Before it is deleted from the store it is kept in `memory`: an agent that is killed in between finds it there.
pub(super) async fn take(
    store: &dyn Registrations,
    memory: &Memory,
    trouble: impl Fn(String),
) -> Result<Taken, Refused> {
    let mut tries = Tries::new(&trouble);
    let mut is_kept = false;
    let text = loop {
        if let Some(text) = memory.registration() {
            is_kept = true;
            break text;
        }
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
            memory.forget_registration();
            discard(store).await;
            return Err(refused);
        }
    };
    memory.keep_registration(&text);
    drop(text);
    let mut tries = Tries::new(&trouble);
    while let Err(error) = store.delete().await {
        // An earlier agent has deleted it: what is not there is denied, as its tag is not there either.
        if is_kept && error.fault == Fault::Denied && is_gone(store).await {
            break;
        }
        tries.pause_after(&error).await;
    }
    Ok(taken)
}

async fn is_gone(store: &dyn Registrations) -> bool {
    match store.get().await {
        Ok(found) => found.is_none(),
        Err(error) => error.fault == Fault::Denied,
    }
}

fn read(text: &SecretString) -> Result<Taken, Refused> {
    let registration = Registration::read(text.expose_secret())?;
    match &registration.grant {
        Grant::Jit { jit_config, .. } => drop(JitFiles::decode(jit_config)?),
        Grant::Token { .. } => {}
        Grant::Leave { leave } => return Err(Refused::Withdrawn(leave.clone())),
    }
    let claimed = Claimed {
        reservation: registration.reservation.clone(),
        runner_id: registration.runner_id(),
        runner_name: registration.runner_name.clone(),
        ephemeral: matches!(registration.grant, Grant::Jit { .. }),
        trace: registration.trace.clone(),
    };
    Ok(Taken { claimed, registration })
}

/// Deletes a registration that nobody is going to use, as far as it can be done soon.
pub(super) async fn discard(store: &dyn Registrations) {
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
