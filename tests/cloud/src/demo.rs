//! `laptop demo`: jobs go in as real webhooks, run on machines that boot, and leave nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use laptop_github::Job;

use crate::cloud::{Cloud, LABELS, job};
use crate::leftovers;
use crate::life::{self, Steps};
use crate::paths;
use crate::program::Run;
use crate::stop;
use crate::ui::Ui;

/// How long the jobs may take: machines boot a few at a time.
fn limit(jobs: usize) -> Duration {
    Duration::from_secs(120 + 6 * jobs as u64)
}

/// Runs the demo; an error is the reason for exit code 1.
pub async fn run(run: &Run, jobs: usize, keep: bool) -> Result<()> {
    let ui = Ui::stdout();
    ui.line(format!("Dayfly on this machine: {jobs} job{}\n", if jobs == 1 { "" } else { "s" }));
    let cloud = stop::or(Cloud::start(run, &ui)).await?;
    let mut outcome = stop::or(show(&cloud, jobs, &ui)).await;
    if keep && outcome.is_ok() {
        outcome = hold(&cloud, &ui).await;
        if outcome.is_ok() {
            // Somebody may have queued more.
            outcome = stop::or(leftovers::wait_for_none(&cloud, limit(1))).await;
        }
    }
    ui.waiting("ending");
    let stopped = cloud.stop().await;
    outcome.and(stopped)?;
    ui.line(format!(
        "\n  ✔ nothing left: instances, runners, parameters, messages, ledger, processes, mounts ({:.0} s in all)",
        ui.elapsed().as_secs_f64()
    ));
    Ok(())
}

async fn show(cloud: &Cloud, count: usize, ui: &Ui) -> Result<()> {
    ui.line("\n  A workflow_job webhook, signed, goes to the control plane:\n");
    let origin = Instant::now();
    let mut jobs = Vec::new();
    for number in 1..=count {
        let script = format!("echo \"job {number} of {count} on $RUNNER_NAME as $(id -un)\"");
        jobs.push(cloud.github.queue_job(job(&format!("build ({number})"), &LABELS, &script))?.id);
    }
    let mut told = BTreeSet::new();
    let end = origin + limit(count);
    loop {
        let now: Vec<Job> = jobs.iter().filter_map(|id| cloud.github.job(*id)).collect();
        let done = now.iter().filter(|job| job.completed_at.is_some()).count();
        if count == 1 {
            tell_one(cloud, &now[0], &mut told, ui);
        } else {
            tell_many(&now, &mut told, ui);
        }
        ui.waiting(format!("{done} of {count} jobs done, {} machines", cloud.machines_left().len()));
        if done == count && leftovers::look(cloud).await?.is_empty() {
            break;
        }
        if Instant::now() > end {
            let left = leftovers::look(cloud).await?;
            bail!(
                "{done} of {count} jobs done after {} s; logs are in {}; there are\n  {}",
                limit(count).as_secs(),
                cloud.folder.display(),
                left.join("\n  ")
            );
        }
        tokio::time::sleep(Duration::from_millis(if count == 1 { 50 } else { 250 })).await;
    }
    report(cloud, &jobs, ui).await
}

/// One job: every moment of it.
fn tell_one(cloud: &Cloud, job: &Job, told: &mut BTreeSet<String>, ui: &Ui) {
    let machines = cloud.ec2.machines();
    for moment in life::moments(job, &cloud.github.deliveries(), machines.first().map(AsRef::as_ref)) {
        if told.insert(format!("{} {}", moment.at, moment.what)) {
            tell(ui, job.created_at, moment.at, moment.who, &moment.what);
        }
    }
}

/// Many jobs: a line for each that is done.
fn tell_many(jobs: &[Job], told: &mut BTreeSet<String>, ui: &Ui) {
    for job in jobs {
        if let (Some(at), Some(runner)) = (job.completed_at, &job.runner)
            && told.insert(job.id.to_string())
        {
            tell(
                ui,
                job.created_at,
                at,
                "GitHub",
                &format!("{} done on {}: {:?}", job.name, runner.name, job.conclusion),
            );
        }
    }
}

