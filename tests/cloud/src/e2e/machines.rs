//! What happens to a machine and its agent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Reason, names};
use laptop_ec2::{Machine, Phase};
use laptop_github::{Conclusion, Fault};

use super::{ended, queue};
use crate::cloud::{Cloud, IMPATIENT, LABELS, job, wait_for};
use crate::{leftovers, life};

const LIMIT: Duration = Duration::from_mins(2);

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
    let jobs = queue(&cloud, [job("goes on", &LABELS, "for i in $(seq 40); do sleep 0.1; done; echo survived")])?;
    let machine = running(&cloud, jobs[0]).await?;
    let killed =
        machine.exec(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "dayfly-agent.service"]).await?;
    ensure!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    let done = ended(&cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(|reason| anyhow::anyhow!(reason))?;
    ensure!(done[0].log.contains("survived"), "{}", done[0].log);
    machine.wait_for(Phase::Gone, LIMIT).await?;
    let word = life::last_word(&machine.console()).context("the second agent says how it ended")?;
    ensure!(word.reason == Some(Reason::JobDone), "{word:?}");
    Ok(())
}

/// An agent that can't be kept alive takes its machine down with it: systemd powers it off. The ledger keeps the dead
/// runner until somebody confirms its death, which is reconcile's work; the test settles it by hand.
pub(super) async fn an_agent_killed_for_good_ends_its_machine(cloud: Arc<Cloud>) -> Result<()> {
    let jobs = queue(&cloud, [job("lost", &LABELS, "sleep 60")])?;
    let machine = running(&cloud, jobs[0]).await?;
    let gone = wait_for("machine off", LIMIT, || {
        let record = machine.record();
        if record.reached(Phase::Ended) { Ok(()) } else { Err(format!("{:?}", record.phase())) }
    });
    let killing = async {
        loop {
            // It fails once the machine is gone, which is what is waited for.
            let _ =
                machine.exec(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "dayfly-agent.service"]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        gone = gone => gone?,
        () = killing => {}
    }
    machine.wait_for(Phase::Gone, LIMIT).await?;
    ended(&cloud, &jobs, LIMIT).await?;
    cloud.settle_dead(machine.id(), "linux-x64").await
}

/// The machine that runs a job, once it does.
async fn running(cloud: &Cloud, job: u64) -> Result<Arc<Machine>> {
    wait_for("job running", LIMIT, || {
        let job = cloud.github.job(job).ok_or("no such job")?;
        job.started_at.ok_or("not started")?;
        let runner = job.runner.ok_or("no runner")?;
        let id = names::instance_of_runner(&runner.name).ok_or("a foreign runner")?;
        cloud.ec2.machine(id).ok_or_else(|| "no machine".to_owned())
    })
    .await
}
