//! The functions of the main job beside one that does nothing but answer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use laptop::{Cloud, FLEET, LABELS, artifacts, job, leftovers, paths, ui, wait_for};
use serde_json::{Value, json};

use crate::cpu::Cpu;

/// Cold starts, one after the other.
const COLD: usize = 10;
/// Invocations one after the other.
const WARM: usize = 200;
/// The function that does nothing but answer.
const NOTHING: &str = "bench-nothing";
/// A row of the table: what it is, where it is in [`Measured`], and terraform-aws-github-runner's webhook and scale-up, measured
/// on another day on such a machine.
type Row = (&'static str, fn(&Measured) -> f64, &'static str);
const ROWS: [Row; 4] = [
    ("cold start to first answer, ms", |it| it.cold, "276 / 403"),
    ("warm, p50 ms", |it| it.warm, "2.5 / -"),
    ("warm, p99 ms", |it| it.slow, "9.1 / -"),
    ("peak memory so far, MB", |it| it.memory, "166 / 200"),
];

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
    let names = &cloud.outputs.functions;
    let webhook = function(cloud, &names["webhook"], &refused()).await?;
    let scale_up = function(cloud, &names["scale-up"], &level()).await?;
    let nothing = function(cloud, NOTHING, &refused()).await?;
    let row = |(what, of, peer): Row| {
        let (webhook, scale_up, nothing) = (of(&webhook), of(&scale_up), of(&nothing));
        let times = |ours: f64| format!("{ours:.2} ({:.1})", ours / nothing);
        vec![what.to_owned(), times(webhook), times(scale_up), format!("{nothing:.2}"), peer.to_owned()]
    };
    let head = ["function", "webhook (ratio)", "scale-up (ratio)", "does nothing", "peer: webhook / scale-up"];
    let table = ui::table(&head, &ROWS.map(row));
    Ok(format!("{table}\n{}", accepted(cloud).await?))
}

/// What the webhook refuses at once: the way in and out, without the ledger.
fn refused() -> Value {
    json!({ "version": "2.0", "rawPath": "/webhook", "headers": {}, "body": "{}", "isBase64Encoded": false,
        "requestContext": { "http": { "method": "POST", "path": "/webhook" } } })
}

/// A wake-up of a fleet whose level is right: scale-up reads it and has nothing to do.
fn level() -> Value {
    json!({ "Records": [{
        "messageId": "bench", "receiptHandle": "bench", "eventSource": "aws:sqs",
        "body": json!({ "version": 1, "fleet": FLEET }).to_string(),
        "attributes": { "ApproximateReceiveCount": "1" },
    }] })
}

/// Deliveries that are written to the ledger, one after the other: the ends of jobs that no fleet has. They are looked up
/// first, which a job that is queued is not.
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
        ensure!(status == 200 || status == 202, "not accepted: {status}");
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

async fn function(cloud: &Cloud, name: &str, event: &Value) -> Result<Measured> {
    let mut cold = Vec::new();
    for _ in 0..COLD {
        cloud.lambda.end_idle(name);
        let answer = cloud.lambda.invoke(name, event).await?.success()?;
        let back = &answer["batchItemFailures"];
        ensure!(back.as_array().is_none_or(Vec::is_empty), "{name} gives the message back: {back}");
        let stats = cloud.lambda.stats();
        let last = stats[name].inits.last().zip(stats[name].durations.last());
        cold.push(last.map(|(init, answer)| *init + *answer).context("no cold start was measured")?);
    }
    let colds = cloud.lambda.stats()[name].durations.len();
    for _ in 0..WARM {
        cloud.lambda.invoke(name, event).await?.success()?;
    }
    let stats = cloud.lambda.stats();
    let stats = &stats[name];
    let mut warm: Vec<Duration> = stats.durations[colds..].to_vec();
    warm.sort_unstable();
    cold.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, shown in MB")]
    let memory = stats.max_memory as f64 / 1e6;
    Ok(Measured {
        cold: millis(cold[COLD / 2]),
        warm: millis(warm[warm.len() / 2]),
        slow: millis(warm[warm.len() * 99 / 100]),
        memory,
    })
}
