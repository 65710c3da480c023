//! How long things may take.

use std::time::Duration;

use dayfly_contract::{AgentConfig, Pool};
use serde::{Deserialize, Serialize};

/// Limits that the config sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the agent's start until the registration is there.
    pub claim: Duration,
    /// From asking the runner to stop until it is killed.
    pub stop: Duration,
    /// Without a job until the runner retires.
    pub idle: Duration,
    /// From a reusable runner's first listening until it may retire for having no job.
    pub minimum_running: Duration,
    /// From the agent's start until the runner retires, whatever it has done.
    pub lifetime: Option<Duration>,
    /// What a job may still take when the lifetime is over.
    pub job: Duration,
    /// From asking a job to stop until the instance is taken away.
    pub grace: Duration,
    /// From asking control to delete the runner until the agent stops it itself.
    pub retire: Duration,
    /// What is run before the end may take; `None` where nothing is.
    pub before_end: Option<Duration>,
    /// From the agent's start until an instance that stands by ends; `None` where a registration comes within
    /// [`Limits::claim`].
    #[serde(default)]
    pub standby: Option<Duration>,
    /// Whether an instance that stands by may be stopped, to be started again when a job comes.
    #[serde(default)]
    pub stopped: bool,
    /// Whether control decides if a runner without a job retires.
    #[serde(default)]
    pub kept: bool,
}

impl Limits {
    /// From the runner's start until it listens: a cold disk and .NET take some 20 s, GitHub's JIT configs expire
    /// after about 300 s.
    pub const CONNECT: Duration = Duration::from_mins(5);
    /// Between a runner's exit and its next start; what the runner's own `run-helper.sh` waits.
    pub const PAUSE: Duration = Duration::from_secs(5);
    /// How often a runner is started without a job in between.
    pub const STARTS: u32 = 6;
    /// From the kill until the kernel has taken the process away; longer only if it hangs in I/O.
    pub const KILL: Duration = Duration::from_secs(5);
    /// From EC2's agreement to the machine's shutdown.
    pub const SHUTDOWN: Duration = Duration::from_mins(1);
    /// From the power-off's start to its end.
    pub const POWER_OFF: Duration = Duration::from_mins(1);
    /// From an ephemeral runner's job's end to the runner's own: it says goodbye to GitHub, which takes a second.
    pub const AFTER_JOB: Duration = Duration::from_mins(1);
    /// From what the runner calls a job's end until its Worker is believed to hang.
    pub const LINGER: Duration = Duration::from_mins(10);
    /// From the claim until the runner can be started: a download has 5 minutes, its registration 2.
    pub const INSTALL: Duration = Duration::from_mins(10);
    /// From SIGTERM to what counts as the machine's end. With what the config's defaults and the end itself take it is
    /// less than the unit's `TimeoutStopSec`.
    pub const SIGTERM: Duration = Duration::from_secs(90);
    /// From SIGTERM until an idle runner is stopped: a machine that is going down waits for control no longer.
    pub const SIGTERM_RETIRE: Duration = Duration::from_secs(5);
    /// From a spot interruption's notice to the end, where the notice did not say.
    pub const SPOT: Duration = Duration::from_mins(2);
    /// From the question whether there is a Worker to the answer, which comes at once.
    pub const LOOK: Duration = Duration::from_secs(5);
    /// So many starts of the agent itself ...
    pub const BEGINS: usize = 5;
    /// ... within so long mean that it crashes for ever.
    pub const BEGINS_WITHIN: Duration = Duration::from_mins(1);

    /// As the config says.
    #[must_use]
    pub fn of(config: &AgentConfig) -> Self {
        let lifetime = Some(config.max_lifetime_seconds).filter(|seconds| *seconds > 0);
        Self {
            claim: Duration::from_secs(config.claim_seconds),
            stop: Duration::from_secs(config.stop_seconds),
            idle: Duration::from_secs(config.idle_seconds),
            minimum_running: Duration::from_secs(config.minimum_running_seconds),
            lifetime: lifetime.map(Duration::from_secs),
            job: Duration::from_secs(config.job_seconds),
            grace: Duration::from_secs(config.interruption_grace_seconds),
            retire: Duration::from_secs(config.retire_seconds),
            standby: match config.pool {
                Some(Pool::Standby { lifetime_seconds } | Pool::Stopped { lifetime_seconds }) => {
                    Some(Duration::from_secs(lifetime_seconds))
                }
                Some(Pool::Idle) | None => None,
            },
            stopped: matches!(config.pool, Some(Pool::Stopped { .. })),
            kept: config.pool == Some(Pool::Idle),
            before_end: config.before_end.as_ref().map(|it| Duration::from_secs(it.seconds)),
        }
    }
}
