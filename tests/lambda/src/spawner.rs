//! Starts processes from one thread that lives as long as the host.
//!
//! Each process asks the kernel to be killed when its parent *thread* ends (prctl(2), `PR_SET_PDEATHSIG`). Threads of
//! a tokio runtime come and go; this one ends with the host, however the host ends.

use std::{io, os::unix::process::CommandExt, sync::mpsc, thread, time::Duration};

use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

type Order = (std::process::Command, oneshot::Sender<io::Result<Child>>);

/// The thread's front.
#[derive(Debug)]
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

impl Spawner {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("lambda-spawner".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                for (command, answer) in inbox {
                    // Nobody waiting means that the child is dropped, which kills it.
                    let _ = answer.send(start(command));
                }
            })
            .context("starting the thread that starts processes")?;
        Ok(Self { orders })
    }

    /// Starts a process that leads a group and dies with the host.
    pub(crate) async fn spawn(&self, mut command: std::process::Command) -> io::Result<Child> {
        command.process_group(0);
        let die_with_parent = || prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from);
        // SAFETY: prctl is a single system call; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(die_with_parent) };
        let (answer, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.orders.send((command, answer)).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

fn start(command: std::process::Command) -> io::Result<Child> {
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    for _ in 0..20 {
        match command.spawn() {
            // A fork elsewhere still holds the freshly written file open for writing, until its exec.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
    command.spawn()
}
