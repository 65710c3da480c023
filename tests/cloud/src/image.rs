//! `laptop image`: has Packer build an image, boots that and a stock one, has each run a job, and tells how long each took to
//! listen, as docs/images.md shows it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Phase};
use laptop_ec2::{Machine, Phase as MachinePhase};

use crate::cloud::{Cloud, poll};
use crate::e2e::images::{baked, launch_image, runs_a_job, stock};
use crate::e2e::packer::finds_aws;
use crate::images::STOCK;
use crate::packer::{Build, build, image_of};
use crate::program::{Machines, Run};
use crate::ui::Ui;
use crate::{leftovers, life};

/// What is measured, from the machine's first process on.
const STEPS: [(&str, Phase); 4] = [
    ("agent started", Phase::Agent),
    ("registration claimed", Phase::Claimed),
    ("runner started", Phase::Started),
    ("runner listening", Phase::Listening),
];

/// One boot.
#[derive(Debug)]
struct Boot {
    /// Milliseconds from the machine's first process to each of the steps.
    steps: Vec<i64>,
    /// What `systemd-analyze blame` says inside.
    blame: String,
}

/// Boots each kind `times` times.
pub async fn run(run: &Run, times: usize) -> Result<()> {
    ensure!(
        run.machines == Machines::Systemd,
        "an image is booted by its systemd, which takes --machines systemd (and root)"
    );
    let ui = Ui::stdout();
    let cloud = Cloud::start(run, &ui).await?;
    let outcome = show(&cloud, times, &ui).await;
    let stopped = cloud.stop().await;
    outcome.and(stopped)
}

async fn show(cloud: &Cloud, times: usize, ui: &Ui) -> Result<()> {
    ui.waiting("packer build");
    let begun = Instant::now();
    let script = finds_aws(cloud);
    let with = Build { source: "ubuntu-2404", variables: &[], custom_script: &script, runner_sha256: None };
    let image = image_of(&build(cloud, &with).await?)?;
    ui.done("Packer", format!("{image}, published"), begun.elapsed());
    let kinds = [("baked", image.as_str(), baked(cloud)?), ("stock", STOCK, stock(cloud).await?)];
    let mut columns = Vec::new();
    for (name, image, variables) in &kinds {
        let mut boots = Vec::new();
        for number in 1..=times {
            ui.waiting(format!("{name} image, boot {number} of {times}"));
            boots.push(boot(cloud, image, variables).await.with_context(|| format!("{name} image, boot {number}"))?);
        }
        columns.push(boots);
    }
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await?;
    ui.line(format!("\nFrom the machine's first process, median of {times}:\n"));
    ui.line("| | baked image | stock image |\n|---|---|---|");
    for (index, (what, _)) in STEPS.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|boots| life::seconds(median(boots, index))).collect();
        ui.line(format!("| {what} | {} |", cells.join(" | ")));
    }
    for ((name, ..), boots) in kinds.iter().zip(&columns) {
        let blame = boots.last().map(|boot| boot.blame.as_str()).unwrap_or_default();
        ui.line(format!("\n`systemd-analyze blame` in the last {name} one:\n\n{blame}"));
    }
    Ok(())
}

/// The middle one of a step's times; of an even number the later one of the two.
fn median(boots: &[Boot], step: usize) -> i64 {
    let mut times: Vec<i64> = boots.iter().filter_map(|boot| boot.steps.get(step).copied()).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn boot(cloud: &Cloud, image: &str, variables: &serde_json::Value) -> Result<Boot> {
    let machine = launch_image(cloud, image, variables).await?;
    let steps = times(&machine)?;
    // It says so only once all is up, cloud-init's last stage included.
    let blame = poll("the boot is finished", Duration::from_mins(1), Duration::from_millis(200), || async {
        let output = machine.exec(&["systemd-analyze", "blame", "--no-pager"]).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    })
    .await?;
    let status = machine.exec(&["cloud-init", "status", "--wait", "--long"]).await?;
    ensure!(status.status.success(), "cloud-init: {}", String::from_utf8_lossy(&status.stdout).trim());
    let lines: Vec<String> = blame.lines().take(12).map(|line| format!("    {}", line.trim())).collect();
    let blame = lines.join("\n");
    let log = runs_a_job(cloud, &machine, "echo \"ran as $(id -un)\"").await?;
    ensure!(log.contains("ran as runner"), "the job's log: {log}");
    Ok(Boot { steps, blame })
}

fn times(machine: &Machine) -> Result<Vec<i64>> {
    let record = machine.record();
    let began = record.phases.get(&MachinePhase::Leader).context("the machine has started")?.as_millisecond();
    let words = life::words(&machine.console());
    let listening = words.iter().find(|word| word.kind == Kind::Listening).context("it listens")?;
    STEPS
        .iter()
        .map(|(what, phase)| {
            let at = listening.timeline.get(*phase).with_context(|| format!("the agent's timeline has no {what}"))?;
            Ok(i64::try_from(at)? - began)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_one_step() {
        let boots: Vec<Boot> =
            [[5, 9], [1, 8], [3, 7]].iter().map(|steps| Boot { steps: steps.to_vec(), blame: String::new() }).collect();
        assert_eq!((median(&boots, 0), median(&boots, 1), median(&boots, 2)), (3, 8, 0));
    }
}
