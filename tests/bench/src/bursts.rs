//! One, ten and a hundred jobs at once: from their first webhook until their runners are registered and handed over, with
//! services that take the time that AWS and GitHub take. No machine is booted meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use laptop::{BURST_FLEETS, Cloud, job, leftovers, ui};
use laptop_github::Fault;

use crate::cpu::Cpu;

/// What services take, in ms: SSM, SQS and CreateFleet as the figures of terraform-aws-github-runner below assume, DynamoDB and S3
/// as their documents promise. `sqs.ReceiveMessage` waits anyway.
const AWS: [(&str, u32); 6] = [
    ("dynamodb.*", 5),
    ("ec2.CreateFleet", 1200),
    ("s3.PutObject", 30),
    ("sqs.SendMessage", 8),
    ("ssm.GetParameter", 12),
    ("ssm.PutParameter", 12),
];
const GITHUB_MS: u64 = 150;

/// Jobs at once, and what terraform-aws-github-runner 7.11 takes for as many with the same service times, in s, and in calls.
/// Measured on another day on such a machine; of its 100 only 30 are registered before its function's time is up.
/// The first hundred finds nearly all its functions cold, the second all warm.
const SIZES: [(usize, f64, u64); 4] = [(1, 2.9, 10), (10, 11.4, 37), (100, 100.0, 307), (100, 100.0, 307)];
/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(5);

struct Burst {
    /// From the first webhook sent to the last registration, in s.
    whole: f64,
    /// From the first reservation to the last registration, in s.
    launching: f64,
    aws: BTreeMap<String, u64>,
    /// Those of scale-up alone, which is what the peer's figures are of.
    scale_up: BTreeMap<String, u64>,
    github: BTreeMap<String, u64>,
    cpu: Duration,
}

/// Measures, and answers with a table, and the calls by kind.
pub(crate) async fn measure(cloud: &Cloud) -> Result<String> {
    let (mut rows, mut kinds) = (Vec::new(), String::new());
    for (fleet, label, handover) in BURST_FLEETS {
        for (jobs, peer, peer_calls) in SIZES {
            let burst = one(cloud, fleet, label, jobs).await?;
            rows.push(row(handover, jobs, peer, peer_calls, &burst));
            writeln!(kinds, "calls for {jobs} by {handover}: {}", told(&burst))?;
        }
    }
    let head = [
        "runners, handover",
        "webhook to registered, s",
        "reserved to registered, s",
        "peer, s",
        "ratio",
        "AWS calls each",
        "scale-up's",
        "GitHub calls each",
        "peer's calls each",
        "CPU each, ms",
    ];
    Ok(format!("{}\n{kinds}", ui::table(&head, &rows)))
}

#[expect(clippy::cast_precision_loss, reason = "small counts, for a ratio")]
fn row(handover: &str, jobs: usize, peer: f64, peer_calls: u64, burst: &Burst) -> Vec<String> {
    let each = |calls: &BTreeMap<String, u64>| format!("{:.1}", calls.values().sum::<u64>() as f64 / jobs as f64);
    vec![
        format!("{jobs}, {handover}"),
        format!("{:.2}", burst.whole),
        format!("{:.2}", burst.launching),
        format!("{peer:.1}"),
        format!("{:.1}", peer / burst.whole),
        each(&burst.aws),
        each(&burst.scale_up),
        each(&burst.github),
        format!("{:.1}", peer_calls as f64 / jobs as f64),
        format!("{:.1}", burst.cpu.as_secs_f64() * 1000.0 / jobs as f64),
    ]
}

fn told(burst: &Burst) -> String {
    let calls = burst.aws.iter().chain(&burst.github);
    calls.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

async fn one(cloud: &Cloud, fleet: &str, label: &str, jobs: usize) -> Result<Burst> {
    set_delays(cloud, true).await?;
    cloud.ec2.hold_boots(true);
    cloud.aws.reset_calls().await?;
    cloud.github.reset_calls();
    let cpu = Cpu::of(&cloud.lambda.processes());
    let begun = Timestamp::now();
    for number in 1..=jobs {
        cloud.github.queue_job(job(&format!("{label} ({number})"), &["self-hosted", label], "true"))?;
    }
    let histories = registered(cloud, fleet, jobs).await?;
    let burst = Burst {
        whole: seconds(u64::try_from(begun.as_millisecond())?, last(&histories, "registered")),
        launching: seconds(first(&histories, "reserved"), last(&histories, "registered")),
        aws: cloud.aws.calls_of_functions().await?,
        scale_up: cloud.aws.calls_of(&cloud.outputs.functions["scale-up"]).await?,
        github: cloud.github.calls(),
        cpu: Cpu::of(&cloud.lambda.processes()).since(&cpu),
    };
    set_delays(cloud, false).await?;
    cloud.ec2.hold_boots(false);
    // A webhook that takes too long on a busy machine is lost, and sent again by reconcile.
    leftovers::wait_for_none(cloud, LIMIT).await?;
    Ok(burst)
}

/// The histories of a fleet's runners, once `count` of them are registered.
async fn registered(cloud: &Cloud, fleet: &str, count: usize) -> Result<Vec<BTreeMap<String, u64>>> {
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let histories = cloud.aws.histories(&cloud.outputs.table, fleet).await?;
        let registered = histories.iter().filter(|history| history.contains_key("registered")).count();
        if registered == count {
            return Ok(histories);
        }
        ensure!(tokio::time::Instant::now() < until, "{registered} of {count} runners were registered in {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn first(histories: &[BTreeMap<String, u64>], what: &str) -> u64 {
    histories.iter().filter_map(|history| history.get(what)).min().copied().unwrap_or_default()
}

fn last(histories: &[BTreeMap<String, u64>], what: &str) -> u64 {
    histories.iter().filter_map(|history| history.get(what)).max().copied().unwrap_or_default()
}

fn seconds(from: u64, to: u64) -> f64 {
    Duration::from_millis(to.saturating_sub(from)).as_secs_f64()
}

async fn set_delays(cloud: &Cloud, on: bool) -> Result<()> {
    for (operation, millis) in AWS {
        cloud.aws.delay(operation, if on { millis } else { 0 }).await?;
    }
    cloud.github.clear_faults();
    if on {
        for route in ["/orgs/*", "/app/*", "/repos/*"] {
            cloud.github.add_fault(Fault { route: route.to_owned(), delay_ms: GITHUB_MS, ..Fault::default() })?;
        }
    }
    Ok(())
}
