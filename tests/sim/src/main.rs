//! Plays seeds: `sim --seed 1234` tells the story of one, `sim --seeds 0..2000` plays many, `sim --jobs 1000000 --days 7`
//! one long run.

use std::{ops::Range, process::ExitCode, time::Instant};

use clap::Parser;
use dayfly_sim::{Model, Setting, Summary, play, run, week};
use dlmalloc::GlobalDlmalloc;

/// A long run is mostly copies of what the ledger answers, and musl's own allocator takes twice as long for each.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Plays the control plane over a simulated GitHub and AWS.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Arguments {
    /// Plays this seed and tells its story.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plays these seeds, `from..until`; tells of each that goes wrong.
    #[arg(long, value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    /// Ends with the first that goes wrong.
    #[arg(long, requires = "seeds")]
    first: bool,
    /// In place of what the seed decides: so many jobs in a long run.
    #[arg(long)]
    jobs: Option<u64>,
    /// Over so many days.
    #[arg(long, default_value_t = 7, requires = "jobs")]
    days: u64,
    /// Tells no story.
    #[arg(long)]
    quiet: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(from, until)| Some(from.parse().ok()?..until.parse().ok()?));
    parsed.filter(|it| !it.is_empty()).ok_or_else(|| format!("found {text}, expected two numbers such as 0..2000"))
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "what it was asked for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let mut all = Summary::default();
    let mut wrong = Vec::new();
    if let Some(jobs) = arguments.jobs {
        match play(week::of(jobs, arguments.days), arguments.seed, false) {
            Ok(summary) => all = summary,
            Err(why) => wrong.push((arguments.seed, why)),
        }
    } else if let Some(seeds) = arguments.seeds {
        for seed in seeds {
            match play(Setting::of_seed(seed), seed, false) {
                Ok(summary) => all.add(&summary),
                Err(why) => wrong.push((seed, why)),
            }
            if arguments.first && !wrong.is_empty() {
                break;
            }
        }
    } else {
        let seed = arguments.seed;
        let mut model = Model::new(Setting::of_seed(seed), seed);
        model.port.0.telling.set(!arguments.quiet);
        let played = run(&mut model);
        if !arguments.quiet {
            println!("{}\n", model.story());
        }
        all = model.summary();
        wrong.extend(played.err().map(|why| (seed, why)));
    }
    let took = began.elapsed().as_secs_f64();
    println!("{all}{:.1} s, {:.0} steps a second{}", took, all.steps as f64 / took, memory());
    for (seed, why) in &wrong {
        println!("seed {seed}: {why}\n    sim --seed {seed}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The most memory that was used, where the system tells.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim);
    peak.map(|peak| format!(", {peak} of memory at most")).unwrap_or_default()
}
