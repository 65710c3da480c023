use std::time::Duration;

use super::super::{Config, HousekeepConfig, Role, SyncConfig};
use super::{mistakes, variables};
use crate::{
    decide::{
        housekeeping::ImagePolicy,
        releases::{Follow, Policy},
    },
    fleets::Pattern,
    handlers::{housekeep, sync_runner::Settings},
};

#[test]
fn sync_runner_follows_github_unless_it_is_told_otherwise() {
    let plain = Config::read(&variables(Role::SyncRunner)).unwrap().sync.unwrap();
    let expected = SyncConfig {
        bucket: "dayfly-demo-v-123456789012".into(),
        settings: Settings {
            prefix: "runners".into(),
            platforms: vec!["linux-x64".into(), "linux-arm64".into()],
            policy: Policy { follow: Follow::Newest { delay: Duration::ZERO }, also: [].into(), keep: 3 },
        },
        releases_url: "https://api.github.com".into(),
        token_parameter: None,
    };
    assert_eq!(plain, expected);
    let mut told = variables(Role::SyncRunner);
    let more = [
        ("RUNNER_PLATFORMS", "linux-arm64"),
        ("RUNNER_VERSION", "2.336.0"),
        ("RUNNER_DELAY_HOURS", "48"),
        ("RUNNER_ALSO", "2.335.0,2.99.1"),
        ("RUNNER_KEEP", "5"),
        ("RELEASES_URL", "http://127.0.0.1:1"),
        ("RELEASES_TOKEN_PARAMETER", "/a/token"),
    ];
    told.extend(more.map(|(name, value)| (format!("DAYFLY_{name}"), value.to_owned())));
    let read = Config::read(&told).unwrap().sync.unwrap();
    let v = |text: &str| text.parse().unwrap();
    assert_eq!(read.settings.platforms, ["linux-arm64"]);
    let policy = Policy { follow: Follow::Pinned(v("2.336.0")), also: [v("2.99.1"), v("2.335.0")].into(), keep: 5 };
    assert_eq!(read.settings.policy, policy);
    assert_eq!((read.releases_url.as_str(), read.token_parameter.as_deref()), ("http://127.0.0.1:1", Some("/a/token")));
    told.remove("DAYFLY_RUNNER_VERSION");
    let follow = Config::read(&told).unwrap().sync.unwrap().settings.policy.follow;
    assert_eq!(follow, Follow::Newest { delay: Duration::from_hours(48) });
    assert_eq!(Config::read(&variables(Role::Webhook)).unwrap().sync, None);
}

#[test]
fn each_mistake_of_sync_runners_is_told() {
    let mut wrong = variables(Role::SyncRunner);
    let changes = [
        ("DAYFLY_RUNNERS", "s3://bucket/prefix/"),
        ("DAYFLY_RUNNER_PLATFORMS", "linux-x64,"),
        ("DAYFLY_RUNNER_VERSION", "v2.336.0"),
        ("DAYFLY_RUNNER_DELAY_HOURS", "2161"),
        ("DAYFLY_RUNNER_ALSO", "latest"),
        ("DAYFLY_RUNNER_KEEP", "1"),
        ("DAYFLY_RELEASES_URL", "api.github.com"),
        ("DAYFLY_RELEASES_TOKEN_PARAMETER", "token"),
    ];
    wrong.extend(changes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let told = mistakes(&wrong);
    let names: Vec<&str> = told.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(names, changes.map(|(name, _)| name), "{told:#?}");
}

#[test]
fn housekeep_only_tells_unless_it_is_told_otherwise() {
    let plain = Config::read(&variables(Role::Housekeep)).unwrap().housekeep.unwrap();
    let days = |days: u64| Duration::from_hours(24 * days);
    let expected = HousekeepConfig {
        bucket: "dayfly-demo-123456789012".into(),
        settings: housekeep::Settings {
            dry_run: true,
            images: ImagePolicy { tags: [].into(), age: days(30), keep: 3, most: 20 },
            leftover_age: days(1),
            most: 20,
            registrations: String::new(),
            reports: "housekeep".into(),
        },
        parameter_prefixes: vec![],
        security_group: None,
    };
    assert_eq!(plain, expected);
    let mut told = variables(Role::Housekeep);
    let more = [
        ("HOUSEKEEP_DRY_RUN", "false"),
        ("HOUSEKEEP_IMAGE_TAGS", r#"{"dayfly:image": "*"}"#),
        ("HOUSEKEEP_IMAGE_DAYS", "90"),
        ("HOUSEKEEP_IMAGE_KEEP", "1"),
        ("HOUSEKEEP_LEFTOVER_HOURS", "48"),
        ("HOUSEKEEP_MOST", "5"),
        ("HOUSEKEEP_PARAMETERS", "/images/,/mine/"),
        ("REGISTRATION_BUCKET", "b"),
        ("REGISTRATION_BUCKET_PREFIX", "registrations/AROA:"),
        ("RUNNER_SECURITY_GROUP", "sg-1"),
    ];
    told.extend(more.map(|(name, value)| (format!("DAYFLY_{name}"), value.to_owned())));
    let read = Config::read(&told).unwrap().housekeep.unwrap();
    let tags = [("dayfly:image".to_owned(), Pattern::new("*"))].into();
    let settings = housekeep::Settings {
        dry_run: false,
        images: ImagePolicy { tags, age: days(90), keep: 1, most: 5 },
        leftover_age: days(2),
        most: 5,
        registrations: "registrations/AROA:".into(),
        reports: "housekeep".into(),
    };
    assert_eq!(read.settings, settings);
    assert_eq!((read.parameter_prefixes.len(), read.security_group.as_deref()), (2, Some("sg-1")));
    assert_eq!(Config::read(&variables(Role::SyncRunner)).unwrap().housekeep, None);
}

#[test]
fn each_mistake_of_housekeeps_is_told() {
    let mut wrong = variables(Role::Housekeep);
    let changes = [
        ("DAYFLY_REPORTS", "bucket"),
        ("DAYFLY_HOUSEKEEP_DRY_RUN", "no"),
        ("DAYFLY_HOUSEKEEP_IMAGE_TAGS", r#"{"dayfly:image": ""}"#),
        ("DAYFLY_HOUSEKEEP_IMAGE_DAYS", "0"),
        ("DAYFLY_HOUSEKEEP_IMAGE_KEEP", "0"),
        ("DAYFLY_HOUSEKEEP_LEFTOVER_HOURS", "1"),
        ("DAYFLY_HOUSEKEEP_MOST", "1001"),
        ("DAYFLY_HOUSEKEEP_PARAMETERS", "/images/,"),
        ("DAYFLY_RUNNER_SECURITY_GROUP", "runners"),
    ];
    wrong.extend(changes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let told = mistakes(&wrong);
    let names: Vec<&str> = told.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(names, changes.map(|(name, _)| name), "{told:#?}");
}
