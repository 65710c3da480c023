//! Runners that end without, or in the middle of, a job: idle ones, deleted ones, those whose instance EC2 takes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Reason};
use jiff::Timestamp;
use laptop_ec2::Maintenance;
use laptop_github::{Conclusion, Fault, Job};

use super::steps::{GO, LIMIT, WAIT, control_says, gone_for, idle, ran_on, retired, running, says, shell, told};
use super::{ended, queue};
use crate::cloud::{Cloud, FLEETING, LABELS, SPOT, SPOT_AGAIN, job, wait_for};
use crate::life;

/// The first key: control deletes the runner. The second: its listener exits, and there is no job.
pub(super) async fn an_idle_runner_retires(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &FLEETING).await?;
    gone_for(&machine, Reason::Idle).await?;
    let kinds: Vec<Kind> = life::words(&machine.console()).into_iter().map(|word| word.kind).collect();
    ensure!(kinds == [Kind::Listening, Kind::Retire, Kind::Finished], "{kinds:?}");
    retired(&cloud, &machine).await?;
    ensure!(!machine.console().contains("was sent SIGINT"), "its listener did not exit by itself");
    Ok(())
}

/// GitHub deletes no busy runner: the job that came in between runs.
pub(super) async fn a_job_that_slips_in_while_the_runner_retires_runs(cloud: Arc<Cloud>) -> Result<()> {
    let route = "/orgs/{org}/actions/runners/{runner_id}";
    cloud.github.add_fault(Fault { delay_ms: 6000, count: Some(1), ..Fault::of("DELETE", route) })?;
    let machine = idle(&cloud, &FLEETING).await?;
    told(&machine, Kind::Retire).await?;
    let jobs = queue(&cloud, [job("slips in", &FLEETING, &format!("{WAIT}; echo ran"))])?;
    let busy = running(&cloud, jobs[0]).await?;
    ensure!(busy.id() == machine.id(), "{} got the job", busy.id());
    control_says(&cloud, &machine, "has got a job and goes on").await?;
    shell(&machine, GO).await?;
    ran_on(&cloud, jobs[0], &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

pub(super) async fn a_runner_deleted_at_github_ends_its_instance(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &LABELS).await?;
    let runner = told(&machine, Kind::Listening).await?.runner_id.context("its runner's id")?;
    ensure!(cloud.github.remove_runner(runner), "GitHub knows no runner {runner}");
    gone_for(&machine, Reason::RunnerExited).await.map(drop)
}

pub(super) async fn a_spot_notice_retires_an_idle_runner(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &SPOT).await?;
    cloud.ec2.imds().notice_spot(machine.id(), Timestamp::now() + Duration::from_mins(2))?;
    gone_for(&machine, Reason::SpotInterruption).await?;
    retired(&cloud, &machine).await
}

