//! One thread that starts all agents of a host.
//!
//! An agent is told when the host dies (`PR_SET_PDEATHSIG`), and the kernel takes the *thread* that started it for the
//! parent. Threads of tokio come and go; this one lasts as long as the host.

use std::io;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Order = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes on a thread of its own.
#[derive(Debug)]
pub(crate) struct Spawner(std::sync::mpsc::Sender<Order>);

impl Spawner {
    /// Starts the thread; it ends with the spawner.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (orders, inbox) = std::sync::mpsc::channel::<Order>();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                let _inside = runtime.enter();
                for (mut command, reply) in inbox {
                    // Nobody waits for the answer any more: the process has been dropped, hence is killed.
                    let _ = reply.send(command.spawn());
                }
            })
            .context("starting the thread that starts agents")?;
        Ok(Self(orders))
    }

    pub(crate) async fn spawn(&self, mut command: Command) -> anyhow::Result<Child> {
        command.kill_on_drop(true);
        let what = format!("starting {}", command.as_std().get_program().display());
        let (reply, answer) = oneshot::channel();
        self.0.send((command, reply)).ok().context("the spawner has ended")?;
        answer.await.context("the spawner has ended")?.context(what)
    }
}
