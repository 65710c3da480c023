//! The host: keeps what runs in line with what is found, and ends it all.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::{
    After, Answer, Config, FunctionStats,
    aws::Aws,
    code,
    discover::discover,
    functions::Functions,
    gate::Hold,
    http_api::HttpApi,
    lock,
    log::Log,
    model::{Mapping, World},
    process::Processes,
    sandbox::{Deployed, Ground},
    schedule::Schedules,
    spawner::Spawner,
    sqs::Poller,
    task::Task,
};

/// How long a shutdown waits for killed processes to be gone.
const REAP_LIMIT: Duration = Duration::from_secs(30);

/// Lambda, with its HTTP API, queue mappings and schedules. When it is dropped, all its processes are killed.
#[derive(Debug)]
pub struct LambdaHost {
    inner: Arc<Inner>,
    _discovery: Task,
    _expiry: Task,
}

#[derive(Debug)]
struct Inner {
    aws: Aws,
    functions: Arc<Functions>,
    http: HttpApi,
    schedules: Schedules,
    pollers: Mutex<Vec<Poller>>,
    in_flight: Arc<AtomicUsize>,
    /// One look at a time, so that an older one can't undo a newer one.
    looking: tokio::sync::Mutex<Found>,
}

/// What a look at moto found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Names of functions that can be invoked.
    pub functions: Vec<String>,
    /// ARNs of queues that are polled.
    pub queues: Vec<String>,
    /// Route keys of all APIs.
    pub routes: Vec<String>,
    /// Names of schedules.
    pub schedules: Vec<String>,
    /// What can't be hosted, and why, a sentence each.
    pub problems: Vec<String>,
}

/// What is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Running invocations by function, where there are any.
    pub running: BTreeMap<String, usize>,
    /// Messages that were received and neither deleted nor given up. Those in a queue are the queue's to tell.
    pub messages: usize,
}

/// What a shutdown found still going on, and what it could not end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// What was interrupted.
    pub interrupted: Activity,
    /// Ids of processes that would not go. Always empty unless something is badly wrong.
    pub processes: Vec<u32>,
}

impl LambdaHost {
    /// Starts the host and takes a first look at moto, which may be empty but must be there.
    pub async fn start(config: Config) -> Result<Self> {
        ensure!(
            config.endpoint.starts_with("http://"),
            "endpoint is {:?}; allowed is an http:// URL, as moto has",
            config.endpoint
        );
        let work_dir = std::path::absolute(&config.work_dir).context("resolving the work folder")?;
        let aws = Aws::new(&config.endpoint, &config.region)?;
        let ground = Ground {
            spawner: Spawner::start()?,
            processes: Arc::new(Processes::default()),
            environment: config.environment,
            // The one thing that functions get from this process.
            path: std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned()),
        };
        let functions = Arc::new(Functions::new(ground, config.speed, aws.endpoint().to_owned(), work_dir));
        let http = HttpApi::serve(config.http_bind, Arc::clone(&functions), config.region).await?;
        let inner = Arc::new(Inner {
            aws,
            schedules: Schedules::start(Arc::clone(&functions)),
            http,
            pollers: Mutex::default(),
            in_flight: Arc::default(),
            looking: tokio::sync::Mutex::default(),
            functions,
        });
        inner.refresh().await.context("taking a first look at moto")?;
        Ok(Self {
            _discovery: Task::spawn(keep_looking(Arc::clone(&inner), config.discovery_interval)),
            _expiry: Task::spawn(expire(Arc::clone(&inner.functions))),
            inner,
        })
    }

    /// Where the HTTP API listens.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.inner.http.address
    }

    /// The HTTP API's base URL, without a slash at its end.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// Looks at moto now and brings all in line with it. New code or environment ends a function's processes.
    pub async fn refresh(&self) -> Result<Found> {
        self.inner.refresh().await
    }

    /// Invokes a function and waits for its answer.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Answer> {
        self.inner.functions.invoke(function, payload.to_string().into_bytes()).await
    }

    /// Runs a schedule now, beside its rhythm: one answer for each of its functions.
    pub async fn run_schedule_now(&self, name: &str) -> Result<Vec<Answer>> {
        self.inner.schedules.run_now(name).await
    }

    /// Keeps schedules from running until the answer is dropped: what was due meanwhile is left out. Once it is given, no
    /// scheduled invocation is running. [`Self::run_schedule_now`] runs all the same.
    pub async fn hold_schedules(&self) -> Hold {
        self.inner.schedules.hold().await
    }

    /// Kills the process of one coming invocation in the middle of its work. Several orders are carried out one after
    /// the other; one that did not come to pass waits for the next invocation.
    pub fn kill_once(&self, function: &str, after: After) {
        self.inner.functions.orders.add(function, after);
    }

    /// How many kills of a function are still to come.
    #[must_use]
    pub fn kills_pending(&self, function: &str) -> usize {
        self.inner.functions.orders.pending(function)
    }

    /// Takes back the kills of a function that are still to come.
    pub fn withdraw_kills(&self, function: &str) {
        self.inner.functions.orders.withdraw(function);
    }

    /// Ends the processes of a function that wait, so that its next invocation starts one.
    pub fn end_idle(&self, function: &str) {
        self.inner.functions.end_idle(function);
    }

    /// Each function's numbers since the start.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, FunctionStats> {
        self.inner.functions.stats.all()
    }

    /// What is going on.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.inner.activity()
    }

    /// Whether no invocation runs and no message is in flight here.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.activity() == Activity::default()
    }

    /// Ids of all processes of functions.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.inner.functions.ground.processes.pids()
    }

    /// Where a function's log is, once it has run.
    #[must_use]
    pub fn log_path(&self, function: &str) -> PathBuf {
        Log::path(&self.inner.functions.work_dir, function)
    }

    /// Stops it all and kills all processes. Messages in flight come back after their visibility timeout.
    pub async fn shutdown(self) -> Leftovers {
        self.inner.functions.close();
        lock(&self.inner.pollers).clear();
        let interrupted = self.inner.activity();
        let processes = &self.inner.functions.ground.processes;
        processes.close();
        let processes = processes.gone(REAP_LIMIT).await;
        info!(running = interrupted.running.len(), messages = interrupted.messages, "Lambda has shut down");
        Leftovers { interrupted, processes }
    }
}

