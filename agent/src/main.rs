//! Logging, config, build, run, drain.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dayfly_agent::aws::imds::Imds;
use dayfly_agent::aws::{Ec2Terminator, LifecycleQueue, SsmRegistrations, connect};
use dayfly_agent::boot::{BootError, Booted, boot};
use dayfly_agent::clock::Clock;
use dayfly_agent::core::report::Teller;
use dayfly_agent::core::{EXIT_NOT_ENDED, Limits, State};
use dayfly_agent::driver::{self, Parts};
use dayfly_agent::effects::World;
use dayfly_agent::errors::chain;
use dayfly_agent::logging::{self, FilterHandle};
use dayfly_agent::memory::Memory;
use dayfly_agent::runner::LocalRunner;
use dayfly_agent::settings::Settings;
use dayfly_agent::sources::signals;
use dayfly_contract::{Problems, names};
use tracing::{error, info};

/// What Rust itself exits with after a panic; the unit starts the agent again.
const EXIT_PANIC: u8 = 101;

fn main() -> ExitCode {
    let clock = Clock::of_kernel();
    // 1. Logging. The filter is one of the settings, and mistakes in those are to be logged.
    let (settings, problems) = Settings::read(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
    );
    let filter = logging::start(settings.log.as_deref());
    end_on_panic();
    info!(version = env!("CARGO_PKG_VERSION"), uptime_ms = clock.uptime().0, "The agent starts");
    // One thread: the machine belongs to the job.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(live(clock, settings, problems, &filter));
            // 5. Drain: the loop has ended all it began; a call that hangs is not waited for.
            runtime.shutdown_timeout(Duration::from_millis(100));
            code
        }
        Err(error) => {
            error!(%error, "The agent can't start");
            ExitCode::from(EXIT_NOT_ENDED)
        }
    }
}

async fn live(clock: Clock, settings: Settings, mut problems: Problems, filter: &FilterHandle) -> ExitCode {
    // From here on a stop is not lost: whoever comes first to wait for it gets it.
    let mut stops = match signals::stop_requests() {
        Ok(stops) => stops,
        Err(error) => {
            error!(%error, "The agent can't take signals");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
    };
    // 2. Config.
    let memory = Memory::of(&settings.state_dir);
    // Where the folder's name was refused already, the default that stands in for it is nobody's wish.
    if !problems.0.iter().any(|problem| problem.path == "DAYFLY_STATE_DIR")
        && let Err(more) = memory.prepare()
    {
        problems.0.extend(more.0);
    }
    let imds = Imds::new();
    // A life that goes on does not ask again: its job may have blocked the metadata service.
    let state = memory.load();
    let known = state.as_ref().and_then(|_| memory.known());
    let booted = tokio::select! {
        // What is known comes before a stop, which the life it belongs to then takes.
        biased;
        booted = async {
            match known {
                Some((identity, config)) => {
                    // A running job is worth more than a setting that somebody has broken meanwhile.
                    tell(&problems);
                    Ok(Booted { identity, config, credentials: None })
                }
                None => boot(&imds, &settings, problems).await,
            }
        } => booted,
        Some(()) = stops.recv() => {
            // Nothing was begun, and nobody is known who could be told. On a failure, and on that alone, the unit powers
            // the machine off.
            info!("The agent ends before it has begun");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
    };
    let booted = match booted {
        Ok(booted) => booted,
        Err(BootError::Refused(problems)) => return refused(&problems),
        Err(error) => {
            // Without region and credentials nobody can be told; systemd powers the machine off.
            error!(error = %chain(&error), "The agent can't begin");
            return ExitCode::from(EXIT_NOT_ENDED);
        }
    };
    if settings.log.is_none() {
        filter.set(&booted.config.log);
    }
    // 3. Build.
    let limits = Limits {
        claim: Duration::from_secs(booted.config.claim_seconds),
        stop: Duration::from_secs(booted.config.stop_seconds),
    };
    memory.keep(&booted.identity, &booted.config);
    let state = state.unwrap_or_else(|| State::new(limits, clock.origin()));
    let teller = Teller { instance_id: booted.identity.instance_id.clone(), fleet: booted.config.fleet.clone() };
    info!(instance.id = %teller.instance_id, fleet = %teller.fleet, state = state.name(), "The agent knows its instance");
    let world = build(&imds, booted, &settings, memory.output()).await;
    // 4. Run.
    let code = driver::run(Parts { world, teller, memory, clock, settings, stops }, state).await;
    info!(code, "The agent ends");
    ExitCode::from(code)
}

async fn build(imds: &Imds, booted: Booted, settings: &Settings, output: PathBuf) -> World {
    let Booted { identity, config, credentials } = booted;
    let sdk = connect(identity.region, imds.credentials(), credentials).await;
    let parameter = names::registration_parameter(&config.registration_prefix, &identity.instance_id);
    let directory = settings.runner_directory.clone().unwrap_or_else(|| config.runner.directory.into());
    let user = settings.runner_user.clone().unwrap_or(config.runner.user);
    World {
        registrations: Arc::new(SsmRegistrations::new(aws_sdk_ssm::Client::new(&sdk), parameter)),
        outbox: Arc::new(LifecycleQueue::new(aws_sdk_sqs::Client::new(&sdk), config.lifecycle_queue_url)),
        terminator: Arc::new(Ec2Terminator::new(aws_sdk_ec2::Client::new(&sdk), identity.instance_id)),
        machine: Arc::new(LocalRunner::new(directory, user, output, settings.ending)),
    }
}

/// A config with mistakes: each on a line of its own, and the exit code on which the unit does not restart.
fn refused(problems: &Problems) -> ExitCode {
    tell(problems);
    ExitCode::from(names::EXIT_CONFIG)
}

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

/// A panic in any task ends the process, so that systemd starts the agent again and it goes on from its state. A task
/// that died alone would leave the others waiting for it for ever.
fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        // Without the message, which could quote anything.
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        error!(panic.place = place, "The agent has a bug and ends");
        // Not abort: a core file would hold secrets.
        std::process::exit(i32::from(EXIT_PANIC));
    }));
}
