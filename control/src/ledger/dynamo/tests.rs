//! The ledger against a server that answers what it is told to.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use axum::response::IntoResponse;
use http::StatusCode;

use super::DynamoLedger;
use crate::ledger::Ledger;

/// A server that refuses so many requests for this reason; and how many it had.
async fn refusing(times: usize, why: &'static str) -> (DynamoLedger, Arc<Mutex<usize>>) {
    let asked = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&asked);
    let serve = async move || {
        let mut asked = seen.lock().unwrap();
        *asked += 1;
        if *asked > times {
            return (StatusCode::OK, "{}".to_owned()).into_response();
        }
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{why}","message":"no"}}"#);
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await.unwrap() });
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url)
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(std::time::Duration::ZERO))
        .build();
    (DynamoLedger::new(&Client::from_conf(config), "ledger"), asked)
}

#[tokio::test]
async fn an_update_that_meets_a_transaction_is_made_again_and_not_for_ever() {
    for (refusals, goes, calls) in [(0, true, 1), (2, true, 3), (9, false, 3)] {
        let (ledger, asked) = refusing(refusals, "TransactionConflictException").await;
        assert_eq!(ledger.pause("linux-x64", 7).await.is_ok(), goes, "{refusals}");
        assert_eq!(*asked.lock().unwrap(), calls, "{refusals}");
    }
    let (ledger, asked) = refusing(9, "ConditionalCheckFailedException").await;
    assert!(ledger.pause("linux-x64", 7).await.is_ok(), "paused for longer");
    assert_eq!(*asked.lock().unwrap(), 1);
}