impl Drop for LambdaHost {
    fn drop(&mut self) {
        self.inner.functions.close();
        lock(&self.inner.pollers).clear();
        self.inner.functions.ground.processes.close();
    }
}

impl Inner {
    fn activity(&self) -> Activity {
        Activity { running: self.functions.running(), messages: self.in_flight.load(Ordering::SeqCst) }
    }

    async fn refresh(&self) -> Result<Found> {
        let mut last = self.looking.lock().await;
        let mut world = discover(&self.aws).await?;
        let deployed = self.fetch(&mut world).await;
        let found = found(&world, &deployed);
        self.functions.deploy(deployed);
        self.http.set(world.apis);
        self.schedules.set(world.schedules);
        self.poll(world.mappings);
        for problem in found.problems.iter().filter(|problem| !last.problems.contains(problem)) {
            warn!("Can't be hosted here: {problem}");
        }
        last.clone_from(&found);
        Ok(found)
    }

    /// Gets the code of functions; one without usable code is a problem.
    async fn fetch(&self, world: &mut World) -> Vec<Deployed> {
        let mut deployed = Vec::new();
        for function in std::mem::take(&mut world.functions) {
            match code::unpacked(&self.aws, &function, &self.functions.work_dir).await {
                Ok(folder) => deployed.push(Deployed { function, folder }),
                Err(error) => world.problems.push(format!("function {}: {error:#}", function.name)),
            }
        }
        deployed
    }

    /// Polls these queues and no others.
    fn poll(&self, mut wanted: Vec<Mapping>) {
        let mut pollers = lock(&self.pollers);
        pollers.retain(|poller| !poller.has_stopped());
        for poller in pollers.iter() {
            match wanted.iter().position(|mapping| *mapping == poller.mapping) {
                Some(known) => drop(wanted.swap_remove(known)),
                None => poller.stop(),
            }
        }
        for mapping in wanted {
            let (aws, functions) = (self.aws.clone(), Arc::clone(&self.functions));
            pollers.push(Poller::start(mapping, aws, functions, Arc::clone(&self.in_flight)));
        }
    }
}

fn found(world: &World, deployed: &[Deployed]) -> Found {
    Found {
        functions: deployed.iter().map(|deployed| deployed.function.name.clone()).collect(),
        queues: world.mappings.iter().map(|mapping| mapping.queue_arn.clone()).collect(),
        routes: world.apis.iter().flat_map(|api| &api.routes).map(|route| route.key.text.clone()).collect(),
        schedules: world.schedules.iter().map(|schedule| schedule.name.clone()).collect(),
        problems: world.problems.clone(),
    }
}

async fn keep_looking(inner: Arc<Inner>, every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, and the first look has been taken.
    ticks.tick().await;
    let mut failing = false;
    loop {
        ticks.tick().await;
        match inner.refresh().await {
            Ok(_) => failing = false,
            Err(error) if !failing => {
                failing = true;
                warn!(error = format!("{error:#}"), "Could not look at moto; going on with what is known");
            }
            Err(_) => {}
        }
    }
}

async fn expire(functions: Arc<Functions>) {
    let every = (functions.speed.idle_after / 4).clamp(Duration::from_millis(10), Duration::from_secs(10));
    loop {
        sleep(every).await;
        functions.expire();
    }
}
