//! By hand: one command. Else: logging, then a life.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dayfly_agent::aws::Network;
use dayfly_agent::cli::{self, Cli};
use dayfly_agent::clock::Clock;
use dayfly_agent::core::EXIT_NOT_ENDED;
use dayfly_agent::life::{Beginning, live};
use dayfly_agent::settings::Settings;
use dayfly_agent::watchdog::Watchdog;
use dayfly_agent::{harden, logging};
use tracing::{error, info};

/// What Rust itself exits with after a panic; the unit starts the agent again.
const EXIT_PANIC: u8 = 101;

fn main() -> ExitCode {
    let clock = Clock::of_kernel();
    let (settings, mut problems) = Settings::read(environment());
    if let Some(command) = Cli::parse().command {
        return cli::run(&command, &settings);
    }
    harden::no_core_dumps();
    // The log comes first: mistakes in the settings are to be logged, by the filter that is one of them. The file is
    // dropped last.
    let (logs, _file) = match &settings.log_file {
        Some(path) => logging::start_with_file(settings.log.as_deref(), path),
        None => (logging::start(settings.log.as_deref()), None),
    };
    end_on_panic();
    info!(version = env!("CARGO_PKG_VERSION"), uptime_ms = clock.uptime().0, "The agent starts");
    let (network, more) = Network::read(environment());
    problems.0.extend(more.0);
    let watchdog = Watchdog::new(|name| std::env::var_os(name), std::process::id());
    // One thread: the machine belongs to the job.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(live(Beginning { clock, settings, network, problems, logs, watchdog }));
            // The loop has ended all it began; a call that hangs is not waited for.
            runtime.shutdown_timeout(Duration::from_millis(100));
            code
        }
        Err(error) => {
            error!(%error, "The agent can't start");
            ExitCode::from(EXIT_NOT_ENDED)
        }
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
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
