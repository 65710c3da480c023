//! One instance that was booted: its story so far, and what can be done to it.
//!
//! [`Machine::boot`] starts a task that carries the machine from [`Phase::Queued`] to [`Phase::Gone`] and cleans up
//! after it, whatever happens. `systemd` boots a Debian with systemd as its first process; `process` runs the agent
//! as a plain process. The rest of this folder is what these two are made of.

mod disk;
mod network;
mod nspawn;
mod process;
mod record;
mod spawner;
mod strays;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use crate::{Facts, Imds};
pub(crate) use nspawn::code as exit_code;
pub use process::ProcessMode;
pub(crate) use process::Room as ProcessRoom;
pub(crate) use record::Asked;
pub use record::{Phase, Record};
pub(crate) use spawner::Spawner;
pub(crate) use strays::{find as find_strays, kill_strays};
pub use systemd::{Disk, Image, SystemdMode};
pub(crate) use systemd::{Room as SystemdRoom, mount_base};

/// What all machines of a host share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) kind: Kind,
    pub(crate) imds: Imds,
    /// Holds a folder per machine.
    pub(crate) folder: PathBuf,
    /// Where console logs go.
    pub(crate) consoles: PathBuf,
    /// One permit per machine that may boot at a time.
    pub(crate) boots: Semaphore,
    /// From power-off to pulling the plug.
    pub(crate) grace: Duration,
}

/// How machines of a host are made.
#[derive(Debug)]
pub(crate) enum Kind {
    Systemd(systemd::Room),
    Process(process::Room),
}

/// One instance's machine. Clone the `Arc`; the machine lives on by itself until it ends.
#[derive(Debug)]
pub struct Machine {
    facts: Facts,
    room: Arc<Room>,
    record: watch::Sender<Record>,
    asked: watch::Sender<Asked>,
    /// Whether its disk outlives it, for the next boot of its instance.
    kept: AtomicBool,
}

impl Machine {
    /// Boots a machine for the instance, in the background.
    pub(crate) fn boot(facts: Facts, room: Arc<Room>) -> Arc<Self> {
        let machine = Arc::new(Self {
            facts,
            room,
            record: watch::Sender::default(),
            asked: watch::Sender::default(),
            kept: AtomicBool::new(false),
        });
        machine.mark(Phase::Queued);
        tokio::spawn(Arc::clone(&machine).live());
        machine
    }

    async fn live(self: Arc<Self>) {
        match &self.room.kind {
            Kind::Systemd(room) => systemd::live(&self, room).await,
            Kind::Process(room) => process::live(&self, room).await,
        }
        self.room.imds.remove(self.id());
        self.mark(Phase::Gone);
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.facts.id
    }

