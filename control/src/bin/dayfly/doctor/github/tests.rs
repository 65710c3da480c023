use dayfly_control::{
    fleets::Fleets,
    github::{
        GitHubError,
        inspect::{App, Delivered, HookConfig, Inspected, Installation},
    },
    report::Failure,
};
use serde_json::json;

use super::{LATELY, app, deliveries, events, hook_config, installations, permissions, token};
use crate::doctor::finding::{Finding, Level};

const NOW: u64 = 1_795_000_000_000;

fn fleets(level: &str) -> Fleets {
    let text = json!({"version": 1, "fleets": [{
        "name": "linux-x64", "labels": ["self-hosted"], "max": 5, "github": {"level": level},
        "launch": {"template_id": "lt-1", "template_version": "1", "subnets": ["subnet-1"], "instance_types": ["c7i.large"]},
    }]});
    Fleets::read(&text.to_string()).unwrap()
}

fn granted(all: &[(&str, &str)]) -> App {
    let permissions = all.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect();
    App { name: "Dayfly".into(), permissions, events: vec![] }
}

fn levels(found: &[Finding]) -> Vec<Level> {
    found.iter().map(|it| it.level).collect()
}

#[test]
fn permissions_are_those_that_the_fleets_need() {
    use Level::{Bad, Ok, Warn};
    const ORG: &str = "organization_self_hosted_runners";
    for (level, has, expected) in [
        ("organization", &[(ORG, "write"), ("actions", "write")][..], &[Ok][..]),
        ("organization", &[(ORG, "write"), ("actions", "read")], &[Warn]),
        ("organization", &[(ORG, "read"), ("actions", "write")], &[Bad]),
        ("organization", &[(ORG, "write")], &[Warn, Warn]),
        ("organization", &[("administration", "write"), ("actions", "write")], &[Bad]),
        ("repository", &[("administration", "write"), ("actions", "write")], &[Ok]),
        ("repository", &[("administration", "read")], &[Bad, Warn, Warn]),
    ] {
        let found = permissions("1", &granted(has), Some(&fleets(level)));
        assert_eq!(levels(&found), expected, "{level} {has:?}");
        assert!(found.iter().all(|it| it.level == Ok || it.todo.contains("on the App's page")), "{found:?}");
    }
    // Nobody has anything run again: reading will do.
    let mut none = fleets("organization");
    none.fleets.iter_mut().for_each(|fleet| fleet.interrupted.rerun = 0);
    assert_eq!(levels(&permissions("1", &granted(&[(ORG, "write"), ("actions", "read")]), Some(&none))), [Ok]);
    // Where the document could not be read, the usual kind is meant.
    assert_eq!(levels(&permissions("1", &granted(&[("actions", "read")]), None)), [Bad]);
}

#[test]
fn events_are_workflow_jobs() {
    for (sent, expected) in [
        (&["workflow_job"][..], Level::Ok),
        (&["workflow_job", "push"], Level::Ok),
        (&["workflow_job", "check_run"], Level::Warn),
        (&["check_run"], Level::Warn),
        (&["push"], Level::Bad),
        (&[], Level::Bad),
    ] {
        let it = App { events: sent.iter().map(|it| (*it).to_owned()).collect(), ..App::default() };
        assert_eq!(events("1", &it).level, expected, "{sent:?}");
    }
}

#[test]
fn an_installation_may_lag_behind_its_app() {
    let whole = Installation {
        id: 77,
        account: "octo-org".into(),
        permissions: granted(&[("organization_self_hosted_runners", "write"), ("actions", "write")]).permissions,
        events: vec!["workflow_job".into()],
        suspended: false,
        selected: false,
    };
    let look = |it: Installation| installations("1", &[it], Some(&fleets("organization")));
    assert_eq!(levels(&look(whole.clone())), [Level::Ok]);
    assert_eq!(levels(&look(Installation { suspended: true, ..whole.clone() })), [Level::Bad]);
    assert_eq!(levels(&look(Installation { events: vec![], ..whole.clone() })), [Level::Bad]);
    let old = look(Installation { permissions: [].into(), ..whole });
    assert_eq!(levels(&old), [Level::Bad, Level::Warn, Level::Warn]);
    assert!(old[0].check.ends_with("at octo-org") && old[0].todo.contains("accept"), "{old:?}");
    assert_eq!(levels(&installations("1", &[], None)), [Level::Bad], "installed nowhere");
}

#[test]
fn a_webhook_goes_to_this_deployment_as_json() {
    let url = "https://abc.execute-api.eu-west-1.amazonaws.com/webhook";
    let hook =
        |is: &str| HookConfig { url: Some(is.into()), content_type: Some("json".into()), insecure_ssl: json!("0") };
    let look = |hook: HookConfig, should| levels(&hook_config("1", &hook, should));
    assert_eq!(look(hook(url), Some(url)), [Level::Ok]);
    assert_eq!(look(hook(&format!("{url}/")), Some(url)), [Level::Ok]);
    assert_eq!(look(hook("https://other/webhook"), Some(url)), [Level::Bad]);
    assert_eq!(look(hook(url), None), [Level::Unknown]);
    assert_eq!(look(HookConfig::default(), Some(url)), [Level::Bad]);
    let form = HookConfig { content_type: Some("form".into()), ..hook(url) };
    assert_eq!(look(form, Some(url)), [Level::Ok, Level::Bad]);
    for insecure in [json!("1"), json!(1)] {
        assert_eq!(look(HookConfig { insecure_ssl: insecure, ..hook(url) }, Some(url)), [Level::Ok, Level::Warn]);
    }
}

#[test]
fn the_last_deliveries_tell_of_the_secret_and_the_address() {
    let it = |ago: u64, status| Delivered { at: NOW - ago, event: "workflow_job".into(), status };
    for (all, expected, says) in [
        (vec![it(1, 202), it(2, 200)], Level::Ok, "the last 2 went well"),
        (vec![it(1, 202), it(2, 500)], Level::Warn, "1 of the last 2 failed"),
        (vec![it(1, 401), it(2, 202)], Level::Bad, "secret"),
        (vec![it(1, 0)], Level::Bad, "no answer"),
        (vec![it(1, 502)], Level::Bad, "answered 502"),
        (vec![it(LATELY + 1, 401)], Level::Warn, "nothing for a day"),
        (vec![], Level::Warn, "nothing for a day"),
    ] {
        let found = deliveries("1", &all, NOW);
        assert_eq!(found.level, expected, "{all:?}");
        assert!(found.what.contains(says), "{found:?}");
    }
}

#[test]
fn what_github_does_not_tell_is_said_and_the_rest_goes_on() {
    let permanent = || GitHubError::Permanent(Failure::new("asking", "401: Bad credentials"));
    let transient = || GitHubError::Transient(Failure::new("asking", "no answer"));
    let it = Inspected {
        id: "1".into(),
        app: Err(permanent()),
        installations: Err(transient()),
        hook: Ok(HookConfig::default()),
        deliveries: Err(transient()),
    };
    let found = app(&it, None, None, NOW);
    assert_eq!(levels(&found), [Level::Bad, Level::Unknown, Level::Bad, Level::Unknown]);
    assert!(found[0].what.contains("Bad credentials") && token().level == Level::Unknown);
    assert!(found[1].todo.contains("githubstatus"));
    let distrusted = Failure::new("asking", "invalid peer certificate: UnknownIssuer");
    let it = Inspected { installations: Err(GitHubError::Transient(distrusted)), ..it };
    assert!(app(&it, None, None, NOW)[1].todo.contains("github.ca_certificates"));
}
