//! One process of a job: its output goes to the log line by line, and it is stopped where the job is cancelled.

use std::{
    io::{BufRead, BufReader, PipeReader},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    log::Log,
    stop::{Push, Stage, next},
};
use crate::{job::JobResult, knobs::Knobs, tracking};

/// How long output is awaited that a left-behind process may hold open.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How long a cancellation may be behind the death of a step by the same signal to the whole group.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// What happens to a worker.
#[derive(Debug)]
pub enum Happening {
    /// The job is to end: a signal, or the listener went away.
    Cancel,
    /// The current child ended.
    Exited(std::io::Result<ExitStatus>),
}

/// The worker's one queue of happenings.
#[derive(Debug)]
pub struct Happenings {
    to: Sender<Happening>,
    from: Receiver<Happening>,
    cancelled: bool,
}

/// What a child needs besides its command.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Where its output goes.
    pub log: &'a Log,
    /// The waits.
    pub knobs: &'a Knobs,
    /// The mark of the job's processes.
    pub tracking_id: &'a str,
}

impl Happenings {
    /// An empty queue.
    #[expect(clippy::new_without_default, reason = "there is one per process, made on purpose")]
    #[must_use]
    pub fn new() -> Self {
        let (to, from) = channel();
        Self { to, from, cancelled: false }
    }

    /// For whoever reports.
    #[must_use]
    pub fn sender(&self) -> Sender<Happening> {
        self.to.clone()
    }

    /// Whether the job was cancelled up to now.
    pub fn cancelled(&mut self) -> bool {
        while let Ok(happening) = self.from.try_recv() {
            self.cancelled |= matches!(happening, Happening::Cancel);
        }
        self.cancelled
    }

    /// Runs `command` to its end.
    pub fn run(&mut self, mut command: Command, around: Around<'_>) -> JobResult {
        let (output, child) = match spawn(&mut command) {
            Ok(pair) => pair,
            Err(error) => {
                around.log.line(&format!("##[error]{}: {error}", command.get_program().to_string_lossy()));
                return JobResult::Failed;
            }
        };
        // The command holds the pipe's other end, and the reader waits for its closing.
        drop(command);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let (done, drained) = channel::<()>();
        let log = around.log.clone();
        thread::spawn(move || {
            copy(output, &log);
            drop(done);
        });
        let to = self.sender();
        thread::spawn(move || {
            let mut child = child;
            drop(to.send(Happening::Exited(child.wait())));
        });
        let status = self.wait(pid, around);
        // Disconnected: all is read. Timeout: somebody left behind holds the pipe.
        let _ = drained.recv_timeout(LEFT_BEHIND);
        self.judge(status, around.log)
    }

    fn wait(&mut self, pid: Pid, around: Around<'_>) -> std::io::Result<ExitStatus> {
        let mut stage = Stage::Running;
        let mut until = None::<Instant>;
        loop {
            let happening = match until {
                Some(until) => self.from.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => self.from.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let push = match happening {
                Ok(Happening::Exited(status)) => return status,
                Ok(Happening::Cancel) => {
                    self.cancelled = true;
                    Push::Cancel
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Push::TimeUp,
            };
            let after = next(stage, push);
            if after != stage {
                stage = after;
                until = Self::enter(stage, pid, around);
            }
        }
    }

    /// Sends the signal of a stage, and says when the next one is due.
    fn enter(stage: Stage, pid: Pid, around: Around<'_>) -> Option<Instant> {
        match stage {
            Stage::Running => None,
            Stage::Interrupted => {
                let _ = kill(pid, Signal::SIGINT);
                Some(Instant::now() + around.knobs.sigint)
            }
            Stage::Terminated => {
                let _ = kill(pid, Signal::SIGTERM);
                Some(Instant::now() + around.knobs.sigterm)
            }
            Stage::Killed => {
                let _ = kill(pid, Signal::SIGKILL);
                tracking::end(around.tracking_id, |_| {});
                None
            }
        }
    }

    fn judge(&mut self, status: std::io::Result<ExitStatus>, log: &Log) -> JobResult {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                log.line(&format!("##[error]Waiting for the process: {error}"));
                return JobResult::Failed;
            }
        };
        // A signal to the whole process group reaches the step and this worker; the step's end may be seen first.
        if !self.cancelled
            && interrupted(status)
            && matches!(self.from.recv_timeout(SAME_SIGNAL), Ok(Happening::Cancel))
        {
            self.cancelled = true;
        }
        match (self.cancelled, status.code()) {
            (_, Some(0)) => JobResult::Succeeded,
            (true, _) => {
                log.line("##[error]The operation was canceled.");
                JobResult::Canceled
            }
            (false, code) => {
                // As a shell would say it.
                let code = code.unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
                log.line(&format!("##[error]Process completed with exit code {code}."));
                JobResult::Failed
            }
        }
    }
}

fn interrupted(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(2 | 15)) || matches!(status.code(), Some(130 | 143))
}

fn spawn(command: &mut Command) -> std::io::Result<(PipeReader, std::process::Child)> {
    let (reader, writer) = std::io::pipe()?;
    let child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok((reader, child))
}

fn copy(output: PipeReader, log: &Log) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while matches!(output.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        log.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
}
