//! A pool whose instances stand by: a job gets one of them, and the pool comes and goes by its size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::steps::LIMIT;
use super::{ended, queue};
use crate::cloud::{Cloud, STANDBY, job, poll};
use crate::life;
use crate::ui::Ui;

/// The fleet. Its pool has no instance by default, so that other tests find nothing.
const FLEET: &str = "standby";
/// The functions that go by a pool's size.
const BY_SIZE: [&str; 2] = ["scale-up", "reconcile"];
/// From webhook to running job.
const SOON: Duration = Duration::from_secs(3);

pub(super) async fn a_job_gets_an_instance_that_stands_by(cloud: Arc<Cloud>) -> Result<()> {
    let outcome = claims(&cloud).await;
    resize(&cloud, 0).await?;
    outcome?;
    // Each is told so, and ends itself.
    reached(&cloud, &[]).await
}

async fn claims(cloud: &Cloud) -> Result<()> {
    resize(cloud, 2).await?;
    reached(cloud, &[("standby", 2)]).await?;
    let before = cloud.aws.instances().await?.len();
    let jobs = queue(cloud, [job("build", &STANDBY, "true")])?;
    let done = ended(cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(anyhow::Error::msg)?;
    let started = done[0].started_at.context("when it began")?;
    let waited = u64::try_from(started.as_millisecond() - done[0].created_at.as_millisecond())?;
    let waited = Duration::from_millis(waited);
    // The number that a pool is about, for whoever reads the run.
    Ui::stdout().done("Standby", "claimed: from the webhook to the running job", waited);
    ensure!(waited < SOON, "the job waited for {} ms", waited.as_millis());
    reached(cloud, &[("standby", 2)]).await?;
    let launched = cloud.aws.instances().await?.len() - before;
    ensure!(launched == 1, "{launched} instances were launched in the place of one");
    Ok(())
}

/// Has the pool be of this size, and its fleet looked at.
async fn resize(cloud: &Cloud, size: u64) -> Result<()> {
    let mut document: Value = serde_json::from_str(&cloud.aws.object(&cloud.outputs.bucket, "fleets.json").await?)?;
    let fleets = document["fleets"].as_array_mut().context("fleets")?;
    let fleet = fleets.iter_mut().find(|fleet| fleet["name"] == FLEET).context("the fleet")?;
    fleet["pool"]["size"] = json!(size);
    cloud.aws.put_object(&cloud.outputs.bucket, "fleets.json", document.to_string().into_bytes()).await?;
    for handler in BY_SIZE {
        // As Terraform does: a new environment ends the processes, which had read the document before.
        cloud.aws.set_variable(&cloud.outputs.functions[handler], "FLEETS_SHA256", &format!("size-{size}")).await?;
    }
    cloud.lambda.refresh().await?;
    cloud.lambda.invoke(&cloud.outputs.functions["reconcile"], &json!({})).await?;
    Ok(())
}

/// Waits until the ledger has so many of the fleet's runners in each state, and no others.
async fn reached(cloud: &Cloud, wanted: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<String, usize> = wanted.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect();
    let wanted = &wanted;
    poll(&format!("a pool of {wanted:?}"), LIMIT, Duration::from_millis(100), || async move {
        let states = states(cloud).await?;
        let found = states == *wanted;
        Ok(if found { Ok(()) } else { Err(format!("{states:?}; {}", cloud.machines_left().join(", "))) })
    })
    .await
}

/// The states of the fleet's runners, by the ledger.
async fn states(cloud: &Cloud) -> Result<BTreeMap<String, usize>> {
    let mut states = BTreeMap::new();
    for item in cloud.aws.items(&cloud.outputs.table).await? {
        let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        let is_ours = text("pk") == format!("fleet#{FLEET}") && text("sk").starts_with("runner#");
        // The echo of a message that came twice.
        if is_ours && text("state") != "gone" {
            *states.entry(text("state")).or_default() += 1;
        }
    }
    Ok(states)
}