fn tell(ui: &Ui, origin: Timestamp, at: Timestamp, who: &str, what: &str) {
    let seconds = at.duration_since(origin).as_secs_f64();
    ui.line(format!("  {seconds:>7.2} s  {who:<7} {what}"));
}

/// The table, and whether all went as it must.
async fn report(cloud: &Cloud, jobs: &[u64], ui: &Ui) -> Result<()> {
    let deliveries = cloud.github.deliveries();
    let mut all: Vec<Steps> = Vec::new();
    for id in jobs {
        let job = cloud.github.job(*id).context("a job vanished")?;
        life::ran_once(&job).map_err(|reason| anyhow::anyhow!(reason))?;
        let instance = job.runner.as_ref().and_then(|runner| dayfly_contract::names::instance_of_runner(&runner.name));
        let machine = instance.and_then(|id| cloud.ec2.machine(id));
        all.push(life::steps(&job, &deliveries, machine.as_deref()));
    }
    ui.line(format!("\n{}\n", life::table(&all)));
    let slowest = all.iter().filter_map(Steps::until_running).max().unwrap_or_default();
    ui.line(format!("  From webhook to job running: {} at the most", life::seconds(slowest)));
    let launched = cloud.aws.instances().await?.len();
    ensure!(launched == jobs.len(), "{launched} instances were launched for {} jobs", jobs.len());
    let calls = cloud.github.calls();
    let asked: u64 = calls.iter().filter(|(route, _)| !route.contains("/_")).map(|(_, count)| count).sum();
    ui.line(format!("  {launched} instances for {} jobs; {asked} calls to GitHub's API", jobs.len()));
    Ok(())
}

/// Leaves everything up until somebody ends it.
async fn hold(cloud: &Cloud, ui: &Ui) -> Result<()> {
    let shell = cloud.folder.join("walk.rc");
    std::fs::write(&shell, shell_beside(cloud)?).with_context(|| format!("writing {}", shell.display()))?;
    ui.line("\n  Everything stays up. Ctrl-C ends it.\n");
    ui.line(format!("    AWS (moto)   {}", cloud.endpoint()));
    ui.line(format!("    GitHub       {}   (admin: /_emulator/jobs)", cloud.github.url()));
    ui.line(format!("    webhook      {}/webhook", cloud.lambda.http_url()));
    ui.line(format!("    logs         {}", cloud.folder.display()));
    // A private world has a network of its own, which is entered first.
    let enter = if laptop_ec2::world::is_inside() {
        "sudo nsenter --target $(pgrep --newest --exact laptop) --net --mount --pid "
    } else {
        ""
    };
    ui.line(format!("    look around  {enter}bash"));
    ui.line(format!(
        "    one more job {enter}curl {}/_emulator/jobs -H 'content-type: application/json' -d '{{\"labels\":[\"self-hosted\",\"linux\",\"x64\"]}}'",
        cloud.github.url()
    ));
    ui.line(format!("    walk         {enter}bash --rcfile {}   (docs/guides/one-machine.md)", shell.display()));
    stop::asked().await;
    Ok(())
}

/// What a shell is told in which the first steps of the documents are walked (docs/guides/one-machine.md).
fn shell_beside(cloud: &Cloud) -> Result<String> {
    let program = paths::program("dayfly")?;
    let programs = program.parent().context("a program is in a folder")?;
    let said = |name: &str, value: &str| format!("export {name}='{value}'\n");
    Ok([
        format!("export PATH=\"{}:$PATH\"\n", programs.display()),
        said("AWS_ENDPOINT_URL", cloud.endpoint()),
        said("AWS_REGION", "eu-west-1"),
        said("AWS_ACCESS_KEY_ID", "test"),
        said("AWS_SECRET_ACCESS_KEY", "test"),
        said("GITHUB", cloud.github.url()),
        said("WEBHOOK", &cloud.lambda.http_url()),
        said("LOGS", &cloud.folder.display().to_string()),
        format!("cd '{}'\n", paths::repository().display()),
        // Where the machine has a mirror of the provider, and the network does not reach the registry.
        "mirror=$(scripts/terraform-provider)\nexport TF_CLI_ARGS_init=${mirror:+-plugin-dir=$mirror}\n".to_owned(),
        "PS1='laptop cloud \\w \\$ '\n".to_owned(),
    ]
    .concat())
}
