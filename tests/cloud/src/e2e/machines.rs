//! What happens to a machine and its agent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Reason};
use laptop_ec2::Phase;
use laptop_github::{Conclusion, Fault};

use super::crashes::replace;
use super::keeping::until_nothing_is_left;
use super::steps::{GO, LIMIT, WAIT, kill_agent, ran_on, running, says, shell, told};
use super::{ended, queue};
use crate::cloud::{Cloud, IMPATIENT, LABELS, job, wait_for};
use crate::{leftovers, life};

pub(super) async fn a_failing_job_ends_its_machine_too(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("fails", &LABELS, "exit 3")])?;
    let done = ended(&cloud, &jobs, LIMIT).await?;
    ensure!(done[0].conclusion == Some(Conclusion::Failure), "{:?}", done[0].conclusion);
    leftovers::wait_for_none(&cloud, LIMIT).await
}

/// GitHub refuses every JIT config for a while, so that no registration comes: the agent says so and ends its instance,
/// and when GitHub is well again the job gets another one.
pub(super) async fn an_agent_without_registration_gives_up_and_the_job_still_runs(cloud: Arc<Cloud>) -> Result<()> {
    let mut fault = Fault::of("POST", "/orgs/{org}/actions/runners/generate-jitconfig");
    fault.status = Some(500);
    cloud.github.add_fault(fault)?;
    let before: Vec<String> = cloud.ec2.machines().iter().map(|machine| machine.id().to_owned()).collect();
    let jobs = queue(&cloud, [job("patient", &IMPATIENT, "echo at last")])?;
    let first = wait_for("a machine gives up", LIMIT, || {
        let machines = cloud.ec2.machines();
        let given_up = machines
            .into_iter()
            .find(|machine| !before.contains(&machine.id().to_owned()) && machine.record().reached(Phase::Gone));
        given_up.ok_or_else(|| "none is gone".to_owned())
    })
    .await?;
    let word = life::last_word(&first.console()).context("the agent says why it ended")?;
    ensure!(word.reason == Some(Reason::RegistrationMissing), "{word:?}");
    cloud.github.clear_faults();
    let done = ended(&cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(|reason| anyhow::anyhow!(reason))
}

/// systemd starts the agent again, and the new one adopts the runner.
pub(super) async fn a_killed_agent_loses_no_job(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("goes on", &LABELS, &format!("{WAIT}; echo survived"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    replace(&machine).await?;
    shell(&machine, GO).await?;
    let done = ended(&cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(|reason| anyhow::anyhow!(reason))?;
    ensure!(done[0].log.contains("survived"), "{}", done[0].log);
    machine.wait_for(Phase::Gone, LIMIT).await?;
    let word = life::last_word(&machine.console()).context("the second agent says how it ended")?;
    ensure!(word.reason == Some(Reason::JobDone), "{word:?}");
    Ok(())
}

/// An agent that can't be kept alive does not take its job down with it: the job runs to its end, and only then does
/// systemd power the machine off. The ledger keeps the dead runner until somebody confirms its death, which is
/// reconcile's work; the test settles it by hand.
pub(super) async fn an_agent_killed_for_good_ends_its_machine(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("orphan", &LABELS, &format!("{WAIT}; echo survived"))])?;
    let machine = running(&cloud, jobs[0]).await?;
    told(&machine, Kind::JobStarted).await?;
    // As the unit has it, it would be half a minute until systemd gives up.
    let impatient = "mkdir -p /run/systemd/system/dayfly-agent.service.d && cd /run/systemd/system/dayfly-agent.service.d && \
                     printf '[Unit]\nStartLimitBurst=5\n[Service]\nRestartSec=50ms\n' > test.conf && systemctl daemon-reload";
    shell(&machine, impatient).await?;
    let killing = async {
        loop {
            // It fails between two agents, and once the last one is gone.
            let _ = kill_agent(&machine).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        waits = says(&machine, "waiting for the job of runner") => waits?,
        () = killing => {}
    }
    let job = cloud.github.job(jobs[0]).context("the job")?;
    ensure!(job.completed_at.is_none(), "the job was not waited for: {:?}", job.history);
    shell(&machine, GO).await?;
    let done = ran_on(&cloud, jobs[0], &machine).await?;
    ensure!(done.log.contains("survived"), "{}", done.log);
    let record = machine.wait_for(Phase::Gone, LIMIT).await?;
    let (over, stopping) = (done.completed_at, record.phases.get(&Phase::Stopping).copied());
    ensure!(stopping > over, "the machine went down at {stopping:?}, its job was over at {over:?}");
    until_nothing_is_left(&cloud).await
}
