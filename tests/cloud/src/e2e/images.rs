//! A stock image, on which our user-data installs agent and runner; cloud-init is the real one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Reason};
use laptop_ec2::{Machine, Phase};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::by_hand::{self, hand_over, jit, launch_with};
use super::steps::{LIMIT, gone_for, ran_on, says, told};
use super::{queue, steps};
use crate::artifacts;
use crate::cloud::{Cloud, job};
use crate::images::STOCK;
use crate::terraform::user_data;

/// Where the agent's archive is put in the deployment's bucket.
const KEY: &str = "agent/dayfly-agent.tar.gz";
/// Each notes that it was there, and what was there already.
const PRE: &str = "#!/bin/bash\nset -eu\ntest ! -e /usr/local/bin/dayfly-agent\necho pre >> /var/tmp/order\n";
const POST: &str =
    "#!/bin/bash\nset -eu\n/usr/local/bin/dayfly-agent --version > /dev/null\necho post >> /var/tmp/order\n";

pub(super) async fn a_stock_image_installs_agent_and_runner(cloud: Arc<Cloud>) -> Result<()> {
    let mut variables = stock(&cloud).await?;
    variables["pre_install"] = PRE.into();
    variables["post_install"] = POST.into();
    let machine = launch_with(&cloud, Some(STOCK), &user_data(&cloud.folder, &variables).await?).await?;
    listens(&cloud, &machine).await?;
    // The limit is taken away once the agent runs, before this is told.
    says(&machine, "the agent runs").await?;
    let waits = steps::shell(&machine, "systemctl list-timers --all --no-legend 'dayfly-install-limit*'").await?;
    ensure!(waits.trim().is_empty(), "the installation's limit still runs: {waits}");
    let log = runs_a_job(&cloud, &machine, "paste -sd+ /var/tmp/order; pwd; echo \"ran as $(id -un)\"").await?;
    // Each line has the time before it.
    ensure!(log.contains(" pre+post"), "{log}");
    ensure!(log.contains("/opt/actions-runner/_work") && log.contains("ran as runner"), "{log}");
    Ok(())
}

/// Nothing else would end it before the fleet's `boot_seconds`.
pub(super) async fn an_installation_that_fails_ends_its_instance(cloud: Arc<Cloud>) -> Result<()> {
    let mut variables = stock(&cloud).await?;
    variables["agent_source"]["sha256"] = "0".repeat(64).into();
    let machine = launch_with(&cloud, Some(STOCK), &user_data(&cloud.folder, &variables).await?).await?;
    machine.wait_for(Phase::Gone, LIMIT).await?;
    let console = machine.console();
    ensure!(console.contains("found the SHA-256"), "{console}");
    ensure!(console.contains("dayfly-install: failed at: the agent, s3://"), "{console}");
    ensure!(!console.contains("the agent runs"), "{console}");
    Ok(())
}

/// Variables of `userdata/` for a stock image: agent and runner are in the deployment's bucket.
pub(crate) async fn stock(cloud: &Cloud) -> Result<Value> {
    let source = by_hand::release(cloud).await?;
    let config = by_hand::agent_config(cloud, &json!({ "runner": { "source": source } }))?;
    let archive = cloud.folder.join("agent.tar.gz");
    artifacts::bundle(&cloud.folder.join("artifacts/dayfly-agent"), &archive)?;
    let sha256 = put(cloud, &archive).await?;
    Ok(json!({
        "kind": "stock",
        "agent_config": config,
        "agent_environment": { "AWS_ENDPOINT_URL": cloud.endpoint() },
        "agent_source": { "bucket": cloud.outputs.bucket, "key": KEY, "sha256": sha256 },
        "install_seconds": 120,
    }))
}

async fn put(cloud: &Cloud, archive: &Path) -> Result<String> {
    let bytes = std::fs::read(archive).with_context(|| format!("reading {}", archive.display()))?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    cloud.aws.put_object(&cloud.outputs.bucket, KEY, bytes).await?;
    Ok(sha256)
}

/// Variables for an image that has agent and runner: the config alone.
pub(crate) fn baked(cloud: &Cloud) -> Result<Value> {
    Ok(json!({ "agent_config": by_hand::agent_config(cloud, &json!({}))? }))
}

/// Launches an instance of an image, with a registration at hand as soon as it has an id.
pub(crate) async fn launch_image(cloud: &Cloud, image: &str, variables: &Value) -> Result<Arc<Machine>> {
    let machine = launch_with(cloud, Some(image), &user_data(&cloud.folder, variables).await?).await?;
    listens(cloud, &machine).await?;
    Ok(machine)
}

async fn listens(cloud: &Cloud, machine: &Machine) -> Result<()> {
    hand_over(cloud, machine, jit(cloud, machine).await?).await?;
    told(machine, Kind::Listening).await.map(drop)
}

/// Has such an instance run a job, and waits for its end; answers the job's log.
pub(crate) async fn runs_a_job(cloud: &Cloud, machine: &Machine, script: &str) -> Result<String> {
    let jobs = queue(cloud, [job("by hand", &by_hand::LABELS, script)])?;
    let done = ran_on(cloud, jobs[0], machine).await?;
    says(machine, "\"to\":\"Ending\"").await?;
    gone_for(machine, Reason::JobDone).await?;
    Ok(done.log)
}
