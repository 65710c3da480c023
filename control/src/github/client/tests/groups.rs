//! Runner groups.

use super::*;

fn groups(etag: &str, groups: &[(u64, String)]) -> Answer {
    let listed: Vec<Value> = groups.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    (200, vec![("etag", etag.to_owned())], json!({"total_count": 101, "runner_groups": listed}))
}

#[tokio::test]
async fn a_group_is_found_on_any_page_and_asked_for_once() {
    let first: Vec<(u64, String)> = (1..=100).map(|id| (id, format!("group {id}"))).collect();
    let second = [(101, "Größe XL".to_owned())];
    let stage = stage("", [token("t1"), groups("\"a\"", &first), groups("\"b\"", &second)]).await;
    let (app, at) = (&stage.app, target(Some(77)));
    for _ in 0..3 {
        assert_eq!(app.group(&at, "Größe XL").await.unwrap(), 101);
    }
    assert_eq!(app.group(&at, "group 7").await.unwrap(), 7);
    let page = |n| format!("GET /orgs/octo-org/actions/runner-groups?per_page=100&page={n}");
    assert_eq!(stage.asked(), [TOKEN.to_owned(), page(1), page(2)]);
    // Missing: known for a minute, and the error tells what there is.
    let error = app.group(&at, "gpu").await.unwrap_err();
    let said = Chain(&error).to_string();
    assert!(matches!(error, GitHubError::Permanent(_)), "{said}");
    let expected =
        "looking for a runner group at orgs/octo-org: there is no runner group \"gpu\"; there are \"group 1\", ";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(stage.asked().len(), 3);
}

#[tokio::test]
async fn groups_are_asked_for_again_by_etag_and_known_ones_outlive_a_failure() {
    let list = [(1, "Default".to_owned()), (4, "gpu".to_owned())];
    let unchanged = (304, vec![("etag", "\"a\"".to_owned())], Value::Null);
    let stage =
        stage("", [token("t1"), groups("\"a\"", &list), unchanged, ok(502, json!({})), ok(502, json!({}))]).await;
    let (app, at) = (&stage.app, target(Some(77)));
    let age = async || app.groups.lock().await.get_mut(&at.scope).unwrap().checked_at = Some(0);
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4);
    age().await;
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "unchanged");
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "and fresh again");
    age().await;
    assert_eq!(app.group(&at, "gpu").await.unwrap(), 4, "GitHub is down");
    assert!(matches!(app.group(&at, "cpu").await, Err(GitHubError::Transient(_))), "nothing is known of this one");
    let script = stage.script.lock().unwrap();
    assert_eq!(
        script.etags,
        [None, None, Some("\"a\"".to_owned()), Some("\"a\"".to_owned()), Some("\"a\"".to_owned())]
    );
}

#[tokio::test]
async fn a_repository_has_the_default_group_and_an_enterprise_its_own() {
    let stage = stage("", [ok(200, json!({"id": 77})), token("t1"), groups("\"a\"", &[(9, "big".to_owned())])]).await;
    let at = |scope: &str| Target { scope: scope.parse().unwrap(), installation: None };
    assert_eq!(stage.app.group(&at("repos/octo-org/octo-repo"), "default").await.unwrap(), 1);
    assert!(matches!(stage.app.group(&at("repos/o/r"), "gpu").await, Err(GitHubError::Permanent(_))));
    assert_eq!(stage.app.group(&at("enterprises/octo"), "big").await.unwrap(), 9);
    let asked = stage.asked();
    assert_eq!(asked[0], "GET /enterprises/octo/installation");
    assert_eq!(asked[2], "GET /enterprises/octo/actions/runner-groups?per_page=100&page=1");
}
