use serde_json::{Value, json};

use super::Several;
use crate::github::{
    GitHub, GitHubError,
    authorities::Authorities,
    client::{
        Client,
        tests::{Answer, FixedClock, JIT, Noted, Stage, TOKEN, app_key, jit, ok, runner, stage, target, token},
    },
};

/// Apps, each with a server of its own, so that it is seen who was asked.
async fn apps(answers: Vec<Vec<Answer>>) -> (Several<FixedClock, Noted>, Vec<Stage>) {
    let mut stages = Vec::new();
    let mut clients = Vec::new();
    for (id, answers) in (1001..).zip(answers) {
        let stage = stage("", answers).await;
        let identity = app_key(&u32::to_string(&id));
        clients.push(Client::new(&stage.url, &Authorities::default(), identity, FixedClock, Noted::default()).unwrap());
        stages.push(stage);
    }
    (Several::new(clients), stages)
}

fn left((status, _, body): Answer, remaining: u64) -> Answer {
    let headers =
        vec![("x-ratelimit-remaining", remaining.to_string()), ("x-ratelimit-reset", "1795003600".to_owned())];
    (status, headers, body)
}

fn limited(seconds: u64) -> Answer {
    (403, vec![("retry-after", seconds.to_string())], json!({"message": "secondary rate limit"}))
}

fn asked(stages: &[Stage]) -> Vec<usize> {
    stages.iter().map(|stage| stage.asked().len()).collect()
}

#[tokio::test]
async fn whoever_has_most_left_is_asked() {
    let one = vec![token("t1"), left(jit(1), 100), left(jit(3), 48)];
    let two = vec![token("t2"), left(jit(2), 50), left(jit(4), 49)];
    let (apps, stages) = apps(vec![one, two]).await;
    // One is unknown, then two is; then one has 100, then 48 are less than 50.
    for expected in [[2, 0], [2, 2], [3, 2], [3, 3]] {
        apps.jit_config(&target(Some(77)), &runner()).await.unwrap();
        assert_eq!(asked(&stages), expected);
    }
    assert_eq!(apps.remaining(), Some(49));
}

#[tokio::test]
async fn a_limited_app_is_passed_over_and_of_several_limits_the_shortest_is_named() {
    let one = vec![token("t1"), limited(60)];
    let two = vec![token("t2"), jit(1), limited(20)];
    let (apps, stages) = apps(vec![one, two]).await;
    apps.jit_config(&target(Some(77)), &runner()).await.unwrap();
    assert_eq!(asked(&stages), [2, 2], "the second did it");
    for _ in 0..3 {
        let error = apps.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
        assert!(matches!(&error, GitHubError::Limited { wait, .. } if wait.as_secs() == 20), "{error:?}");
        assert_eq!(asked(&stages), [2, 3], "nobody is asked again");
    }
}

#[tokio::test]
async fn an_app_that_is_not_installed_there_leaves_it_to_the_others() {
    let nowhere = || ok(404, json!({"message": "Not Found"}));
    // The webhook's installation is the second App's.
    let one = vec![nowhere(), nowhere()];
    let two = vec![token("t2"), jit(1), jit(2), ok(500, Value::Null)];
    let (apps, stages) = apps(vec![one, two]).await;
    for expected in [[2, 2], [2, 3]] {
        apps.jit_config(&target(Some(77)), &runner()).await.unwrap();
        assert_eq!(asked(&stages), expected, "the first is asked no more");
    }
    let error = apps.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Transient(_)), "what passes is not tried by the others");
    assert_eq!(asked(&stages), [2, 4]);
    assert_eq!(stages[0].asked(), [TOKEN, "GET /orgs/octo-org/installation"]);
    assert_eq!(stages[1].asked(), [TOKEN, JIT, JIT, JIT]);
}

#[tokio::test]
async fn a_limit_passes_sooner_than_a_refusal_and_nobody_is_no_app() {
    let refused = || ok(422, json!({"message": "Validation Failed"}));
    let (both, _stages) = apps(vec![vec![token("t1"), refused()], vec![token("t2"), limited(20)]]).await;
    let error = both.jit_config(&target(Some(77)), &runner()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Limited { .. }), "{error:?}");
    let (none, _stages) = apps(vec![]).await;
    assert!(matches!(none.authorize(&target(None)).await, Err(GitHubError::Permanent(_))));
}
