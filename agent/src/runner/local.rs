//! The runner on this machine, as `effects` sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::account::{Account, AccountError};
use super::jit::JitFiles;
use super::launch::{LISTENER, launch};
use super::read_ahead::ReadAhead;
use super::{power, process};
use crate::core::{Event, Exit, RunnerId};
use crate::effects::{Events, Machine, Unusable};
use crate::errors::chain;
use crate::settings::LastResort;
use crate::sources::watch::{self, Watched};

/// How long a runner may take to replace itself; its own `run-helper.sh` waits 30 s.
const UPDATE_LIMIT: Duration = Duration::from_mins(1);
/// The file by which the update script says that it is done.
const UPDATE_DONE: &str = "update.finished";

/// A runner in a directory, run by a user of this machine.
#[derive(Debug)]
pub struct LocalRunner {
    directory: PathBuf,
    user: String,
    output: PathBuf,
    last_resort: LastResort,
    read_ahead: ReadAhead,
    current: Mutex<Option<RunnerId>>,
}

impl LocalRunner {
    /// The runner in `directory`, for `user`, whose output goes to the file `output`.
    #[must_use]
    pub fn new(directory: PathBuf, user: String, output: PathBuf, last_resort: LastResort) -> Self {
        Self { directory, user, output, last_resort, read_ahead: ReadAhead::default(), current: Mutex::new(None) }
    }

    fn current(&self) -> MutexGuard<'_, Option<RunnerId>> {
        // A plain value can't be left half written.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> Result<Account, Unusable> {
        Account::find(&self.user).map_err(|error: AccountError| Unusable(chain(&error)))
    }
}

impl Machine for LocalRunner {
    fn read_ahead(&self) {
        self.read_ahead.start(&self.directory);
    }

    fn stop_reading_ahead(&self) {
        self.read_ahead.stop();
    }

    fn install(&self, registration: JitFiles) -> Result<(), Unusable> {
        check(&self.directory)?;
        let account = self.account()?;
        registration
            .write(&self.directory, &account)
            .map_err(|error| Unusable(format!("writing the registration into {}: {error}", self.directory.display())))
    }

    fn start(&self, events: Events) -> Result<RunnerId, Unusable> {
        let account = self.account()?;
        let failed = |why: &dyn std::fmt::Display| {
            Unusable(format!("starting {}: {why}", self.directory.join(LISTENER).display()))
        };
        let child = launch(&self.directory, &account, &self.output).map_err(|error| failed(&error))?;
        // It can't be reaped before we wait for it, so its number is its own; but it may have ended already.
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| failed(&"it has no process id"))?;
        let id = process::identify(pid).unwrap_or(RunnerId { pid, start_ticks: 0 });
        *self.current() = Some(id);
        info!(runner.pid = pid, runner.user = %account.name, "The runner was started");
        tokio::spawn(watch::watch(Watched::Child(child), self.output.clone(), events));
        Ok(id)
    }

    fn adopt(&self, id: Option<RunnerId>, events: Events) {
        let descriptor = id.and_then(process::open);
        let watched = if let (Some(id), Some(descriptor)) = (id, descriptor) {
            info!(runner.pid = id.pid, "The runner of an earlier agent is adopted");
            *self.current() = Some(id);
            Watched::Stranger(descriptor)
        } else {
            warn!("The runner of an earlier agent is gone");
            Watched::Gone(Exit::Unknown)
        };
        tokio::spawn(watch::watch(watched, self.output.clone(), events));
    }

    fn await_update(&self) -> BoxFuture<'static, ()> {
        let done = self.directory.join(UPDATE_DONE);
        Box::pin(async move {
            let deadline = Instant::now() + UPDATE_LIMIT;
            while !done.exists() && Instant::now() < deadline {
                sleep(Duration::from_secs(1)).await;
            }
            // The next update shall not be thought done. Where nothing came the old version is tried again.
            if fs::remove_file(&done).is_err() {
                warn!("The runner's update has not come to its end");
            }
        })
    }

    fn interrupt(&self) {
        if let Some(id) = *self.current() {
            report(id, "SIGINT", process::interrupt(id));
        }
    }

    fn kill(&self) {
        if let Some(id) = *self.current() {
            report(id, "SIGKILL", process::kill_group(id));
        }
    }

    fn power_off(&self) -> Result<(), std::io::Error> {
        match self.last_resort {
            LastResort::PowerOff => power::power_off(),
            LastResort::Exit => Err(std::io::Error::other("DAYFLY_ENDING does not allow it")),
        }
    }
}

fn report(id: RunnerId, signal: &str, result: Result<bool, nix::errno::Errno>) {
    match result {
        Ok(false) => {}
        Ok(true) => info!(runner.pid = id.pid, signal, "The runner was sent {signal}"),
        Err(error) => warn!(runner.pid = id.pid, signal, %error, "The runner can't be sent {signal}"),
    }
}

/// Whether `directory` holds a runner that could be started.
fn check(directory: &Path) -> Result<(), Unusable> {
    let listener = directory.join(LISTENER);
    let metadata = fs::metadata(&listener)
        .map_err(|error| Unusable(format!("runner.directory has no runner: {}: {error}", listener.display())))?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(Unusable(format!("runner.directory has no runner: {} is no program", listener.display())))
    }
}

/// What comes of a runner that can't be started.
impl From<Unusable> for Event {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable.0)
    }
}
