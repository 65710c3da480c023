//! Machines, jobs and services that behave badly, and the job runs all the same.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use dayfly_contract::Reason;
use tokio::time::sleep;

use super::queue;
use super::steps::{CLAIM, CLAIMED, GO, WAIT, gone_for, launched, ran_on, reaches, running, says, shell};
use crate::cloud::{Cloud, IMPATIENT, LABELS, job};

/// The job ends while nobody can be told.
pub(super) async fn a_network_that_is_cut_for_a_while_loses_no_job(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("cut off", &LABELS, &format!("{WAIT}; touch /tmp/over"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    machine.cut_network().await?;
    shell(&machine, GO).await?;
    shell(&machine, "until test -e /tmp/over; do sleep 0.1; done").await?;
    // What is waited for below can't come before the network does.
    sleep(Duration::from_secs(5)).await;
    ensure!(cloud.github.job(jobs[0]).is_some_and(|job| job.completed_at.is_none()), "the network was not cut");
    machine.restore_network().await?;
    // Its log may be lost: a runner does not wait for that for long.
    ran_on(&cloud, jobs[0], &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// Daemons that have left their session, and that the runner itself does not know as the job's.
pub(super) async fn what_a_job_leaves_behind_is_killed(cloud: Arc<Cloud>) -> Result<()> {
    let script = "RUNNER_TRACKING_ID= setsid --fork sleep 1001 < /dev/null > /dev/null 2>&1; pgrep -f 'sleep 100[1]'";
    let (job, machine) = launched(&cloud, &LABELS, script).await?;
    ran_on(&cloud, job, &machine).await?;
    gone_for(&machine, Reason::JobDone).await?;
    let console = machine.console();
    let (killed, told) =
        (console.find("What the runner left behind was killed"), console.find("Control is told: Finished"));
    ensure!(killed.is_some() && killed < told, "killed at {killed:?}, told at {told:?}");
    Ok(())
}

/// The agent sees it, and lets the job run to its end.
pub(super) async fn a_job_that_fills_its_disk_ends_by_itself(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.throttle(CLAIM, u32::MAX).await?;
    let script = format!("dd if=/dev/zero of=fill bs=1M 2>&1 || echo filled; {WAIT}; rm fill; echo went on");
    let (job, machine) = launched(&cloud, &LABELS, &script).await?;
    reaches(&machine, "Claiming").await?;
    let mount =
        "mkdir -p /opt/actions-runner/_work && mount -t tmpfs -o size=300m,mode=777 tmpfs /opt/actions-runner/_work";
    shell(&machine, mount).await?;
    cloud.aws.throttle(CLAIM, 0).await?;
    running(&cloud, job).await?;
    // It has noted why it will take no further job.
    shell(&machine, "until grep -q disk_full /run/dayfly/state.json; do sleep 0.1; done").await?;
    shell(&machine, GO).await?;
    let done = ran_on(&cloud, job, &machine).await?;
    ensure!(done.log.contains("filled") && done.log.contains("went on"), "{}", done.log);
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// Answers late, refuses tokens, has errors of its own: at boot, and while a job runs.
pub(super) async fn a_metadata_service_in_trouble_is_asked_again(cloud: Arc<Cloud>) -> Result<()> {
    let imds = cloud.ec2.imds();
    for status in [500, 401, 503] {
        let (job, machine) = launched(&cloud, &LABELS, "sleep 1; echo ran").await?;
        imds.refuse(machine.id(), status, 4)?;
        imds.delay(machine.id(), Duration::from_millis(300))?;
        running(&cloud, job).await?;
        let refused = imds.requests(machine.id()).iter().filter(|request| request.status == status).count();
        ensure!(refused == 4, "{status} was answered {refused} times");
        imds.refuse(machine.id(), status, 2)?;
        ran_on(&cloud, job, &machine).await?;
        gone_for(&machine, Reason::JobDone).await?;
    }
    Ok(())
}

pub(super) async fn a_registration_is_claimed_though_ssm_throttles(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.throttle(CLAIM, 4).await?;
    cloud.aws.throttle(CLAIMED, 2).await?;
    let (job, machine) = launched(&cloud, &LABELS, "echo ran").await?;
    ran_on(&cloud, job, &machine).await?;
    says(&machine, "The registration can't be taken yet").await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// Says whether it reached the metadata service.
const ASKS_METADATA: &str =
    "if timeout 5 bash -c 'exec 3<> /dev/tcp/169.254.169.254/80'; then echo reached; else echo refused; fi";

/// The instance's role is the agent's: not the job's, unless it is root, or its fleet says so.
pub(super) async fn a_job_gets_no_answer_from_the_metadata_service(cloud: Arc<Cloud>) -> Result<()> {
    for (labels, outcome) in [(LABELS, "refused"), (IMPATIENT, "reached")] {
        let (job, machine) = launched(&cloud, &labels, ASKS_METADATA).await?;
        let done = ran_on(&cloud, job, &machine).await?;
        ensure!(done.log.lines().any(|line| line.ends_with(outcome)), "not {outcome}: {}", done.log);
        // The agent still ends its instance through EC2, for which it has its credentials.
        says(&machine, "EC2 terminates the instance").await?;
        gone_for(&machine, Reason::JobDone).await?;
    }
    Ok(())
}

/// An image without nftables has iptables.
pub(super) async fn a_job_gets_no_answer_where_there_is_no_nft(cloud: Arc<Cloud>) -> Result<()> {
    cloud.aws.throttle(CLAIM, u32::MAX).await?;
    let (job, machine) = launched(&cloud, &LABELS, ASKS_METADATA).await?;
    reaches(&machine, "Claiming").await?;
    shell(&machine, "rm /usr/sbin/nft").await?;
    cloud.aws.throttle(CLAIM, 0).await?;
    let done = ran_on(&cloud, job, &machine).await?;
    ensure!(done.log.lines().any(|line| line.ends_with("refused")), "{}", done.log);
    ensure!(machine.console().contains("iptables"), "the agent does not say that it used iptables");
    gone_for(&machine, Reason::JobDone).await.map(drop)
}
