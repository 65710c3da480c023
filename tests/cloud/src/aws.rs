//! The few AWS calls with which a run looks for leftovers, and one that a bench makes: moto's JSON protocols by plain
//! HTTP, unsigned.

pub(crate) mod estate;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

/// A client of moto.
#[derive(Clone, Debug)]
pub struct Aws {
    http: reqwest::Client,
    endpoint: String,
}

/// An EC2 instance as moto's control channel shows it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A client that takes no detour: everything it talks to is on this machine, whatever proxy the environment names.
pub(crate) fn client() -> reqwest::Client {
    // `build` fails only for TLS, which is not compiled in; then the default is as good.
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}

/// An `Authorization` header: moto reads service and region from it, and no signature.
fn scope(service: &str) -> String {
    let scope = format!("AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request");
    format!("{scope}, SignedHeaders=host, Signature=x")
}

impl Aws {
    /// A client of the moto at `endpoint`.
    pub(crate) fn at(endpoint: &str) -> Self {
        Self { http: client(), endpoint: endpoint.to_owned() }
    }

    /// One call of a service that speaks JSON 1.0 or 1.1.
    async fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let response = self
            .http
            .post(&self.endpoint)
            .header("authorization", scope(service))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(body.to_string())
            .send()
            .await
            .with_context(|| format!("calling {target}"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{target} answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("reading the answer of {target}"))
    }

