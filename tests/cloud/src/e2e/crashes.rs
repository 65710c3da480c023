//! An agent that is killed, in each state in which it can be caught: systemd starts it again, it carries on, and the job
//! runs once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use dayfly_contract::{Kind, Reason};
use jiff::Timestamp;
use laptop_ec2::Machine;
use laptop_github::{Conclusion, Fault};

use super::steps::{
    CLAIM, GO, LIMIT, WAIT, cut_aws, gone_for, idle, kill_agent, launched, ran_on, reaches, restore_aws, retired,
    running, says, says_times, shell, told,
};
use super::{ended, queue};
use crate::cloud::{Cloud, FLEETING, LABELS, SPOT, job};

/// What each agent says first.
const START: &str = "The agent starts";

/// Kills the agent and waits for the next one.
pub(super) async fn replace(machine: &Machine) -> Result<()> {
    let before = machine.console().matches(START).count();
    kill_agent(machine).await?;
    says_times(machine, START, before + 1).await
}

fn slow(method: &str, route: &str, milliseconds: u64) -> Fault {
    Fault { delay_ms: milliseconds, ..Fault::of(method, route) }
}

pub(super) async fn killed_while_claiming(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.throttle(CLAIM, u32::MAX).await?;
    let (job, machine) = launched(&cloud, &LABELS, "echo ran").await?;
    reaches(&machine, "Claiming").await?;
    replace(&machine).await?;
    cloud.aws.throttle(CLAIM, 0).await?;
    ran_on(&cloud, job, &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

pub(super) async fn killed_while_starting(cloud: Arc<Cloud>) -> Result<()> {
    cloud.github.add_fault(slow("POST", "/_runner/session", 2500))?;
    let (job, machine) = launched(&cloud, &LABELS, "echo ran").await?;
    reaches(&machine, "Starting").await?;
    says(&machine, "The runner was started").await?;
    replace(&machine).await?;
    ran_on(&cloud, job, &machine).await?;
    ensure!(machine.console().matches("The runner was started").count() == 1, "the runner was started twice");
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

pub(super) async fn killed_while_listening(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &LABELS).await?;
    replace(&machine).await?;
    says(&machine, "The runner of an earlier agent is adopted").await?;
    let jobs = queue(&cloud, [job("late", &LABELS, "echo ran")])?;
    ran_on(&cloud, jobs[0], &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// More often than would end an instance without a job.
pub(super) async fn killed_again_and_again_while_running(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("long", &LABELS, &format!("{WAIT}; echo survived"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    for _ in 0..5 {
        replace(&machine).await?;
    }
    shell(&machine, GO).await?;
    let done = ran_on(&cloud, jobs[0], &machine).await?;
    ensure!(done.log.contains("survived"), "{}", done.log);
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

pub(super) async fn killed_while_retiring(cloud: Arc<Cloud>) -> Result<()> {
    cloud.github.add_fault(slow("DELETE", "/orgs/{org}/actions/runners/{runner_id}", 8000))?;
    let machine = idle(&cloud, &FLEETING).await?;
    reaches(&machine, "Retiring").await?;
    replace(&machine).await?;
    gone_for(&machine, Reason::Idle).await?;
    retired(&cloud, &machine).await
}

/// The listener hears no SIGINT, and the agent is killed while it waits: the next one sends SIGKILL.
pub(super) async fn killed_while_draining(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("lost", &SPOT, "sleep 300")])?;
    let machine = running(&cloud, jobs[0]).await?;
    told(&machine, Kind::JobStarted).await?;
    shell(&machine, "pkill -STOP -f bin/Runner.Listener").await?;
    cloud.ec2.imds().notice_spot(machine.id(), Timestamp::now() + Duration::from_secs(1))?;
    reaches(&machine, "Draining").await?;
    replace(&machine).await?;
    gone_for(&machine, Reason::SpotInterruption).await?;
    told(&machine, Kind::Interrupted).await?;
    let done = ended(&cloud, &jobs, LIMIT).await?.remove(0);
    ensure!(done.conclusion != Some(Conclusion::Success), "{:?}", done.conclusion);
    Ok(())
}

/// AWS can't be reached while the agent wants to report and to end its instance, and it is killed over that: the next one
/// reports and ends it.
pub(super) async fn killed_while_ending(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("short", &LABELS, &format!("{WAIT}; echo ran"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    cut_aws(&cloud, &machine).await?;
    shell(&machine, GO).await?;
    ran_on(&cloud, jobs[0], &machine).await?;
    reaches(&machine, "Ending").await?;
    replace(&machine).await?;
    restore_aws(&machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}
