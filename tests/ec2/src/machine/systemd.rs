//! A machine with systemd as its first process: an overlay over the Debian image, a network namespace, control groups
//! and systemd-nspawn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::nspawn::{self, Boot, Said};
use super::{Asked, Machine, Phase, disk, network};
use crate::cgroup;
use crate::tools::run as run_tool;
use crate::world;

/// How machines with systemd are made.
#[derive(Clone, Debug)]
pub struct SystemdMode {
    /// The Debian image: what [`crate::image::ensure_rootfs`] answered.
    pub rootfs: PathBuf,
    /// The layer above it: what [`crate::image::ami_layer`] wrote.
    pub layer: PathBuf,
    /// Where machines write.
    pub disk: Disk,
    /// Bytes of memory a machine may use, if limited.
    pub memory: Option<u64>,
    /// Other images by their AMI's id: what instances of these boot from in place of `rootfs` and `layer`.
    pub images: BTreeMap<String, Image>,
}

/// One image: what is in the cache, and what lies above it.
#[derive(Clone, Debug)]
pub struct Image {
    /// As [`SystemdMode::rootfs`].
    pub rootfs: PathBuf,
    /// As [`SystemdMode::layer`].
    pub layer: PathBuf,
}

/// Where a machine's changes to its disk are kept while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// In the host's work folder.
    #[default]
    Folder,
    /// In memory: for a work folder on a file system that cannot carry an overlay.
    Memory,
}

/// What all machines with systemd of a host share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) mode: SystemdMode,
    /// Where the image is mounted.
    pub(crate) base: PathBuf,
    /// The same of the other images, by their AMI's id.
    pub(crate) bases: BTreeMap<String, PathBuf>,
    /// The same of images that were made of machines here, which are whole: nothing lies above them.
    pub(crate) made: Mutex<BTreeMap<String, PathBuf>>,
    /// The control group that holds one group per machine.
    pub(crate) group: String,
}

impl Room {
    /// The layers of a machine's disk, topmost first.
    fn layers(&self, image_id: &str) -> Vec<PathBuf> {
        // Each change of it is one call.
        if let Some(made) = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(image_id) {
            return vec![made.clone()];
        }
        match (self.mode.images.get(image_id), self.bases.get(image_id)) {
            (Some(image), Some(base)) => vec![image.layer.clone(), base.clone()],
            _ => vec![self.mode.layer.clone(), self.base.clone()],
        }
    }
}

/// After this long a machine that is not ready does not hold up the boot of others.
const SLOW_BOOT: Duration = Duration::from_secs(20);
/// systemd ignores the power button until it has set up its signals; after this long it must have.
const DEAF: Duration = Duration::from_secs(3);
/// From pulling the plug to killing all that is in the machine's control group, systemd-nspawn included.
const STUBBORN: Duration = Duration::from_secs(5);

/// From making the disk to taking everything away.
pub(super) async fn live(machine: &Machine, room: &Room) {
    let permit = machine.room.boots.acquire().await.ok();
    if *machine.asked.borrow() == Asked::No
        && let Err(error) = run(machine, room, permit).await
    {
        machine.problem(&error);
    }
    machine.mark(Phase::Ended);
    if let Err(error) = clean(machine, room).await {
        machine.problem(&error);
    }
}

async fn run(machine: &Machine, room: &Room, mut permit: Option<SemaphorePermit<'_>>) -> anyhow::Result<()> {
    disk::create(&machine.folder(), room.mode.disk, &room.layers(&machine.facts.image_id))?;
    network::create(&machine.facts).await?;
    let group = group(machine, room);
    let groups = cgroup::create(&group)?;
    if let Some(bytes) = room.mode.memory {
        cgroup::limit_memory(&group, bytes)?;
    }
    machine.mark(Phase::Prepared);
    loop {
        let code = boot(machine, &group, &groups, permit.take()).await?;
        machine.record.send_modify(|record| record.exit_code = Some(code));
        if code != nspawn::REBOOT || *machine.asked.borrow() != Asked::No {
            return Ok(());
        }
    }
}

