//! `run`: from the session's beginning to its end.

use std::{
    fs,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    assignment::Running,
    connection::{self, Closing},
    core::{Action, Ending, Event, Mode, State, step},
    exit,
    report::Report,
};
use crate::{
    diag::Diag,
    input::Input,
    job::{Assignment, Job, JobResult},
    knobs::Knobs,
    monitor::Monitor,
    root::Root,
    server::{Server, ServerError},
    settings::Settings,
    signals,
    words::{self, complain, say},
};

/// Tries to report a job's end: with the waits between them, about 8 s.
const COMPLETE_TRIES: u32 = 5;

struct Listener {
    root: Root,
    settings: Settings,
    input: Input,
    server: Server,
    diag: Diag,
    monitor: Monitor,
    session: String,
    closing: Closing,
    mode: Mode,
    to: Sender<Report>,
    next: Option<Box<Job>>,
    running: Option<Running>,
    worker_code: Option<i32>,
    last: Option<JobResult>,
}

/// Runs the listener; answers with its exit code.
pub(super) fn run(root: Root, settings: Settings, input: Input) -> anyhow::Result<u8> {
    let diag = Diag::open(&root, "Runner", Timestamp::now());
    let knobs = Knobs::of(&input.env);
    let (to, reports) = channel();
    let signal_to = to.clone();
    signals::watch(move |_| drop(signal_to.send(Report::Event(Event::Signal)))).context("watching for signals")?;
    let server = Server::new(&settings.runner.server_url, settings.token.clone());
    let closing = Closing::default();
    connection::start(server.clone(), settings.runner.agent_id.clone(), knobs.conflict, closing.clone(), to.clone());
    let mode = Mode {
        once: settings.runner.ephemeral || input.flag("once") || exit::is_hosted(&input.env),
        disable_update: settings.runner.disable_update,
        grace: knobs.grace,
    };
    let session = match connect(&reports, &root, &input, &diag) {
        Ok(session) => session,
        Err(code) => return Ok(code),
    };
    say("");
    say(&words::connected());
    say("");
    say(&words::version());
    say(&words::listening(Timestamp::now()));
    diag.info(&format!("session open, agent {}, once {}", settings.runner.agent_id, mode.once));
    let monitor = Monitor::connect(settings.runner.monitor_socket_address.as_deref());
    let (next, running, worker_code, last) = (None, None, None, None);
    let mut listener = Listener {
        root,
        settings,
        input,
        server,
        diag,
        monitor,
        session,
        closing,
        mode,
        to,
        next,
        running,
        worker_code,
        last,
    };
    let ending = listener.drive(&reports);
    Ok(listener.end(ending))
}

/// Waits for the session, or says with which code to exit.
fn connect(reports: &Receiver<Report>, root: &Root, input: &Input, diag: &Diag) -> Result<String, u8> {
    while let Ok(report) = reports.recv() {
        diag.info(&format!("start: {report:?}"));
        match report {
            Report::Connected(session) => return Ok(session),
            Report::Conflict => complain(words::CONFLICT),
            Report::Lost(why) => complain(&words::connect_error(Timestamp::now(), &why)),
            Report::Reconnected => say(&words::reconnected(Timestamp::now())),
            Report::Event(Event::Signal) => {
                say("Exiting...");
                return Err(exit::SUCCESS);
            }
            Report::NotConnected(error) => return Err(not_connected(&error, root, input)),
            // Nothing else comes before a session.
            Report::Job(_) | Report::Worker(_) | Report::Broken(_) | Report::Event(_) => {}
        }
    }
    Err(exit::RETRYABLE)
}

fn not_connected(error: &ServerError, root: &Root, input: &Input) -> u8 {
    match error {
        ServerError::Gone => {
            complain(words::GONE);
            Settings::delete(root);
            exit::TERMINATED
        }
        ServerError::Refused => {
            complain("Failed to create a session: the server refused the runner's credentials.");
            exit::TERMINATED
        }
        ServerError::Conflict => {
            complain(words::CONFLICT);
            exit::SESSION_CONFLICT
        }
        ServerError::VersionRefused => {
            complain(&words::version_refused());
            exit::version_refused(&input.env)
        }
        ServerError::Unreachable(_) | ServerError::Unexpected(_) => {
            complain(&format!("An error occurred: {error}"));
            exit::RETRYABLE
        }
    }
}

impl Listener {
    /// The main loop.
    fn drive(&mut self, reports: &Receiver<Report>) -> Ending {
        let born = Instant::now();
        let mut state = State::Idle;
        loop {
            if let State::Ended(ending) = state {
                return ending;
            }
            let event = match wait(reports, state, born) {
                Some(report) => self.event(report),
                None => Some(Event::Tick),
            };
            if let Some(event) = event {
                let (next, actions) = step(&self.mode, state, event, born.elapsed());
                if next != state {
                    self.diag.info(&format!("{event:?}: {state:?} -> {next:?}"));
                }
                state = next;
                for action in actions {
                    self.act(action);
                }
            }
        }
    }

