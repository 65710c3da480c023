use dayfly_control::config::Role;
use secrecy::SecretString;

use super::{clock, first_secret, function, is_token, is_webhook_secret, ping, queue, ran, role, rule, secret, table};
use crate::{
    deployed::{Function, Told},
    doctor::finding::{Finding, Level},
};

const NOW: u64 = 1_795_000_000_000;

fn levels(found: &[Finding]) -> Vec<Level> {
    found.iter().map(|it| it.level).collect()
}

#[test]
fn functions_are_there_and_their_environment_is_whole() {
    let there = |state: &str| {
        Told::There(Box::new(Function {
            state: Some(state.into()),
            state_reason: Some("image".into()),
            ..Function::default()
        }))
    };
    for (role, told, expected, says) in [
        (Role::Webhook, there("Active"), Level::Bad, "DAYFLY_DEPLOYMENT"),
        (Role::Webhook, there("Failed"), Level::Bad, "is Failed: image"),
        (Role::Webhook, Told::Absent, Level::Bad, "there is no function"),
        (Role::Housekeep, Told::Absent, Level::Ok, "need not be"),
        (Role::SyncRunner, Told::Absent, Level::Ok, "need not be"),
        (Role::Reconcile, Told::Unasked("access denied".into()), Level::Unknown, "access denied"),
    ] {
        let found = function("dayfly-main-x", role, &told);
        assert!(found.level == expected && found.what.contains(says), "{found:?}");
    }
}

#[test]
fn dead_letters_are_bad_and_a_crowd_is_a_warning() {
    for (name, visible, expected) in [
        ("dayfly-main-wake", Ok(0), Level::Ok),
        ("dayfly-main-wake", Ok(999), Level::Ok),
        ("dayfly-main-wake", Ok(1000), Level::Warn),
        ("dayfly-main-wake-dlq", Ok(0), Level::Ok),
        ("dayfly-main-wake-dlq", Ok(1), Level::Bad),
        ("dayfly-main-wake-dlq", Err("no".to_owned()), Level::Unknown),
        ("dayfly-main-wake", Err("AWS.SimpleQueueService.NonExistentQueue: no".to_owned()), Level::Bad),
    ] {
        assert_eq!(queue(name, visible.clone(), None).level, expected, "{name} {visible:?}");
    }
    let old = queue("dayfly-main-wake-dlq", Ok(2), Some(3_720_000)).what;
    assert!(old.starts_with("2 dead letters, the oldest 1h02m old: "), "{old}");
    let one = queue("dayfly-main-wake-dlq", Ok(1), None).what;
    assert_eq!(one, "1 dead letter: nobody could act upon it");
    assert_eq!([1, 2].map(|n| queue("dayfly-main-wake", Ok(n), None).what), ["1 message waits", "2 messages wait"]);
}

#[test]
fn the_schedule_is_enabled_and_runs() {
    assert_eq!(rule(Ok(Some("ENABLED".into()))).level, Level::Ok);
    assert_eq!(rule(Ok(Some("DISABLED".into()))).level, Level::Bad);
    assert_eq!(rule(Ok(None)).level, Level::Bad);
    assert_eq!(rule(Err("denied".into())).level, Level::Unknown);
    assert!(ran("main", Ok(None), NOW).todo.ends_with(": /aws/lambda/dayfly-main-reconcile"));
    for (noted, expected) in [
        (Ok(Some(NOW - 59_000)), Level::Ok),
        (Ok(Some(NOW - 300_000)), Level::Ok),
        (Ok(Some(NOW - 300_001)), Level::Bad),
        (Ok(None), Level::Bad),
        (Err("denied".to_owned()), Level::Unknown),
    ] {
        assert_eq!(ran("main", noted.clone(), NOW).level, expected, "{noted:?}");
    }
}