/// From systemd-nspawn's start to its end.
async fn boot(
    machine: &Machine,
    group: &str,
    groups: &[PathBuf],
    mut permit: Option<SemaphorePermit<'_>>,
) -> anyhow::Result<i32> {
    let notify = world::notify_socket(machine.id());
    let socket = UnixDatagram::bind(&notify).with_context(|| format!("binding {}", notify.display()))?;
    let mut child = nspawn::command(Boot {
        id: machine.id(),
        hostname: &machine.facts.hostname(),
        root: &disk::root(&machine.folder()),
        groups,
        notify: &notify,
        console: machine.console_file()?,
    })
    .and_then(|mut command| command.spawn())
    .context("starting systemd-nspawn")?;
    let mut asked = machine.asked.subscribe();
    let mut ending = Ending::new(machine.room.grace);
    let slow = Instant::now() + SLOW_BOOT;
    let mut datagram = [0_u8; 4096];
    let status = loop {
        // Read, not awaited: it may have been asked before there was anybody to hear.
        ending.ask(*asked.borrow_and_update(), Instant::now());
        ending.go_on(machine, group, &child);
        tokio::select! {
            status = child.wait() => break status,
            received = socket.recv(&mut datagram) => {
                let text = received.map(|size| String::from_utf8_lossy(&datagram[..size]).into_owned());
                for said in nspawn::said(&text.context("reading the notify socket")?) {
                    heed(machine, said, &mut ending);
                    if said == Said::Ready {
                        permit = None;
                    }
                }
            }
            _ = asked.changed() => {}
            () = sleep_until(ending.next()), if ending.is_asked() => {}
            () = sleep_until(slow), if permit.is_some() => permit = None,
        }
    };
    // systemd-nspawn says that it stops and is gone at once: whichever of the two is seen first, it was said. As a plain
    // socket, since tokio's reads nothing before its reactor has been told of it.
    let rest = socket.into_std().context("reading the notify socket to its end")?;
    while let Ok(size) = rest.recv(&mut datagram) {
        for said in nspawn::said(&String::from_utf8_lossy(&datagram[..size])) {
            heed(machine, said, &mut ending);
        }
    }
    // The next boot of this machine binds it anew.
    let _ = std::fs::remove_file(&notify);
    Ok(nspawn::code(status.context("waiting for systemd-nspawn")?))
}

fn heed(machine: &Machine, said: Said, ending: &mut Ending) {
    match said {
        Said::Leader(pid) => {
            machine.record.send_modify(|record| record.leader = Some(pid));
            ending.leader = Some((pid, Instant::now()));
            machine.mark(Phase::Leader);
        }
        Said::Ready => {
            ending.ready = true;
            machine.mark(Phase::Ready);
        }
        Said::Stopping => machine.mark(Phase::Stopping),
    }
}

/// How far the end of a machine has come.
struct Ending {
    grace: Duration,
    leader: Option<(i32, Instant)>,
    ready: bool,
    asked: Asked,
    /// When the next step is due, as far as it only waits for time.
    due: Instant,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Running,
    /// The power button was pressed.
    PoweringOff,
    /// The leader was killed.
    Unplugged,
    /// Everything was killed.
    Destroyed,
}

impl Ending {
    fn new(grace: Duration) -> Self {
        let due = Instant::now();
        Self { grace, leader: None, ready: false, asked: Asked::No, due, step: Step::Running }
    }

    fn is_asked(&self) -> bool {
        self.asked != Asked::No && self.step != Step::Destroyed
    }

    fn ask(&mut self, asked: Asked, now: Instant) {
        if self.asked == Asked::No && asked != Asked::No {
            self.due = now + self.grace;
        }
        self.asked = self.asked.max(asked);
    }

    /// When to look again.
    fn next(&self) -> Instant {
        self.due.min(Instant::now() + Duration::from_millis(100))
    }

    /// Takes the next step, if it is time.
    fn go_on(&mut self, machine: &Machine, group: &str, child: &Child) {
        if !self.is_asked() {
            return;
        }
        let now = Instant::now();
        match self.step {
            Step::Running | Step::PoweringOff if self.asked == Asked::Plug || now >= self.due => {
                // Frozen processes die, but a frozen systemd-nspawn would never see it.
                let _ = cgroup::freeze(group, false);
                // Killing systemd-nspawn itself would leave the machine running on.
                match self.leader {
                    Some((leader, _)) => signal(leader, Signal::SIGKILL),
                    None if now < self.due => return,
                    None => kill_group(group),
                }
                machine.mark(Phase::Stopping);
                (self.step, self.due) = (Step::Unplugged, now + STUBBORN);
            }
            Step::Running => {
                let hears = self.ready || self.leader.is_some_and(|(_, since)| now >= since + DEAF);
                if hears && let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    signal(pid, Signal::SIGTERM);
                    machine.mark(Phase::Stopping);
                    self.step = Step::PoweringOff;
                }
            }
            Step::Unplugged if now >= self.due => {
                kill_group(group);
                self.step = Step::Destroyed;
            }
            Step::PoweringOff | Step::Unplugged | Step::Destroyed => {}
        }
    }
}