    /// A document of moto's control channel (`tests/moto`).
    pub(crate) async fn control<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let url = format!("{}/_laptop/{path}", self.endpoint);
        let text = self.http.get(&url).send().await?.error_for_status()?.text().await?;
        serde_json::from_str(&text).with_context(|| format!("reading {url}"))
    }

    /// Every instance, ended ones too.
    pub(crate) async fn instances(&self) -> Result<Vec<Instance>> {
        self.control("instances").await
    }

    /// Has the next `times` calls of `operation`, such as `ssm.GetParameter`, refused where an instance makes them.
    pub(crate) async fn throttle(&self, operation: &str, times: u32) -> Result<()> {
        let url = format!("{}/_laptop/throttle", self.endpoint);
        let body = json!({ "operation": operation, "times": times });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("throttling")?;
        Ok(())
    }

    /// What EC2 has none of: a list of `{"instance_type", "zone", "left"}`, which replaces the one before.
    pub(crate) async fn capacity(&self, unavailable: &Value) -> Result<()> {
        let url = format!("{}/_laptop/capacity", self.endpoint);
        let body = json!({ "unavailable": unavailable });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("setting the capacity")?;
        Ok(())
    }

    /// Has calls of `operation` refused beyond so many a second, whoever makes them; 0 for none.
    pub(crate) async fn rate(&self, operation: &str, per_second: u32) -> Result<()> {
        let url = format!("{}/_laptop/rate", self.endpoint);
        let body = json!({ "operation": operation, "per_second": per_second });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("limiting")?;
        Ok(())
    }

    /// Has the next `times` answers of `operation` to instances, such as `s3.GetObject`, break off after so many bytes.
    pub(crate) async fn cut(&self, operation: &str, bytes: u32, times: u32) -> Result<()> {
        let url = format!("{}/_laptop/cut", self.endpoint);
        let body = json!({ "operation": operation, "bytes": bytes, "times": times });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("cutting")?;
        Ok(())
    }

    /// Keeps calls of `operation`, such as `ssm.PutParameter`, or `dynamodb.*` for a whole service, for so long; 0 for no
    /// longer.
    pub async fn delay(&self, operation: &str, millis: u32) -> Result<()> {
        let url = format!("{}/_laptop/delay", self.endpoint);
        let body = json!({ "operation": operation, "millis": millis });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("delaying")?;
        Ok(())
    }

    /// How often functions have called what since [`Self::reset_calls`]: `{"ec2.CreateFleet": 1}`.
    pub async fn calls_of_functions(&self) -> Result<BTreeMap<String, u64>> {
        self.control(&format!("calls?by={}", laptop_lambda::ACCESS_KEY)).await
    }

    /// The calls of one function since the start or the last reset, by name.
    pub async fn calls_of(&self, function: &str) -> Result<BTreeMap<String, u64>> {
        self.control(&format!("calls?by={}-{function}", laptop_lambda::ACCESS_KEY)).await
    }

    /// Begins to count anew.
    pub async fn reset_calls(&self) -> Result<()> {
        let url = format!("{}/_laptop/calls/reset", self.endpoint);
        self.http.post(&url).send().await?.error_for_status().context("resetting the counts")?;
        Ok(())
    }

    /// When what happened to the runners of a fleet, by the ledger, in ms since 1970: an entry per runner, what by when.
    pub async fn histories(&self, table: &str, fleet: &str) -> Result<Vec<BTreeMap<String, u64>>> {
        let items = self.items(table).await?;
        let of_fleet = |item: &&Value| {
            item["pk"]["S"] == format!("fleet#{fleet}")
                && item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("runner#"))
        };
        let history = |item: &Value| -> BTreeMap<String, u64> {
            let entries = item["history"]["L"].as_array().into_iter().flatten();
            entries
                .filter_map(|entry| {
                    let entry = &entry["M"];
                    Some((entry["what"]["S"].as_str()?.to_owned(), entry["at"]["N"].as_str()?.parse().ok()?))
                })
                .collect()
        };
        Ok(items.iter().filter(of_fleet).map(history).collect())
    }

    /// Launches an instance from a launch template, with other user-data, and of another image if one is named; answers its id.
    pub(crate) async fn run_instance(&self, template: &str, image: Option<&str>, user_data: &str) -> Result<String> {
        let user_data = base64::engine::general_purpose::STANDARD.encode(user_data);
        let mut query = vec![
            ("Action", "RunInstances"),
            ("Version", "2016-11-15"),
            ("LaunchTemplate.LaunchTemplateName", template),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("UserData", &user_data),
        ];
        query.extend(image.map(|image| ("ImageId", image)));
        let url = reqwest::Url::parse_with_params(&self.endpoint, query).context("moto's URL")?;
        let request = self.http.post(url).header("authorization", scope("ec2"));
        let answer = request.send().await.context("calling RunInstances")?;
        let status = answer.status();
        let text = answer.text().await?;
        let id = text.split_once("<instanceId>").and_then(|(_, rest)| rest.split_once('<'));
        let (id, _) = id.with_context(|| format!("RunInstances answered {status}: {text}"))?;
        Ok(id.to_owned())
    }

    /// Writes a secret SSM parameter.
    pub(crate) async fn put_parameter(&self, name: &str, value: &str) -> Result<()> {
        let body = json!({ "Name": name, "Value": value, "Type": "SecureString", "Tier": "Advanced" });
        self.call("ssm", "AmazonSSM.PutParameter", &body).await.map(drop)
    }

    /// Writes an object into S3.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, content: Vec<u8>) -> Result<()> {
        let request = self.http.put(format!("{}/{bucket}/{key}", self.endpoint)).header("authorization", scope("s3"));
        let answer = request.body(content).send().await.context("calling PutObject")?;
        answer.error_for_status().with_context(|| format!("writing {key}"))?;
        Ok(())
    }

    /// The text of an object in S3.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Result<String> {
        String::from_utf8(self.bytes(bucket, key).await?).with_context(|| format!("reading {key}"))
    }

    /// What an object in S3 is.
    pub(crate) async fn bytes(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let request = self.http.get(format!("{}/{bucket}/{key}", self.endpoint)).header("authorization", scope("s3"));
        let answer = request.send().await.context("calling GetObject")?.error_for_status();
        Ok(answer.with_context(|| format!("reading {key}"))?.bytes().await?.to_vec())
    }

    /// Sets one environment variable of a Lambda function.
    pub(crate) async fn set_variable(&self, function: &str, name: &str, value: &str) -> Result<()> {
        let url = format!("{}/2015-03-31/functions/{function}/configuration", self.endpoint);
        let request = self.http.get(&url).header("authorization", scope("lambda"));
        let answer = request.send().await.context("calling GetFunctionConfiguration")?.error_for_status()?;
        let mut environment: Value = serde_json::from_str(&answer.text().await?)?;
        let mut environment = environment["Environment"].take();
        environment["Variables"][name] = value.into();
        let variables = json!({ "Environment": { "Variables": environment["Variables"] } });
        let request = self.http.put(&url).header("authorization", scope("lambda")).body(variables.to_string());
        let answer = request.send().await.context("calling UpdateFunctionConfiguration")?;
        answer.error_for_status().with_context(|| format!("setting {name} of {function}"))?;
        Ok(())
    }

    /// Creates a Lambda function from a zip.
    pub async fn create_function(&self, name: &str, zip: &[u8]) -> Result<()> {
        let body = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "nothing",
            "Role": "arn:aws:iam::123456789012:role/dayfly-laptop-webhook",
            "MemorySize": 256,
            "Timeout": 10,
            "Code": { "ZipFile": base64::engine::general_purpose::STANDARD.encode(zip) },
        });
        let request = self.http.post(format!("{}/2015-03-31/functions", self.endpoint));
        let request = request.header("authorization", scope("lambda"));
        let answer = request.body(body.to_string()).send().await.context("calling CreateFunction")?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "CreateFunction answered {status}: {}", answer.text().await?);
        Ok(())
    }

    /// Every item of a DynamoDB table.
    pub(crate) async fn items(&self, table: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut scan = json!({ "TableName": table });
        loop {
            let page = self.call("dynamodb", "DynamoDB_20120810.Scan", &scan).await?;
            items.extend(page["Items"].as_array().into_iter().flatten().cloned());
            match page.get("LastEvaluatedKey") {
                Some(last) => scan["ExclusiveStartKey"] = last.clone(),
                None => return Ok(items),
            }
        }
    }

    /// Makes all that AWS has noted of the time so much older, as if it had passed.
    pub(crate) async fn age(&self, by: Duration) -> Result<()> {
        let url = format!("{}/_laptop/age", self.endpoint);
        let body = json!({ "seconds": by.as_secs() });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("letting time pass")?;
        Ok(())
    }

    /// Has EC2 end an instance by itself, for a reason of its own.
    pub(crate) async fn end_instance(&self, id: &str, reason: &str) -> Result<()> {
        let url = format!("{}/_laptop/instances/{id}/state", self.endpoint);
        let body = json!({ "state": "terminated", "reason": reason });
        self.http.post(&url).json(&body).send().await?.error_for_status().context("ending an instance")?;
        Ok(())
    }

    /// Adds to the count that the ledger keeps of a fleet's instances, as somebody's hand would.
    pub(crate) async fn count_alive(&self, table: &str, fleet: &str, more: i64) -> Result<()> {
        let update = json!({
            "TableName": table,
            "Key": { "pk": { "S": format!("fleet#{fleet}") }, "sk": { "S": "a#meta" } },
            "UpdateExpression": "ADD alive :more",
            "ExpressionAttributeValues": { ":more": { "N": more.to_string() } },
        });
        self.call("dynamodb", "DynamoDB_20120810.UpdateItem", &update).await.map(drop)
    }

    /// Keys of the objects of a bucket, a thousand at most.
    pub(crate) async fn objects(&self, bucket: &str) -> Result<Vec<String>> {
        let request = self.http.get(format!("{}/{bucket}?list-type=2", self.endpoint));
        let answer = request.header("authorization", scope("s3")).send().await.context("calling ListObjectsV2")?;
        let text = answer.error_for_status().with_context(|| format!("listing {bucket}"))?.text().await?;
        let keys = text.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()));
        Ok(keys.collect())
    }

    /// Names of the SSM parameters below `path`.
    pub(crate) async fn parameters(&self, path: &str) -> Result<Vec<String>> {
        let body = json!({ "Path": path, "Recursive": true, "WithDecryption": false });
        let page = self.call("ssm", "AmazonSSM.GetParametersByPath", &body).await?;
        let list = page["Parameters"].as_array().cloned().unwrap_or_default();
        Ok(list.iter().filter_map(|parameter| parameter["Name"].as_str().map(str::to_owned)).collect())
    }

    /// How many messages a queue holds: waiting, in flight and delayed.
    pub(crate) async fn messages(&self, queue_url: &str) -> Result<u64> {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let body = json!({ "QueueUrl": queue_url, "AttributeNames": names });
        let page = self.call("sqs", "AmazonSQS.GetQueueAttributes", &body).await?;
        Ok(names.iter().filter_map(|name| page["Attributes"][name].as_str()?.parse::<u64>().ok()).sum())
    }
}
