//! The operator's command line against the whole cloud: the doctor, a drained fleet, a retired runner, a report.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::Reason;
use serde_json::Value;
use tokio::process::Command;

use super::standby::reached;
use super::steps::{LIMIT, gone_for, idle};
use super::{ended, plain_jobs, queue, run_all};
use crate::cloud::{Cloud, FLEET, LABELS, poll};
use crate::{life, paths};

/// Runs `dayfly` with these arguments on the deployment.
async fn dayfly(cloud: &Cloud, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(paths::program("dayfly")?);
    command.args(arguments).args(["--deployment", "laptop"]).kill_on_drop(true);
    command.env("AWS_ENDPOINT_URL", cloud.endpoint()).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    Ok(command.output().await?)
}

async fn answer(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = dayfly(cloud, arguments).await?;
    ensure!(output.status.success(), "dayfly {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs `dayfly` again and again until `check` is content with it; a run takes a process, so not as often as `wait_for`.
async fn until<T>(
    cloud: &Cloud,
    arguments: &[&str],
    what: &str,
    check: impl Fn(&Output) -> Result<T> + Send + Sync,
) -> Result<T> {
    let check = &check;
    poll(what, LIMIT, Duration::from_millis(200), || async move {
        Ok(check(&dayfly(cloud, arguments).await?).map_err(|last| format!("{last:#}")))
    })
    .await
}

/// What Terraform deployed is well, as far as this cloud has it: moto has no quotas of EC2's.
pub(super) async fn the_doctor_finds_the_deployment_well(cloud: Arc<Cloud>) -> Result<()> {
    let url = format!("{}/webhook", cloud.lambda.http_url());
    let arguments = ["doctor", "--json", "--webhook-url", url.as_str()];
    let told = until(&cloud, &arguments, "reconcile to have run", |output| {
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let ran = find(&told, "reconcile").next().context("no such check")?;
        ensure!(ran["level"] == "ok", "{}", ran["what"]);
        Ok(told)
    })
    .await?;
    let checks = [
        "function webhook",
        "function scale-up",
        "function lifecycle",
        "function reconcile",
        "role scale-up",
        "ledger",
        "schedule",
        "fleets document",
        "parameter /dayfly/laptop/github/webhook-secret",
        "parameter /dayfly/laptop/github/app-key",
        "webhook ping",
        "app 123456 permissions",
        "app 123456 events",
        "app 123456 at octo-org",
        "app 123456 webhook",
        "clock against GitHub",
        "clock against AWS",
        "fleet linux-x64 template",
    ];
    for check in checks {
        let levels: Vec<&Value> = find(&told, check).map(|it| &it["level"]).collect();
        ensure!(!levels.is_empty() && levels.iter().all(|it| *it == "ok"), "{check} in {told:#}");
    }
    Ok(())
}

fn find<'a>(told: &'a Value, check: &str) -> impl Iterator<Item = &'a Value> {
    let all = told["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let check = check.to_owned();
    all.iter().filter(move |it| it["check"] == check.as_str())
}

/// A job waits for a drained fleet, and runs once that is undone.
pub(super) async fn a_drained_fleet_launches_nothing_until_it_is_undone(cloud: Arc<Cloud>) -> Result<()> {
    answer(&cloud, &["drain", FLEET, "--new"]).await?;
    let waits = waits_for_nothing(&cloud).await;
    // Whatever came of it: the next test needs the fleet.
    answer(&cloud, &["drain", FLEET, "--undo"]).await?;
    let jobs = [waits?];
    let done = ended(&cloud, &jobs, LIMIT).await?.remove(0);
    life::ran_once(&done).map_err(anyhow::Error::msg)
}

async fn waits_for_nothing(cloud: &Cloud) -> Result<u64> {
    let before = cloud.aws.instances().await?.len();
    let job = queue(cloud, plain_jobs(1))?[0];
    let id = job.to_string();
    let arguments = ["explain", id.as_str()];
    // The plan that found it drained has been made.
    until(cloud, &arguments, "the job to wait for the drained fleet", |output| {
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.contains("was drained") && said.contains("(drained)"), "{said}");
        Ok(())
    })
    .await?;
    let launched = cloud.aws.instances().await?.len() - before;
    ensure!(launched == 0, "{launched} instances were launched for a drained fleet");
    Ok(job)
}

/// What ran is reported: with its time in the queue, its minutes, and what they cost by a price of ours.
pub(super) async fn a_report_counts_what_ran(cloud: Arc<Cloud>) -> Result<()> {
    run_all(&cloud, plain_jobs(2), LIMIT).await?;
    let prices = cloud.folder.join("prices.json");
    let types = ["c7i.large", "c6i.large", "m7i.large", "m6i.large", "t3.large", "c5.large"];
    let list: serde_json::Map<String, Value> = types.iter().map(|it| ((*it).to_owned(), 0.1.into())).collect();
    std::fs::write(&prices, serde_json::json!({"on_demand": list, "spot_factor": 0.5}).to_string())?;
    let prices = prices.to_str().context("a path")?;
    let report: Value =
        serde_json::from_str(&answer(&cloud, &["report", "--since", "1d", "--json", "--prices", prices]).await?)?;
    let part = &report["repositories"]["octo-org/octo-repo"];
    ensure!(part["jobs"].as_u64() >= Some(2) && part["minutes"].as_f64() > Some(0.0), "{report:#}");
    ensure!(part["wait_ms"]["p50"].is_u64(), "{report:#}");
    let page = cloud.folder.join("report.html");
    answer(&cloud, &["report", "--html", page.to_str().context("a path")?]).await?;
    ensure!(std::fs::read_to_string(&page)?.contains("octo-org/octo-repo"), "the page has the repository");
    Ok(())
}

/// The first key is the operator's here, and the second the agent's, as always.
pub(super) async fn a_runner_retires_at_the_operators_word(cloud: Arc<Cloud>) -> Result<()> {
    let machine = idle(&cloud, &LABELS).await?;
    // Its agent has told so; the ledger hears of it a little later.
    reached(&cloud, FLEET, &[("registered", 1)]).await?;
    let said = answer(&cloud, &["retire", machine.id(), "--wait", "--wait-seconds", "100"]).await?;
    ensure!(said.contains("it gets no job") && said.contains("has ended"), "{said}");
    gone_for(&machine, Reason::RunnerExited).await.map(drop)
}
