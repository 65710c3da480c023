mod keepers;

use std::collections::BTreeMap;

use super::{AppConfig, Authorities, Config, Handover, Limits, Role, S3Object};
use crate::fleets::tests::{fleet, fleets};

fn variables(role: Role) -> BTreeMap<String, String> {
    let all = [
        ("_HANDLER", role.name()),
        ("PATH", "/bin"),
        ("DAYFLY_DEPLOYMENT", "demo"),
        ("DAYFLY_TABLE", "dayfly-demo-ledger"),
        ("DAYFLY_WAKE_QUEUE_URL", "http://127.0.0.1:5000/123456789012/dayfly-demo-wake"),
        ("DAYFLY_FLEETS", "s3://dayfly-demo-123456789012/a/fleets.json"),
        ("DAYFLY_WEBHOOK_SECRET_PARAMETER", "/dayfly/demo/github/webhook-secret"),
        ("DAYFLY_GITHUB_APPS", "Iv23li=/dayfly/demo/github/app-key"),
        ("DAYFLY_REGISTRATION_PREFIX", "/dayfly/demo/registrations"),
        ("DAYFLY_RUNNERS", "s3://dayfly-demo-v-123456789012/runners"),
        ("DAYFLY_REPORTS", "s3://dayfly-demo-123456789012/housekeep"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn mistakes(variables: &BTreeMap<String, String>) -> Vec<String> {
    Config::read(variables).map_or_else(|it| it.0.iter().map(ToString::to_string).collect(), |_| vec![])
}

#[test]
fn a_full_environment_is_read() {
    let config = Config::read(&variables(Role::ScaleUp)).unwrap();
    assert_eq!(config.role, Role::ScaleUp);
    assert_eq!(config.fleets, S3Object { bucket: "dayfly-demo-123456789012".into(), key: "a/fleets.json".into() });
    assert_eq!(config.github.url, "https://api.github.com");
    assert_eq!(config.log, "info");
    assert_eq!(config.limits, Limits { ec2: 2, ssm: 3, github: 170 });
    let mut limited = variables(Role::ScaleUp);
    let limits = [("EC2_PER_SECOND", "20"), ("SSM_PER_SECOND", "0"), ("GITHUB_PER_MINUTE", "1")];
    limited.extend(limits.map(|(name, value)| (format!("DAYFLY_LIMIT_{name}"), value.to_owned())));
    assert_eq!(Config::read(&limited).unwrap().limits, Limits { ec2: 20, ssm: 0, github: 1 });
    let mut ghes = variables(Role::ScaleUp);
    ghes.insert("DAYFLY_GITHUB_URL".into(), "https://ghes.example/api/v3".into());
    assert_eq!(Config::read(&ghes).unwrap().github.url, "https://ghes.example/api/v3");
    let ca = include_str!("../../../agent/tests/data/ca.pem");
    assert_eq!(config.github.authorities, Authorities::default());
    ghes.insert("DAYFLY_GITHUB_CA".into(), ca.into());
    assert_eq!(Config::read(&ghes).unwrap().github.authorities, ca.parse().unwrap());
}

#[test]
fn each_handler_requires_what_it_uses_and_no_more() {
    let needs = [
        (
            Role::Webhook,
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_FLEETS \
                         DAYFLY_WEBHOOK_SECRET_PARAMETER",
        ),
        (
            Role::ScaleUp,
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_FLEETS DAYFLY_GITHUB_APPS \
                         DAYFLY_REGISTRATION_PREFIX",
        ),
        (
            Role::Lifecycle,
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_FLEETS DAYFLY_GITHUB_APPS \
                           DAYFLY_REGISTRATION_PREFIX",
        ),
        (
            Role::Reconcile,
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_FLEETS DAYFLY_GITHUB_APPS \
                           DAYFLY_REGISTRATION_PREFIX",
        ),
        (Role::SyncRunner, "DAYFLY_DEPLOYMENT DAYFLY_RUNNERS"),
        (Role::Housekeep, "DAYFLY_DEPLOYMENT DAYFLY_FLEETS DAYFLY_REGISTRATION_PREFIX DAYFLY_REPORTS"),
    ];
    for (role, needed) in needs {
        let needed: Vec<&str> = needed.split_whitespace().collect();
        let none = BTreeMap::from([("_HANDLER".to_owned(), role.name().to_owned())]);
        let missing: Vec<String> = Config::read(&none).unwrap_err().0.into_iter().map(|it| it.path).collect();
        assert_eq!(missing, needed, "{role:?}");
        let mut just = variables(role);
        just.retain(|name, _| name == "_HANDLER" || needed.contains(&name.as_str()));
        assert!(mistakes(&just).is_empty(), "{role:?}: {:?}", mistakes(&just));
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut wrong = variables(Role::Webhook);
    let changes = [
        ("_HANDLER", "bootstrap"),
        ("DAYFLY_DEPLOYMENT", "Demo"),
        ("DAYFLY_WAKE_QUEUE_URL", "queue"),
        ("DAYFLY_FLEETS", "bucket/key"),
        ("DAYFLY_WEBHOOK_SECRET_PARAMETER", "webhook-secret"),
        ("DAYFLY_GITHUB_APPS", "1001"),
        ("DAYFLY_GITHUB_URL", "api.github.com"),
        ("DAYFLY_GITHUB_CA", "hunter2"),
        ("DAYFLY_LIMIT_EC2_PER_SECOND", "-1"),
        ("DAYFLY_EVENT_BUS", ""),
        ("DAYFLY_LOG", "=x=y=z"),
        ("DAYFLY_TABEL", "hunter2"),
    ];
    wrong.extend(changes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let told = mistakes(&wrong);
    let names: Vec<&str> = told.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(names, changes.map(|(name, _)| name), "{told:#?}");
    assert_eq!(
        told[0],
        "_HANDLER: found \"bootstrap\", expected one of \"webhook\", \"scale-up\", \"lifecycle\", \"reconcile\", \"sync-runner\", \"housekeep\""
    );
    assert!(!told.join("").contains("hunter2"), "an unknown variable's value may be a secret, and so may a CA's");
}

#[test]
fn a_secret_in_place_of_its_parameters_name_is_not_shown() {
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpQIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n";
    let cases = [
        (Role::Webhook, "DAYFLY_WEBHOOK_SECRET_PARAMETER", "It's a Secret to Everybody"),
        (Role::ScaleUp, "DAYFLY_GITHUB_APPS", "Iv23li=MIIEpQIBAAKCAQEA"),
        (Role::ScaleUp, "DAYFLY_GITHUB_APPS", pem),
        (Role::Lifecycle, "DAYFLY_GITHUB_TOKEN_PARAMETER", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        (Role::SyncRunner, "DAYFLY_RELEASES_TOKEN_PARAMETER", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ];
    for (role, name, secret) in cases {
        let mut wrong = variables(role);
        if name == "DAYFLY_GITHUB_TOKEN_PARAMETER" {
            wrong.remove("DAYFLY_GITHUB_APPS");
        }
        wrong.insert(name.to_owned(), secret.to_owned());
        let told = mistakes(&wrong);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(&format!("{name}: found {} characters that are not shown", secret.len())),
            "{}",
            told[0]
        );
        for part in secret.split_whitespace().chain(secret.split('=')) {
            assert!(part.len() < 4 || !told[0].contains(part), "{}", told[0]);
        }
    }
}

#[test]
fn registrations_may_go_by_s3_and_a_key_of_ones_own() {
    let read = |more: &[(&str, &str)]| {
        let mut all = variables(Role::ScaleUp);
        all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        (Config::read(&all).ok(), mistakes(&all))
    };
    let plain = read(&[]).0.unwrap();
    assert_eq!((plain.registration_objects.bucket.as_str(), &plain.registration_kms_key), ("", &None));
    let (bucket, prefix) = ("DAYFLY_REGISTRATION_BUCKET", "DAYFLY_REGISTRATION_BUCKET_PREFIX");
    let whole =
        read(&[(bucket, "b"), (prefix, "r/AROA1:"), ("DAYFLY_REGISTRATION_KMS_KEY", "alias/dayfly")]).0.unwrap();
    assert_eq!(
        (whole.registration_objects.bucket.as_str(), whole.registration_objects.prefix.as_str()),
        ("b", "r/AROA1:")
    );
    assert_eq!(whole.registration_kms_key.as_deref(), Some("alias/dayfly"));
    for (half, missing) in [((bucket, "b"), prefix), ((prefix, "r/AROA1:"), bucket)] {
        let told = read(&[half]).1;
        assert!(told.len() == 1 && told[0].starts_with(&format!("{missing}: found nothing, ")), "{told:?}");
    }
    let mut fleet = fleet("burst");
    assert!(plain.serves(&fleets([fleet.clone()])).is_ok());
    fleet.handover = Handover::S3;
    assert!(whole.serves(&fleets([fleet.clone()])).is_ok());
    let refused = plain.serves(&fleets([fleet])).unwrap_err().to_string();
    assert!(refused.contains(bucket) && refused.contains("fleet \"burst\" hands over by S3"), "{refused}");
    assert_eq!(read(&[(bucket, "b/c"), (prefix, "/r"), ("DAYFLY_REGISTRATION_KMS_KEY", "")]).1.len(), 3);
}

#[test]
fn github_is_asked_by_apps_or_by_a_token() {
    let app = |id: &str, key: &str| AppConfig { id: id.to_owned(), key_parameter: key.to_owned() };
    let mut several = variables(Role::Webhook);
    several.insert("DAYFLY_GITHUB_APPS".into(), "1001=/a/key, Iv23li.x=/aws/reference/secretsmanager/b".into());
    let config = Config::read(&several).unwrap().github;
    assert_eq!(config.apps, [app("1001", "/a/key"), app("Iv23li.x", "/aws/reference/secretsmanager/b")]);
    assert_eq!(config.token_parameter, None);
    let token = || ("DAYFLY_GITHUB_TOKEN_PARAMETER".to_owned(), "/dayfly/demo/github/token".to_owned());
    let mut by_token = variables(Role::ScaleUp);
    by_token.remove("DAYFLY_GITHUB_APPS");
    by_token.extend([token()]);
    let config = Config::read(&by_token).unwrap().github;
    assert_eq!((config.apps, config.token_parameter), (vec![], Some(token().1)));
    let mut both = variables(Role::Lifecycle);
    both.extend([token()]);
    let expected =
        "DAYFLY_GITHUB_TOKEN_PARAMETER: found DAYFLY_GITHUB_APPS beside it, expected Apps or a token, not both";
    assert_eq!(mistakes(&both), [expected]);
    for apps in ["", "1001", "1001=", "=/a/key", "1001=key", "1001=/a/key,", "10 01=/a/key", "1001=/a/key;2=/b/key"] {
        let mut wrong = variables(Role::ScaleUp);
        wrong.insert("DAYFLY_GITHUB_APPS".into(), apps.into());
        assert_eq!(mistakes(&wrong).len(), 1, "{apps}");
    }
}

#[test]
fn a_bus_is_optional() {
    assert_eq!(Config::read(&variables(Role::Webhook)).unwrap().event_bus, None);
    let mut with = variables(Role::Webhook);
    with.insert("DAYFLY_EVENT_BUS".into(), "dayfly-demo".into());
    assert_eq!(Config::read(&with).unwrap().event_bus, Some("dayfly-demo".into()));
}

#[test]
fn what_reconcile_goes_by_is_read() {
    let plain = Config::read(&variables(Role::Reconcile)).unwrap();
    assert_eq!((plain.silence_seconds, plain.hooks.len()), (600, 0));
    let with = |name: &str, value: &str| {
        let mut variables = variables(Role::Reconcile);
        variables.insert(name.into(), value.into());
        variables
    };
    assert_eq!(Config::read(&with("DAYFLY_SILENCE_SECONDS", "1800")).unwrap().silence_seconds, 1800);
    let hooks = Config::read(&with("DAYFLY_GITHUB_HOOKS", "orgs/octo-org/hooks/1, repos/o/r/hooks/2")).unwrap().hooks;
    let told: Vec<String> = hooks.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["orgs/octo-org/hooks/1", "repos/o/r/hooks/2"]);
    for (name, value) in [("DAYFLY_SILENCE_SECONDS", "60"), ("DAYFLY_GITHUB_HOOKS", "orgs/octo-org")] {
        assert_eq!(mistakes(&with(name, value)).len(), 1, "{name}");
    }
}
