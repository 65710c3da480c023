//! The agent beside the stand-in runner that it starts.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dayfly_contract::Phase;
use laptop::{Cloud, LABELS, job, life, ui, wait_for};

/// Jobs one after the other.
const JOBS: usize = 5;

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
    Ok(ui::table(&["agent", "median", "ratio to the runner"], &rows))
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
