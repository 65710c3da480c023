//! A deployment as far as the command line asks for it, and a GitHub that says what the test says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::{
    config::{Credentials, SharedCredentialsProvider},
    types::ParameterType,
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use dayfly_control::aws::calls::{Call, Caller};
use ring::hmac;
use serde_json::{Value, json};

use super::server::{self, Moto};

const KEY: &str = include_str!("../../testdata/app-key.pkcs1.pem");
/// The webhook secret.
pub(super) const SECRET: &str = "hush-hush";

/// What a GitHub was asked, and what it and the webhook answer: by method and path.
#[derive(Clone, Default)]
struct Answers {
    all: BTreeMap<String, (u16, Value)>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn serve(
    State(answers): State<Answers>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let asked = format!("{method} {}", uri.path());
    answers.asked.lock().unwrap().push(asked.clone());
    if uri.path() == "/webhook" {
        let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), &body);
        let expected = format!("sha256={}", hex::encode(signed));
        let good = headers["x-hub-signature-256"] == expected.as_str() && headers["x-github-event"] == "ping";
        return (if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, String::new());
    }
    let (status, body) = answers.all.get(&asked).cloned().unwrap_or((404, json!({"message": "Not Found"})));
    (StatusCode::from_u16(status).unwrap(), if body.is_null() { String::new() } else { body.to_string() })
}

pub(super) async fn github(all: &[(&str, u16, Value)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let answers = Answers {
        all: all.iter().map(|(asked, status, body)| ((*asked).to_owned(), (*status, body.clone()))).collect(),
        ..Answers::default()
    };
    let asked = Arc::clone(&answers.asked);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(serve).with_state(answers);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

/// A deployment in moto, as far as the command line asks for it. Its table has the deployment's name.
pub(super) struct Deployment {
    pub(super) moto: Moto,
    pub(super) name: String,
    pub(super) ledger: dayfly_control::ledger::dynamo::DynamoLedger,
}

pub(super) async fn deploy(name: &str, github: &str) -> Deployment {
    let moto = server::start();
    let name = format!("{name}-{}", std::process::id());
    let table = format!("dayfly-{name}-ledger");
    let ledger = moto.ledger_called(&table).await;
    let bucket = format!("dayfly-{name}-123456789012");
    moto.bucket(&bucket).await;
    let document = json!({"version": 1, "fleets": [{
        "name": "linux-x64", "labels": ["self-hosted"], "max": 5, "github": {"level": "organization"},
        "launch": {"template_id": "lt-0123456789abcdef0", "template_version": "1", "subnets": ["subnet-1"],
                   "instance_types": ["c5.large"], "image": {"id": "ami-0123456789abcdef0"}},
    }]});
    let put = moto.s3().put_object().bucket(&bucket).key("fleets.json");
    put.body(document.to_string().into_bytes().into()).send().await.unwrap();
    let parameter = |what: &str| format!("/dayfly/{name}/github/{what}");
    for (what, value) in [("webhook-secret", SECRET), ("app-key", KEY)] {
        let put = moto.ssm().put_parameter().name(parameter(what)).value(value);
        put.r#type(ParameterType::SecureString).send().await.unwrap();
    }
    let mut urls = BTreeMap::new();
    for queue in ["wake", "wake-dlq", "lifecycle", "lifecycle-dlq"] {
        let made = moto.sqs().create_queue().queue_name(format!("dayfly-{name}-{queue}")).send().await.unwrap();
        urls.insert(queue, made.queue_url.unwrap());
    }
    let common = json!({
        "DAYFLY_DEPLOYMENT": name, "DAYFLY_TABLE": table, "DAYFLY_WAKE_QUEUE_URL": urls["wake"],
        "DAYFLY_FLEETS": format!("s3://{bucket}/fleets.json"), "DAYFLY_GITHUB_URL": github,
        "DAYFLY_GITHUB_APPS": format!("123456={}", parameter("app-key")),
        "DAYFLY_REGISTRATION_PREFIX": format!("/dayfly/{name}/registrations"),
    });
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&moto.endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .build();
    let caller = Caller::new(&sdk);
    for function in ["webhook", "scale-up", "lifecycle", "reconcile"] {
        let role = format!("dayfly-{name}-{function}");
        let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D";
        let url = format!(
            "{}/?Action=CreateRole&RoleName={role}&AssumeRolePolicyDocument={trust}&Version=2010-05-08",
            caller.endpoint("iam")
        );
        let made = caller.signed("iam", &Call::get(url)).await.unwrap();
        assert_eq!(made.status, 200, "{}", made.body);
        let mut variables = common.clone();
        if function == "webhook" {
            variables["DAYFLY_WEBHOOK_SECRET_PARAMETER"] = json!(parameter("webhook-secret"));
        }
        let body = json!({
            "FunctionName": role, "Runtime": "provided.al2023", "Handler": function,
            "Role": format!("arn:aws:iam::123456789012:role/{role}"), "Environment": {"Variables": variables},
            "Code": {"ZipFile": BASE64_STANDARD.encode(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
        });
        let url = format!("{}/2015-03-31/functions", caller.endpoint("lambda"));
        let call = Call::post(url, body.to_string()).header("content-type", "application/json");
        let made = caller.signed("lambda", &call).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
    }
    Deployment { moto, name, ledger }
}