    /// A report as an event, with what is to be said about it said.
    fn event(&mut self, report: Report) -> Option<Event> {
        match report {
            Report::Job(job) => {
                self.next = Some(job);
                Some(Event::Job)
            }
            Report::Worker(code) => {
                self.worker_code = code;
                Some(Event::WorkerEnded)
            }
            Report::Lost(why) => {
                complain(&words::connect_error(Timestamp::now(), &why));
                None
            }
            Report::Reconnected => {
                say(&words::reconnected(Timestamp::now()));
                None
            }
            Report::Broken(why) => {
                self.diag.info(&format!("unexpected answer: {why}"));
                Some(Event::Broken)
            }
            Report::Event(Event::Signal) => {
                say("Exiting...");
                Some(Event::Signal)
            }
            Report::Event(event) => Some(event),
            Report::Connected(session) => {
                self.diag.info("the server had closed the session; another is open");
                self.session = session;
                None
            }
            Report::Conflict => {
                complain(words::CONFLICT);
                None
            }
            Report::NotConnected(ServerError::Gone) => Some(Event::Gone),
            Report::NotConnected(ServerError::Refused) => Some(Event::Revoked),
            Report::NotConnected(ServerError::VersionRefused) => Some(Event::VersionRefused),
            Report::NotConnected(error) => {
                self.diag.info(&format!("no session: {error}"));
                Some(Event::Broken)
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StartWorker => self.start_worker(),
            Action::InterruptWorker => self.running.iter_mut().for_each(Running::interrupt),
            Action::KillWorker => self.running.iter().for_each(Running::kill),
            Action::FinishJob => self.finish_job(),
            Action::Ignored(event) => self.diag.info(&format!("{event:?} ignored")),
        }
    }

    fn start_worker(&mut self) {
        let Some(job) = self.next.take() else { return };
        say(&words::running(Timestamp::now(), &job.name));
        self.monitor.start(&job.id, &self.settings.token, &self.settings.runner.server_url, std::process::id());
        let runner = &self.settings.runner;
        let assignment = Assignment {
            job: *job,
            server: runner.server_url.clone(),
            token: self.settings.token.clone(),
            runner_name: runner.agent_name.clone(),
            github_url: runner.git_hub_url.clone(),
            work: runner.work_folder.clone(),
            tracking_id: format!("github_{}", Uuid::new_v4()),
        };
        let (running, started) = Running::start(&self.root, &self.input.env, &assignment, &self.to);
        if let Err(error) = started {
            self.diag.info(&format!("worker: {error:#}"));
        }
        running.watch(self.server.clone(), self.to.clone());
        self.running = Some(running);
    }

    fn finish_job(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.clean_up();
        let result = match self.worker_code.take() {
            None if running.asked => JobResult::Canceled,
            code => JobResult::of_worker(code),
        };
        self.complete(&running.job.id, result);
        say(&words::completed(Timestamp::now(), &running.job.name, result));
        self.monitor.end(std::process::id());
        self.last = Some(result);
    }

    /// Reports the end before it is told here: a supervisor may stop the machine as soon as it reads the line.
    fn complete(&self, job: &str, result: JobResult) {
        for tries in 0..COMPLETE_TRIES {
            match self.server.complete(job, result) {
                Ok(()) => return self.diag.info(&format!("job {job} completed: {}", result.word())),
                Err(ServerError::Unreachable(why)) => {
                    self.diag.info(&format!("reporting the end of job {job}: {why}"));
                    thread::sleep(connection::backoff(tries));
                }
                Err(error) => return self.diag.info(&format!("reporting the end of job {job}: {error}")),
            }
        }
    }

    /// After the loop: leaves nothing open, and answers with the exit code.
    fn end(&self, ending: Ending) -> u8 {
        match ending {
            Ending::Gone => {
                complain(words::GONE);
                Settings::delete(&self.root);
            }
            Ending::Revoked => self.diag.info("Runner OAuth token has been revoked. Shutting down."),
            Ending::VersionRefused => complain(&words::version_refused()),
            Ending::Broken => complain("An error occurred: the server's answer makes no sense; see _diag."),
            Ending::Stopped | Ending::JobDone | Ending::Updating | Ending::Refreshed => {
                self.closing.begin();
                if let Err(error) = self.server.close_session(&self.session) {
                    // Usual for an ephemeral runner: the server has taken it off already.
                    self.diag.info(&format!("closing the session: {error}"));
                }
            }
        }
        if ending == Ending::JobDone && self.settings.runner.ephemeral {
            Settings::delete(&self.root);
        }
        if ending == Ending::Updating {
            // The update itself is nothing: there is one version of a stand-in.
            drop(fs::write(self.root.join("update.finished"), "update finished\n"));
        }
        self.diag.info(&format!("ending: {ending:?}"));
        exit::code(ending, self.mode.once, &self.input.env, self.last)
    }
}

/// The next report; none where it is time to look at the clock.
fn wait(reports: &Receiver<Report>, state: State, born: Instant) -> Option<Report> {
    let limit = match state {
        State::Stopping { kill_at, .. } => kill_at.saturating_sub(born.elapsed()),
        // Nothing depends on the time, and a report comes when there is one.
        _ => Duration::from_hours(1),
    };
    // Disconnected can't be: the listener holds a sender.
    reports.recv_timeout(limit).ok()
}
