//! The runner on this machine, as `effects` sees it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dayfly_contract::{Phase, Registration};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::account::Account;
use super::cgroup::RunnerCgroup;
use super::launch::{LISTENER, launch};
use super::read_ahead::ReadAhead;
use super::script::run_script;
use super::{Plan, cloudwatch, installing, power, process, tools};
use crate::clock::Uptime;
use crate::core::{Event, Exit, RunnerId};
use crate::effects::{Events, Machine, Unusable};
use crate::errors::chain;
use crate::hook::server;
use crate::install::Objects;
use crate::settings::LastResort;
use crate::sources::watch::{self, Watched};
use crate::sources::worker;
use crate::telling::redact;

/// How long a runner may take to replace itself; its own `run-helper.sh` waits 30 s.
const UPDATE_LIMIT: Duration = Duration::from_mins(1);
/// The file by which the update script says that it is done.
const UPDATE_DONE: &str = "update.finished";
/// How often the runner is looked at for a Worker; its output tells of a job sooner.
const LOOK: Duration = Duration::from_secs(2);
/// What a failure tells of the runner's output: lines, and bytes of them.
const LAST_LINES: (usize, usize) = (20, 4096);

/// A runner in a directory, run by a user of this machine.
pub struct LocalRunner {
    plan: Arc<Plan>,
    objects: Option<Arc<dyn Objects>>,
    read_ahead: ReadAhead,
    version: Arc<Mutex<Option<String>>>,
    current: Mutex<Option<RunnerId>>,
    cgroup: OnceLock<Option<RunnerCgroup>>,
    hooks: Mutex<Option<JoinHandle<()>>>,
}

impl LocalRunner {
    /// The runner that `plan` is about, which may be installed from `objects`.
    #[must_use]
    pub fn new(plan: Plan, objects: Option<Arc<dyn Objects>>) -> Self {
        Self {
            plan: Arc::new(plan),
            objects,
            read_ahead: ReadAhead::default(),
            version: Arc::default(),
            current: Mutex::new(None),
            cgroup: OnceLock::new(),
            hooks: Mutex::new(None),
        }
    }

    fn cgroup(&self) -> Option<&RunnerCgroup> {
        self.cgroup.get_or_init(RunnerCgroup::create).as_ref()
    }

    /// The runner's process, as far as anybody knows it: one that has ended may have left something behind.
    fn note(&self, id: Option<RunnerId>) {
        if id.is_some() {
            *lock(&self.current) = id;
        }
    }

    /// Follows the runner: its output and exit, its Worker, its jobs' hooks.
    fn follow(&self, watched: Watched, id: Option<RunnerId>, events: &Events) {
        self.note(id);
        tokio::spawn(watch::watch(watched, self.plan.output.clone(), events.clone()));
        let Some(id) = id else { return };
        let told = events.clone();
        tokio::spawn(worker::watch_worker(id, LOOK, move |there| {
            let _unheard = told.send(Event::Worker(there));
        }));
        self.hear_hooks(events.clone());
    }

    fn hear_hooks(&self, events: Events) {
        let account = Account::find(&self.plan.runner.user).map_err(|error| chain(&error));
        let listener = account
            .and_then(|account| server::listen(&self.plan.hook_dir, &account).map_err(|error| error.to_string()));
        let serving = match listener {
            Ok(listener) => tokio::spawn(server::serve(listener, move |call| {
                let _unheard = events.send(Event::Hook(call));
            })),
            Err(error) => {
                // The runner's word and its Worker remain.
                return warn!(error, "Jobs can't tell of themselves");
            }
        };
        if let Some(before) = lock(&self.hooks).replace(serving) {
            before.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values can't be left half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine for LocalRunner {
    fn prepare(&self) -> BoxFuture<'static, Result<(), Unusable>> {
        let (plan, objects) = (Arc::clone(&self.plan), self.objects.clone());
        let (read_ahead, version) = (self.read_ahead.clone(), Arc::clone(&self.version));
        Box::pin(async move {
            let ready = installing::prepare(&plan, objects).await?;
            lock(&version).clone_from(&ready.version);
            // What was just written is in memory.
            if ready.installed.is_none() {
                read_ahead.start(plan.directory());
            }
            Ok(())
        })
    }

    fn stop_reading_ahead(&self) {
        self.read_ahead.stop();
    }

    fn install(
        &self,
        registration: Registration,
        timeline: BTreeMap<Phase, Uptime>,
    ) -> BoxFuture<'static, Result<(), Unusable>> {
        let (plan, version) = (Arc::clone(&self.plan), lock(&self.version).clone());
        Box::pin(async move { installing::install(&plan, registration, version, timeline).await })
    }