    /// What was known of the instance when it was booted.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its story so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Follows its story.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Record> {
        self.record.subscribe()
    }

    /// Waits until `phase`, or one after it, has begun; the error tells the last state.
    pub async fn wait_for(&self, phase: Phase, limit: Duration) -> anyhow::Result<Record> {
        let mut record = self.watch();
        let reached = tokio::time::timeout(limit, record.wait_for(|record| record.reached(phase))).await;
        match reached {
            Ok(record) => Ok(record.context("the machine is not watched any more")?.clone()),
            Err(_) => bail!("{} is not {phase:?} after {limit:?}: {:?}", self.id(), self.record()),
        }
    }

    /// Asks it to power off, as EC2 does first; after the host's grace the plug is pulled.
    pub fn power_off(&self) {
        self.ask(Asked::Off);
    }

    /// The same, and its disk is kept: its instance may be started again, as one that was stopped.
    pub fn stop(&self) {
        self.kept.store(true, Ordering::SeqCst);
        self.ask(Asked::Off);
    }

    /// Whether its disk outlives it.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::SeqCst)
    }

    /// Takes away the disk that was kept, once the machine is gone.
    pub(crate) async fn discard(&self) -> anyhow::Result<()> {
        let (folder, is_systemd) = (self.folder(), matches!(self.room.kind, Kind::Systemd(_)));
        tokio::task::spawn_blocking(move || if is_systemd { disk::remove(&folder) } else { remove_folder(&folder) })
            .await??;
        self.kept.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Makes an image of the disk that was kept: instances of `image_id` boot from it from now on. A plain process has no
    /// disk that another could boot from.
    pub(crate) async fn make_image(&self, image_id: &str) -> anyhow::Result<()> {
        match &self.room.kind {
            Kind::Systemd(room) => systemd::make_image(self, room, image_id).await,
            Kind::Process(_) => Ok(()),
        }
    }

    /// Cuts its power: every process dies at once.
    pub fn pull_plug(&self) {
        self.ask(Asked::Plug);
    }

    /// Stops every process of it without telling them, as a hypervisor's pause does.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        match &self.room.kind {
            Kind::Systemd(room) => systemd::freeze(self, room, true),
            Kind::Process(room) => process::freeze(self, room, true).await,
        }
    }

    /// Lets a frozen machine run again.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        match &self.room.kind {
            Kind::Systemd(room) => systemd::freeze(self, room, false),
            Kind::Process(room) => process::freeze(self, room, false).await,
        }
    }

    /// Takes its network away: packets vanish without a word. Machines with systemd only.
    pub async fn cut_network(&self) -> anyhow::Result<()> {
        self.network("cutting", false).await
    }

    /// Gives it its network back.
    pub async fn restore_network(&self) -> anyhow::Result<()> {
        self.network("restoring", true).await
    }

    async fn network(&self, doing: &str, up: bool) -> anyhow::Result<()> {
        match &self.room.kind {
            Kind::Systemd(_) => network::switch(self.id(), up).await,
            Kind::Process(_) => {
                bail!("{doing} the network of {}: a plain process shares this computer's", self.id())
            }
        }
    }

    /// Runs a command inside. In process mode: in the machine's folder.
    pub async fn exec(&self, command: &[&str]) -> anyhow::Result<Output> {
        match &self.room.kind {
            Kind::Systemd(_) => systemd::exec(self, command).await,
            Kind::Process(_) => process::exec(self, command).await,
        }
    }

    /// Its root folder as seen from here, while it lives. In process mode: its folder.
    #[must_use]
    pub fn disk_path(&self) -> PathBuf {
        match &self.room.kind {
            Kind::Systemd(_) => disk::root(&self.folder()),
            Kind::Process(_) => self.folder(),
        }
    }

    /// The file its console is written to.
    #[must_use]
    pub fn console_path(&self) -> PathBuf {
        self.room.consoles.join(format!("{}.log", self.id()))
    }

    /// What its console shows, as EC2's `GetConsoleOutput`.
    #[must_use]
    pub fn console(&self) -> String {
        std::fs::read(self.console_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn folder(&self) -> PathBuf {
        self.room.folder.join(self.id())
    }

    fn ask(&self, asked: Asked) {
        self.record.send_modify(|record| record.asked |= !record.reached(Phase::Ended));
        self.asked.send_if_modified(|now| {
            let harder = asked > *now;
            if harder {
                *now = asked;
            }
            harder
        });
    }

    /// Notes that a phase begins now. The first time counts.
    fn mark(&self, phase: Phase) {
        let now = Timestamp::now();
        self.record.send_modify(|record| {
            record.phases.entry(phase).or_insert(now);
        });
        debug!(instance.id = %self.id(), phase = ?phase, "{} is {phase:?}", self.id());
    }

    fn problem(&self, error: &anyhow::Error) {
        warn!(instance.id = %self.id(), error = format!("{error:#}"), "{} has a problem", self.id());
        self.record.send_modify(|record| {
            record.problem.get_or_insert_with(|| format!("{error:#}"));
        });
    }

    fn console_file(&self) -> anyhow::Result<std::fs::File> {
        let path = self.console_path();
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening console log {}", path.display()))
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(crate) fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
