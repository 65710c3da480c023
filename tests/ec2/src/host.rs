//! The host: keeps machines in step with moto's instances.
//!
//! One task polls; `decide` says what each instance needs; the machines do the rest by themselves. A poll that fails or
//! comes late only delays: every look sees the whole level.

mod decide;
mod leftovers;
mod moto;
mod poll;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::machine::{Kind, ProcessMode, Room, SystemdMode};
use crate::{Imds, Machine, Phase, imds, machine, world};

/// What a host needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where moto listens, as seen from here.
    pub moto_url: String,
    /// What a machine is.
    pub mode: Mode,
    /// A folder of the host's own: it is emptied at the start and removed at the end.
    pub work_dir: PathBuf,
    /// Folder for console logs that shall outlive the host; else they are in `work_dir`.
    pub console_dir: Option<PathBuf>,
    /// How many machines may boot at a time.
    pub boot_limit: usize,
    /// How often moto is asked.
    pub poll: Duration,
    /// How long a machine may take to power off before the plug is pulled.
    pub grace: Duration,
    /// The AWS account the instances are in.
    pub account: String,
}

impl Config {
    /// A host with the usual settings.
    #[must_use]
    pub fn new(moto_url: &str, mode: Mode, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            moto_url: moto_url.to_owned(),
            mode,
            work_dir: work_dir.into(),
            console_dir: None,
            boot_limit: 8,
            poll: Duration::from_millis(50),
            grace: Duration::from_secs(10),
            account: "123456789012".to_owned(),
        }
    }
}

/// What a machine is.
#[derive(Clone, Debug)]
pub enum Mode {
    /// A Debian with systemd. Needs root and a private world, see [`crate::world::enter`].
    Systemd(SystemdMode),
    /// The agent as a plain process.
    Process(ProcessMode),
}

/// Something that happened to a machine.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Whose machine.
    pub instance_id: String,
    /// What.
    pub what: Happened,
}

/// What can happen to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A phase began.
    Reached(Phase),
    /// It is gone, and why.
    Ended {
        /// One sentence.
        reason: String,
    },
}

/// The host. Clones share it.
#[derive(Clone, Debug)]
pub struct Ec2Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    moto: moto::Moto,
    room: Arc<Room>,
    /// The machine of each instance, and machines of earlier lives.
    machines: Mutex<Machines>,
    events: broadcast::Sender<Event>,
    /// Whether the last poll found nothing to do or to wait for.
    settled: watch::Sender<bool>,
    poll: Duration,
    /// Whether instances stay pending.
    held: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Machines {
    current: BTreeMap<String, Arc<Machine>>,
    past: Vec<Arc<Machine>>,
    /// Ids of the images that were made of machines, or could not be.
    images: BTreeSet<String>,
}

