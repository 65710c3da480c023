//! Lambda on the laptop: runs functions as AWS would, from what Terraform made at moto.
//!
//! Start at [`LambdaHost`]. `discover` asks moto (`aws`, `shapes`) and makes a `model`; `host` brings what runs in line
//! with it, and `code` unpacks. `functions` invokes: `pool` decides in which process, `sandbox` is one process
//! (`spawner`, `process`) with its `runtime_api` (`exchange` is what it may do next), `ending` is how it went, `answer`
//! is what the caller gets of that, `log` and `stats` keep it.
//! Invocations come from `http_api` (`routes`, `http_event`), `sqs` (`sqs_batch`), `schedule` (`when`, `cron`,
//! `schedule_event`, `gate`) and from tests. `chaos` and `calls` kill on request.
//!
//! What AWS does and this does not: a sandbox is not frozen between invocations, has the machine's `/tmp` and no memory
//! limit; failed scheduled runs are not tried again; only SQS feeds functions, without filters; routes have no
//! authorizers. What Terraform asks for and is not done here is told by [`Found::problems`].

mod answer;
mod aws;
mod body;
mod calls;
mod chaos;
mod code;
mod config;
mod cron;
mod discover;
mod ending;
mod exchange;
mod functions;
mod gate;
mod host;
mod http_api;
mod http_event;
mod log;
mod model;
mod pool;
mod process;
mod routes;
mod runtime_api;
mod sandbox;
mod schedule;
mod schedule_event;
mod shapes;
mod spawner;
mod sqs;
mod sqs_batch;
mod stats;
mod task;
mod when;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use answer::{Answer, Outcome};
pub use chaos::After;
pub use config::{Config, Speed};
pub use gate::Hold;
pub use host::{Activity, Found, LambdaHost, Leftovers};
pub use sandbox::ACCESS_KEY;
pub use stats::FunctionStats;

/// Locks, whoever panicked before: what is guarded here is never left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
