//! What a run must not leave: looked for in AWS, at GitHub and on the machine.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::cloud::Cloud;

/// Waits until nothing is left, for at most `limit`; else tells what is.
pub async fn wait_for_none(cloud: &Cloud, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        let left = look(cloud).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("left over after {} s:\n  {}", limit.as_secs(), left.join("\n  "));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Everything that is left right now, a line each.
pub async fn look(cloud: &Cloud) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for instance in cloud.aws.instances().await? {
        if instance.state != "terminated" {
            left.push(format!("instance {} is {}", instance.id, instance.state));
        }
    }
    for runner in cloud.runners() {
        left.push(format!("runner {runner} is registered at GitHub"));
    }
    for name in cloud.aws.parameters(&cloud.outputs.registration_prefix).await? {
        left.push(format!("parameter {name} is in SSM"));
    }
    for key in cloud.aws.objects(&cloud.outputs.registration_bucket).await? {
        left.push(format!("object {key} is in S3"));
    }
    for url in cloud.outputs.queue_urls() {
        let count = cloud.aws.messages(url).await?;
        if count > 0 {
            left.push(format!("{count} messages in {url}"));
        }
    }
    for item in cloud.aws.items(&cloud.outputs.table).await? {
        left.extend(open_item(&item));
    }
    left.extend(cloud.machines_left());
    Ok(left)
}

/// What an item of the ledger says is still open. Done jobs stay until their TTL; so does a fleet's meta item.
fn open_item(item: &serde_json::Value) -> Option<String> {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    let (pk, sk) = (text("pk"), text("sk"));
    if pk.starts_with("job#") {
        return (text("state") != "done").then(|| format!("ledger: {pk} is {}", text("state")));
    }
    // What EC2 had none of, how fast services were called, what was asked of GitHub, when agents were heard, and what
    // instances were, stay until their TTL.
    if sk == "b#offers" || ["bucket", "note"].contains(&sk) || pk.starts_with("heard#") || pk.starts_with("life#") {
        return None;
    }
    // Stands until its TTL for an instance that gave up before, or was told of after, the ledger knew it.
    if sk.starts_with("runner#") && text("state") == "gone" && item["expires"]["N"].is_string() {
        return None;
    }
    // What became of interrupted jobs stays until its TTL.
    if sk == "rerun" {
        return text("text").contains("\"waiting\"").then(|| format!("ledger: {pk} waits for its run"));
    }
    if sk == "a#meta" {
        let alive = item["alive"]["N"].as_str().unwrap_or("0");
        return (alive != "0").then(|| format!("ledger: {pk} counts {alive} alive"));
    }
    Some(format!("ledger: {pk} {sk} {}", text("state")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_done_jobs_and_an_empty_meta_item_may_stay() {
        let done = json!({"pk": {"S": "job#7"}, "sk": {"S": "job"}, "state": {"S": "done"}});
        assert_eq!(open_item(&done), None);
        let queued = json!({"pk": {"S": "job#7"}, "sk": {"S": "job"}, "state": {"S": "queued"}});
        assert_eq!(open_item(&queued).unwrap(), "ledger: job#7 is queued");
        let meta = |alive: &str| json!({"pk": {"S": "fleet#x"}, "sk": {"S": "a#meta"}, "alive": {"N": alive}});
        assert_eq!(open_item(&meta("0")), None);
        assert!(open_item(&meta("2")).unwrap().contains("2 alive"));
        let noted = |fate: &str| json!({"pk": {"S": "rerun#5"}, "sk": {"S": "rerun"}, "text": {"S": fate}});
        assert_eq!(open_item(&noted(r#"{"jobs":[{"fate":{"again":2}}]}"#)), None);
        assert!(open_item(&noted(r#"{"jobs":[{"fate":"waiting"}]}"#)).unwrap().contains("rerun#5 waits"));
        let offers = json!({"pk": {"S": "fleet#x"}, "sk": {"S": "b#offers"}});
        assert_eq!(open_item(&offers), None);
        assert_eq!(open_item(&json!({"pk": {"S": "heard#x"}, "sk": {"S": "i-0"}})), None);
        assert_eq!(open_item(&json!({"pk": {"S": "life#x"}, "sk": {"S": "1795000000000#i-0"}})), None);
        assert_eq!(open_item(&json!({"pk": {"S": "bucket#ec2"}, "sk": {"S": "bucket"}})), None);
        let runner = json!({"pk": {"S": "fleet#x"}, "sk": {"S": "runner#i-0"}, "state": {"S": "busy"}});
        assert_eq!(open_item(&runner).unwrap(), "ledger: fleet#x runner#i-0 busy");
        let mut gone = json!({"pk": {"S": "fleet#x"}, "sk": {"S": "runner#i-0"}, "state": {"S": "gone"}});
        assert!(open_item(&gone).is_some(), "it would stand for ever");
        gone["expires"] = json!({"N": "1795000000"});
        assert_eq!(open_item(&gone), None);
    }
}
