use std::collections::BTreeMap;

use super::{Config, Role, S3Object};

fn variables(role: Role) -> BTreeMap<String, String> {
    let all = [
        ("_HANDLER", role.name()),
        ("PATH", "/bin"),
        ("DAYFLY_DEPLOYMENT", "demo"),
        ("DAYFLY_TABLE", "dayfly-demo-ledger"),
        ("DAYFLY_WAKE_QUEUE_URL", "http://127.0.0.1:5000/123456789012/dayfly-demo-wake"),
        ("DAYFLY_FLEETS", "s3://dayfly-demo-123456789012/a/fleets.json"),
        ("DAYFLY_WEBHOOK_SECRET_PARAMETER", "/dayfly/demo/github/webhook-secret"),
        ("DAYFLY_GITHUB_APP_ID", "Iv23li"),
        ("DAYFLY_GITHUB_KEY_PARAMETER", "/dayfly/demo/github/app-key"),
        ("DAYFLY_REGISTRATION_PREFIX", "/dayfly/demo/registrations"),
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
    let mut ghes = variables(Role::ScaleUp);
    ghes.insert("DAYFLY_GITHUB_URL".into(), "https://ghes.example/api/v3".into());
    assert_eq!(Config::read(&ghes).unwrap().github.url, "https://ghes.example/api/v3");
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
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_FLEETS DAYFLY_GITHUB_APP_ID \
                         DAYFLY_GITHUB_KEY_PARAMETER DAYFLY_REGISTRATION_PREFIX",
        ),
        (
            Role::Lifecycle,
            "DAYFLY_DEPLOYMENT DAYFLY_TABLE DAYFLY_WAKE_QUEUE_URL DAYFLY_GITHUB_APP_ID \
                           DAYFLY_GITHUB_KEY_PARAMETER DAYFLY_REGISTRATION_PREFIX",
        ),
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
        ("DAYFLY_GITHUB_URL", "api.github.com"),
        ("DAYFLY_LOG", "=x=y=z"),
        ("DAYFLY_TABEL", "hunter2"),
    ];
    wrong.extend(changes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let told = mistakes(&wrong);
    let names: Vec<&str> = told.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(names, changes.map(|(name, _)| name), "{told:#?}");
    assert_eq!(told[0], "_HANDLER: found \"bootstrap\", expected \"webhook\", \"scale-up\" or \"lifecycle\"");
    assert!(!told.join("").contains("hunter2"), "an unknown variable's value may be a secret");
}
