//! `sync-runner`: releases of the runner from GitHub into the bucket, and from there onto an instance without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{ArchiveFormat, LATEST, RunnerRelease};
use laptop_lambda::{After, Outcome};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::run_all;
use super::steps::{LIMIT, at_rest};
use crate::cloud::{Cloud, INSTALLED, job};
use crate::paths;

const PLATFORM: &str = "linux-x64";
/// What keys begin with.
const PREFIX: &str = "runners/linux-x64";
/// GitHub's list, and what leads to an archive.
const LIST: &str = "GET /repos/{owner}/{repo}/releases";
const DOWNLOAD: &str = "GET /{owner}/{repo}/releases/download/{tag}/{file}";
/// Newer than the stand-in, by name: one that is damaged on its way, and one whose way is interrupted.
const DAMAGED: &str = "2.990.0";
const INTERRUPTED: &str = "2.991.0";

/// A release comes into the bucket in both forms, whole, and an instance installs it and runs a job; asked again, GitHub has
/// nothing new, and nothing is copied. A damaged one is refused. One that is interrupted wherever that may be leaves what is
/// there whole, and comes in the end.
pub(super) async fn a_release_comes_into_the_bucket_and_onto_an_instance(cloud: Arc<Cloud>) -> Result<()> {
    let archive = packed(&cloud).await?;
    cloud.github.publish_runner(laptop_runner::VERSION, vec![(PLATFORM.to_owned(), archive.clone())]);
    ensure!(sync(&cloud).await? == Outcome::Success, "sync-runner failed");
    is_whole(&cloud, laptop_runner::VERSION).await?;
    let gzip = archive_of(&latest(&cloud).await?, ArchiveFormat::TarGz)?.sha256.clone();
    ensure!(gzip == hex::encode(Sha256::digest(&archive)), "the archive is another one: {gzip}");
    let script = "test \"$(basename \"$(cd ../../.. && pwd)\")\" = actions-runner-installed && echo \"from $(pwd)\"";
    run_all(&cloud, [job("installed", &INSTALLED, script)], LIMIT).await.context("the installed runner")?;
    unchanged_when_asked_again(&cloud).await?;
    damaged(&cloud).await?;
    interrupted(&cloud).await
}

async fn unchanged_when_asked_again(cloud: &Cloud) -> Result<()> {
    // What reconcile asks GitHub is none of it.
    let _hold = cloud.lambda.hold_schedules().await;
    at_rest(cloud).await?;
    let before = objects(cloud).await?;
    cloud.github.reset_calls();
    cloud.aws.reset_calls().await?;
    ensure!(sync(cloud).await? == Outcome::Success, "the second run failed");
    let asked = cloud.github.calls();
    ensure!(asked == BTreeMap::from([(LIST.to_owned(), 1)]), "{asked:?}");
    // What GitHub says is kept whenever it says anything: it has said that nothing has changed.
    let calls = cloud.aws.calls_of_functions().await?;
    let wrote = calls
        .keys()
        .find(|call| ["s3.Put", "s3.Create", "s3.Upload", "s3.Delete"].iter().any(|it| call.starts_with(it)));
    ensure!(wrote.is_none() && !calls.is_empty(), "{calls:?}");
    ensure!(objects(cloud).await? == before, "objects have changed");
    Ok(())
}

async fn damaged(cloud: &Cloud) -> Result<()> {
    cloud.github.publish_runner(DAMAGED, vec![(PLATFORM.to_owned(), small(cloud, "as published").await?)]);
    // An archive like any other: its digest alone tells.
    let other = small(cloud, "as sent").await?;
    ensure!(cloud.github.spoil_runner(DAMAGED, PLATFORM, other), "it was not published");
    cloud.github.reset_calls();
    ensure!(sync(cloud).await? == Outcome::FunctionError, "a damaged release was no failure");
    let downloads = cloud.github.calls().get(DOWNLOAD).copied();
    ensure!(downloads == Some(2), "it was downloaded {downloads:?} times");
    let found = objects(cloud).await?;
    ensure!(!found.iter().any(|key| key.contains(DAMAGED)), "{found:?}");
    is_whole(cloud, laptop_runner::VERSION).await
}

