//! What tests of single machines do and wait for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Lifecycle, Reason, names};
use laptop_ec2::{Machine, Phase};
use laptop_github::Job;

use super::{ended, queue};
use crate::cloud::{Cloud, job, wait_for};
use crate::life;

/// How long anything may take.
pub(super) const LIMIT: Duration = Duration::from_mins(2);

/// The call by which agents take their registration: refused ([`crate::aws::Aws::throttle`]), it keeps them `Claiming`.
pub(super) const CLAIM: &str = "ssm.GetParameter";
/// The call by which they delete it then.
pub(super) const CLAIMED: &str = "ssm.DeleteParameter";
/// A step of a job on a machine with systemd, whose files are its own: it goes on once [`GO`] was run in the machine.
pub(super) const WAIT: &str = "until test -e /tmp/go; do sleep 0.1; done";
/// See [`WAIT`].
pub(super) const GO: &str = "touch /tmp/go";

/// Waits until no function runs and no message is under way.
pub(super) async fn at_rest(cloud: &Cloud) -> Result<()> {
    wait_for("functions at rest", LIMIT, || if cloud.lambda.idle() { Ok(()) } else { Err("they work".to_owned()) })
        .await
}

/// The machine that runs a job, once it does.
pub(super) async fn running(cloud: &Cloud, job: u64) -> Result<Arc<Machine>> {
    wait_for("job running", LIMIT, || {
        let job = cloud.github.job(job).ok_or("no such job")?;
        job.started_at.ok_or("not started")?;
        let runner = job.runner.ok_or("no runner")?;
        let id = names::instance_of_runner(&runner.name).ok_or("a foreign runner")?;
        cloud.ec2.machine(id).ok_or_else(|| "no machine".to_owned())
    })
    .await
}

/// Queues a job, and answers it with the machine that is launched for it, while that still boots.
pub(super) async fn launched(cloud: &Cloud, labels: &[&str], script: &str) -> Result<(u64, Arc<Machine>)> {
    let before: BTreeSet<String> = cloud.ec2.machines().iter().map(|machine| machine.id().to_owned()).collect();
    let jobs = queue(cloud, [job("build", labels, script)])?;
    let machine = wait_for("a machine", LIMIT, || {
        let machines = cloud.ec2.machines();
        machines.into_iter().find(|machine| !before.contains(machine.id())).ok_or_else(|| "none yet".to_owned())
    })
    .await?;
    Ok((jobs[0], machine))
}

/// A machine whose runner listens, and has no job: the one it was launched for was cancelled meanwhile.
pub(super) async fn idle(cloud: &Cloud, labels: &[&str]) -> Result<Arc<Machine>> {
    let (job, machine) = launched(cloud, labels, "exit 1").await?;
    cloud.github.cancel_job(job).context("the job was quicker")?;
    told(&machine, Kind::Listening).await?;
    let job = cloud.github.job(job).context("the job")?;
    ensure!(job.handed_out == 0, "the job was cancelled too late");
    Ok(machine)
}

/// Waits until the agent's log on the console has `text`.
pub(super) async fn says(machine: &Machine, text: &str) -> Result<()> {
    says_times(machine, text, 1).await
}

/// Waits until the agent's log on the console has `text` so many times.
pub(super) async fn says_times(machine: &Machine, text: &str, times: usize) -> Result<()> {
    wait_for(text, LIMIT, || {
        let console = machine.console();
        let found = console.matches(text).count();
        if found >= times { Ok(()) } else { Err(format!("{found} times on the console of {}", machine.id())) }
    })
    .await
}

/// Waits until the agent is in a state.
pub(super) async fn reaches(machine: &Machine, state: &str) -> Result<()> {
    says(machine, &format!("\"to\":\"{state}\"")).await
}

/// Waits until control is told of something.
pub(super) async fn told(machine: &Machine, kind: Kind) -> Result<Lifecycle> {
    wait_for(&format!("{kind:?} told"), LIMIT, || {
        let words = life::words(&machine.console());
        let kinds: Vec<Kind> = words.iter().map(|word| word.kind).collect();
        words.into_iter().find(|word| word.kind == kind).ok_or_else(|| format!("{}: {kinds:?}", machine.id()))
    })
    .await
}

/// Kills the agent as the kernel or a bug would.
pub(super) async fn kill_agent(machine: &Machine) -> Result<()> {
    shell(machine, "systemctl kill --kill-whom=main --signal=KILL dayfly-agent.service").await.map(drop)
}

/// Runs a command line as root in the machine; answers what it prints.
pub(super) async fn shell(machine: &Machine, line: &str) -> Result<String> {
    let output = machine.exec(&["/bin/bash", "-c", line]).await?;
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until a machine is gone, and answers how its agent ended.
pub(super) async fn gone(machine: &Machine) -> Result<Lifecycle> {
    machine.wait_for(Phase::Gone, LIMIT).await?;
    life::last_word(&machine.console()).with_context(|| format!("the agent of {} says how it ended", machine.id()))
}

/// Waits until a machine is gone, for the reason that was expected.
pub(super) async fn gone_for(machine: &Machine, reason: Reason) -> Result<Lifecycle> {
    let word = gone(machine).await?;
    ensure!(word.reason == Some(reason), "{} ended otherwise: {word:?}", machine.id());
    Ok(word)
}

/// Waits until a job that must succeed has done so, on this machine.
pub(super) async fn ran_on(cloud: &Cloud, job: u64, machine: &Machine) -> Result<Job> {
    let done = ended(cloud, &[job], LIMIT).await?.remove(0);
    life::ran_once(&done).map_err(|reason| anyhow::anyhow!("{reason}; its log: {}", done.log))?;
    let runner = done.runner.as_ref().map(|runner| runner.name.as_str()).unwrap_or_default();
    ensure!(names::instance_of_runner(runner) == Some(machine.id()), "it ran on {runner}, not {}", machine.id());
    Ok(done)
}

/// Takes AWS away from a machine: it reaches GitHub, and nothing of AWS but its metadata service.
pub(super) async fn cut_aws(cloud: &Cloud, machine: &Machine) -> Result<()> {
    let (address, port) =
        cloud.endpoint().trim_start_matches("http://").split_once(':').context("an endpoint has a port")?;
    let rules = format!(
        "add table ip cut; add chain ip cut out {{ type filter hook output priority 0; }}; \
         add rule ip cut out ip daddr {address} tcp dport {port} drop"
    );
    shell(machine, &format!("nft '{rules}'")).await.map(drop)
}

/// Gives it back.
pub(super) async fn restore_aws(machine: &Machine) -> Result<()> {
    shell(machine, "nft delete table ip cut").await.map(drop)
}

/// Waits until control has told that it deleted a machine's runner at GitHub for its agent's `retire`.
pub(super) async fn retired(cloud: &Cloud, machine: &Machine) -> Result<()> {
    control_says(cloud, machine, "is retired").await
}

/// Waits until the lifecycle function has told `text` of a machine.
pub(super) async fn control_says(cloud: &Cloud, machine: &Machine, text: &str) -> Result<()> {
    let path = cloud.lambda.log_path(&cloud.outputs.functions["lifecycle"]);
    wait_for(&format!("control to say of {}: {text}", machine.id()), LIMIT, || {
        let log = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let found = log.lines().any(|line| line.contains(text) && line.contains(machine.id()));
        if found { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
}
