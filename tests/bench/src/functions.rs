//! The webhook function beside one that does nothing but answer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use laptop::{Cloud, LABELS, artifacts, job, leftovers, paths, ui, wait_for};
use serde_json::json;

use crate::cpu::Cpu;

/// Invocations at once, so that each has a cold start of its own.
const COLD: usize = 10;
/// Invocations one after the other.
const WARM: usize = 200;
/// The function that does nothing but answer.
const NOTHING: &str = "bench-nothing";

struct Measured {
    cold: f64,
    warm: f64,
    slow: f64,
    memory: f64,
}

/// Measures, and answers with a table.
pub(crate) async fn measure(cloud: &Cloud) -> Result<String> {
    let zip = cloud.folder.join("nothing.zip");
    artifacts::zip(&paths::program("echo-bootstrap")?, &zip)?;
    cloud.aws.create_function(NOTHING, &std::fs::read(&zip)?).await?;
    cloud.lambda.refresh().await?;
    let webhook = function(cloud, &cloud.outputs.functions["webhook"]).await?;
    let nothing = function(cloud, NOTHING).await?;
    let row = |what: &str, of: fn(&Measured) -> f64| {
        let (ours, floor) = (of(&webhook), of(&nothing));
        vec![what.to_owned(), format!("{ours:.2}"), format!("{floor:.2}"), format!("{:.1}", ours / floor)]
    };
    let rows = [
        row("cold start, ms", |it| it.cold),
        row("refused delivery, p50 ms", |it| it.warm),
        row("refused delivery, p99 ms", |it| it.slow),
        row("peak memory, MB", |it| it.memory),
    ];
    let table = ui::table(&["function", "webhook", "does nothing", "ratio"], &rows);
    Ok(format!("{table}\n{}", accepted(cloud).await?))
}

/// Deliveries that are written to the ledger, one after the other: the ends of jobs that no fleet has.
#[expect(clippy::cast_precision_loss, reason = "small counts, shown per delivery")]
async fn accepted(cloud: &Cloud) -> Result<String> {
    let name = &cloud.outputs.functions["webhook"];
    cloud.github.queue_job(job("told", &LABELS, "true"))?;
    let mut payload = wait_for("the end of a job", Duration::from_mins(1), || {
        let deliveries = cloud.github.deliveries();
        let completed = deliveries.into_iter().find(|delivery| delivery.action.as_deref() == Some("completed"));
        completed.map(|delivery| delivery.request_payload).ok_or_else(|| "none was told".to_owned())
    })
    .await?;
    leftovers::wait_for_none(cloud, Duration::from_mins(1)).await?;
    let known = cloud.lambda.stats()[name].durations.len();
    cloud.aws.reset_calls().await?;
    let cpu = Cpu::of(&cloud.lambda.processes());
    for number in 0..WARM {
        payload["workflow_job"]["id"] = (59_000_000_000_u64 + number as u64).into();
        let answer = cloud.lambda.invoke(name, &cloud.delivery(&payload.to_string())).await?;
        let status = &answer.json()?["statusCode"];
        anyhow::ensure!(status == 200 || status == 202, "not accepted: {status}");
    }
    let cpu = Cpu::of(&cloud.lambda.processes()).since(&cpu);
    let calls = cloud.aws.calls_of_functions().await?;
    let mut warm = cloud.lambda.stats()[name].durations[known..].to_vec();
    warm.sort_unstable();
    let each = |what: Duration| format!("{:.2}", what.as_secs_f64() * 1000.0 / WARM as f64);
    let rows = [
        vec!["p50 ms, moto's time included".to_owned(), format!("{:.2}", millis(warm[warm.len() / 2]))],
        vec!["p99 ms, moto's time included".to_owned(), format!("{:.2}", millis(warm[warm.len() * 99 / 100]))],
        vec!["CPU each, ms (peer: 2.2)".to_owned(), each(cpu)],
        vec!["AWS calls each".to_owned(), format!("{:.1}", calls.values().sum::<u64>() as f64 / WARM as f64)],
    ];
    Ok(ui::table(&["accepted delivery", "webhook"], &rows))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A function is asked for what it refuses at once: the way in and out, without the ledger.
async fn function(cloud: &Cloud, name: &str) -> Result<Measured> {
    let event = json!({ "version": "2.0", "rawPath": "/webhook", "headers": {}, "body": "{}", "isBase64Encoded": false,
        "requestContext": { "http": { "method": "POST", "path": "/webhook" } } });
    futures::future::try_join_all((0..COLD).map(|_| cloud.lambda.invoke(name, &event))).await?;
    let colds = cloud.lambda.stats()[name].durations.len();
    for _ in 0..WARM {
        cloud.lambda.invoke(name, &event).await?;
    }
    let stats = cloud.lambda.stats();
    let stats = &stats[name];
    let mut warm: Vec<Duration> = stats.durations[colds..].to_vec();
    warm.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, shown in MB")]
    let memory = stats.max_memory as f64 / 1e6;
    Ok(Measured {
        cold: millis(stats.init_at(0.5).context("no cold start was measured")?),
        warm: millis(warm[warm.len() / 2]),
        slow: millis(warm[warm.len() * 99 / 100]),
        memory,
    })
}
