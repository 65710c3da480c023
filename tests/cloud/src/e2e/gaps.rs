//! Webhooks that GitHub does not even know to have failed: reconcile tells by signs that some were missed, looks through
//! the open runs, and the jobs run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use laptop_github::{Chaos, Webhook};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::keeping::{alive, later, pass, reconcile, told_all, until_nothing_is_left};
use super::steps::{LIMIT, running};
use super::{ended, plain_jobs, queue};
use crate::cloud::{Cloud, LABELS, job, wait_for};
use crate::life;

/// A job that runs until its file is there, and by which reconcile knows the repository.
async fn a_running_job(cloud: &Cloud, file: &str) -> Result<(u64, std::path::PathBuf)> {
    let go = cloud.folder.join(file);
    let script = format!("until test -e {}; do sleep 0.1; done", go.display());
    let jobs = queue(cloud, [job("known", &LABELS, &script)])?;
    running(cloud, jobs[0]).await?;
    told_all(cloud).await?;
    reconcile(cloud).await?;
    Ok((jobs[0], go))
}

/// All of them ran once, and nothing is left.
async fn all_ran(cloud: &Cloud, jobs: &[u64]) -> Result<()> {
    let done = ended(cloud, jobs, LIMIT).await?;
    let wrong: Vec<String> = done.iter().filter_map(|job| life::ran_once(job).err()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    until_nothing_is_left(cloud).await
}

/// How often reconcile has said that it looks for jobs for this reason.
fn scans(cloud: &Cloud, reason: &str) -> Result<usize> {
    let log = std::fs::read_to_string(cloud.lambda.log_path(&cloud.outputs.functions["reconcile"]))?;
    let word = format!("\"gap.reason\":\"{reason}\"");
    Ok(log.lines().filter(|line| line.contains(&word) && line.contains("webhooks were missed")).count())
}

/// Somebody who takes every webhook, and does nothing with it.
struct Sink {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Sink {
    async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut read = vec![0; 64 * 1024];
                    // Whether it has come whole is no matter: GitHub hears that it was taken.
                    let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut read).await;
                    let _ =
                        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
                });
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// For a while the App's webhooks go to somebody else, who says that all is well: no delivery has failed.
pub(super) async fn jobs_whose_webhooks_went_elsewhere_are_found(cloud: Arc<Cloud>) -> Result<()> {
    let (known, go) = a_running_job(&cloud, "go-elsewhere").await?;
    let sink = Sink::open().await?;
    let secret = cloud.webhook_secret.clone();
    cloud.github.set_webhook(Webhook { url: sink.url.clone(), secret: secret.clone() });
    let queued = async {
        // What was heard last is forty minutes ago, and what GitHub delivers now is not.
        later(&cloud, 40).await?;
        // That may have begun a scan: webhooks note that they were heard once a minute, and forty passed in that one. What
        // GitHub delivers in the same second would be none of the next scan's.
        pass(&cloud, Duration::from_mins(1)).await?;
        let (before, sent) = (scans(&cloud, "unheard")?, cloud.github.deliveries().len());
        let jobs = queue(&cloud, plain_jobs(2))?;
        wait_for("webhooks taken by another", LIMIT, || {
            let new: Vec<u16> = cloud.github.deliveries().iter().skip(sent).map(|it| it.status_code).collect();
            if new == [200, 200] { Ok(()) } else { Err(format!("{new:?}")) }
        })
        .await?;
        anyhow::Ok((jobs, before))
    }
    .await;
    cloud.github.set_webhook(Webhook { url: format!("{}/webhook", cloud.lambda.http_url()), secret });
    let (mut jobs, before) = queued?;
    ensure!(alive(&cloud).await?.len() == 1, "an instance was launched for webhooks that never came");
    // The next scan begins half an hour after the last one.
    later(&cloud, 31).await?;
    ensure!(scans(&cloud, "unheard")? == before + 1, "no gap was told of");
    std::fs::write(&go, "")?;
    jobs.push(known);
    all_ran(&cloud, &jobs).await
}

/// GitHub forgets what it could not deliver, before anybody has looked: nothing is in its list. A job that ended unheard is
/// the only sign.
pub(super) async fn jobs_whose_deliveries_are_forgotten_are_found(cloud: Arc<Cloud>) -> Result<()> {
    let (known, go) = a_running_job(&cloud, "go-forgotten").await?;
    let before = scans(&cloud, "silent")?;
    // Neither its end nor what comes after is ever delivered.
    cloud.github.set_chaos(Chaos { drop_first: 3, ..Chaos::default() })?;
    let mut jobs = queue(&cloud, plain_jobs(2))?;
    std::fs::write(&go, "")?;
    ended(&cloud, &[known], LIMIT).await?;
    wait_for("webhooks dropped", LIMIT, || match cloud.github.chaos().drop_first {
        0 => Ok(()),
        left => Err(format!("{left} to go")),
    })
    .await?;
    cloud.github.forget_deliveries();
    later(&cloud, 40).await.context("the job that ended is asked for")?;
    // The look for gaps that saw no sign yet is five minutes ago.
    later(&cloud, 6).await?;
    ensure!(scans(&cloud, "silent")? == before + 1, "no gap was told of");
    jobs.push(known);
    all_ran(&cloud, &jobs).await
}
