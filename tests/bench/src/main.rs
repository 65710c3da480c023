//! How fast the programs are, each beside something that does nothing, in the same run: a file per measured thing.
//!
//! Times depend on the machine and on what else it does; the ratios say more. `make bench` builds what is measured as it ships.

mod agent;
mod functions;
mod install;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use laptop::program::{self, Run};
use laptop::ui::Ui;
use laptop::{Cloud, leftovers, stop};

/// Measures the programs beside ones that do nothing.
#[derive(Debug, Parser)]
#[command(name = "laptop-bench", version)]
struct Arguments {
    #[command(flatten)]
    options: program::Options,
}

fn main() -> ExitCode {
    program::main(&Arguments::parse().options, async |run| stop::or(bench(run)).await)
}

async fn bench(run: &Run) -> Result<()> {
    let ui = Ui::stdout();
    let cloud = Cloud::start(run, &ui).await?;
    let outcome = measure(&cloud, &ui).await;
    let stopped = cloud.stop().await;
    outcome.and(stopped)
}

/// One after the other, so that none slows another down. Each answers with its table.
async fn measure(cloud: &Cloud, ui: &Ui) -> Result<()> {
    ui.waiting("measuring functions");
    ui.line(format!("\n{}\n", functions::measure(cloud).await?));
    ui.waiting("measuring the agent");
    ui.line(format!("{}\n", agent::measure(cloud).await?));
    ui.waiting("measuring the installation of the runner");
    ui.line(format!("{}\n", Box::pin(install::measure()).await?));
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await
}