/// A recommendation has no end: a job runs on for as long as it takes, and then the instance goes.
pub(super) async fn a_rebalance_recommendation_waits_for_the_job(cloud: Arc<Cloud>) -> Result<()> {
    let idle = idle(&cloud, &SPOT).await?;
    cloud.ec2.imds().notice_rebalance(idle.id(), Timestamp::now())?;
    gone_for(&idle, Reason::Rebalance).await?;
    retired(&cloud, &idle).await?;
    let jobs = queue(&cloud, [job("goes on", &SPOT, &format!("{WAIT}; echo went on"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    cloud.ec2.imds().notice_rebalance(machine.id(), Timestamp::now())?;
    shell(&machine, "until grep -q rebalance /run/dayfly/state.json; do sleep 0.1; done").await?;
    shell(&machine, GO).await?;
    ran_on(&cloud, jobs[0], &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// Scheduled for next year, an idle runner goes at once: nobody needs it to be there then.
pub(super) async fn scheduled_maintenance_retires_an_idle_runner(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &SPOT).await?;
    let at =
        |days: i64| (Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).strftime("%d %b %Y %H:%M:%S GMT");
    let event = Maintenance {
        code: "instance-retirement".to_owned(),
        description: "The instance is running on degraded hardware".to_owned(),
        event_id: "instance-event-0d59937288b749b32".to_owned(),
        not_before: at(14).to_string(),
        not_after: at(15).to_string(),
        state: "active".to_owned(),
    };
    cloud.ec2.imds().notice_maintenance(machine.id(), event)?;
    gone_for(&machine, Reason::Maintenance).await?;
    retired(&cloud, &machine).await
}

/// The job runs on until shortly before the end, then gets SIGINT; control is told which it was.
pub(super) async fn a_spot_notice_interrupts_a_job(cloud: Arc<Cloud>) -> Result<()> {
    let script = "trap 'echo got SIGINT; exit 130' INT; for i in $(seq 600); do sleep 0.1; done";
    let jobs = queue(&cloud, [job("interrupted", &SPOT, script)])?;
    let machine = running(&cloud, jobs[0]).await?;
    told(&machine, Kind::JobStarted).await?;
    cloud.ec2.imds().notice_spot(machine.id(), Timestamp::now() + Duration::from_secs(20))?;
    says(&machine, "EC2 gives notice").await?;
    ensure!(cloud.github.job(jobs[0]).is_some_and(|job| job.completed_at.is_none()), "the job was stopped at once");
    let done = ended(&cloud, &jobs, LIMIT).await?.remove(0);
    ensure!(done.conclusion == Some(Conclusion::Cancelled), "{:?}: {}", done.conclusion, done.log);
    ensure!(done.log.contains("got SIGINT"), "{}", done.log);
    gone_for(&machine, Reason::SpotInterruption).await?;
    let word = told(&machine, Kind::Interrupted).await?;
    let facts = word.job.clone().context("the job")?.facts;
    let expected = (Some(done.repository), Some(done.run_id), Some(u64::from(done.run_attempt)));
    ensure!((facts.repository, facts.run_id, facts.run_attempt) == expected, "{word:?}");
    // And now and then a sign of life.
    told(&machine, Kind::Heartbeat).await.map(drop)
}

/// Taken away with its spot instance, the job is run again once, on an instance that nobody takes away.
pub(super) async fn an_interrupted_job_runs_again_on_demand(cloud: Arc<Cloud>) -> Result<()> {
    let script = "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then for i in $(seq 600); do sleep 0.1; done; fi; echo ran again";
    let jobs = queue(&cloud, [job("taken away", &SPOT_AGAIN, script)])?;
    let machine = running(&cloud, jobs[0]).await?;
    ensure!(machine.facts().lifecycle == "spot", "{}", machine.facts().lifecycle);
    told(&machine, Kind::JobStarted).await?;
    cloud.ec2.imds().notice_spot(machine.id(), Timestamp::now() + Duration::from_secs(15))?;
    gone_for(&machine, Reason::SpotInterruption).await?;
    told(&machine, Kind::Interrupted).await?;
    let lost = ended(&cloud, &jobs, LIMIT).await?.remove(0);
    ensure!(lost.conclusion != Some(Conclusion::Success), "{:?}", lost.conclusion);
    let of_run = || -> Vec<Job> { cloud.github.jobs().into_iter().filter(|job| job.run_id == lost.run_id).collect() };
    let again = wait_for("the job again", LIMIT, || {
        of_run().into_iter().find(|job| job.run_attempt == 2).ok_or_else(|| "not yet".to_owned())
    })
    .await?;
    let second = running(&cloud, again.id).await?;
    ensure!(second.facts().lifecycle == "on-demand", "{}", second.facts().lifecycle);
    let done = ran_on(&cloud, again.id, &second).await?;
    ensure!(done.log.contains("ran again"), "{}", done.log);
    gone_for(&second, Reason::JobDone).await?;
    ensure!(of_run().len() == 2, "{} attempts", of_run().len());
    Ok(())
}

/// A listener that is stopped hears no SIGINT: it is killed, and the instance ends.
pub(super) async fn a_listener_that_ignores_sigint_is_killed(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("lost", &SPOT, "sleep 300")])?;
    let machine = running(&cloud, jobs[0]).await?;
    told(&machine, Kind::JobStarted).await?;
    shell(&machine, "pkill -STOP -f bin/Runner.Listener").await?;
    cloud.ec2.imds().notice_spot(machine.id(), Timestamp::now() + Duration::from_secs(6))?;
    gone_for(&machine, Reason::SpotInterruption).await?;
    for signal in ["was sent SIGINT", "was sent SIGKILL"] {
        ensure!(machine.console().contains(signal), "the runner {signal}: not on the console");
    }
    told(&machine, Kind::Interrupted).await?;
    // GitHub notices after a while that nobody is there.
    let done = ended(&cloud, &jobs, LIMIT).await?.remove(0);
    ensure!(done.conclusion != Some(Conclusion::Success), "{:?}", done.conclusion);
    Ok(())
}
