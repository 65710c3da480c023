//! Instances that a test launches in control's place: with an agent's config, a way of registering, or a release of the
//! runner that no fleet of this cloud has.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Archive, ArchiveFormat, Grant, Registration, RunnerRelease, VERSION, names};
use laptop_ec2::Machine;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::steps::LIMIT;
use crate::aws::client;
use crate::cloud::{Cloud, wait_for};
use crate::paths;

/// The fleet that such instances say they are of. Control knows none of that name, and so has no jobs for it.
pub(super) const FLEET: &str = "by-hand";
/// Labels of their runners.
pub(super) const LABELS: [&str; 2] = ["self-hosted", "by-hand"];
/// Whose runners they are.
const ORGANIZATION: &str = "octo-org";

/// Launches an instance whose agent is told `config`, beside what every agent is told.
pub(super) async fn launch(cloud: &Cloud, config: &Value) -> Result<Arc<Machine>> {
    let file = json!({ "path": "/etc/dayfly/agent.json", "content": agent_config(cloud, config)? });
    launch_with(cloud, None, &format!("#cloud-config\n{}\n", json!({ "write_files": [file] }))).await
}

/// What such an agent is told, as the text of its config file.
pub(super) fn agent_config(cloud: &Cloud, config: &Value) -> Result<String> {
    let mut document = json!({
        "version": VERSION,
        "deployment": "laptop",
        "fleet": FLEET,
        "registration_prefix": cloud.outputs.registration_prefix,
        "lifecycle_queue_url": cloud.outputs.lifecycle_queue_url,
    });
    let fields = document.as_object_mut().context("it is an object")?;
    fields.extend(config.as_object().context("an object")?.clone());
    Ok(document.to_string())
}

/// Launches an instance with this user-data, of another image than the usual one if it is named.
pub(super) async fn launch_with(cloud: &Cloud, image: Option<&str>, user_data: &str) -> Result<Arc<Machine>> {
    let id = cloud.aws.run_instance("dayfly-laptop/linux-x64", image, user_data).await?;
    wait_for("the machine", LIMIT, || cloud.ec2.machine(&id).ok_or_else(|| id.clone())).await
}

/// Hands an instance its registration over, as scale-up does.
pub(super) async fn hand_over(cloud: &Cloud, machine: &Machine, grant: Grant) -> Result<()> {
    let registration = Registration {
        version: VERSION,
        reservation: uuid::Uuid::new_v4().to_string(),
        runner_name: name(machine),
        trace: None,
        grant,
    };
    let parameter = format!("{}/{}", cloud.outputs.registration_prefix, machine.id());
    cloud.aws.put_parameter(&parameter, registration.write()?.expose_secret()).await
}

/// The name of an instance's runner.
pub(super) fn name(machine: &Machine) -> String {
    names::runner_name(FLEET, machine.id())
}

/// What lets an ephemeral runner in.
pub(super) async fn jit(cloud: &Cloud, machine: &Machine) -> Result<Grant> {
    let body = json!({ "name": name(machine), "runner_group_id": 1, "labels": LABELS });
    let answer = github(cloud, "generate-jitconfig", &body).await?;
    Ok(Grant::Jit {
        runner_id: answer["runner"]["id"].as_u64().context("a runner has an id")?,
        jit_config: text(&answer, "encoded_jit_config")?,
    })
}

/// What lets a reusable runner in.
pub(super) async fn token(cloud: &Cloud) -> Result<Grant> {
    let answer = github(cloud, "registration-token", &json!({})).await?;
    Ok(Grant::Token {
        registration_token: text(&answer, "token")?,
        url: format!("{}/{ORGANIZATION}", cloud.github.url()),
        labels: LABELS.map(str::to_owned).to_vec(),
        runner_group: None,
    })
}

/// Asks GitHub for something that makes a runner.
pub(super) async fn github(cloud: &Cloud, what: &str, body: &Value) -> Result<Value> {
    let url = format!("{}/orgs/{ORGANIZATION}/actions/runners/{what}", cloud.github.url());
    let token = cloud.github.installation_token();
    let request = client().post(url).bearer_auth(token.expose_secret()).json(body);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

fn text(answer: &Value, field: &str) -> Result<SecretString> {
    answer[field].as_str().map(SecretString::from).with_context(|| format!("GitHub's answer has no {field}"))
}

/// Puts the stand-in's tarball into S3 as `sync-runner` does, and answers the `runner.source` that leads to it.
pub(super) async fn release(cloud: &Cloud) -> Result<Value> {
    let file = cloud.folder.join("runner.tar.gz");
    let output = Command::new(paths::program("standin-runner")?).args(["pack", "--to"]).arg(&file).output().await?;
    ensure!(output.status.success(), "standin-runner pack: {}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&file)?;
    let archive = Archive {
        format: ArchiveFormat::TarGz,
        key: "runner/linux-x64/runner.tar.gz".to_owned(),
        size: bytes.len() as u64,
        unpacked_size: 64 << 20,
        sha256: hex::encode(Sha256::digest(&bytes)),
    };
    let document =
        RunnerRelease { version: VERSION, runner_version: laptop_runner::VERSION.to_owned(), archives: vec![archive] };
    let bucket = &cloud.outputs.bucket;
    cloud.aws.put_object(bucket, "runner/linux-x64/runner.tar.gz", bytes).await?;
    cloud.aws.put_object(bucket, "runner/linux-x64/latest.json", serde_json::to_vec(&document)?).await?;
    Ok(json!({ "bucket": bucket, "prefix": "runner/linux-x64" }))
}
