//! One life of the agent: config, build, run.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dayfly_contract::{AgentConfig, Problems, names};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::aws::imds::Imds;
use crate::aws::{
    Ec2Terminator, LifecycleQueue, Network, S3Objects, S3Registrations, SsmRegistrations, connect_through, s3,
};
use crate::boot::{BootError, Booted, boot};
use crate::clock::Clock;
use crate::core::report::Teller;
use crate::core::{EXIT_NOT_ENDED, Limits, Stage, State};
use crate::driver::{self, Parts};
use crate::effects::{Registrations, World};
use crate::errors::chain;
use crate::install::Objects;
use crate::logging::LogHandle;
use crate::memory::Memory;
use crate::runner::{LocalRunner, Plan};
use crate::settings::Settings;
use crate::sources::begin::sources;
use crate::sources::signals;
use crate::telling::Post;
use crate::watchdog::Watchdog;

/// Between two starts of an agent that crashes while a job runs: systemd ends the machine after so many starts
/// (`StartLimitBurst`), and a job is worth waiting for.
const CRASH_PAUSE: Duration = Duration::from_secs(10);

/// What a second agent on a machine exits with. Not a code on which the unit ends the machine.
const EXIT_SECOND: u8 = 75;

/// What a life begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The clock.
    pub clock: Clock,
    /// This machine's settings.
    pub settings: Settings,
    /// How AWS is reached.
    pub network: Network,
    /// Mistakes in both.
    pub problems: Problems,
    /// What is logged.
    pub logs: LogHandle,
    /// systemd's watchdog.
    pub watchdog: Watchdog,
}

/// Lives to the end; the process's exit code.
pub async fn live(beginning: Beginning) -> ExitCode {
    // From here on a stop is not lost: whoever comes first to wait for it gets it.
    let mut stops = match signals::stop_requests() {
        Ok(stops) => stops,
        Err(error) => {
            error!(%error, "The agent can't take signals");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
    };
    let Beginning { clock, settings, network, mut problems, logs, watchdog } = beginning;
    let memory = Memory::of(&settings.state_dir);
    // Where the folder's name was refused already, the default that stands in for it is nobody's wish.
    if !problems.0.iter().any(|problem| problem.path == "DAYFLY_STATE_DIR")
        && let Err(more) = memory.prepare()
    {
        problems.0.extend(more.0);
    }
    let Some(_lock) = memory.lock() else {
        error!(folder = %settings.state_dir.display(), "Another agent runs on this machine");
        return ExitCode::from(EXIT_SECOND);
    };
    let imds = Imds::new();
    // A life that goes on does not ask again: its job may have blocked the metadata service.
    let state = memory.load();
    let known = state.as_ref().and_then(|_| memory.known());
    let booting = async {
        match known {
            Some((identity, config)) => {
                // A running job is worth more than a setting that somebody has broken meanwhile.
                tell(&problems);
                Ok(Booted { identity, config, credentials: None })
            }
            None => boot(&imds, &settings, problems).await,
        }
    };
    let booted = match or_stop(booting, &mut stops, &watchdog).await {
        Some(Ok(booted)) => booted,
        Some(Err(BootError::Refused(problems))) => {
            tell(&problems);
            return ExitCode::from(names::EXIT_CONFIG);
        }
        Some(Err(error)) => {
            // Without region and credentials nobody can be told; systemd powers the machine off.
            error!(error = %chain(&error), "The agent can't begin");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
        None => {
            // Nothing was begun, and nobody is known who could be told. On a failure, and on that alone, the unit powers
            // the machine off.
            info!("The agent ends before it has begun");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
    };
    if settings.log.is_none() {
        logs.set(&booted.config.log);
    }
    memory.keep(&booted.identity, &booted.config);
    let goes_on = state.is_some();
    let state = state.unwrap_or_else(|| State::new(Limits::of(&booted.config), clock.origin()));
    if crashes_with_a_job(&state, &clock) {
        warn!("The agent crashes while a job runs, and goes on slowly");
        sleep(CRASH_PAUSE).await;
    }
    let teller = Teller { instance_id: booted.identity.instance_id.clone(), fleet: booted.config.fleet.clone() };
    info!(instance.id = %teller.instance_id, fleet = %teller.fleet, state = state.name(), "The agent knows its instance");
    let plan = Plan::new(&booted.config, &booted.identity, &settings, memory.output());
    if !goes_on && let Err(problems) = plan.check() {
        tell(&problems);
        return ExitCode::from(names::EXIT_CONFIG);
    }
    let sources = sources(imds.clone(), clock, &booted.config, &plan);
    let world = build(&imds, &network, booted, plan, &settings).await;
    let code =
        driver::run(Parts { world, teller, memory, clock, settings, stops, sources, watchdog, logs }, state).await;
    info!(code, "The agent ends");
    ExitCode::from(code)
}

/// What comes of `work`, unless the agent is asked to stop; systemd is told meanwhile that it lives.
async fn or_stop<T>(
    work: impl Future<Output = T>,
    stops: &mut UnboundedReceiver<()>,
    watchdog: &Watchdog,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        watchdog.fed();
        tokio::select! {
            // What is known comes before a stop, which the life it belongs to then takes.
            biased;
            done = &mut work => return Some(done),
            Some(()) = stops.recv() => return None,
            () = driver::hunger(watchdog) => {}
        }
    }
}

fn crashes_with_a_job(state: &State, clock: &Clock) -> bool {
    let recent = state.facts.begins.iter().filter(|begun| **begun + Limits::BEGINS_WITHIN > clock.uptime());
    matches!(state.stage, Stage::Running) && recent.count() + 1 >= Limits::BEGINS
}

async fn build(imds: &Imds, network: &Network, booted: Booted, plan: Plan, settings: &Settings) -> World {
    let Booted { identity, config, credentials } = booted;
    let sdk = connect_through(network, identity.region, imds.credentials(), credentials).await;
    let objects = plan.runner.source.as_ref().map(|source| {
        let objects: Arc<dyn Objects> = Arc::new(S3Objects::new(s3(&sdk), source.bucket.clone()));
        objects
    });
    let outbox = LifecycleQueue::new(aws_sdk_sqs::Client::new(&sdk), config.lifecycle_queue_url.clone());
    World {
        registrations: registrations(&sdk, &config, &identity.instance_id),
        post: Arc::new(Post::open(Arc::new(outbox), &settings.state_dir, &identity.instance_id)),
        terminator: Arc::new(Ec2Terminator::new(aws_sdk_ec2::Client::new(&sdk), identity.instance_id)),
        machine: Arc::new(LocalRunner::new(plan, objects)),
    }
}

fn registrations(sdk: &aws_config::SdkConfig, config: &AgentConfig, instance_id: &str) -> Arc<dyn Registrations> {
    if let Some(bucket) = &config.registration_bucket {
        let key = names::registration_object(&config.registration_prefix, instance_id);
        return Arc::new(S3Registrations::new(s3(sdk), bucket.clone(), key));
    }
    let parameter = names::registration_parameter(&config.registration_prefix, instance_id);
    Arc::new(SsmRegistrations::new(aws_sdk_ssm::Client::new(sdk), parameter))
}

/// Mistakes in a config, each on a line of its own.
fn tell(problems: &Problems) {
    for problem in &problems.0 {
        error!(
            problem.path = %problem.path,
            problem.found = %problem.found,
            problem.allowed = %problem.allowed,
            "Config refused: {problem}"
        );
    }
}
