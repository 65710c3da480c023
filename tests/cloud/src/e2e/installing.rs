//! Images without a runner: it is installed from S3.

use std::sync::Arc;

use anyhow::{Result, ensure};
use dayfly_contract::Reason;
use laptop_ec2::Machine;
use serde_json::{Value, json};

use super::by_hand::{self, hand_over, jit, launch};
use super::crashes::replace;
use super::queue;
use super::steps::{gone_for, ran_on, reaches, says, says_times};
use crate::cloud::{Cloud, job};

/// Where the image has no runner.
const FOLDER: &str = "/opt/installed-runner";
const INSTALLED: &str = "is installed\"";
pub(super) const OBJECT: &str = "s3.GetObject";

/// Each of the first answers ends in the middle; what has come is kept, and the rest is asked for.
pub(super) async fn a_runner_is_installed_though_s3_breaks_off(cloud: Arc<Cloud>) -> Result<()> {
    let config = config(&by_hand::release(&cloud).await?);
    cloud.aws.cut(OBJECT, 300_000, 5).await?;
    let machine = launch(&cloud, &config).await?;
    says_times(&machine, "The download broke off", 5).await?;
    runs(&cloud, &machine).await?;
    ensure!(machine.console().matches(INSTALLED).count() == 1, "it was installed more than once");
    Ok(())
}

/// What an agent has left half done the next one does again.
pub(super) async fn killed_while_installing(cloud: Arc<Cloud>) -> Result<()> {
    let config = config(&by_hand::release(&cloud).await?);
    // No end is in sight.
    cloud.aws.cut(OBJECT, 1000, u32::MAX).await?;
    let machine = launch(&cloud, &config).await?;
    hand_over(&cloud, &machine, jit(&cloud, &machine).await?).await?;
    reaches(&machine, "Installing").await?;
    says(&machine, "The download broke off").await?;
    replace(&machine).await?;
    ensure!(!machine.console().contains(INSTALLED), "it was killed too late");
    cloud.aws.cut(OBJECT, 0, 0).await?;
    let jobs = queue(&cloud, [job("by hand", &by_hand::LABELS, "echo ran")])?;
    ran_on(&cloud, jobs[0], &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

fn config(source: &Value) -> Value {
    json!({ "runner": { "directory": FOLDER, "source": source } })
}

async fn runs(cloud: &Cloud, machine: &Machine) -> Result<()> {
    hand_over(cloud, machine, jit(cloud, machine).await?).await?;
    let jobs = queue(cloud, [job("by hand", &by_hand::LABELS, "test \"$(stat -c %U ../../../bin)\" = runner; pwd")])?;
    let done = ran_on(cloud, jobs[0], machine).await?;
    ensure!(done.log.contains(FOLDER), "{}", done.log);
    gone_for(machine, Reason::JobDone).await.map(drop)
}
