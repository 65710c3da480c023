//! What a stranger, or a broken sender, can do to the webhook: nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use secrecy::SecretString;

use super::steps::at_rest;
use crate::cloud::{Cloud, LABELS};

const PAYLOAD: &str = include_str!("../../../github/fixtures/webhooks/workflow_job.queued.5.json");

pub(super) async fn bad_webhooks_change_nothing(cloud: Arc<Cloud>) -> Result<()> {
    // Good but for what each case changes: the labels are those of a fleet, so that taking it would leave traces.
    let mut payload: serde_json::Value = serde_json::from_str(PAYLOAD)?;
    payload["workflow_job"]["labels"] = serde_json::json!(LABELS);
    payload["repository"]["owner"]["type"] = serde_json::json!("Organization");
    let payload = payload.to_string();
    // What reconcile does is none of theirs.
    let _hold = cloud.lambda.hold_schedules().await;
    at_rest(&cloud).await?;
    let before = traces(&cloud).await?;
    let sign = |body: &str| laptop_github::signature(&cloud.webhook_secret, body.as_bytes());
    let good = sign(&payload);
    let wrong = laptop_github::signature(&SecretString::from("another secret"), payload.as_bytes());
    let unsigned = Case { signature: None, ..Case::new(&payload, &good, 401) };
    let huge = "x".repeat(2 << 20);
    let mut without_id: serde_json::Value = serde_json::from_str(&payload)?;
    if let Some(job) = without_id["workflow_job"].as_object_mut() {
        job.remove("id");
    }
    let without_id = without_id.to_string();
    let cases = [
        unsigned,
        Case::new(&payload, &wrong, 401),
        Case::new(&payload, "sha256=zz", 401),
        Case::new("not json", &sign("not json"), 400),
        Case::new(&without_id, &sign(&without_id), 400),
        Case::new(&huge, &sign(&huge), 413),
        Case { event: "push", ..Case::new(&payload, &good, 202) },
        Case { event: "check_run", ..Case::new(&payload, &good, 400) },
        // The fixture's labels are those of no fleet.
        Case::new(PAYLOAD, &sign(PAYLOAD), 202),
    ];
    let url = format!("{}/webhook", cloud.lambda.http_url());
    for case in cases {
        let delivery = uuid::Uuid::new_v4().to_string();
        let mut request = crate::aws::client().post(&url).header("x-github-event", case.event);
        request = request.header("x-github-delivery", &delivery).header("content-type", "application/json");
        if let Some(signature) = &case.signature {
            request = request.header("x-hub-signature-256", signature);
        }
        let answer = request.body(case.body.to_owned()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let start = &case.body[..case.body.len().min(40)];
        ensure!(status == StatusCode::from_u16(case.expected)?, "{start}: {status} {text}, expected {}", case.expected);
        let log = std::fs::read_to_string(cloud.lambda.log_path(&cloud.outputs.functions["webhook"]))?;
        let lines = log.lines().filter(|line| line.contains(&delivery)).count();
        ensure!(lines == 1, "{start}: {lines} log lines with its delivery id");
    }
    let after = traces(&cloud).await?;
    ensure!(before == after, "the ledger and the queue were {before:?} and are {after:?}");
    Ok(())
}

/// What a delivery that is taken changes: items of the ledger, notes aside (that webhooks are heard at all is one), and
/// messages sent to the queue so far.
async fn traces(cloud: &Cloud) -> Result<(Vec<String>, u64)> {
    let items = cloud.aws.items(&cloud.outputs.table).await?;
    let mut items: Vec<String> =
        items.iter().filter(|item| item["sk"]["S"] != "note").map(ToString::to_string).collect();
    items.sort();
    let calls: BTreeMap<String, u64> = cloud.aws.control("calls").await?;
    Ok((items, calls.get("sqs.SendMessage").copied().unwrap_or_default()))
}

struct Case<'a> {
    body: &'a str,
    event: &'a str,
    signature: Option<String>,
    expected: u16,
}

impl<'a> Case<'a> {
    fn new(body: &'a str, signature: &str, expected: u16) -> Self {
        Self { body, event: "workflow_job", signature: Some(signature.to_owned()), expected }
    }
}
