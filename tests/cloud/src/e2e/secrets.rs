//! Registrations, keys and webhook secrets show up nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dayfly_contract::{Kind, Reason};
use laptop_github::Fault;
use secrecy::ExposeSecret as _;

use super::by_hand::github;
use super::steps::{GO, LIMIT, WAIT, cut_aws, gone_for, launched, ran_on, reaches, restore_aws, shell, told};
use super::{plain_jobs, run_all};
use crate::cloud::{Cloud, LABELS, job};
use crate::life;

/// How every installation token begins.
const INSTALLATION_TOKEN: &str = "ghs_";
/// How every JIT config begins: base64 of `{".credentials` (the emulator sorts its keys).
const JIT_CONFIG: &str = "eyIuY3JlZGVudGlhbHM";

pub(super) async fn no_secret_is_in_any_log(cloud: Arc<Cloud>) -> Result<()> {
    // What is looked for below is what GitHub really hands out.
    let token = cloud.github.installation_token();
    ensure!(token.expose_secret().starts_with(INSTALLATION_TOKEN), "tokens begin otherwise");
    let body = serde_json::json!({ "name": "shown", "runner_group_id": 1, "labels": ["shown"] });
    let answer = github(&cloud, "generate-jitconfig", &body).await?;
    let config = answer["encoded_jit_config"].as_str().unwrap_or_default();
    ensure!(config.starts_with(JIT_CONFIG), "JIT configs begin otherwise");
    let runner = answer["runner"]["id"].as_u64().context("a runner has an id")?;
    ensure!(cloud.github.remove_runner(runner), "runner {runner} was not there");
    run_all(&cloud, plain_jobs(1), Duration::from_mins(2)).await?;
    let key = laptop_github::LAPTOP_APP_KEY.lines().nth(1).context("a PEM has lines")?;
    let secrets = [JIT_CONFIG, INSTALLATION_TOKEN, key, cloud.webhook_secret.expose_secret()];
    let logs: Vec<PathBuf> = ["console", "lambda/logs", ""]
        .iter()
        .map(|part| files(&cloud.folder.join(part)))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let console = logs.iter().filter(|path| path.starts_with(cloud.folder.join("console"))).count();
    let functions = logs.iter().filter(|path| path.starts_with(cloud.folder.join("lambda"))).count();
    ensure!(console >= 1 && functions >= 3, "a console and three functions have logs: {logs:?}");
    for log in logs.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "log")) {
        let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        for secret in secrets {
            ensure!(!text.contains(secret), "{} holds the secret that begins {}", log.display(), &secret[..6]);
        }
    }
    Ok(())
}

/// While a job runs: the agent's log file, its memory, what it tells control, and what it can't tell, as AWS is cut off;
/// and processes, as root sees them.
pub(super) async fn no_secret_is_in_what_the_agent_keeps(cloud: Arc<Cloud>) -> Result<()> {
    cloud.github.add_fault(Fault { delay_ms: 6000, ..Fault::of("POST", "/_runner/session") })?;
    let (job, machine) = launched(&cloud, &LABELS, WAIT).await?;
    reaches(&machine, "Starting").await?;
    cut_aws(&cloud, &machine).await?;
    told(&machine, Kind::JobStarted).await?;
    let kept = "for file in /var/log/dayfly/* /run/dayfly/*; do echo \"== $file\"; cat \"$file\"; done; \
                for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline; done";
    let text = shell(&machine, kept).await?;
    for part in
        ["== /var/log/dayfly/agent.log", "== /run/dayfly/outbox.json", "== /run/dayfly/state.json", "Runner.Worker"]
    {
        ensure!(text.contains(part), "{part} is not there: {text}");
    }
    let words = serde_json::to_string(&life::words(&machine.console()))?;
    let role = format!("token-of-{}", machine.id());
    for secret in [JIT_CONFIG, INSTALLATION_TOKEN, &role] {
        ensure!(!text.contains(secret), "what the agent keeps holds the secret that begins {}", &secret[..6]);
        ensure!(!words.contains(secret), "a lifecycle message holds the secret that begins {}", &secret[..6]);
    }
    shell(&machine, GO).await?;
    restore_aws(&machine).await?;
    ran_on(&cloud, job, &machine).await?;
    gone_for(&machine, Reason::JobDone).await.map(drop)
}

/// Files, as far as the job's user can read them.
pub(super) async fn a_job_can_not_read_what_the_agent_keeps(cloud: Arc<Cloud>) -> Result<()> {
    let script = r#"
        for folder in /run/dayfly /var/log/dayfly; do
            test -d $folder || { echo "$folder is not there"; exit 1; }
            if ls $folder > /dev/null 2>&1; then echo "$folder can be read"; exit 1; fi
        done
        echo 'eyIuY3JlZGVudGlhb''HM' > /tmp/shown
        found=$(grep -lars --devices=skip 'eyIuY3JlZGVudGlhb[H]M' /etc /home /opt /run /tmp /var || true)
        echo "found: $found"
        test "$found" = /tmp/shown
    "#;
    run_all(&cloud, [job("reader", &LABELS, script)], LIMIT).await.map(drop)
}

/// Whatever the job's user can read of processes, no secret is there any more: the one-use registration, GitHub's token,
/// the role's credentials.
pub(super) async fn a_job_finds_no_registration(cloud: Arc<Cloud>) -> Result<()> {
    let script = finds_none_of(&[JIT_CONFIG, INSTALLATION_TOKEN, "token-of-i-"]);
    run_all(&cloud, [job("snoop", &LABELS, &script)], Duration::from_mins(2)).await.map(drop)
}

/// A script that fails where the job's user finds one of `secrets` in a process's arguments or environment, or names that
/// tell of one in its own environment. It shows each secret itself for a while, to prove that it would be found.
pub(super) fn finds_none_of(secrets: &[&str]) -> String {
    let first = r#"
        test "$(id -u)" != 0
        if env | grep -E '^(AWS_|DAYFLY_|ACTIONS_RUNNER_INPUT_|NOTIFY_SOCKET|CREDENTIALS_DIRECTORY)'; then echo "found in the environment"; exit 1; fi
        look() { test -n "$(grep -las "$1" /proc/[0-9]*/cmdline /proc/[0-9]*/environ)"; }
    "#;
    let one = |secret: &&str| {
        let (head, tail) = secret.split_at(secret.len() - 1);
        // Brackets and quotes keep the script from finding itself.
        format!(
            r#"
        if look '{head}[{tail}]'; then echo "a secret is found in a process"; exit 1; fi
        SHOWN="{head}""{tail}" sleep 60 & shown=$!
        for i in $(seq 50); do look '{head}[{tail}]' && break; sleep 0.1; done
        look '{head}[{tail}]' || {{ echo "not found where it is shown"; exit 1; }}
        kill $shown || true
    "#
        )
    };
    std::iter::once(first.to_owned()).chain(secrets.iter().map(one)).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}
