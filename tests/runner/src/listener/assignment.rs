//! One running job as the listener sees it: the worker's process, and the question whether it was cancelled.

use std::{
    io::Write,
    process::{ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{core::Event, report::Report};
use crate::{
    input::Env,
    job::{Assignment, Job},
    root::Root,
    server::Server,
    tracking,
};

const ASK_EVERY: Duration = Duration::from_secs(1);

/// A job with its worker.
#[derive(Debug)]
pub struct Running {
    /// The job.
    pub job: Job,
    /// Whether its worker was asked to end.
    pub asked: bool,
    tracking_id: String,
    worker: Option<Pid>,
    over: Arc<AtomicBool>,
    /// The worker takes the end of its input for the end of its listener, so this stays open. Never read again.
    input: Option<ChildStdin>,
}

impl Running {
    /// Starts the worker. Where that fails, the report of its end is sent at once.
    pub fn start(root: &Root, env: &Env, assignment: &Assignment, to: &Sender<Report>) -> (Self, anyhow::Result<()>) {
        let mut running = Self {
            job: assignment.job.clone(),
            asked: false,
            tracking_id: assignment.tracking_id.clone(),
            worker: None,
            over: Arc::default(),
            input: None,
        };
        let started = running.spawn(root, env, assignment, to);
        if started.is_err() && running.worker.is_none() {
            drop(to.send(Report::Worker(None)));
        }
        (running, started)
    }

    fn spawn(&mut self, root: &Root, env: &Env, assignment: &Assignment, to: &Sender<Report>) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(assignment).context("writing the job for the worker")?;
        line.push(b'\n');
        let mut child = Command::new(root.join("bin/Runner.Worker"))
            .arg("spawnclient")
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting bin/Runner.Worker")?;
        self.worker = i32::try_from(child.id()).ok().map(Pid::from_raw);
        let mut input = child.stdin.take().context("the worker has no standard input")?;
        let to = to.clone();
        thread::spawn(move || {
            let code = child.wait().ok().and_then(|status| status.code());
            drop(to.send(Report::Worker(code)));
        });
        let written = input.write_all(&line).context("handing the job to the worker");
        self.input = Some(input);
        written
    }

    /// Asks the server once a second, until the job is over, whether it was cancelled.
    pub fn watch(&self, server: Server, to: Sender<Report>) {
        let (over, job) = (Arc::clone(&self.over), self.job.id.clone());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if matches!(server.is_cancelled(&job), Ok(true)) {
                    drop(to.send(Report::Event(Event::Cancelled)));
                    return;
                }
                thread::sleep(ASK_EVERY);
            }
        });
    }

    /// SIGINT to the worker.
    pub fn interrupt(&mut self) {
        self.asked = true;
        self.signal(Signal::SIGINT);
    }

    /// SIGKILL to the worker and all that it started.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        tracking::end(&self.tracking_id, |_| {});
    }

    /// After the worker's end: nothing of it stays, however it ended.
    pub fn clean_up(&self) {
        self.over.store(true, Ordering::Relaxed);
        tracking::end(&self.tracking_id, |_| {});
    }

    fn signal(&self, signal: Signal) {
        if let Some(worker) = self.worker {
            let _ = kill(worker, signal);
        }
    }
}
