//! Everything at once: many jobs over several fleets while webhooks, EC2, GitHub, SSM and the functions themselves fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use laptop_github::{Chaos, Delivery, Fault, JobSpec};
use laptop_lambda::After;
use serde_json::json;

use super::many::PUT_PARAMETER;
use super::{ended, queue};
use crate::cloud::{Cloud, STORM_FLEETS, job};
use crate::leftovers;
use crate::life;

/// Jobs of each fleet.
const JOBS: usize = 40;
const LIMIT: Duration = Duration::from_mins(12);
/// How long a webhook is missing before somebody asks for it again.
const MISSED: Duration = Duration::from_secs(5);

pub(super) async fn two_hundred_jobs_over_five_fleets(cloud: Arc<Cloud>) -> Result<()> {
    trouble(&cloud).await?;
    let before = cloud.github.deliveries().len();
    let jobs = queue(&cloud, specs())?;
    let mut watch = Watch { asked: BTreeMap::new(), since: Instant::now(), most: BTreeMap::new() };
    let end = Instant::now() + LIMIT;
    loop {
        watch.look(&cloud, before).await?;
        let open = jobs.iter().filter(|id| cloud.github.job(**id).is_none_or(|job| job.completed_at.is_none())).count();
        if open == 0 {
            break;
        }
        ensure!(Instant::now() < end, "{open} jobs are open after {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let done = ended(&cloud, &jobs, LIMIT).await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    for (fleet, _, max) in STORM_FLEETS {
        let most = watch.most.get(fleet).copied().unwrap_or_default();
        ensure!((1..=max).contains(&most), "{fleet} had up to {most} instances, and its max is {max}");
    }
    // Webhooks of the last jobs are still missing.
    let end = Instant::now() + Duration::from_mins(2);
    while !leftovers::look(&cloud).await?.is_empty() && Instant::now() < end {
        watch.look(&cloud, before).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    leftovers::wait_for_none(&cloud, Duration::from_secs(1)).await
}

/// Half of the offers give nothing, GitHub fails now and then, SSM takes what it takes by default, webhooks come twice,
/// late, in any order, or not at all, and scale-up is killed after each of its calls.
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
    cloud.github.set_chaos(Chaos { copies: 2, shuffle_ms: 1000, seed: 11, lost_percent: 5, ..Chaos::default() })?;
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

struct Watch {
    /// How often a webhook was asked for again, by its GUID.
    asked: BTreeMap<String, usize>,
    since: Instant,
    /// The most instances of each fleet that the ledger counted.
    most: BTreeMap<&'static str, u64>,
}

impl Watch {
    /// Looks at the ledger, and asks GitHub for lost webhooks again from time to time, as `reconcile` will.
    async fn look(&mut self, cloud: &Cloud, before: usize) -> Result<()> {
        for (fleet, ..) in STORM_FLEETS {
            let alive = cloud.aws.alive(&cloud.outputs.table, fleet).await?;
            let most = self.most.entry(fleet).or_default();
            *most = alive.max(*most);
        }
        if self.since.elapsed() < MISSED {
            return Ok(());
        }
        self.since = Instant::now();
        let mut webhooks: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for delivery in cloud.github.deliveries().into_iter().skip(before) {
            webhooks.entry(delivery.guid.clone()).or_default().push(delivery);
        }
        for (guid, tried) in webhooks {
            if tried.iter().any(Delivery::succeeded) {
                continue;
            }
            // What was asked for is waited for.
            let asked = self.asked.entry(guid).or_default();
            if tried.iter().filter(|delivery| delivery.redelivery).count() < *asked {
                continue;
            }
            *asked += 1;
            ensure!(cloud.github.redeliver(tried[0].id), "delivery {} can't be sent again", tried[0].id);
        }
        Ok(())
    }
}
