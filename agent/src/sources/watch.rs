//! Watches a runner: its output, then its exit. Whatever it wrote before it ended is told before its exit is.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tracing::{error, info};

use super::follow::Follower;
use crate::core::{Event, Exit, lines};
use crate::effects::Events;

/// A runner to be watched.
#[derive(Debug)]
pub enum Watched {
    /// Our own child, whose exit code we are told.
    Child(Child),
    /// A child of an earlier agent, by a descriptor that tells when it ends.
    Stranger(OwnedFd),
    /// One that has ended already.
    Gone(Exit),
}

/// Tells `events` what the runner writes to the file `output`, and its end.
pub async fn watch(watched: Watched, output: PathBuf, events: Events) {
    let mut follower =
        Follower::open(&output).inspect_err(|error| error!(%error, "The runner's output can't be read")).ok();
    let mut exited = std::pin::pin!(exit(watched));
    let mut ear = Ear { heard: 0, events: events.clone() };
    let exit = loop {
        read(follower.as_mut(), &mut ear);
        tokio::select! {
            exit = &mut exited => break exit,
            () = changed(follower.as_ref()) => {}
        }
    };
    read(follower.as_mut(), &mut ear);
    if let Some(line) = follower.and_then(Follower::rest) {
        ear.told(&line);
    }
    // Nobody listens any more only when the agent itself is ending.
    let _unheard = events.send(Event::Exited(exit));
}

async fn changed(follower: Option<&Follower>) {
    match follower {
        Some(follower) => follower.changed().await,
        None => std::future::pending().await,
    }
}

fn read(follower: Option<&mut Follower>, ear: &mut Ear) {
    if let Some(follower) = follower
        && let Err(error) = follower.read(|line| ear.told(line))
    {
        error!(%error, "The runner's output can't be read");
    }
}

/// Hears the runner's lines, and numbers those that tell something: a restarted agent hears all of them again.
struct Ear {
    heard: u64,
    events: Events,
}

impl Ear {
    fn told(&mut self, line: &str) {
        let line = line.trim_end_matches('\r');
        if !line.trim().is_empty() {
            info!(runner.line = %line.chars().take(500).collect::<String>(), "The runner says");
        }
        if let Some(saying) = lines::read(line) {
            self.heard += 1;
            let _unheard = self.events.send(Event::Said { number: self.heard, saying });
        }
    }
}

async fn exit(watched: Watched) -> Exit {
    match watched {
        Watched::Child(mut child) => of_status(child.wait().await),
        Watched::Stranger(descriptor) => {
            // A pidfd is readable once its process has ended (pidfd_open(2)).
            // SAFETY: the registration owns the descriptor, so it stays open and the same until both are dropped.
            let ended = match unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) } {
                Ok(descriptor) => descriptor.readable().await.map(|_ready| ()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = ended {
                error!(%error, "The runner's end can't be watched");
            }
            Exit::Unknown
        }
        Watched::Gone(exit) => exit,
    }
}

fn of_status(status: io::Result<ExitStatus>) -> Exit {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        },
        Err(error) => {
            error!(%error, "The runner's exit code can't be read");
            Exit::Unknown
        }
    }
}
