//! The webhook function beside one that does nothing but answer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use laptop::{Cloud, artifacts, paths, ui};
use serde_json::json;

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
    Ok(ui::table(&["function", "webhook", "does nothing", "ratio"], &rows))
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
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory, shown in MB")]
    let memory = stats.max_memory as f64 / 1e6;
    Ok(Measured {
        cold: millis(stats.init_at(0.5).context("no cold start was measured")?),
        warm: millis(warm[warm.len() / 2]),
        slow: millis(warm[warm.len() * 99 / 100]),
        memory,
    })
}
