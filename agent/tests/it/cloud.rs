//! AWS as far as the agent asks it: one HTTP server, told beforehand what to answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const INSTANCE: &str = "i-0123456789abcdef0";
pub const PARAMETER: &str = "/dayfly/main/registrations/i-0123456789abcdef0";

/// What the cloud answers, and what it was asked.
#[derive(Default)]
pub struct Script {
    /// User-data; 404 where there is none.
    pub user_data: Option<Vec<u8>>,
    /// SSM's parameter.
    pub registration: Option<String>,
    /// Answers of SSM's `GetParameter` before the true one, as error codes.
    pub get_errors: Vec<&'static str>,
    /// Answers of SSM's `DeleteParameter` before the true one, as error codes.
    pub delete_errors: Vec<&'static str>,
    /// SSM denies what is not there, as IAM does where a condition asks for a tag.
    pub denies_absent: bool,
    /// So many of SSM's `DeleteParameter` are carried out, and answered as if not.
    pub deletes_lost: u32,
    /// Answers of SQS before the true one, as error codes.
    pub send_errors: Vec<&'static str>,
    /// EC2 refuses with this code for ever.
    pub terminate_error: Option<&'static str>,
    /// The metadata service answers 503 this often at first.
    pub metadata_busy: u32,
    /// All calls but the metadata service's, in order.
    pub calls: Vec<(Instant, String)>,
    /// Lifecycle messages.
    pub messages: Vec<Value>,
    /// Whether EC2 was asked to terminate the instance and agreed.
    pub terminated: bool,
    /// Calls that came without the credentials of the instance's role.
    pub unsigned: u32,
}

#[derive(Clone)]
pub struct Cloud {
    script: Arc<Mutex<Script>>,
    pub url: String,
}

impl Cloud {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Self { script: Arc::new(Mutex::new(script)), url };
        let router = Router::new().fallback(answer).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        cloud
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// The names of all calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.script().calls.iter().map(|(_, name)| name.clone()).collect()
    }

    /// The same, where several of a kind in a row count as one.
    pub fn steps(&self) -> Vec<String> {
        let mut calls = self.calls();
        calls.dedup();
        calls
    }
}

async fn answer(State(cloud): State<Cloud>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut script = cloud.script();
    let path = parts.uri.path();
    if path.starts_with("/latest/") {
        metadata(&mut script, &parts.method, path, &parts.headers)
    } else {
        aws(&mut script, &parts.headers, &body)
    }
}

