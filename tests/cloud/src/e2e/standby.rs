//! Pools whose instances stand by, or are stopped: a job gets one of them, and the pool comes and goes by its size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::names;
use laptop_github::Job;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::keeping::reconcile;
use super::steps::LIMIT;
use super::{ended, queue};
use crate::cloud::{Cloud, STANDBY, STOPPED, job, poll};
use crate::life;
use crate::ui::Ui;

/// The fleets. Their pools have no instance by default, so that other tests find nothing.
const FLEET: &str = "standby";
const ASLEEP: &str = "stopped";
/// The functions that go by a pool's size.
const BY_SIZE: [&str; 3] = ["scale-up", "lifecycle", "reconcile"];

pub(super) async fn a_job_gets_an_instance_that_stands_by(cloud: Arc<Cloud>) -> Result<()> {
    let outcome = claims(&cloud).await;
    resize(&cloud, FLEET, 0).await?;
    outcome?;
    // Each is told so, and ends itself.
    reached(&cloud, FLEET, &[]).await
}

async fn claims(cloud: &Cloud) -> Result<()> {
    resize(cloud, FLEET, 2).await?;
    reached(cloud, FLEET, &[("standby", 2)]).await?;
    let before = cloud.aws.instances().await?;
    // Reconcile would claim it too, within a minute: the webhook does, at once.
    let hold = cloud.lambda.hold_schedules().await;
    let jobs = queue(cloud, [job("build", &STANDBY, "true")])?;
    let done = ended(cloud, &jobs, LIMIT).await?;
    drop(hold);
    let instance = ran(&done[0], "Standby")?;
    // The one that is launched in its place is another.
    ensure!(before.iter().any(|it| it.id == instance), "{instance} did not stand by when the job came");
    reached(cloud, FLEET, &[("standby", 2)]).await?;
    let launched = cloud.aws.instances().await?.len() - before.len();
    ensure!(launched == 1, "{launched} instances were launched in the place of one");
    Ok(())
}

/// The instance of a job that ran, after a time that is printed: the number that a pool is about, for whoever reads the
/// run; docs/measurements.md has it.
fn ran(job: &Job, what: &str) -> Result<String> {
    life::ran_once(job).map_err(anyhow::Error::msg)?;
    let started = job.started_at.context("when it began")?;
    let waited = u64::try_from(started.as_millisecond() - job.created_at.as_millisecond())?;
    let waited = Duration::from_millis(waited);
    Ui::stdout().done(what, "claimed: from the webhook to the running job", waited);
    let name = job.runner.as_ref().map(|runner| runner.name.as_str()).unwrap_or_default();
    Ok(names::instance_of_runner(name).with_context(|| format!("it ran on {name}"))?.to_owned())
}

/// An instance boots, is stopped, and is started for a job.
pub(super) async fn a_job_gets_a_stopped_instance(cloud: Arc<Cloud>) -> Result<()> {
    let outcome = starts(&cloud).await;
    resize(&cloud, ASLEEP, 0).await?;
    outcome?;
    // Nobody is there to be told: control ends it.
    reached(&cloud, ASLEEP, &[]).await
}

async fn starts(cloud: &Cloud) -> Result<()> {
    let instance = one_asleep(cloud).await?;
    let before = cloud.aws.instances().await?.len();
    // By the webhook, as above.
    let hold = cloud.lambda.hold_schedules().await;
    let jobs = queue(cloud, [job("build", &STOPPED, "true")])?;
    let done = ended(cloud, &jobs, LIMIT).await?;
    drop(hold);
    let by = ran(&done[0], "Stopped")?;
    ensure!(by == instance, "it ran on {by}, not on {instance}");
    ensure!(cloud.ec2.machines().iter().filter(|it| it.id() == instance).count() == 2, "{instance} did not boot twice");
    reached(cloud, ASLEEP, &[("stopped", 1)]).await?;
    let launched = cloud.aws.instances().await?.len() - before;
    ensure!(launched == 1, "{launched} instances were launched in the place of one");
    Ok(())
}

/// EC2 keeps no capacity for what is stopped: it refuses the start, and the job runs all the same.
pub(super) async fn a_job_runs_though_ec2_can_not_start_its_instance(cloud: Arc<Cloud>) -> Result<()> {
    let outcome = refused(&cloud).await;
    resize(&cloud, ASLEEP, 0).await?;
    outcome?;
    reached(&cloud, ASLEEP, &[]).await
}

