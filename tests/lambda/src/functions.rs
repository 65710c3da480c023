//! All functions, and the invoking of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use tracing::{debug, info};
use uuid::Uuid;

use crate::{
    answer::{Answer, Outcome},
    calls::CountedCalls,
    chaos::{After, Orders, Strike},
    config::Speed,
    ending::{Ending, Run},
    lock,
    log::{self, Log},
    model::{Function, arn_part},
    pool::{Admission, Pool},
    runtime_api::{Job, PAYLOAD_LIMIT},
    sandbox::{Deployed, Ground, Sandbox},
    stats::Stats,
};

/// The functions of the host.
#[derive(Debug)]
pub(crate) struct Functions {
    pools: Mutex<BTreeMap<String, Pool>>,
    closed: AtomicBool,
    pub(crate) ground: Ground,
    pub(crate) speed: Speed,
    pub(crate) endpoint: String,
    pub(crate) work_dir: PathBuf,
    pub(crate) orders: Orders,
    pub(crate) stats: Stats,
}

impl Functions {
    /// No functions yet.
    pub(crate) fn new(ground: Ground, speed: Speed, endpoint: String, work_dir: PathBuf) -> Self {
        Self {
            pools: Mutex::default(),
            closed: AtomicBool::new(false),
            ground,
            speed,
            endpoint,
            work_dir,
            orders: Orders::default(),
            stats: Stats::default(),
        }
    }

    /// Goes over to these functions: new ones, changed ones, and no others.
    pub(crate) fn deploy(&self, wanted: Vec<Deployed>) {
        let mut ended = Vec::new();
        let mut pools = lock(&self.pools);
        let mut old = std::mem::take(&mut *pools);
        for deployed in wanted {
            let name = deployed.function.name.clone();
            let pool = match old.remove(&name) {
                None => {
                    info!(function.name = name, "Function {name} is there");
                    Pool::new(Arc::new(deployed))
                }
                Some(mut pool) if pool.deployed.function != deployed.function || pool.is_deleted() => {
                    info!(function.name = name, "Function {name} has changed");
                    ended.extend(pool.deploy(Arc::new(deployed)));
                    pool
                }
                Some(pool) => pool,
            };
            pools.insert(name, pool);
        }
        for (name, mut pool) in old {
            if !pool.is_deleted() {
                info!(function.name = name, running = pool.running(), "Function {name} is gone");
                ended.extend(pool.delete());
            }
            if pool.running() > 0 {
                pools.insert(name, pool);
            }
        }
        drop(pools);
        // Dropping them kills them.
        drop(ended);
    }

    /// The account that a function belongs to.
    pub(crate) fn account(&self, name: &str) -> String {
        let pools = lock(&self.pools);
        pools.get(name).map(|pool| arn_part(&pool.deployed.function.arn, 4)).unwrap_or_default().to_owned()
    }

    /// How many invocations run, by function, where any do.
    pub(crate) fn running(&self) -> BTreeMap<String, usize> {
        let running = lock(&self.pools).iter().map(|(name, pool)| (name.clone(), pool.running())).collect();
        let running: BTreeMap<String, usize> = running;
        running.into_iter().filter(|(_, running)| *running > 0).collect()
    }

    /// Starts no more processes.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Ends the idle processes of one function.
    pub(crate) fn end_idle(&self, name: &str) {
        let ended = lock(&self.pools).get_mut(name).map(|pool| pool.expire(Instant::now(), Duration::ZERO));
        drop(ended);
    }

