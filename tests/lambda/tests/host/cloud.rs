//! Plays moto for the host: what Terraform would have made, and queues.

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// All that this cloud has.
#[derive(Default)]
pub(crate) struct Things {
    pub(crate) functions: BTreeMap<String, FunctionThing>,
    pub(crate) mappings: Vec<Value>,
    pub(crate) routes: Vec<Value>,
    pub(crate) integrations: Vec<Value>,
    pub(crate) rules: Vec<Value>,
    pub(crate) targets: BTreeMap<String, Vec<Value>>,
    pub(crate) schedules: Vec<Value>,
    pub(crate) queues: BTreeMap<String, Queue>,
    /// `AmazonSQS.ReceiveMessage` and the like, in order.
    pub(crate) calls: Vec<String>,
    /// How many `GET /count/<n>` there were.
    pub(crate) counted: usize,
    pub(crate) down: bool,
}

pub(crate) struct FunctionThing {
    pub(crate) zip: Vec<u8>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout: u64,
    pub(crate) reserved: Option<u64>,
}

pub(crate) struct Queue {
    pub(crate) visibility: Duration,
    pub(crate) messages: Vec<Held>,
    pub(crate) deleted: Vec<String>,
    next: usize,
}

pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) receipts: usize,
    visible_at: Instant,
}