fn kill_group(group: &str) {
    for pid in cgroup::processes(group) {
        signal(pid, Signal::SIGKILL);
    }
}

/// One that is gone by now needs no signal.
fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

fn group(machine: &Machine, room: &Room) -> String {
    format!("{}/{}", room.group, machine.id())
}

async fn clean(machine: &Machine, room: &Room) -> anyhow::Result<()> {
    let group = group(machine, room);
    let left = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            kill_group(&group);
            let left = cgroup::remove(&group, Duration::from_secs(1));
            if left.is_empty() {
                return left;
            }
        }
        cgroup::folders(&group).into_iter().filter(|folder| folder.exists()).collect()
    })
    .await?;
    network::remove(&machine.facts).await?;
    let (folder, kept) = (machine.folder(), machine.is_kept());
    tokio::task::spawn_blocking(move || if kept { disk::put_by(&folder) } else { disk::remove(&folder) }).await??;
    anyhow::ensure!(left.is_empty(), "control groups {left:?} cannot be removed");
    Ok(())
}

/// Stops or continues every process of the machine.
pub(super) fn freeze(machine: &Machine, room: &Room, frozen: bool) -> anyhow::Result<()> {
    cgroup::freeze(&group(machine, room), frozen)
}

/// Makes an image of the disk that a machine has left. What lay below it is in the image too, so that it needs no other.
pub(super) async fn make_image(machine: &Machine, room: &Room, image_id: &str) -> anyhow::Result<()> {
    let images = machine.room.folder.join("images");
    std::fs::create_dir_all(&images).with_context(|| format!("creating {}", images.display()))?;
    let file = images.join(format!("{image_id}.squashfs"));
    let (folder, kind, layers) = (machine.folder(), room.mode.disk, room.layers(&machine.facts.image_id));
    disk::create(&folder, kind, &layers)?;
    let paths = [disk::root(&folder).into_os_string(), file.clone().into_os_string()];
    let options = ["-comp", "lz4", "-no-progress", "-quiet"].map(Into::into);
    let packed = run_tool("mksquashfs", paths.into_iter().chain(options)).await;
    disk::put_by(&folder)?;
    packed.with_context(|| format!("packing the disk of {}", machine.id()))?;
    let base = mount_base(&file, &machine.room.folder, image_id).await?;
    room.made.lock().unwrap_or_else(PoisonError::into_inner).insert(image_id.to_owned(), base);
    Ok(())
}

/// Runs a command inside the machine.
pub(super) async fn exec(machine: &Machine, command: &[&str]) -> anyhow::Result<Output> {
    let leader = machine.record().leader.with_context(|| format!("{} does not run", machine.id()))?;
    Command::new("nsenter")
        .args(["--target", &leader.to_string()])
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"])
        .args(command)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {command:?} in {}", machine.id()))
}

/// Mounts an image where all machines of a host find it, under a name. The loop device's file has a name that only this world uses,
/// and none any more as soon as it is mounted, so that a device left behind can be told from those of others.
pub(crate) async fn mount_base(rootfs: &Path, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let base = folder.join("base").join(name);
    std::fs::create_dir_all(&base).with_context(|| format!("creating {}", base.display()))?;
    let link = rootfs.with_extension(format!("squashfs.{}", world::id()));
    // Left from a mount that failed.
    let _ = std::fs::remove_file(&link);
    std::fs::hard_link(rootfs, &link).with_context(|| format!("linking {}", rootfs.display()))?;
    let mounted = mount_link(&link, &base).await;
    std::fs::remove_file(&link).with_context(|| format!("removing {}", link.display()))?;
    mounted.context("mounting the image")?;
    Ok(base)
}

/// Not `mount -o loop`: that shares a device which another world has made for the same file.
async fn mount_link(link: &Path, base: &Path) -> anyhow::Result<()> {
    let link = link.display().to_string();
    let device = run_tool("losetup", &["--find", "--show", "--read-only", &link]).await?;
    let device = device.trim();
    let mounted = run_tool("mount", &["-t", "squashfs", "-o", "ro", device, &base.display().to_string()]).await;
    // Detached while it is in use, a device goes by itself when the mount goes.
    run_tool("losetup", &["--detach", device]).await?;
    mounted.map(drop)
}
