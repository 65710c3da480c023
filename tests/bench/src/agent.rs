//! The agent beside the stand-in runner that it starts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_contract::Phase;
use laptop::{Cloud, LABELS, job, life, ui, wait_for};
use laptop_ec2::Machine;

/// Jobs one after the other.
const JOBS: usize = 5;
/// How long an agent is looked at whose runner has no job.
const IDLE: Duration = Duration::from_mins(1);
/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(1);

struct Life {
    start: u64,
    end: u64,
    runner: u64,
    memory: u64,
}

/// Measures, and answers with a table.
pub(crate) async fn measure(cloud: &Cloud) -> Result<String> {
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
    let idle = idle(cloud).await?;
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
        vec!["agent: resident memory while idle, kB".to_owned(), idle.memory.to_string(), "–".to_owned()],
        vec![
            format!("agent: CPU time in {} idle seconds, ms, and part of a core", IDLE.as_secs()),
            idle.cpu.as_millis().to_string(),
            format!("{:.4} %", idle.cpu.as_secs_f64() / IDLE.as_secs_f64() * 100.0),
        ],
    ];
    Ok(ui::table(&["agent", "median", "ratio to the runner"], &rows))
}

/// One job, long enough to look at its agent.
async fn one_life(cloud: &Cloud) -> Result<Life> {
    let before = cloud.ec2.machines().len();
    cloud.github.queue_job(job("measured", &LABELS, "sleep 2"))?;
    let machine = launched(cloud, before).await?;
    wait_for("a job running", LIMIT, || {
        let jobs = cloud.github.jobs();
        let running = jobs.iter().any(|job| job.started_at.is_some() && job.completed_at.is_none());
        if running { Ok(()) } else { Err("none".to_owned()) }
    })
    .await?;
    let memory = Agent::of(&machine)?.resident()?;
    machine.wait_for(laptop_ec2::Phase::Gone, LIMIT).await?;
    let word = life::last_word(&machine.console()).context("the agent says how it ended")?;
    let at = |phase: Phase| word.timeline.get(phase).with_context(|| format!("no {}", phase.name()));
    Ok(Life {
        start: at(Phase::Started)? - at(Phase::Agent)?,
        end: at(Phase::End)? - at(Phase::JobEnded)?,
        runner: at(Phase::Listening)? - at(Phase::Started)?,
        memory,
    })
}

struct Idle {
    memory: u64,
    cpu: Duration,
}

/// An agent whose runner's job was cancelled before it came.
async fn idle(cloud: &Cloud) -> Result<Idle> {
    let before = cloud.ec2.machines().len();
    let job = cloud.github.queue_job(job("cancelled", &LABELS, "exit 1"))?;
    let machine = launched(cloud, before).await?;
    cloud.github.cancel_job(job.id).context("the job was quicker")?;
    wait_for("a runner that listens", LIMIT, || {
        if machine.console().contains("\"to\":\"Listening\"") { Ok(()) } else { Err(machine.id().to_owned()) }
    })
    .await?;
    let agent = Agent::of(&machine)?;
    let began = agent.cpu()?;
    // Not for something to happen: it is the time that is measured.
    tokio::time::sleep(IDLE).await;
    let idle = Idle { memory: agent.resident()?, cpu: agent.cpu()?.saturating_sub(began) };
    let runner = cloud.github.runners().into_iter().find(|runner| runner.name.ends_with(machine.id()));
    anyhow::ensure!(runner.is_some_and(|runner| cloud.github.remove_runner(runner.id)), "GitHub knows no such runner");
    machine.wait_for(laptop_ec2::Phase::Gone, LIMIT).await?;
    Ok(idle)
}

async fn launched(cloud: &Cloud, before: usize) -> Result<Arc<Machine>> {
    wait_for("a machine", LIMIT, || {
        let machines = cloud.ec2.machines();
        let newest = machines.iter().max_by_key(|machine| machine.record().phases.values().next().copied());
        newest.filter(|_| machines.len() > before).cloned().ok_or_else(|| "none".to_owned())
    })
    .await
}

/// The process of an agent.
struct Agent(i32);

impl Agent {
    /// The machine's first process, or a child of it where that is systemd.
    fn of(machine: &Machine) -> Result<Self> {
        let leader = machine.record().leader.context("a running machine has a first process")?;
        let is_agent = |pid: i32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "dayfly-agent")
        };
        let children = std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
        let mut candidates =
            std::iter::once(leader).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok()));
        candidates.find(|pid| is_agent(*pid)).map(Self).context("the machine has no agent")
    }

    /// Resident memory in kB.
    fn resident(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// CPU time so far, also of threads that have ended: `utime` and `stime` of proc(5), in hundredths of a second.
    fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field is a name in brackets, which may hold anything.
        let (_, rest) = stat.rsplit_once(") ").context("no name in stat")?;
        let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, for a ratio")]
fn ratio(value: u64, to: u64) -> f64 {
    value as f64 / to.max(1) as f64
}
