//! The few plain HTTP calls this crate makes to AWS, as moto answers them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A client of one moto.
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    http: reqwest::Client,
    endpoint: String,
    region: String,
}

impl Aws {
    /// A client of moto at `endpoint`.
    pub(crate) fn new(endpoint: &str, region: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            // moto takes many seconds over a receive from a long queue.
            .timeout(Duration::from_mins(1))
            .build()
            .context("building the HTTP client")?;
        Ok(Self { http, endpoint: endpoint.trim_end_matches('/').to_owned(), region: region.to_owned() })
    }

    /// moto's base URL.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// GET of a REST service, such as `lambda` or `apigateway`.
    pub(crate) async fn get(&self, service: &str, path: &str) -> Result<Value> {
        let request = self.http.get(format!("{}{path}", self.endpoint));
        self.send(request, service).await.with_context(|| format!("asking {service} for {path}"))
    }

    /// A call in AWS's JSON protocol; `target` is `AmazonSQS.ReceiveMessage` or the like.
    pub(crate) async fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let request = self
            .http
            .post(format!("{}/", self.endpoint))
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        self.send(request, service).await.with_context(|| format!("calling {target}"))
    }

    /// The bytes at `path`, which is not AWS's.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let answer = async {
            let response = self.http.get(format!("{}{path}", self.endpoint)).send().await?.error_for_status()?;
            response.bytes().await
        };
        Ok(answer.await.with_context(|| format!("fetching {path}"))?.to_vec())
    }

    async fn send(&self, request: reqwest::RequestBuilder, service: &str) -> Result<Value> {
        // moto finds the service and the region in the credential's scope; it does not check signatures.
        let scope = format!("Credential=test/20260101/{}/{service}/aws4_request", self.region);
        let response = request
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=x"))
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            bail!("{status}: {text}");
        }
        // DeleteMessage and its like answer nothing.
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
    }
}
