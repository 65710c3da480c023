//! One process of a function and the Runtime API it talks to: one invocation at a time.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::timeout;

use crate::{
    chaos::Strike,
    ending::{Ending, Run},
    exchange::{Event, Phase},
    model::{Function, arn_part},
    process::{Process, Processes},
    runtime_api::{Job, Reply, RuntimeApi},
    spawner::Spawner,
    task::Task,
};

/// A function with its code unpacked.
#[derive(Debug)]
pub(crate) struct Deployed {
    pub(crate) function: Function,
    pub(crate) folder: PathBuf,
}

/// What a sandbox needs of the host.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) spawner: Spawner,
    pub(crate) processes: Arc<Processes>,
    /// Variables for all functions.
    pub(crate) environment: BTreeMap<String, String>,
    /// `PATH` for all functions.
    pub(crate) path: String,
}

/// The process, from its start to its end. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) deployed: Arc<Deployed>,
    api: Arc<RuntimeApi>,
    process: Process,
    started: Instant,
    init: OnceLock<Duration>,
    _server: Task,
}

impl Sandbox {
    /// Starts a process. The outer error is the host's own, the inner one tells why the function can't be started.
    pub(crate) async fn start(
        deployed: Arc<Deployed>,
        ground: &Ground,
        endpoint: Option<&str>,
        output: File,
    ) -> Result<std::io::Result<Self>> {
        let (api, server) = RuntimeApi::serve().await?;
        let mut command = Command::new(deployed.folder.join("bootstrap"));
        let mut variables = environment(&deployed.function, &deployed.folder, &api.address.to_string(), ground);
        if let Some(endpoint) = endpoint {
            variables.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
        }
        command
            .env_clear()
            .envs(variables)
            .current_dir(&deployed.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let child = match ground.spawner.spawn(command).await {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        let ended = Arc::clone(&api);
        let process = Process::watch(child, Arc::clone(&ground.processes), move || {
            ended.step(Event::Exit);
        });
        Ok(Ok(Self { deployed, api, process, started, init: OnceLock::new(), _server: server }))
    }

    /// Its process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it is gone, so that it can't take an invocation.
    pub(crate) fn is_gone(&self) -> bool {
        self.api.phase() == Phase::Ended
    }

    /// Runs one invocation to its end. `strike` kills it in the middle.
    pub(crate) async fn run(&self, job: Job, init_limit: Duration, strike: Option<&Strike>) -> Run {
        let cold = self.init.get().is_none();
        let begun = Instant::now();
        let limit = job.timeout;
        let settled = timeout(if cold { init_limit } else { limit }, self.settled(strike)).await;
        let mut init = None;
        if cold && matches!(settled, Ok(Some(Phase::Ready))) {
            init = Some(*self.init.get_or_init(|| self.started.elapsed()));
        }
        // A cold start's time counts as init, not as the invocation's.
        let begun = if cold { Instant::now() } else { begun };
        let ending = match settled {
            Err(_) if cold => self.end(Ending::InitTimedOut).await,
            Err(_) => self.end(Ending::TimedOut).await,
            Ok(None) => self.end(Ending::Killed).await,
            Ok(Some(Phase::Ready)) if self.api.give(job) => self.answer(limit, strike).await,
            // It ended in init, or between two invocations, or just now.
            Ok(Some(_)) => match self.api.reply().await {
                Some(Reply::Failure(document)) => self.end(Ending::InitFailed(document)).await,
                _ => Measured { ending: Ending::Exited(self.process.ended().await), max_memory: 0 },
            },
        };
        Run { ending: ending.ending, cold, init, duration: begun.elapsed(), max_memory: ending.max_memory }
    }

    /// Waits until it can take an event or has ended; none where it is struck before.
    async fn settled(&self, strike: Option<&Strike>) -> Option<Phase> {
        tokio::select! {
            biased;
            phase = self.api.settled() => Some(phase),
            () = self.struck(strike) => None,
        }
    }

    async fn struck(&self, strike: Option<&Strike>) {
        match strike {
            Some(strike) => strike.falls(&self.api).await,
            None => std::future::pending().await,
        }
    }

    async fn answer(&self, limit: Duration, strike: Option<&Strike>) -> Measured {
        tokio::select! {
            biased;
            reply = self.api.reply() => match reply {
                Some(Reply::Success(payload)) => self.measured(Ending::Success(payload)),
                Some(Reply::Failure(document)) => self.measured(Ending::Failure(document)),
                None => Measured { ending: Ending::Exited(self.process.ended().await), max_memory: 0 },
            },
            () = self.struck(strike) => self.end(Ending::Killed).await,
            () = tokio::time::sleep(limit) => self.end(Ending::TimedOut).await,
        }
    }

    fn measured(&self, ending: Ending) -> Measured {
        Measured { ending, max_memory: self.process.peak_memory() }
    }

    async fn end(&self, ending: Ending) -> Measured {
        let measured = self.measured(ending);
        self.process.kill().await;
        measured
    }
}

struct Measured {
    ending: Ending,
    max_memory: u64,
}

/// What the access keys of all functions begin with, by which their calls are told from those of others. A dash and the
/// function's name follow.
pub const ACCESS_KEY: &str = "FUNCTION";

/// All variables of a process. Source: Lambda developer guide, "Defined runtime environment variables".
fn environment(function: &Function, folder: &Path, api: &str, ground: &Ground) -> BTreeMap<String, String> {
    let region = arn_part(&function.arn, 3);
    let access_key = format!("{ACCESS_KEY}-{}", function.name);
    let fixed = [
        ("AWS_ACCESS_KEY_ID", access_key.as_str()),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &format!("[$LATEST]{}", uuid::Uuid::new_v4().simple())),
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_REGION", region),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "test"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LAMBDA_TASK_ROOT", &folder.to_string_lossy()),
        ("LANG", "en_US.UTF-8"),
        ("PATH", &ground.path),
        ("TZ", ":UTC"),
        ("_HANDLER", &function.handler),
    ];
    let mut variables: BTreeMap<String, String> = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let logging = [("AWS_LAMBDA_LOG_FORMAT", &function.log_format), ("AWS_LAMBDA_LOG_LEVEL", &function.log_level)];
    for (name, value) in logging {
        variables.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    variables.extend(ground.environment.clone());
    variables.extend(function.environment.0.clone());
    variables
}
