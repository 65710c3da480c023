use super::*;
use crate::PublicKey;
use crate::facts::tests::facts;
use crate::imds::{Imds, Maintenance};

const ID: &str = "i-0123456789abcdef0";
const OTHER: &str = "i-0fedcba9876543210";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("a time")
}

fn world() -> Imds {
    let imds = Imds::new("123456789012");
    for id in [ID, OTHER] {
        let facts = facts(id);
        let user_data = facts.user_data_bytes();
        imds.put(facts, user_data);
    }
    imds
}

fn say(imds: &Imds, id: &str, ask: &Ask, now: Timestamp) -> Reply {
    answer(&mut imds.lock(), id, ask, "fresh", now)
}

fn put_token(ttl: Option<&str>) -> Ask {
    Ask {
        method: "PUT".to_owned(),
        path: "/latest/api/token".to_owned(),
        ttl: ttl.map(str::to_owned),
        ..Ask::default()
    }
}

fn get(path: &str) -> Ask {
    Ask { method: "GET".to_owned(), path: path.to_owned(), token: Some("fresh".to_owned()), ..Ask::default() }
}

/// What an instance with a token reads at `path`.
fn read(imds: &Imds, path: &str) -> (u16, String) {
    assert_eq!(say(imds, ID, &put_token(Some("60")), at(0)).status, 200);
    let reply = say(imds, ID, &get(path), at(1));
    (reply.status, String::from_utf8(reply.body).expect("text"))
}

#[test]
fn a_token_needs_a_time_to_live_within_bounds() {
    let imds = world();
    for (ttl, status) in
        [(Some("1"), 200), (Some("21600"), 200), (Some("0"), 400), (Some("21601"), 400), (Some("x"), 400), (None, 400)]
    {
        assert_eq!(say(&imds, ID, &put_token(ttl), at(0)).status, status, "{ttl:?}");
    }
    let reply = say(&imds, ID, &put_token(Some("60")), at(0));
    assert_eq!((reply.token_ttl, reply.hops, reply.body.as_slice()), (Some(60), Some(1), b"fresh".as_slice()));
}

#[test]
fn a_token_through_a_proxy_and_at_another_path_is_refused() {
    let imds = world();
    assert_eq!(say(&imds, ID, &Ask { forwarded: true, ..put_token(Some("60")) }, at(0)).status, 403);
    assert_eq!(say(&imds, ID, &Ask { path: "/latest/token".to_owned(), ..put_token(Some("60")) }, at(0)).status, 404);
    assert_eq!(say(&imds, ID, &Ask { method: "POST".to_owned(), ..put_token(Some("60")) }, at(0)).status, 405);
}

#[test]
fn a_token_is_good_for_its_instance_and_its_time() {
    let imds = world();
    say(&imds, ID, &put_token(Some("60")), at(0));
    let ask = get("/latest/meta-data/instance-id");
    assert_eq!(say(&imds, ID, &ask, at(59)).status, 200);
    assert_eq!(say(&imds, ID, &ask, at(60)).status, 401);
    assert_eq!(say(&imds, OTHER, &ask, at(1)).status, 401);
    assert_eq!(say(&imds, ID, &Ask { token: None, ..ask.clone() }, at(1)).status, 401);
    assert_eq!(say(&imds, "i-unknown", &ask, at(1)).status, 403);
    imds.lock().tokens.forget(ID);
    assert_eq!(say(&imds, ID, &ask, at(1)).status, 401);
}

#[test]
fn an_instance_with_optional_tokens_reads_without_one() {
    let imds = world();
    let mut facts = facts(ID);
    facts.metadata_options.http_tokens = "optional".to_owned();
    imds.put(facts, None);
    let ask = Ask { token: None, ..get("/latest/meta-data/instance-id") };
    assert_eq!(say(&imds, ID, &ask, at(0)).status, 200);
    assert_eq!(say(&imds, ID, &Ask { token: Some("wrong".to_owned()), ..ask }, at(0)).status, 401);
}

#[test]
fn the_tree_reads_as_ec2s() {
    let imds = world();
    let text = |path: &str| {
        let (status, text) = read(&imds, path);
        assert_eq!(status, 200, "{path}");
        text
    };
    assert_eq!(text("/latest/meta-data/instance-id"), ID);
    assert_eq!(text("/latest/meta-data/instance-life-cycle"), "spot");
    assert_eq!(text("/latest/meta-data/placement/region"), "eu-west-1");
    assert_eq!(text("/latest/user-data"), "#cloud-config\n");
    assert_eq!(text("/latest/"), "dynamic\nmeta-data\nuser-data");
    assert_eq!(text("/2021-03-23/meta-data/local-ipv4"), "10.0.1.7");
    assert_eq!(text("/latest/meta-data/iam/security-credentials/"), "runner");
    assert_eq!(text("/latest/meta-data/tags/instance/dayfly:fleet"), "linux");
    assert!(text("/latest/meta-data/").lines().any(|line| line == "placement/"));
    let credentials: serde_json::Value =
        serde_json::from_str(&text("/latest/meta-data/iam/security-credentials/runner")).expect("JSON");
    assert_eq!(credentials["AccessKeyId"], "ASIA0123456789ABCDEF0");
    assert_eq!(credentials["Expiration"], "2026-09-21T20:13:21Z");
    let document: serde_json::Value =
        serde_json::from_str(&text("/latest/dynamic/instance-identity/document")).expect("JSON");
    assert_eq!((&document["instanceId"], &document["region"]), (&ID.into(), &"eu-west-1".into()));
}

