//! moto as a process of its own, and tables in it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use dayfly_control::ledger::dynamo::DynamoLedger;

/// A DynamoDB API; moto ends with it.
pub(crate) struct Moto {
    pub(crate) endpoint: String,
    process: Option<(Child, BufReader<ChildStdout>)>,
}

impl Drop for Moto {
    fn drop(&mut self) {
        if let Some((process, _)) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts moto, or takes the endpoint that `DAYFLY_TEST_AWS_ENDPOINT` names.
pub(crate) fn start() -> Moto {
    if let Ok(endpoint) = std::env::var("DAYFLY_TEST_AWS_ENDPOINT") {
        return Moto { endpoint, process: None };
    }
    let mut process = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/moto/server.py"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("starting moto by {}: {error}", python().display()));
    // It says where it listens once it does; its end would end the line too.
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.take().expect("piped above"));
    stdout.read_line(&mut line).unwrap();
    let endpoint = line.trim().strip_prefix("moto listens on ").map(str::to_owned);
    let Some(endpoint) = endpoint else { panic!("moto by {} said {line:?}", python().display()) };
    Moto { endpoint, process: Some((process, stdout)) }
}

/// A Python that has moto: `make` puts one under `target/`; else the one that `DAYFLY_MOTO_PYTHON` names; else the
/// PATH's. The bare `moto_server` will not do: it loses writes that meet a refused transaction.
fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    if made.exists() {
        return made;
    }
    std::env::var_os("DAYFLY_MOTO_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

impl Moto {
    pub(crate) fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        Client::from_conf(config)
    }

    pub(crate) fn ssm(&self) -> aws_sdk_ssm::Client {
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        aws_sdk_ssm::Client::from_conf(config)
    }

    pub(crate) fn ec2(&self) -> aws_sdk_ec2::Client {
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        aws_sdk_ec2::Client::from_conf(config)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// A fresh bucket.
    pub(crate) async fn bucket(&self, name: &str) {
        let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1).build();
        self.s3().create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
    }

    /// A fresh table.
    pub(crate) async fn ledger(&self, name: &str) -> DynamoLedger {
        self.ledger_called(&table(name)).await
    }

    /// A fresh table of that name.
    pub(crate) async fn ledger_called(&self, table: &str) -> DynamoLedger {
        let mut request = self.client().create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            let attribute = AttributeDefinition::builder();
            let attribute = attribute.attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap();
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
            request = request.attribute_definitions(attribute).key_schema(key);
        }
        request.send().await.unwrap();
        DynamoLedger::new(&self.client(), table)
    }
}

/// The table that [`Moto::ledger`] makes.
pub(crate) fn table(name: &str) -> String {
    format!("dayfly-test-{name}-{}", std::process::id())
}