#[test]
fn the_table_is_active_and_forgets() {
    let active = || Ok(Some("ACTIVE".to_owned()));
    assert_eq!(levels(&table("t", active(), Ok(true))), [Level::Ok]);
    assert_eq!(levels(&table("t", active(), Ok(false))), [Level::Ok, Level::Warn]);
    assert_eq!(levels(&table("t", Ok(None), Err("no".into()))), [Level::Bad, Level::Unknown]);
    assert_eq!(levels(&table("t", Ok(Some("DELETING".into())), Ok(true))), [Level::Bad]);
}

#[test]
fn secrets_are_there_and_well_formed_and_never_shown() {
    let look = |read: Result<&str, &str>| {
        let read = read.map(SecretString::from).map_err(str::to_owned);
        secret("the webhook's secret", "/dayfly/main/github/webhook-secret", &read, is_webhook_secret)
    };
    let good = look(Ok("hush-hush"));
    assert!(good.level == Level::Ok && !good.to_string().contains("hush"), "{good}");
    assert_eq!(look(Ok("\n\n")).level, Level::Bad);
    assert_eq!(look(Ok("hush-hush \n")).level, Level::Bad);
    assert_eq!(look(Err("ParameterNotFound")).level, Level::Bad);
    assert_eq!(look(Err("AccessDeniedException")).level, Level::Unknown);
    assert_eq!(look(Err("no answer")).level, Level::Unknown);
    is_token(&SecretString::from("ghp_0123456789abcdefghij\n")).unwrap();
    is_token(&SecretString::from("-----BEGIN RSA PRIVATE KEY-----")).unwrap_err();
    let first = first_secret(&SecretString::from("\nnew\nold\n")).unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&first), "new");
}

#[test]
fn a_webhook_takes_the_right_secret_and_no_other() {
    let failed = || Err("connection refused".to_owned());
    for (right, wrong, expected) in [
        (Ok(200), Ok(401), &[Level::Ok][..]),
        (Ok(401), Ok(401), &[Level::Bad]),
        (Ok(404), Ok(404), &[Level::Bad]),
        (Ok(500), Ok(500), &[Level::Bad]),
        (Ok(200), Ok(200), &[Level::Ok, Level::Bad]),
        (failed(), failed(), &[Level::Bad]),
    ] {
        assert_eq!(levels(&ping("https://x/webhook", &right, &wrong)), expected, "{right:?} {wrong:?}");
    }
}

#[test]
fn clocks_are_compared_within_the_time_of_the_answer() {
    // Our times before and after, and theirs.
    for (date, before, after, expected) in [
        (Some(NOW), NOW, NOW + 500, Level::Ok),
        // Asked late in their second, answered much later.
        (Some(NOW), NOW + 999, NOW + 60_000, Level::Ok),
        (Some(NOW), NOW + 20_998, NOW + 21_000, Level::Ok),
        (Some(NOW), NOW + 20_999, NOW + 21_000, Level::Warn),
        (Some(NOW), NOW + 300_000, NOW + 300_100, Level::Bad),
        (Some(NOW + 30_000), NOW - 100, NOW, Level::Warn),
        (Some(NOW + 300_000), NOW - 100, NOW, Level::Bad),
        (None, NOW, NOW, Level::Unknown),
    ] {
        let found = clock("GitHub", date, before, after);
        assert_eq!(found.level, expected, "{date:?} {before} {after}: {found}");
    }
    assert!(clock("AWS", Some(NOW), NOW + 300_999, NOW + 301_000).what.contains("300.0 s ahead"));
    assert!(clock("AWS", Some(NOW + 300_000), NOW, NOW).what.contains("300.0 s behind"));
}

#[test]
fn roles_are_by_what_iam_answers() {
    for (status, expected) in [
        (Ok(200), Level::Ok),
        (Ok(404), Level::Bad),
        (Ok(403), Level::Unknown),
        (Ok(500), Level::Unknown),
        (Err("x".to_owned()), Level::Unknown),
    ] {
        assert_eq!(role("role", "dayfly-main-runner", status.clone(), "deploy").level, expected, "{status:?}");
    }
}