#[test]
fn what_is_not_there_is_404() {
    let imds = world();
    for path in [
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/events/recommendations/rebalance",
        "/latest/meta-data/none",
        "/latest/meta-data/instance-id/below",
        "/2099-01-01/meta-data/instance-id",
        "/latest/other",
    ] {
        assert_eq!(read(&imds, path).0, 404, "{path}");
    }
    let mut facts = facts(ID);
    facts.metadata_options.instance_metadata_tags = "disabled".to_owned();
    facts.instance_profile = None;
    imds.put(facts, None);
    for path in ["/latest/user-data", "/latest/meta-data/tags/instance/", "/latest/meta-data/iam/info"] {
        assert_eq!(read(&imds, path).0, 404, "{path}");
    }
}

#[test]
fn the_key_of_whoever_launched_it_is_listed_by_name_and_found_by_number() {
    let imds = world();
    assert_eq!(read(&imds, "/latest/meta-data/public-keys/").0, 404);
    let mut facts = facts(ID);
    facts.public_key = Some(PublicKey { name: "mine".to_owned(), openssh: "ssh-rsa AAAA\n".to_owned() });
    imds.put(facts, None);
    let text = |path: &str| read(&imds, path).1;
    assert!(text("/latest/meta-data/").lines().any(|line| line == "public-keys/"));
    assert_eq!(text("/latest/meta-data/public-keys/"), "0=mine");
    assert_eq!(text("/latest/meta-data/public-keys/0/"), "openssh-key");
    assert_eq!(text("/latest/meta-data/public-keys/0/openssh-key"), "ssh-rsa AAAA mine");
    assert_eq!(read(&imds, "/latest/meta-data/public-keys/1/").0, 404);
}

#[test]
fn notices_appear_when_they_are_made_and_go_when_they_are_cleared() {
    let imds = world();
    imds.notice_spot(ID, at(120)).expect("a known instance");
    imds.notice_rebalance(ID, at(30)).expect("a known instance");
    let maintenance = Maintenance {
        code: "instance-retirement".to_owned(),
        description: "degraded hardware".to_owned(),
        event_id: "instance-event-1".to_owned(),
        not_before: "21 Jan 2027 09:00:43 GMT".to_owned(),
        not_after: "21 Jan 2027 09:17:23 GMT".to_owned(),
        state: "active".to_owned(),
    };
    imds.notice_maintenance(ID, maintenance).expect("a known instance");
    let action = read(&imds, "/latest/meta-data/spot/instance-action").1;
    assert_eq!(action, r#"{"action":"terminate","time":"2026-09-21T14:15:20Z"}"#);
    let rebalance = read(&imds, "/latest/meta-data/events/recommendations/rebalance").1;
    assert_eq!(rebalance, r#"{"noticeTime":"2026-09-21T14:13:50Z"}"#);
    let scheduled = read(&imds, "/latest/meta-data/events/maintenance/scheduled").1;
    assert!(scheduled.starts_with(r#"[{"Code":"instance-retirement""#), "{scheduled}");
    imds.clear_notices(ID).expect("a known instance");
    assert_eq!(read(&imds, "/latest/meta-data/spot/instance-action").0, 404);
    assert!(imds.notice_spot("i-unknown", at(0)).is_err());
}

#[test]
fn faults_hit_one_instance_for_as_long_as_asked() {
    let imds = world();
    imds.refuse(ID, 503, 2).expect("a known instance");
    let statuses: Vec<u16> = (0..3).map(|_| say(&imds, ID, &put_token(Some("60")), at(0)).status).collect();
    assert_eq!(statuses, [503, 503, 200]);
    imds.disable(ID, true).expect("a known instance");
    assert_eq!(say(&imds, ID, &put_token(Some("60")), at(0)).status, 403);
    assert_eq!(say(&imds, OTHER, &put_token(Some("60")), at(0)).status, 200);
    imds.disable(ID, false).expect("a known instance");
    assert_eq!(say(&imds, ID, &put_token(Some("60")), at(0)).status, 200);
}