    /// Ends processes that have been idle for too long.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        let mut pools = lock(&self.pools);
        let ended: Vec<Sandbox> = pools.values_mut().flat_map(|pool| pool.expire(now, self.speed.idle_after)).collect();
        drop(pools);
        for sandbox in ended {
            debug!(
                process.pid = sandbox.pid(),
                function.name = sandbox.deployed.function.name,
                "Ending an idle process"
            );
        }
    }

    /// Invokes a function and waits for its answer. The invocation runs to its end even if nobody waits for it.
    pub(crate) async fn invoke(self: &Arc<Self>, name: &str, payload: Vec<u8>) -> Result<Answer> {
        let (functions, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move { functions.run(&name, payload).await }).await.context("waiting for an invocation")?
    }

    async fn run(&self, name: &str, payload: Vec<u8>) -> Result<Answer> {
        let request = Uuid::new_v4().to_string();
        let refused = |outcome| Ok(Answer { request: request.clone(), outcome, payload: Vec::new() });
        if payload.len() > PAYLOAD_LIMIT {
            return refused(Outcome::TooLarge);
        }
        let order = self.orders.take(name);
        let admitted = self.admit(name, matches!(order, Some(After::Calls(_))));
        if !matches!(admitted, Ok(Admission::Warm(_) | Admission::Cold(_)))
            && let Some(order) = order
        {
            self.orders.put_back(name, order);
        }
        let seat = match admitted? {
            Admission::Throttled => {
                self.stats.throttled(name);
                return refused(Outcome::Throttled);
            }
            Admission::Warm(sandbox) => Seat::Warm(sandbox),
            Admission::Cold(deployed) => Seat::Cold(deployed),
        };
        // From here on the pool counts one more, until `done`.
        let (sandbox, ended) = self.run_in(name, seat, &request, payload, order).await;
        if let Some(order) = order
            && !ended.as_ref().is_ok_and(|(run, _)| run.ending == Ending::Killed)
        {
            self.orders.put_back(name, order);
        }
        let leftover = lock(&self.pools).get_mut(name).and_then(|pool| pool.done(sandbox, Instant::now()));
        drop(leftover);
        let (run, timeout) = ended?;
        let (outcome, payload) = match run.ending.payload(&request, timeout) {
            Ok(payload) => (Outcome::Success, payload),
            Err(document) => (Outcome::FunctionError, document),
        };
        Ok(Answer { request, outcome, payload })
    }

    fn admit(&self, name: &str, fresh: bool) -> Result<Admission<Sandbox>> {
        if self.closed.load(Ordering::SeqCst) {
            bail!("function {name} is not invoked: the host is shutting down");
        }
        let mut pools = lock(&self.pools);
        let functions = || pools.values().map(|pool| (pool.deployed.function.reserved, pool.running()));
        let reserved: usize = functions().filter_map(|(reserved, _)| reserved).sum();
        let running: usize = functions().filter(|(reserved, _)| reserved.is_none()).map(|(_, running)| running).sum();
        let unreserved = self.speed.account_concurrency.saturating_sub(reserved).saturating_sub(running);
        let pool = pools.get_mut(name).filter(|pool| !pool.is_deleted());
        let pool = pool.with_context(|| format!("function is {name:?}, which does not exist"))?;
        Ok(pool.admit(unreserved, fresh))
    }

    /// Runs it, with log and numbers. The sandbox comes back where it may run another.
    async fn run_in(
        &self,
        name: &str,
        seat: Seat,
        request: &str,
        payload: Vec<u8>,
        order: Option<After>,
    ) -> (Option<Sandbox>, Result<(Run, Duration)>) {
        let counted = match order {
            Some(After::Calls(calls)) => match CountedCalls::serve(&self.endpoint, calls).await {
                Ok(counted) => Some(counted),
                Err(error) => return (None, Err(error)),
            },
            _ => None,
        };
        let strike = match (order, &counted) {
            (Some(After::Millis(millis)), _) => Some(Strike::Millis(millis)),
            (Some(After::Calls(_)), Some(counted)) => Some(Strike::Told(Arc::clone(&counted.struck))),
            _ => None,
        };
        let deployed = Arc::clone(seat.deployed());
        let function = &deployed.function;
        let log = match Log::open(&self.work_dir, name) {
            Ok(log) => log,
            Err(error) => return (None, Err(error)),
        };
        log.add(&log::start(request));
        let started = match seat {
            Seat::Warm(sandbox) => Ok(Ok(sandbox)),
            Seat::Cold(deployed) => match log.output() {
                Ok(output) => {
                    let endpoint = counted.as_ref().map(CountedCalls::url);
                    Sandbox::start(deployed, &self.ground, endpoint.as_deref(), output).await
                }
                Err(error) => Err(error),
            },
        };
        let (sandbox, run) = match started {
            Err(error) => return (None, Err(error)),
            Ok(Err(error)) => (None, not_started(&error)),
            Ok(Ok(sandbox)) => {
                let run = sandbox.run(job(function, request, payload), self.speed.init_limit, strike.as_ref()).await;
                (Some(sandbox), run)
            }
        };
        log.add(&log::end(request, &run, function.memory_mb, function.timeout, jiff::Timestamp::now()));
        self.stats.ran(name, &run);
        let duration_ms = run.duration.as_millis();
        debug!(function.name = name, request.id = request, duration_ms, "Function {name} ended: {}", run.ending.word());
        // A process that talks to the counter can't go on without it.
        let goes_on = run.ending.reusable() && counted.is_none();
        let timeout = function.timeout;
        (sandbox.filter(|_| goes_on), Ok((run, timeout)))
    }
}

enum Seat {
    Warm(Sandbox),
    Cold(Arc<Deployed>),
}

impl Seat {
    fn deployed(&self) -> &Arc<Deployed> {
        match self {
            Self::Warm(sandbox) => &sandbox.deployed,
            Self::Cold(deployed) => deployed,
        }
    }
}

fn not_started(error: &std::io::Error) -> Run {
    let ending = Ending::NotStarted(format!("fork/exec bootstrap: {error}"));
    Run { ending, cold: true, init: None, duration: Duration::ZERO, max_memory: 0 }
}

fn job(function: &Function, request: &str, payload: Vec<u8>) -> Job {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let random = Uuid::new_v4().simple().to_string();
    let (root, parent) = (&random[..24], &random[8..24]);
    Job {
        request: request.to_owned(),
        payload,
        timeout: function.timeout,
        arn: function.arn.clone(),
        trace: format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0"),
    }
}
