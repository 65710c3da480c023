//! `laptop bench`: how fast the programs are, each beside something that does nothing, in the same run.
//!
//! Times depend on the machine and on what else it does; the ratios say more. Built by `make bench` as it ships.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_contract::Phase;
use serde_json::json;

use crate::cloud::{Cloud, LABELS, Machines, job, wait_for};
use crate::leftovers;
use crate::life;
use crate::ui::{self, Ui};
use crate::{artifacts, paths};

/// Invocations at once, so that each has a cold start of its own.
const COLD: usize = 10;
/// Invocations one after the other.
const WARM: usize = 200;
/// Jobs one after the other.
const JOBS: usize = 5;
/// The function that does nothing but answer.
const NOTHING: &str = "bench-nothing";

/// Measures, and prints tables.
pub(crate) async fn run(machines: Machines, folder: &Path, rootfs: Option<&Path>) -> Result<()> {
    let ui = Ui::new();
    let cloud = Cloud::start(machines, folder, rootfs, &ui).await?;
    let outcome = measure(&cloud, &ui).await;
    let left = cloud.stop().await?;
    outcome?;
    anyhow::ensure!(left.is_empty(), "could not be ended:\n  {}", left.join("\n  "));
    Ok(())
}

async fn measure(cloud: &Cloud, ui: &Ui) -> Result<()> {
    ui.waiting("measuring functions");
    let zip = cloud.folder.join("nothing.zip");
    artifacts::zip(&paths::program("echo-bootstrap")?, &zip)?;
    cloud.aws.create_function(NOTHING, &std::fs::read(&zip)?).await?;
    cloud.lambda.refresh().await?;
    let webhook = function(cloud, &cloud.outputs.functions["webhook"]).await?;
    let nothing = function(cloud, NOTHING).await?;
    let row = |what: &str, of: fn(&Measured) -> f64| {
        let (ours, floor) = (of(&webhook), of(&nothing));
        vec![what.to_owned(), format!("{ours:.2}"), format!("{floor:.2}"), format!("{:.1}", ours / floor)]
    };
    let rows = [
        row("cold start, ms", |it| it.cold),
        row("refused delivery, p50 ms", |it| it.warm),
        row("refused delivery, p99 ms", |it| it.slow),
        row("peak memory, MB", |it| it.memory),
    ];
    ui.line(format!("\n{}\n", ui::table(&["function", "webhook", "does nothing", "ratio"], &rows)));

    ui.waiting("measuring the agent");
    let mut lives = Vec::new();
    for _ in 0..JOBS {
        lives.push(one_life(cloud).await?);
    }
    let median = |of: fn(&Life) -> u64| {
        let mut all: Vec<u64> = lives.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let runner = median(|life| life.runner);
    let row = |what: &str, value: u64| vec![what.to_owned(), value.to_string(), format!("{:.1}", ratio(value, runner))];
    let rows = [
        row("agent: start to runner started, waits for AWS included, ms", median(|life| life.start)),
        row("agent: job done to instance asked to end, ms", median(|life| life.end)),
        row("stand-in runner: start to listening, ms", runner),
        vec![
            "agent: resident memory during the job, kB".to_owned(),
            median(|life| life.memory).to_string(),
            "–".to_owned(),
        ],
    ];
    ui.line(format!("{}\n", ui::table(&["agent", "median", "ratio to the runner"], &rows)));
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await
}

struct Measured {
    cold: f64,
    warm: f64,
    slow: f64,
    memory: f64,
}

/// A function is asked for what it refuses at once: the way in and out, without the ledger.
async fn function(cloud: &Cloud, name: &str) -> Result<Measured> {
    let event = json!({ "version": "2.0", "rawPath": "/webhook", "headers": {}, "body": "{}", "isBase64Encoded": false,
        "requestContext": { "http": { "method": "POST", "path": "/webhook" } } });
    futures::future::try_join_all((0..COLD).map(|_| cloud.lambda.invoke(name, &event))).await?;
    let colds = cloud.lambda.stats()[name].durations.len();
    for _ in 0..WARM {
        cloud.lambda.invoke(name, &event).await?;
    }
    let stats = cloud.lambda.stats();
    let stats = &stats[name];
    let mut warm: Vec<Duration> = stats.durations[colds..].to_vec();
    warm.sort_unstable();
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, shown in MB")]
    let memory = stats.max_memory as f64 / 1e6;
    Ok(Measured {
        cold: millis(stats.init_at(0.5).context("no cold start was measured")?),
        warm: millis(warm[warm.len() / 2]),
        slow: millis(warm[warm.len() * 99 / 100]),
        memory,
    })
}

struct Life {
    start: u64,
    end: u64,
    runner: u64,
    memory: u64,
}

/// One job, long enough to look at its agent.
async fn one_life(cloud: &Cloud) -> Result<Life> {
    let before = cloud.ec2.machines().len();
    cloud.github.queue_job(job("measured", &LABELS, "sleep 2"))?;
    let limit = Duration::from_mins(1);
    let machine = wait_for("a job running", limit, || {
        let machines = cloud.ec2.machines();
        let running = cloud.github.jobs().iter().any(|job| job.started_at.is_some() && job.completed_at.is_none());
        let newest = machines.iter().max_by_key(|machine| machine.record().phases.values().next().copied());
        newest.filter(|_| running && machines.len() > before).cloned().ok_or_else(|| "none".to_owned())
    })
    .await?;
    let memory = resident(machine.record().leader.context("a running machine has a first process")?)?;
    machine.wait_for(laptop_ec2::Phase::Gone, limit).await?;
    let word = life::last_word(&machine.console()).context("the agent says how it ended")?;
    let at = |phase: Phase| word.timeline.get(phase).with_context(|| format!("no {}", phase.name()));
    Ok(Life {
        start: at(Phase::Started)? - at(Phase::Agent)?,
        end: at(Phase::End)? - at(Phase::JobEnded)?,
        runner: at(Phase::Listening)? - at(Phase::Started)?,
        memory,
    })
}

/// Resident memory in kB of the agent: the machine's first process, or a child of it where that is systemd.
fn resident(leader: i32) -> Result<u64> {
    let is_agent =
        |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "dayfly-agent");
    let children = std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
    let mut candidates = std::iter::once(leader).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok()));
    let agent = candidates.find(|pid| is_agent(*pid)).context("the machine has no agent")?;
    let status = std::fs::read_to_string(format!("/proc/{agent}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, for a ratio")]
fn ratio(value: u64, to: u64) -> f64 {
    value as f64 / to.max(1) as f64
}