impl Ec2Host {
    /// Starts the host. Machines appear as moto has instances for them. A private world has room for one host with
    /// systemd, as it has one metadata address.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let moto = moto::Moto::new(&config.moto_url)?;
        anyhow::ensure!(config.boot_limit > 0, "boot_limit: found 0, expected at least 1");
        let folder = &config.work_dir;
        leftovers::sweep(folder).await?;
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        // Environments and mounts name real paths.
        let folder = folder.canonicalize().with_context(|| format!("looking up {}", folder.display()))?;
        let consoles = config.console_dir.clone().unwrap_or_else(|| folder.join("console"));
        std::fs::create_dir_all(&consoles).with_context(|| format!("creating {}", consoles.display()))?;
        let imds = Imds::new(&config.account);
        let mut tasks = Vec::new();
        let kind = match config.mode {
            Mode::Systemd(mode) => {
                if !world::is_inside() {
                    bail!("machines with systemd need a private world: call world::enter first in main");
                }
                let base = machine::mount_base(&mode.rootfs, &folder, "default").await?;
                let mut bases = BTreeMap::new();
                for (id, image) in &mode.images {
                    bases.insert(id.clone(), machine::mount_base(&image.rootfs, &folder, id).await?);
                }
                tasks.push(imds.listen((imds::ADDRESS, 80).into()).await?);
                let new_images = Mutex::default();
                Kind::Systemd(machine::SystemdRoom { mode, base, bases, made: new_images, group: world::id() })
            }
            Mode::Process(mode) => Kind::Process(machine::ProcessRoom::new(mode, &folder)?),
        };
        let room = Room { kind, imds, folder, consoles, boots: Semaphore::new(config.boot_limit), grace: config.grace };
        let inner = Arc::new(Inner {
            moto,
            room: Arc::new(room),
            machines: Mutex::default(),
            events: broadcast::Sender::new(4096),
            settled: watch::Sender::new(false),
            poll: config.poll,
            held: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        tasks.push(tokio::spawn(poll::run(Arc::clone(&inner))));
        *inner.tasks() = tasks;
        Ok(Self { inner })
    }

    /// Every machine there was, in the order of their instances' ids; a stopped and started instance has several.
    #[must_use]
    pub fn machines(&self) -> Vec<Arc<Machine>> {
        let machines = self.inner.machines();
        let mut all: Vec<_> = machines.past.iter().chain(machines.current.values()).cloned().collect();
        all.sort_by(|a, b| a.id().cmp(b.id()));
        all
    }

    /// The machine of an instance, or the last it had.
    #[must_use]
    pub fn machine(&self, id: &str) -> Option<Arc<Machine>> {
        self.inner.machines().of(id)
    }

    /// Waits until an instance has a machine.
    pub async fn wait_for_machine(&self, id: &str, limit: Duration) -> anyhow::Result<Arc<Machine>> {
        let until = Instant::now() + limit;
        loop {
            if let Some(machine) = self.machine(id) {
                return Ok(machine);
            }
            if Instant::now() >= until {
                bail!("{id} has no machine after {limit:?}; there are {}", self.machines().len());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether instances stay pending from now on, with no machine: those that are there are not touched.
    pub fn hold_boots(&self, hold: bool) {
        self.inner.held.store(hold, Ordering::SeqCst);
    }

    /// The metadata service: notices, faults, request logs.
    #[must_use]
    pub fn imds(&self) -> &Imds {
        &self.inner.room.imds
    }

    /// What happens from now on. A receiver that is 4096 events behind misses some.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Whether no machine lives, and moto had no instance that should, when last asked.
    #[must_use]
    pub fn idle(&self) -> bool {
        *self.inner.settled.borrow() && self.alive().is_empty()
    }

    /// Waits until the host is idle; the error names what is not.
    pub async fn wait_idle(&self, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        while !self.idle() {
            if Instant::now() >= until {
                let alive: Vec<String> = self
                    .alive()
                    .iter()
                    .map(|machine| format!("{} is {:?}", machine.id(), machine.record().phase()))
                    .collect();
                bail!("not idle after {limit:?}: {}", alive.join(", "));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends every machine and takes everything away. Answers what could not be: it should be empty.
    pub async fn shutdown(self) -> Vec<String> {
        // Polling stops first, or machines would be booted again.
        let tasks = std::mem::take(&mut *self.inner.tasks());
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // Aborted, as it should be.
            let _ = task.await;
        }
        let alive = self.alive();
        for machine in &alive {
            machine.pull_plug();
        }
        let mut left = Vec::new();
        for machine in alive {
            if let Err(error) = machine.wait_for(Phase::Gone, Duration::from_secs(30)).await {
                left.push(format!("machine {error:#}"));
            }
        }
        left.extend(leftovers::clean_up(&self.inner.room).await);
        left
    }

    fn alive(&self) -> Vec<Arc<Machine>> {
        let mut machines = self.machines();
        machines.retain(|machine| !machine.record().reached(Phase::Gone));
        machines
    }
}

impl Machines {
    /// The machine of an instance, or the last it had.
    fn of(&self, id: &str) -> Option<Arc<Machine>> {
        let past = || self.past.iter().rev().find(|machine| machine.id() == id);
        self.current.get(id).or_else(past).cloned()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        leftovers::abandon(&self.room);
    }
}

impl Inner {
    /// A panic elsewhere cannot leave the maps half changed: each change is one call.
    fn machines(&self) -> MutexGuard<'_, Machines> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