    fn start(&self, events: Events) -> Result<RunnerId, Unusable> {
        let program = self.plan.directory().join(LISTENER);
        let failed = |why: &dyn std::fmt::Display| Unusable::runner(format!("starting {}: {why}", program.display()));
        let account = Account::find(&self.plan.runner.user).map_err(|error| failed(&chain(&error)))?;
        let environment = installing::runner_environment(&self.plan, &account);
        // Of a runner that was started and is gone.
        if let Some(cgroup) = self.cgroup() {
            cgroup.kill_all();
        }
        let child = launch(self.plan.directory(), &account, &self.plan.output, &environment, self.cgroup())
            .map_err(|error| failed(&error))?;
        // It can't be reaped before we wait for it, so its number is its own; but it may have ended already.
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| failed(&"it has no process id"))?;
        let id = process::identify(pid).unwrap_or(RunnerId { pid, start_ticks: 0 });
        info!(runner.pid = pid, runner.user = %account.name, "The runner was started");
        self.follow(Watched::Child(child), Some(id), &events);
        Ok(id)
    }

    fn adopt(&self, noted: Option<RunnerId>, events: Events) {
        let id = noted.or_else(|| process::find(&self.plan.directory().join(LISTENER), "run"));
        let descriptor = id.and_then(process::open);
        let Some((id, descriptor)) = id.zip(descriptor) else {
            warn!("The runner of an earlier agent is gone");
            // What it left behind may still run.
            self.note(id);
            return self.follow(Watched::Gone(Exit::Unknown), None, &events);
        };
        info!(runner.pid = id.pid, "The runner of an earlier agent is adopted");
        if noted.is_none() {
            let _unheard = events.send(Event::Started(id));
        }
        self.follow(Watched::Stranger(descriptor), Some(id), &events);
    }

    fn await_update(&self) -> BoxFuture<'static, ()> {
        let done = self.plan.directory().join(UPDATE_DONE);
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

    fn has_worker(&self) -> bool {
        (*lock(&self.current)).is_some_and(worker::has_worker)
    }

    fn start_extras(&self) {
        if let Some(config) = self.plan.cloudwatch_agent.clone() {
            tokio::spawn(async move { cloudwatch::start_cloudwatch(&config).await });
        }
    }

    fn interrupt(&self) {
        if let Some(id) = *lock(&self.current) {
            report(id, "SIGINT", process::interrupt(id));
        }
    }

    fn kill(&self) {
        if let Some(id) = *lock(&self.current) {
            report(id, "SIGKILL", process::kill_group(id));
        }
        // What has left the group is still in the cgroup; without one, it goes with the instance.
        if let Some(killed) = self.cgroup.get_or_init(RunnerCgroup::create).as_ref().map(RunnerCgroup::kill_all)
            && killed > 0
        {
            info!(processes = killed, "What the runner left behind was killed");
        }
    }

    fn close_up(&self) -> BoxFuture<'static, ()> {
        let Some((script, limit)) = self.plan.before_end.clone() else { return Box::pin(async {}) };
        Box::pin(async move {
            let environment = [("PATH".into(), tools::PATH.into()), ("HOME".into(), "/root".into())].into();
            let end = run_script(&script, &[], limit, &environment).await;
            info!(script = %script.display(), ?end, "The script before the end has run");
        })
    }

    fn last_lines(&self) -> Vec<String> {
        redact::last_lines(&self.plan.output, LAST_LINES.0, LAST_LINES.1)
    }

    fn power_off(&self) -> Result<(), std::io::Error> {
        match self.plan.last_resort {
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
