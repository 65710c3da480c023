//! How fast the programs are, each beside something that does nothing, in the same run: a file per measured thing.
//!
//! Times depend on the machine and on what else it does; the ratios say more. `make bench` builds what is measured as it ships.

mod agent;
mod bursts;
mod cpu;
mod functions;
mod install;
mod week;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use laptop::program::{self, Run};
use laptop::ui::Ui;
use laptop::{Cloud, leftovers, stop};

/// Measures the programs beside ones that do nothing.
#[derive(Debug, Parser)]
#[command(name = "laptop-bench", version)]
struct Arguments {
    #[command(flatten)]
    options: program::Options,
    /// Measure these alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Jobs at once, from their webhooks until their runners are registered.
    Bursts,
    /// Functions beside one that does nothing.
    Functions,
    /// The agent beside the runner that it starts.
    Agent,
    /// The installation of the runner beside a shell's.
    Install,
    /// A million jobs over a simulated week.
    Week,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let parts = if arguments.only.is_empty() { Part::value_variants().to_vec() } else { arguments.only };
    program::main(&arguments.options, async |run| stop::or(bench(run, &parts)).await)
}

async fn bench(run: &Run, parts: &[Part]) -> Result<()> {
    let ui = Ui::stdout();
    let cloud = Cloud::start(run, &ui).await?;
    let outcome = measure(&cloud, &ui, parts).await;
    let stopped = cloud.stop().await;
    outcome.and(stopped)
}

/// One after the other, so that none slows another down. Each answers with its table.
async fn measure(cloud: &Cloud, ui: &Ui, parts: &[Part]) -> Result<()> {
    for part in parts {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        ui.waiting(format!("measuring: {name}"));
        let table = match part {
            Part::Bursts => Box::pin(bursts::measure(cloud)).await?,
            Part::Functions => functions::measure(cloud).await?,
            Part::Agent => agent::measure(cloud).await?,
            Part::Install => Box::pin(install::measure()).await?,
            Part::Week => week::measure().await?,
        };
        ui.line(format!("\n{table}"));
    }
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await
}