async fn refused(cloud: &Cloud) -> Result<()> {
    let instance = one_asleep(cloud).await?;
    // The fleet's other type is to be had.
    cloud.aws.capacity(&json!([{ "instance_type": "c7i.large" }])).await?;
    let jobs = queue(cloud, [job("build", &STOPPED, "true")])?;
    let done = ended(cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(anyhow::Error::msg)?;
    let name = done[0].runner.as_ref().map(|runner| runner.name.clone()).unwrap_or_default();
    ensure!(names::instance_of_runner(&name) != Some(&instance), "{instance} was started");
    let instance = &instance;
    poll("the refused instance to end", LIMIT, Duration::from_millis(100), || async move {
        let all = cloud.aws.instances().await?;
        let state = all.into_iter().find(|it| it.id == *instance).map(|it| it.state);
        Ok(if state.as_deref() == Some("terminated") { Ok(()) } else { Err(format!("{state:?}")) })
    })
    .await
}

/// The pool has one stopped instance.
async fn one_asleep(cloud: &Cloud) -> Result<String> {
    resize(cloud, ASLEEP, 1).await?;
    reached(cloud, ASLEEP, &[("stopped", 1)]).await?;
    let stopped = cloud.aws.instances().await?.into_iter().find(|it| it.state == "stopped");
    Ok(stopped.context("a stopped instance")?.id)
}

/// Has the pool of `name` be of this size, and its fleet looked at.
async fn resize(cloud: &Cloud, name: &str, size: u64) -> Result<()> {
    change(cloud, name, |pool| drop(pool.insert("size".to_owned(), json!(size)))).await
}

/// Has the pool of `name` be another one in the document, and its fleet looked at.
pub(super) async fn change(cloud: &Cloud, name: &str, with: impl FnOnce(&mut Map<String, Value>)) -> Result<()> {
    let mut document: Value = serde_json::from_str(&cloud.aws.object(&cloud.outputs.bucket, "fleets.json").await?)?;
    let fleets = document["fleets"].as_array_mut().context("fleets")?;
    let fleet = fleets.iter_mut().find(|fleet| fleet["name"] == name).context("the fleet")?;
    with(fleet["pool"].as_object_mut().context("its pool")?);
    let text = document.to_string();
    let sum = hex::encode(Sha256::digest(&text));
    cloud.aws.put_object(&cloud.outputs.bucket, "fleets.json", text.into_bytes()).await?;
    for handler in BY_SIZE {
        // As Terraform does: a new environment ends the processes, which had read the document before.
        cloud.aws.set_variable(&cloud.outputs.functions[handler], "FLEETS_SHA256", &sum).await?;
    }
    cloud.lambda.refresh().await?;
    cloud.lambda.invoke(&cloud.outputs.functions["reconcile"], &json!({})).await?;
    Ok(())
}

/// Waits until the ledger has so many of the fleet's runners in each state, and no others.
pub(super) async fn reached(cloud: &Cloud, name: &str, wanted: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<String, usize> = wanted.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect();
    let wanted = &wanted;
    poll(&format!("a pool of {wanted:?}"), LIMIT, Duration::from_millis(100), || async move {
        let states = states(cloud, name).await?;
        let found = states == *wanted;
        // It sees that EC2 has stopped an instance; each minute, where nobody hurries it.
        if states.contains_key("stopping") {
            reconcile(cloud).await?;
        }
        Ok(if found { Ok(()) } else { Err(format!("{states:?}; {}", cloud.machines_left().join(", "))) })
    })
    .await
}

/// The states of the fleet's runners, by the ledger.
async fn states(cloud: &Cloud, name: &str) -> Result<BTreeMap<String, usize>> {
    let mut states = BTreeMap::new();
    for item in cloud.aws.items(&cloud.outputs.table).await? {
        let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        let is_ours = text("pk") == format!("fleet#{name}") && text("sk").starts_with("runner#");
        // The echo of a message that came twice.
        if is_ours && text("state") != "gone" {
            *states.entry(text("state")).or_default() += 1;
        }
    }
    Ok(states)
}