async fn interrupted(cloud: &Cloud) -> Result<()> {
    cloud.github.publish_runner(INTERRUPTED, vec![(PLATFORM.to_owned(), small(cloud, "in parts").await?)]);
    let function = &cloud.outputs.functions["sync-runner"];
    let kills = || cloud.lambda.stats().get(function).map_or(0, |stats| stats.kills);
    let (mut killed, mut moved) = (0, None);
    for calls in 1.. {
        let before = kills();
        cloud.lambda.kill_once(function, After::Calls(calls));
        sync(cloud).await?;
        let latest = latest(cloud).await?.runner_version;
        is_whole(cloud, &latest).await.with_context(|| format!("killed after call {calls}"))?;
        ensure!(latest == INTERRUPTED || (latest == laptop_runner::VERSION && moved.is_none()), "it is {latest} now");
        if latest == INTERRUPTED {
            moved.get_or_insert(calls);
        }
        if kills() == before {
            // Nothing is left to do, and no run makes as many calls.
            cloud.lambda.withdraw_kills(function);
            break;
        }
        killed += 1;
    }
    ensure!(moved.is_some(), "it never came, though nobody interrupts any more");
    ensure!(killed >= 10, "it was killed in {killed} places only");
    is_whole(cloud, INTERRUPTED).await
}

/// Runs the function once.
async fn sync(cloud: &Cloud) -> Result<Outcome> {
    Ok(cloud.lambda.invoke(&cloud.outputs.functions["sync-runner"], &json!({})).await?.outcome)
}

/// An archive with the stand-in's programs.
async fn packed(cloud: &Cloud) -> Result<Vec<u8>> {
    let file = cloud.folder.join("release.tar.gz");
    let mut pack = Command::new(paths::program("standin-runner")?);
    let output = pack.args(["pack", "--to"]).arg(&file).output().await?;
    ensure!(output.status.success(), "standin-runner pack: {}", String::from_utf8_lossy(&output.stderr));
    Ok(std::fs::read(&file)?)
}

/// An archive of a few bytes, which nobody will run: it is packed anew in no time.
async fn small(cloud: &Cloud, text: &str) -> Result<Vec<u8>> {
    let folder = cloud.folder.join("small");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("run.sh"), text)?;
    let output = Command::new("tar").args(["-cz", "-C"]).arg(&folder).arg("run.sh").output().await?;
    ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

async fn objects(cloud: &Cloud) -> Result<Vec<String>> {
    cloud.aws.objects(&cloud.outputs.runners_bucket).await
}

/// What agents find.
async fn latest(cloud: &Cloud) -> Result<RunnerRelease> {
    let text = cloud.aws.object(&cloud.outputs.runners_bucket, &RunnerRelease::key(PREFIX, LATEST)).await?;
    RunnerRelease::read(&text).map_err(|problems| anyhow::anyhow!("latest.json: {problems}"))
}

fn archive_of(release: &RunnerRelease, format: ArchiveFormat) -> Result<&dayfly_contract::Archive> {
    release.archives.iter().find(|it| it.format == format).with_context(|| format!("there is no {format:?}"))
}

/// What agents find is this version, and all that it names is there as it says.
async fn is_whole(cloud: &Cloud, version: &str) -> Result<()> {
    let latest = latest(cloud).await?;
    ensure!(latest.runner_version == version, "the latest is {}, not {version}", latest.runner_version);
    for format in [ArchiveFormat::TarGz, ArchiveFormat::TarZst] {
        let archive = archive_of(&latest, format)?;
        let bytes = cloud.aws.bytes(&cloud.outputs.runners_bucket, &archive.key).await?;
        let sum = hex::encode(Sha256::digest(&bytes));
        ensure!(sum == archive.sha256 && bytes.len() as u64 == archive.size, "{} is not what is said", archive.key);
    }
    Ok(())
}
