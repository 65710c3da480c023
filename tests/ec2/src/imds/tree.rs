//! The metadata tree of one instance, as EC2 lays it out.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Entry;
use crate::{Facts, PublicKey};

/// A folder or a value of the tree.
enum Node {
    Folder(Vec<(String, Node)>),
    /// Listed as `0=name`, and found at `0/openssh-key`.
    Key(PublicKey),
    Value(String),
}

/// The text at `path` below `/latest`: a value, or the listing of a folder. `None` where nothing is.
pub(super) fn lookup(account: &str, entry: &Entry, path: &[&str], now: Timestamp) -> Option<String> {
    let mut node = root(account, entry, now);
    for part in path {
        node = match node {
            Node::Folder(children) => children.into_iter().find(|(name, _)| name == part)?.1,
            Node::Key(key) if *part == "0" => folder([("openssh-key", value(&key.line()))]),
            Node::Key(_) | Node::Value(_) => return None,
        };
    }
    Some(match node {
        Node::Value(text) => text,
        Node::Key(key) => format!("0={}", key.name),
        Node::Folder(children) => children
            .into_iter()
            .map(|(name, node)| if matches!(node, Node::Value(_)) { name } else { name + "/" })
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

fn root(account: &str, entry: &Entry, now: Timestamp) -> Node {
    folder([
        ("dynamic", folder([("instance-identity", folder([("document", identity(account, &entry.facts, now))]))])),
        ("meta-data", metadata(account, entry, now)),
    ])
}

fn metadata(account: &str, entry: &Entry, now: Timestamp) -> Node {
    let facts = &entry.facts;
    let address = facts.private_ip.map(|address| address.to_string()).unwrap_or_default();
    let hostname = format!("{}.{}.compute.internal", facts.hostname(), facts.region);
    let mut nodes = vec![
        named("ami-id", value(&facts.image_id)),
        named("ami-launch-index", value("0")),
        named("events", events(entry)),
        named("hostname", value(&hostname)),
        named("instance-action", value("none")),
        named("instance-id", value(&facts.id)),
        named("instance-life-cycle", value(&facts.lifecycle)),
        named("instance-type", value(&facts.instance_type)),
        named("local-hostname", value(&hostname)),
        named("local-ipv4", value(&address)),
        named("mac", value(&facts.mac())),
        named("network", network(account, facts, &address)),
        named(
            "placement",
            folder([("availability-zone", value(&facts.availability_zone)), ("region", value(&facts.region))]),
        ),
        named("services", folder([("domain", value("amazonaws.com")), ("partition", value("aws"))])),
    ];
    if let Some(key) = &facts.public_key {
        nodes.push(named("public-keys", Node::Key(key.clone())));
    }
    if let Some(role) = &facts.instance_profile {
        nodes.push(named("iam", iam(account, entry, role, now)));
    }
    if let Some(at) = entry.notices.spot {
        let action = json!({"action": "terminate", "time": seconds(at)});
        nodes.push(named(
            "spot",
            folder([("instance-action", value(&action.to_string())), ("termination-time", value(&seconds(at)))]),
        ));
    }
    if facts.metadata_options.instance_metadata_tags == "enabled" {
        let tags = facts.tags.iter().map(|(key, text)| named(key, value(text))).collect();
        nodes.push(named("tags", folder([("instance", Node::Folder(tags))])));
    }
    Node::Folder(nodes)
}

fn events(entry: &Entry) -> Node {
    let scheduled = serde_json::to_string(&entry.notices.maintenance).unwrap_or_default();
    let mut nodes = vec![named("maintenance", folder([("history", value("[]")), ("scheduled", value(&scheduled))]))];
    if let Some(at) = entry.notices.rebalance {
        let notice = json!({"noticeTime": seconds(at)}).to_string();
        nodes.push(named("recommendations", folder([("rebalance", value(&notice))])));
    }
    Node::Folder(nodes)
}

fn network(account: &str, facts: &Facts, address: &str) -> Node {
    let mac = facts.mac();
    let interface = folder([
        ("device-number", value("0")),
        ("local-ipv4s", value(address)),
        ("mac", value(&mac)),
        ("owner-id", value(account)),
        ("subnet-id", value(facts.subnet_id.as_deref().unwrap_or_default())),
    ]);
    folder([("interfaces", folder([("macs", Node::Folder(vec![named(&mac, interface)]))]))])
}

/// Role credentials. The secret opens nothing: moto checks no signatures.
fn iam(account: &str, entry: &Entry, role: &str, now: Timestamp) -> Node {
    let info = json!({
        "Code": "Success",
        "LastUpdated": seconds(now),
        "InstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/{role}"),
        "InstanceProfileId": "AIPALAPTOPRUNNERPROFILE1",
    });
    let credentials = json!({
        "Code": "Success",
        "LastUpdated": seconds(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": entry.facts.access_key_id(),
        "SecretAccessKey": entry.secret_key,
        "Token": format!("token-of-{}", entry.facts.id),
        "Expiration": seconds(now + SignedDuration::from_hours(6)),
    });
    folder([
        ("info", value(&info.to_string())),
        ("security-credentials", Node::Folder(vec![named(role, value(&credentials.to_string()))])),
    ])
}

fn identity(account: &str, facts: &Facts, now: Timestamp) -> Node {
    let document = json!({
        "accountId": account,
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" },
        "availabilityZone": facts.availability_zone,
        "imageId": facts.image_id,
        "instanceId": facts.id,
        "instanceType": facts.instance_type,
        "pendingTime": seconds(now),
        "privateIp": facts.private_ip,
        "region": facts.region,
        "version": "2017-09-30",
    });
    value(&document.to_string())
}

/// AWS writes times in whole seconds here, and strict clients read no fractions.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn folder<const N: usize>(nodes: [(&str, Node); N]) -> Node {
    Node::Folder(nodes.into_iter().map(|(name, node)| named(name, node)).collect())
}

fn named(name: &str, node: Node) -> (String, Node) {
    (name.to_owned(), node)
}

fn value(text: &str) -> Node {
    Node::Value(text.to_owned())
}
