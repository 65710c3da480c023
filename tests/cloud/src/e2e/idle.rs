//! A pool of runners that listen: it grows and shrinks by its schedules, whoever runs a job.

use std::sync::Arc;

use anyhow::{Result, ensure};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use laptop_ec2::Phase;
use serde_json::{Value, json};

use super::standby::{change, reached};
use super::steps::{LIMIT, running};
use super::{ended, queue};
use crate::cloud::{Cloud, IDLE, job};
use crate::life;

/// The fleet. Its pool has no runner by default, so that other tests find nothing.
const FLEET: &str = "idle";
/// Time zones whose clocks are never changed, with the hours and minutes that they are ahead.
const KOLKATA: (&str, i8, i64) = ("Asia/Kolkata", 5, 30);
const PHOENIX: (&str, i8, i64) = ("America/Phoenix", -7, 0);
const UTC: (&str, i8, i64) = ("UTC", 0, 0);

pub(super) async fn an_idle_pool_grows_and_shrinks_by_its_schedules(cloud: Arc<Cloud>) -> Result<()> {
    let go = cloud.folder.join("go-idle");
    let outcome = story(&cloud, &go).await;
    std::fs::write(&go, "")?;
    change(&cloud, FLEET, |pool| {
        pool.remove("schedules");
        pool.insert("size".to_owned(), json!(0));
    })
    .await?;
    outcome?;
    reached(&cloud, FLEET, &[]).await
}

async fn story(cloud: &Cloud, go: &std::path::Path) -> Result<()> {
    // By the time of UTC, Kolkata's came more than 18 hours ago.
    scheduled(cloud, [(UTC, 10, 0), (KOLKATA, 1, 2)]).await?;
    reached(cloud, FLEET, &[("registered", 2)]).await?;
    let script = format!("until test -e {}; do sleep 0.1; done", go.display());
    let jobs = queue(cloud, [job("long", &IDLE, &script)])?;
    let busy = running(cloud, jobs[0]).await?;
    // In the place of the one that the job has.
    reached(cloud, FLEET, &[("busy", 1), ("registered", 2)]).await?;
    // Phoenix's came more than 6 hours ago.
    scheduled(cloud, [(KOLKATA, 10, 2), (PHOENIX, 1, 1)]).await?;
    reached(cloud, FLEET, &[("busy", 1), ("registered", 1)]).await?;
    ensure!(cloud.runners().len() == 2, "GitHub knows {:?}", cloud.runners());
    let record = busy.record();
    ensure!(!record.asked && !record.reached(Phase::Stopping), "{} was ended in the middle of its job", busy.id());
    std::fs::write(go, "")?;
    let done = ended(cloud, &jobs, LIMIT).await?;
    life::ran_once(&done[0]).map_err(anyhow::Error::msg)?;
    // The runner that had the job listens again, which is one too many.
    reached(cloud, FLEET, &[("registered", 1)]).await
}

/// Has the pool go by two schedules: each with a daily time of a zone, so many minutes ago, and the size from then on.
async fn scheduled(cloud: &Cloud, schedules: [((&str, i8, i64), i64, u64); 2]) -> Result<()> {
    let now = Timestamp::now();
    let schedules: Vec<Value> = schedules
        .into_iter()
        .map(|((zone, hours, minutes), ago, size)| {
            let time = Offset::constant(hours).to_datetime(now + SignedDuration::from_mins(minutes - ago));
            json!({ "cron": format!("{} {} * * *", time.minute(), time.hour()), "timezone": zone, "size": size })
        })
        .collect();
    change(cloud, FLEET, |pool| {
        pool.remove("size");
        pool.insert("schedules".to_owned(), json!(schedules));
    })
    .await
}