fn metadata(script: &mut Script, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
    if script.metadata_busy > 0 {
        script.metadata_busy -= 1;
        return reply(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    if path == "/latest/api/token" && method == Method::PUT {
        let ttl = headers["x-aws-ec2-metadata-token-ttl-seconds"].clone();
        let mut response = reply(StatusCode::OK, "metadata-token");
        response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", ttl);
        return response;
    }
    if headers.get("x-aws-ec2-metadata-token").is_none_or(|token| token != "metadata-token") {
        return reply(StatusCode::UNAUTHORIZED, "");
    }
    match path {
        "/latest/dynamic/instance-identity/document" => {
            reply(StatusCode::OK, &json!({"instanceId": INSTANCE, "region": "eu-west-1", "accountId": "1"}).to_string())
        }
        "/latest/user-data" => match &script.user_data {
            Some(user_data) => Response::new(Body::from(user_data.clone())),
            None => reply(StatusCode::NOT_FOUND, ""),
        },
        "/latest/meta-data/iam/security-credentials/" => reply(StatusCode::OK, "runner-role"),
        "/latest/meta-data/iam/security-credentials/runner-role" => {
            let credentials = json!({
                "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-20T00:00:00Z",
                "AccessKeyId": "ASIA0123456789ABCDEF0", "SecretAccessKey": "role-secret-key",
                "Token": "role-session-token", "Expiration": "2099-01-01T00:00:00Z",
            });
            reply(StatusCode::OK, &credentials.to_string())
        }
        _ => reply(StatusCode::NOT_FOUND, ""),
    }
}

fn aws(script: &mut Script, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !authorization.contains("Credential=ASIA0123456789ABCDEF0/") || !authorization.contains("/eu-west-1/") {
        script.unsigned += 1;
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = target.rsplit('.').next().unwrap_or_default().to_owned();
    if name.is_empty() {
        return ec2(script, body);
    }
    script.calls.push((Instant::now(), name.clone()));
    let input: Value = serde_json::from_slice(body).unwrap();
    match name.as_str() {
        "GetParameter" | "DeleteParameter" => {
            assert_eq!(input["Name"], PARAMETER);
            ssm(script, &name, &input)
        }
        "SendMessage" => {
            assert_eq!(input["QueueUrl"], "https://sqs.eu-west-1.amazonaws.com/123456789012/dayfly-main-lifecycle");
            if let Some(code) = next(&mut script.send_errors) {
                return failure(code);
            }
            let message: Value = serde_json::from_str(input["MessageBody"].as_str().unwrap()).unwrap();
            script.messages.push(message);
            json_reply(&json!({"MessageId": "1", "MD5OfMessageBody": "00"}))
        }
        other => panic!("the agent called {other}"),
    }
}

fn ssm(script: &mut Script, name: &str, input: &Value) -> Response<Body> {
    let errors = if name == "GetParameter" { &mut script.get_errors } else { &mut script.delete_errors };
    if let Some(code) = next(errors) {
        return failure(code);
    }
    if name == "DeleteParameter" && script.deletes_lost > 0 {
        script.deletes_lost -= 1;
        script.registration = None;
        return failure("InternalServerError");
    }
    let absent = if script.denies_absent { "AccessDeniedException" } else { "ParameterNotFound" };
    let Some(value) = script.registration.clone() else { return failure(absent) };
    if name == "DeleteParameter" {
        script.registration = None;
        return json_reply(&json!({}));
    }
    assert_eq!(input["WithDecryption"], true);
    json_reply(&json!({"Parameter": {"Name": PARAMETER, "Type": "SecureString", "Value": value, "Version": 1}}))
}

fn ec2(script: &mut Script, body: &Bytes) -> Response<Body> {
    let form: BTreeMap<String, String> = String::from_utf8_lossy(body)
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    assert_eq!(form["Action"], "TerminateInstances");
    assert_eq!(form["InstanceId.1"], INSTANCE);
    script.calls.push((Instant::now(), form["Action"].clone()));
    if let Some(code) = script.terminate_error {
        let xml = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID>\
             </Response>"
        );
        return reply(status(code, StatusCode::FORBIDDEN), &xml);
    }
    script.terminated = true;
    reply(
        StatusCode::OK,
        &format!(
            "<TerminateInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>\
             <instancesSet><item><instanceId>{INSTANCE}</instanceId><currentState><code>32</code><name>shutting-down\
             </name></currentState><previousState><code>16</code><name>running</name></previousState></item>\
             </instancesSet></TerminateInstancesResponse>"
        ),
    )
}

fn next(errors: &mut Vec<&'static str>) -> Option<&'static str> {
    if errors.is_empty() { None } else { Some(errors.remove(0)) }
}

fn failure(code: &str) -> Response<Body> {
    let mut response = json_reply(&json!({"__type": code, "message": format!("{code} by the test")}));
    *response.status_mut() = status(code, StatusCode::BAD_REQUEST);
    response
}

/// The service's own failures have 5xx.
fn status(code: &str, refused: StatusCode) -> StatusCode {
    match code {
        "InternalError" | "InternalServerError" => StatusCode::INTERNAL_SERVER_ERROR,
        "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => refused,
    }
}

fn json_reply(value: &Value) -> Response<Body> {
    let mut response = reply(StatusCode::OK, &value.to_string());
    response.headers_mut().insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
    response
}

fn reply(status: StatusCode, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_owned())).unwrap()
}
