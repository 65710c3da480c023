//! How much GitHub may be asked.

use super::*;

#[tokio::test]
async fn nobody_is_asked_while_github_wants_to_be_left_alone() {
    let limited = (403, vec![("retry-after", "17".to_owned())], json!({"message": "secondary rate limit"}));
    let stage = stage("", [token("t1"), limited]).await;
    for _ in 0..5 {
        let error = stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
        assert!(matches!(&error, GitHubError::Limited { wait, .. } if wait.as_secs() == 17), "{error:?}");
    }
    assert_eq!(stage.asked(), [TOKEN, JIT]);
}

#[tokio::test]
async fn what_is_left_of_the_limit_is_known_and_one_owners_limit_is_not_anothers() {
    let left = |n: u64| vec![("x-ratelimit-remaining", n.to_string()), ("x-ratelimit-reset", "1795003600".to_owned())];
    let with = |(status, _, body): Answer, n| (status, left(n), body);
    let limited = (403, left(0), json!({"message": "API rate limit exceeded"}));
    let stage = stage("", [token("t1"), with(jit(1), 4321), limited, token("t2"), with(jit(2), 12)]).await;
    assert_eq!(stage.app.remaining(), None);
    stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(stage.app.remaining(), Some(4321));
    let error = stage.app.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Limited { wait, .. } if wait.as_secs() == 3601), "{error:?}");
    assert_eq!(stage.app.remaining(), Some(0));
    let elsewhere = Target { scope: "orgs/other".parse().unwrap(), installation: Some(78) };
    stage.app.jit_config(&elsewhere, &runner()).await.unwrap();
}

#[tokio::test]
async fn repositories_of_one_installation_share_its_limit() {
    let limited = (403, vec![("retry-after", "17".to_owned())], json!({"message": "secondary rate limit"}));
    let stage = stage("", [token("t1"), limited, token("t2"), token("t3"), jit(1)]).await;
    let at = |repository: &str, installation| Target {
        scope: format!("repos/octo-org/{repository}").parse().unwrap(),
        installation: Some(installation),
    };
    for repository in ["a", "b", "b"] {
        let error = stage.app.jit_config(&at(repository, 77), &runner()).await.unwrap_err();
        assert!(matches!(&error, GitHubError::Limited { wait, .. } if wait.as_secs() == 17), "{error:?}");
    }
    let ask = |repository: &str| format!("POST /repos/octo-org/{repository}/actions/runners/generate-jitconfig");
    assert_eq!(stage.asked(), [TOKEN.to_owned(), ask("a"), TOKEN.to_owned()], "b's token, and no request with it");
    assert_eq!(stage.app.limited_at(&at("c", 77)).map(|wait| wait.as_secs()), Some(17), "known before it is asked");
    assert_eq!(stage.app.limited_at(&at("c", 78)), None);
    // Whose the token was counts, and not what a webhook named.
    for installation in [None, Some(78)] {
        let b = Target { installation, ..at("b", 77) };
        assert_eq!(stage.app.limited_at(&b).map(|wait| wait.as_secs()), Some(17), "{installation:?}");
    }
    stage.app.jit_config(&at("c", 78), &runner()).await.unwrap();
    assert_eq!(stage.asked()[3..], ["POST /app/installations/78/access_tokens".to_owned(), ask("c")]);
}
