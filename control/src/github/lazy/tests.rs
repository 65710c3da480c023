//! Keys that change while a process is warm, against one HTTP server that is SSM, DynamoDB and GitHub.

use std::sync::{Arc, Mutex};

use aws_sdk_ssm::config::{BehaviorVersion, Credentials, Region};
use axum::body::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::LazyApp;
use crate::{
    config::{AppConfig, GitHubConfig},
    fleets::Target,
    github::{
        GitHub, GitHubError,
        authorities::{
            Authorities,
            tests::{ghes, pem},
        },
        inspect::time,
        jwt::tests::{PKCS1, PKCS8},
        watch::Watch,
    },
    ledger::dynamo::DynamoLedger,
    report::Chain,
};

/// What is in the parameter, and which bearer GitHub knows: the value of the parameter, or any JWT at all.
#[derive(Debug, Default)]
struct Outside {
    parameter: String,
    knows: Option<String>,
    /// How often the parameter was read.
    read: u32,
    /// How often GitHub was asked.
    asked: u32,
}

impl Outside {
    fn answer(&mut self, target: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        if target.ends_with("GetParameter") {
            self.read += 1;
            return (200, json!({"Parameter": {"Name": body["Name"], "Value": self.parameter}}));
        }
        if target.ends_with("GetItem") {
            return (200, json!({}));
        }
        self.asked += 1;
        if path.ends_with("/access_tokens") {
            return match self.knows {
                Some(_) => (201, json!({"token": "t1", "expires_at": "2099-01-01T00:00:00Z"})),
                None => (401, json!({"message": "A JSON web token could not be decoded"})),
            };
        }
        if bearer == "Bearer t1" || self.knows.as_deref().is_some_and(|known| bearer == format!("Bearer {known}")) {
            (201, json!({"runner": {"id": 1}, "encoded_jit_config": "a-jit-config"}))
        } else {
            (401, json!({"message": "Bad credentials"}))
        }
    }
}

async fn stage(parameter: &str, by_token: bool) -> (LazyApp, Arc<Mutex<Outside>>) {
    let outside = Arc::new(Mutex::new(Outside { parameter: parameter.to_owned(), ..Outside::default() }));
    let seen = Arc::clone(&outside);
    let serve = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let header = |name: &str| headers.get(name).map(|it| it.to_str().unwrap()).unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) =
            seen.lock().unwrap().answer(header("x-amz-target"), uri.path(), header("authorization"), &body);
        (StatusCode::from_u16(status).unwrap(), answer.to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await.unwrap() });
    let sdk = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&url)
        .region(Region::new("eu-west-1"))
        .credentials_provider(aws_sdk_ssm::config::SharedCredentialsProvider::new(Credentials::new(
            "test", "test", None, None, "test",
        )))
        .build();
    let parameter = "/dayfly/main/github/secret".to_owned();
    let config = GitHubConfig {
        apps: if by_token { vec![] } else { vec![AppConfig { id: "1001".into(), key_parameter: parameter.clone() }] },
        token_parameter: by_token.then_some(parameter),
        url,
        authorities: Authorities::default(),
    };
    let notes = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&sdk), "ledger");
    (LazyApp::new(aws_sdk_ssm::Client::new(&sdk), config, notes), outside)
}

fn change(outside: &Mutex<Outside>, parameter: &str, knows: Option<&str>) {
    let mut outside = outside.lock().unwrap();
    (outside.parameter, outside.knows) = (parameter.to_owned(), knows.map(str::to_owned));
}

fn counts(outside: &Mutex<Outside>) -> (u32, u32) {
    let outside = outside.lock().unwrap();
    (outside.read, outside.asked)
}

async fn register(github: &LazyApp) -> Result<(), GitHubError> {
    let target = Target { scope: "orgs/octo-org".parse().unwrap(), installation: Some(77) };
    github.jit_config(&target, &crate::github::client::tests::runner()).await.map(drop)
}

/// As if the secrets had been read long ago.
async fn age(github: &LazyApp) {
    github.held.lock().await.as_mut().unwrap().read_at = 0;
}

#[tokio::test]
async fn a_token_that_was_changed_is_read_again() {
    let (github, outside) = stage("old\n", true).await;
    change(&outside, "old\n", Some("old"));
    register(&github).await.unwrap();
    assert_eq!(counts(&outside), (1, 1));
    change(&outside, "new\n", Some("new"));
    age(&github).await;
    register(&github).await.unwrap();
    assert_eq!(counts(&outside), (2, 3), "refused once, then by the new one");
    register(&github).await.unwrap();
    assert_eq!(counts(&outside), (2, 4));
    // And for those who only look.
    change(&outside, "newer\n", Some("newer"));
    age(&github).await;
    let target = Target { scope: "orgs/octo-org".parse().unwrap(), installation: Some(77) };
    assert!(github.runners(&target, 1).await.unwrap_err().to_string().contains("listing"));
    assert_eq!(counts(&outside), (3, 6), "refused once, then by the newer one");
}

#[tokio::test]
async fn an_apps_key_that_was_changed_is_read_again() {
    let (github, outside) = stage(PKCS1, false).await;
    assert!(matches!(register(&github).await, Err(GitHubError::Permanent(_))), "just read");
    assert_eq!(counts(&outside), (1, 1));
    change(&outside, PKCS8, Some("any JWT"));
    age(&github).await;
    register(&github).await.unwrap();
}

#[tokio::test]
async fn what_github_does_not_know_is_read_once_a_minute_and_asked_with_no_more() {
    let (github, outside) = stage("wrong", true).await;
    for _ in 0..3 {
        assert!(matches!(register(&github).await, Err(GitHubError::Permanent(_))));
    }
    assert_eq!(counts(&outside), (1, 3));
    for (reads, asked) in [(2, 4), (2, 5)] {
        if asked == 4 {
            age(&github).await;
        }
        register(&github).await.unwrap_err();
        assert_eq!(counts(&outside), (reads, asked), "the same secret is not tried twice");
    }
    // What can't be a key leaves the one that was.
    let (github, outside) = stage(PKCS1, false).await;
    register(&github).await.unwrap_err();
    change(&outside, "no key", None);
    age(&github).await;
    assert!(register(&github).await.unwrap_err().to_string().starts_with("registering"));
}

#[tokio::test]
async fn the_cas_that_are_configured_are_those_that_count() {
    let (url, mut heads) = ghes().await;
    for (ca, reached) in [("ca.pem", true), ("other-ca.pem", false)] {
        let (mut github, _outside) = stage("token", true).await;
        (github.config.url, github.config.authorities) = (url.clone(), pem(ca).parse().unwrap());
        let why = register(&github).await.unwrap_err();
        assert_eq!(heads.try_recv().is_ok(), reached, "{}", Chain(&why));
        assert_eq!(Chain(&why).to_string().contains("UnknownIssuer"), !reached);
        let time = time(&github.config).await;
        assert_eq!(time.as_ref().ok(), reached.then_some(&Some(1_700_000_000_000)), "{time:?}");
        assert_eq!(heads.try_recv().is_ok(), reached);
    }
}
