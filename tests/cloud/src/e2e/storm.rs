//! Everything at once: many jobs over several fleets while webhooks, EC2, GitHub, SSM and the functions themselves fail.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use dayfly_contract::names;
use laptop_github::{Chaos, Fault, JobSpec};
use laptop_lambda::After;
use serde_json::json;

use super::keeping::until_nothing_is_left;
use super::many::PUT_PARAMETER;
use super::{ended, queue};
use crate::cloud::{Cloud, STORM_FLEETS, job};
use crate::leftovers;
use crate::life;

/// Jobs of each fleet.
const JOBS: usize = 40;
const LIMIT: Duration = Duration::from_mins(20);

pub(super) async fn two_hundred_jobs_over_five_fleets(cloud: Arc<Cloud>) -> Result<()> {
    trouble(&cloud).await?;
    let mut most = BTreeMap::new();
    let jobs = queue(&cloud, specs())?;
    let done = {
        let mut ended = pin!(ended(&cloud, &jobs, LIMIT));
        loop {
            tokio::select! {
                done = &mut ended => break done?,
                () = tokio::time::sleep(Duration::from_millis(200)) => watch(&cloud, &mut most).await?,
            }
        }
    };
    // Webhooks of the last jobs are still missing; a second loss is made up for two minutes later.
    if let Err(left) = leftovers::wait_for_none(&cloud, Duration::from_mins(6)).await {
        // What a scale-up had registered for an instance with a job when it was killed lies there until reconcile's graces
        // are over.
        let registrations = ["runner ", "parameter ", "object "];
        let now = leftovers::look(&cloud).await?;
        ensure!(now.iter().all(|it| registrations.iter().any(|kind| it.starts_with(kind))), "{left:#}");
        until_nothing_is_left(&cloud).await?;
    }
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    for (fleet, _, max) in STORM_FLEETS {
        let most = most.get(fleet).copied().unwrap_or_default();
        ensure!((1..=max).contains(&most), "{fleet} had up to {most} instances, and its max is {max}");
    }
    let pending = cloud.lambda.kills_pending(&cloud.outputs.functions["scale-up"]);
    ensure!(pending == 0, "scale-up was killed in fewer places than it was to be: {pending} are left");
    let items = cloud.aws.items(&cloud.outputs.table).await?;
    let refused = |item: &serde_json::Value| item["pk"]["S"] == "fleet#storm-spot" && item["sk"]["S"] == "b#offers";
    ensure!(items.iter().any(refused), "EC2 had all that it was asked for");
    Ok(())
}

/// Half of the offers give nothing, GitHub fails now and then, SSM takes what it takes by default, webhooks come twice,
/// late, in any order, or not at all (reconcile, each minute by its schedule, has them sent again), and scale-up is killed
/// after each of its calls.
async fn trouble(cloud: &Cloud) -> Result<()> {
    cloud
        .aws
        .capacity(&json!([{ "instance_type": "c7i.large" }, { "instance_type": "m7i.large", "zone": "eu-west-1a" }]))
        .await?;
    cloud.aws.rate(PUT_PARAMETER, 3).await?;
    let route = "/orgs/{org}/actions/runners/generate-jitconfig";
    let at_times = |probability, fault| Fault { probability: Some(probability), ..fault };
    cloud.github.add_fault(at_times(0.05, Fault { status: Some(502), ..Fault::of("POST", route) }))?;
    let wait = BTreeMap::from([("retry-after".to_owned(), "1".to_owned())]);
    cloud.github.add_fault(at_times(0.03, Fault { status: Some(403), headers: wait, ..Fault::of("POST", route) }))?;
    cloud.github.add_fault(at_times(0.2, Fault { delay_ms: 1000, ..Fault::of("POST", route) }))?;
    // One moto takes the calls of so many webhooks and not of four hundred, where AWS takes them all: each would be late,
    // be sent again, and keep those after it waiting.
    let chaos = Chaos { copies: 2, shuffle_ms: 1000, seed: 11, lost_percent: 5, at_once: 8, ..Chaos::default() };
    cloud.github.set_chaos(chaos)?;
    for calls in 1..=20 {
        cloud.lambda.kill_once(&cloud.outputs.functions["scale-up"], After::Calls(calls));
    }
    Ok(())
}

/// The jobs of all fleets, taken by turns.
fn specs() -> impl Iterator<Item = JobSpec> {
    (1..=JOBS).flat_map(|number| {
        STORM_FLEETS.map(|(fleet, label, _)| job(&format!("{fleet} ({number})"), &["self-hosted", label], "echo ran"))
    })
}

/// Notes the most instances of each fleet that EC2 had at a time.
async fn watch(cloud: &Cloud, most: &mut BTreeMap<String, u64>) -> Result<()> {
    let mut alive: BTreeMap<String, u64> = BTreeMap::new();
    for mut instance in cloud.aws.instances().await? {
        if ["pending", "running"].contains(&instance.state.as_str())
            && let Some(fleet) = instance.tags.remove(names::TAG_FLEET)
        {
            *alive.entry(fleet).or_default() += 1;
        }
    }
    for (fleet, alive) in alive {
        let most = most.entry(fleet).or_default();
        *most = alive.max(*most);
    }
    Ok(())
}