#[derive(Clone)]
pub(crate) struct Cloud {
    things: Arc<Mutex<Things>>,
    pub(crate) address: SocketAddr,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let cloud = Self { things: Arc::default(), address: listener.local_addr().unwrap() };
        let app = Router::new()
            .route("/", post(json_call))
            .route("/2015-03-31/functions/", get(functions))
            .route("/2019-09-30/functions/{name}/concurrency", get(concurrency))
            .route("/2015-03-31/event-source-mappings/", get(mappings))
            .route("/v2/apis", get(apis))
            .route("/v2/apis/{id}/{part}", get(api_part))
            .route("/schedules", get(schedules))
            .route("/schedules/{name}", get(schedule))
            .route("/_laptop/functions/{name}/code", get(code))
            .route("/count/{n}", get(count))
            .with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        cloud
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap()
    }

    /// A function made of the echo bootstrap.
    pub(crate) fn add_function(&self, name: &str, environment: &[(&str, &str)]) {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let function = FunctionThing { zip: echo_zip("1"), environment, timeout: 5, reserved: None };
        self.things().functions.insert(name.to_owned(), function);
    }

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut FunctionThing)) {
        change(self.things().functions.get_mut(name).unwrap());
    }

    /// A route to a function.
    pub(crate) fn add_route(&self, key: &str, function: &str) {
        let mut things = self.things();
        let id = format!("i{}", things.integrations.len());
        things.integrations.push(json!({
            "integrationId": id, "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
            "timeoutInMillis": 30000, "integrationUri": format!(
                "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{}/invocations", function_arn(function)
            ),
        }));
        things
            .routes
            .push(json!({"routeKey": key, "authorizationType": "NONE", "target": format!("integrations/{id}")}));
    }

    /// A queue that feeds a function, with failure reports.
    pub(crate) fn add_queue(&self, queue: &str, function: &str, batch_size: usize, visibility: Duration) {
        let mut things = self.things();
        things.mappings.push(json!({
            "UUID": queue, "EventSourceArn": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"),
            "FunctionArn": function_arn(function), "State": "Enabled", "BatchSize": batch_size,
            "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }));
        let empty = Queue { visibility, messages: Vec::new(), deleted: Vec::new(), next: 0 };
        things.queues.insert(queue.to_owned(), empty);
    }

    pub(crate) fn send(&self, queue: &str, body: &Value) -> String {
        let mut things = self.things();
        let queue = things.queues.get_mut(queue).unwrap();
        queue.next += 1;
        let id = format!("m{}", queue.next);
        queue.messages.push(Held { id: id.clone(), body: body.to_string(), receipts: 0, visible_at: Instant::now() });
        id
    }

    /// Ids of messages that are left, and those deleted.
    pub(crate) fn queue(&self, queue: &str) -> (Vec<String>, Vec<String>) {
        let things = self.things();
        let queue = &things.queues[queue];
        (queue.messages.iter().map(|message| message.id.clone()).collect(), queue.deleted.clone())
    }

    pub(crate) fn calls(&self, target: &str) -> usize {
        self.things().calls.iter().filter(|call| *call == target).count()
    }
}

pub(crate) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")
}

/// The echo bootstrap in a zip; `version` makes zips differ.
pub(crate) fn echo_zip(version: &str) -> Vec<u8> {
    let program = std::fs::read(env!("CARGO_BIN_EXE_echo-bootstrap")).unwrap();
    zip(&[("bootstrap", &program, 0o755), ("version", version.as_bytes(), 0o644)])
}

pub(crate) fn zip(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content, mode) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(*mode)
            .large_file(false);
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

async fn functions(State(cloud): State<Cloud>) -> Response {
    let things = cloud.things();
    if things.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let functions: Vec<Value> = things
        .functions
        .iter()
        .map(|(name, function)| {
            json!({
                "FunctionName": name, "FunctionArn": function_arn(name), "Handler": "echo", "Timeout": function.timeout,
                "MemorySize": 128, "CodeSha256": BASE64_STANDARD.encode(Sha256::digest(&function.zip)),
                "Environment": {"Variables": function.environment}, "Runtime": "provided.al2023",
            })
        })
        .collect();
    axum::Json(json!({"Functions": functions})).into_response()
}

async fn concurrency(State(cloud): State<Cloud>, Path(name): Path<String>) -> axum::Json<Value> {
    axum::Json(match cloud.things().functions.get(&name).and_then(|function| function.reserved) {
        Some(reserved) => json!({"ReservedConcurrentExecutions": reserved}),
        None => json!({}),
    })
}

async fn code(State(cloud): State<Cloud>, Path(name): Path<String>) -> Vec<u8> {
    cloud.things().functions[&name].zip.clone()
}

async fn count(State(cloud): State<Cloud>) {
    cloud.things().counted += 1;
}

async fn mappings(State(cloud): State<Cloud>) -> axum::Json<Value> {
    axum::Json(json!({"EventSourceMappings": cloud.things().mappings}))
}

async fn apis() -> axum::Json<Value> {
    axum::Json(json!({"items": [{"apiId": "api1", "protocolType": "HTTP"}]}))
}

async fn api_part(State(cloud): State<Cloud>, Path((_, part)): Path<(String, String)>) -> axum::Json<Value> {
    let things = cloud.things();
    axum::Json(json!({"items": match part.as_str() {
        "routes" => things.routes.clone(),
        "integrations" => things.integrations.clone(),
        _ => vec![json!({"stageName": "$default"})],
    }}))
}

async fn schedules(State(cloud): State<Cloud>) -> axum::Json<Value> {
    axum::Json(json!({"Schedules": cloud.things().schedules}))
}

async fn schedule(
    State(cloud): State<Cloud>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> axum::Json<Value> {
    let things = cloud.things();
    let wanted = |schedule: &&Value| schedule["Name"] == name && schedule["GroupName"] == query["groupName"];
    axum::Json(things.schedules.iter().find(wanted).unwrap().clone())
}

/// The services that speak AWS's JSON protocol.
async fn json_call(State(cloud): State<Cloud>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    // moto finds the service by the credential's scope, so a call without one would go astray.
    let scope = headers["authorization"].to_str().unwrap();
    assert!(scope.contains("/eu-west-1/sqs/") || scope.contains("/eu-west-1/events/"), "{scope}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    cloud.things().calls.push(target.clone());
    let name = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
    let answer = match target.as_str() {
        "AWSEvents.ListRules" => json!({"Rules": cloud.things().rules}),
        "AWSEvents.ListTargetsByRule" => {
            json!({"Targets": cloud.things().targets.get(body["Rule"].as_str().unwrap())})
        }
        "AmazonSQS.GetQueueUrl" => json!({"QueueUrl": format!("{}/123456789012/{}", cloud.url(),
            body["QueueName"].as_str().unwrap())}),
        "AmazonSQS.GetQueueAttributes" => {
            let seconds = cloud.things().queues[&name].visibility.as_secs();
            json!({"Attributes": {"VisibilityTimeout": seconds.to_string()}})
        }
        "AmazonSQS.ReceiveMessage" => receive(&cloud, &name, &body).await,
        "AmazonSQS.DeleteMessageBatch" => delete(&cloud, &name, &body),
        other => return (StatusCode::BAD_REQUEST, format!("{other} is not played here")).into_response(),
    };
    axum::Json(answer).into_response()
}

async fn receive(cloud: &Cloud, queue: &str, body: &Value) -> Value {
    let until = Instant::now() + Duration::from_secs(body["WaitTimeSeconds"].as_u64().unwrap());
    let most = usize::try_from(body["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
    assert!((1..=10).contains(&most), "SQS refuses {most}");
    loop {
        let mut messages = Vec::new();
        {
            let mut things = cloud.things();
            let queue = things.queues.get_mut(queue).unwrap();
            let now = Instant::now();
            for held in queue.messages.iter_mut().filter(|held| held.visible_at <= now).take(most) {
                held.receipts += 1;
                held.visible_at = now + queue.visibility;
                messages.push(json!({
                    "MessageId": held.id, "ReceiptHandle": format!("{}#{}", held.id, held.receipts),
                    "MD5OfBody": "md5", "Body": held.body, "Attributes": {
                        "SenderId": "AROALAPTOPRUNNERROLE1:i-0", "SentTimestamp": "1795197030607",
                        "ApproximateReceiveCount": held.receipts.to_string(),
                        "DeadLetterQueueSourceArn": "arn:aws:sqs:eu-west-1:123456789012:source",
                    },
                }));
            }
        }
        if !messages.is_empty() || Instant::now() >= until {
            return json!({"Messages": messages});
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn delete(cloud: &Cloud, queue: &str, body: &Value) -> Value {
    let mut things = cloud.things();
    let queue = things.queues.get_mut(queue).unwrap();
    for entry in body["Entries"].as_array().unwrap() {
        let (id, _) = entry["ReceiptHandle"].as_str().unwrap().split_once('#').unwrap();
        queue.messages.retain(|held| held.id != id);
        queue.deleted.push(id.to_owned());
    }
    json!({"Successful": []})
}
