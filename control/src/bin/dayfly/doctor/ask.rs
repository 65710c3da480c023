//! Asks for all that the doctor looks at. What fails is an answer as well.

mod hook;
mod launches;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{error::ProvideErrorMetadata, types::TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use dayfly_control::{
    aws::{
        self,
        calls::{Answer, Call, CallError, Caller},
    },
    clock::{Clock, Millis, SystemClock},
    config::{Config, Role, S3Object},
    fleets::Fleets,
    handlers::reconcile::RAN,
    ledger::{Census, dynamo::DynamoLedger},
    report::{Chain, counted},
};
use secrecy::SecretString;

use super::{Doctor, finding::Finding, places};
use crate::{
    deployed::{self, Told},
    output::time,
    place::Connected,
};

/// For so long back CloudWatch is asked: it is some minutes late.
const HALF_HOUR: Millis = 30 * 60_000;
/// Queues of a deployment.
const QUEUES: [&str; 4] = ["wake", "wake-dlq", "lifecycle", "lifecycle-dlq"];

struct Asking<'a> {
    asked: &'a Doctor,
    place: &'a Connected,
    deployment: &'a str,
    caller: Caller,
    ssm: aws_sdk_ssm::Client,
    ec2: aws_sdk_ec2::Client,
}

/// All findings, in the order in which they are best put right.
pub(super) async fn all(asked: &Doctor, place: &Connected, deployment: &str) -> Vec<Finding> {
    let it = Asking {
        asked,
        place,
        deployment,
        caller: Caller::new(&place.sdk),
        ssm: aws_sdk_ssm::Client::new(&place.sdk),
        ec2: aws_sdk_ec2::Client::new(&place.sdk),
    };
    let mut found = Vec::new();
    let configs = it.functions(&mut found).await;
    // Reconcile knows most; the others do where it can't be read.
    let config = [Role::Reconcile, Role::ScaleUp, Role::Webhook].iter().find_map(|role| configs.get(role.name()));
    let table = config.map_or_else(|| format!("dayfly-{deployment}-ledger"), |config| config.table.clone());
    it.ledger(&table, &mut found).await;
    it.queues(&mut found).await;
    found.push(it.rule().await);
    let document = [Role::Reconcile, Role::ScaleUp, Role::Webhook]
        .iter()
        .find_map(|role| configs.get(role.name()).map(|config| config.fleets.clone()))
        .filter(|object| !object.bucket.is_empty());
    let fleets = it.fleets(document, &mut found).await;
    let secret = match configs.get(Role::Webhook.name()) {
        Some(config) => it.webhook_secret(config, &mut found).await,
        None => None,
    };
    let url = it.webhook_url(&mut found).await;
    if let (Some(secret), Some(url)) = (&secret, &url) {
        found.extend(it.ping(url, secret).await);
    }
    match config {
        Some(config) => it.github(config, &table, fleets.as_ref(), url.as_deref(), &mut found).await,
        None => found.push(Finding::unknown(
            "github",
            "no function told how GitHub is asked",
            "see the functions above: lambda:GetFunctionConfiguration is needed",
        )),
    }
    found.push(it.aws_clock().await);
    if let Some(fleets) = &fleets {
        it.launches(fleets, &mut found).await;
        it.quotas(fleets, &mut found).await;
    }
    found
}

/// An error of the SDK in a line, its code first.
fn told<E, R>(error: &aws_sdk_ssm::error::SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => Chain(error).to_string(),
    }
}

fn failed(error: &CallError) -> String {
    Chain(error).to_string()
}

impl Asking<'_> {
    async fn functions(&self, found: &mut Vec<Finding>) -> BTreeMap<&'static str, Config> {
        let mut configs = BTreeMap::new();
        for role in Role::ALL {
            let told = deployed::ask(&self.caller, self.deployment, role).await;
            found.push(places::function(&deployed::name(self.deployment, role), role, &told));
            if let Told::There(function) = &told {
                found.push(self.role_of(role, function).await);
                if let Ok(config) = function.config(role) {
                    configs.insert(role.name(), config);
                }
            }
        }
        configs
    }

    /// The role of a function is there, by what IAM says.
    async fn role_of(&self, role: Role, function: &deployed::Function) -> Finding {
        let name = function.role.rsplit('/').next().unwrap_or_default();
        let status = self.iam("GetRole", "RoleName", name).await;
        places::role(
            &format!("role {}", role.name()),
            name,
            status,
            "deploy again: the function can do nothing without",
        )
    }

    /// The status of IAM's answer to a question.
    async fn iam(&self, action: &str, field: &str, name: &str) -> Result<u16, String> {
        let url = format!("{}/?Action={action}&{field}={name}&Version=2010-05-08", self.caller.endpoint("iam"));
        let answer = self.caller.signed("iam", &Call::get(url)).await;
        answer.map(|it| it.status).map_err(|error| failed(&error))
    }

    async fn ledger(&self, table: &str, found: &mut Vec<Finding>) {
        let client = aws_sdk_dynamodb::Client::new(&self.place.sdk);
        let state = match client.describe_table().table_name(table).send().await {
            Ok(answer) => Ok(answer.table.and_then(|it| it.table_status).map(|it| it.as_str().to_owned())),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(told(&error)),
        };
        let expires = match client.describe_time_to_live().table_name(table).send().await {
            Ok(answer) => {
                let status = answer.time_to_live_description.and_then(|it| it.time_to_live_status);
                Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
            }
            Err(error) => Err(told(&error)),
        };
        found.extend(places::table(table, state, expires));
        let ledger = DynamoLedger::new(&client, table);
        let noted = match ledger.text(&format!("reconcile#{RAN}")).await {
            Ok(text) => Ok(text.and_then(|text| text.parse::<Millis>().ok())),
            Err(error) => Err(Chain(&error).to_string()),
        };
        found.push(places::ran(self.deployment, noted, SystemClock.now()));
    }

    async fn queues(&self, found: &mut Vec<Finding>) {
        let client = aws_sdk_sqs::Client::new(&self.place.sdk);
        for queue in QUEUES {
            let name = format!("dayfly-{}-{queue}", self.deployment);
            let ask = async {
                let url =
                    client.get_queue_url().queue_name(&name).send().await.map_err(|error| told(&error))?.queue_url;
                let answer = client
                    .get_queue_attributes()
                    .set_queue_url(url)
                    .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
                    .send()
                    .await
                    .map_err(|error| told(&error))?;
                let count = answer.attributes.as_ref();
                let count = count.and_then(|it| it.get(&QueueAttributeName::ApproximateNumberOfMessages));
                count.and_then(|it| it.parse().ok()).ok_or_else(|| "SQS did not tell how many are in it".to_owned())
            };
            let visible = ask.await;
            let is_dead = queue.ends_with("-dlq") && visible.as_ref().is_ok_and(|count| *count > 0);
            let age = if is_dead { self.oldest(&name).await } else { None };
            found.push(places::queue(&name, visible, age));
        }
    }

    /// How old the oldest message of a queue was in the last half hour, which only CloudWatch knows; it may not tell.
    async fn oldest(&self, queue: &str) -> Option<Millis> {
        let now = SystemClock.now();
        let (from, to) = (encoded(&time(now.saturating_sub(HALF_HOUR))), encoded(&time(now)));
        let url = format!(
            "{}/?Action=GetMetricStatistics&Dimensions.member.1.Name=QueueName&Dimensions.member.1.Value={queue}\
             &EndTime={to}&MetricName=ApproximateAgeOfOldestMessage&Namespace=AWS%2FSQS&Period=300&StartTime={from}\
             &Statistics.member.1=Maximum&Version=2010-08-01",
            self.caller.endpoint("monitoring")
        );
        let answer = self.caller.signed("monitoring", &Call::get(url)).await.ok()?;
        oldest(&answer)
    }

    async fn rule(&self) -> Finding {
        let name = format!("dayfly-{}-reconcile", self.deployment);
        let client = aws_sdk_eventbridge::Client::new(&self.place.sdk);
        places::rule(match client.describe_rule().name(name).send().await {
            Ok(answer) => Ok(answer.state.map(|it| it.as_str().to_owned())),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(told(&error)),
        })
    }

    async fn fleets(&self, document: Option<S3Object>, found: &mut Vec<Finding>) -> Option<Fleets> {
        let check = "fleets document";
        let Some(object) = document else {
            found.push(Finding::unknown(check, "no function told where it is", "see the functions above"));
            return None;
        };
        let at = format!("s3://{}/{}", object.bucket, object.key);
        let text = match aws::text(&aws::s3(&self.place.sdk), &object).await {
            Ok(text) => text,
            Err(error) => {
                let why = Chain(&error).to_string();
                found.push(if why.contains("NoSuchKey") || why.contains("NoSuchBucket") {
                    Finding::bad(check, format!("{at} is not there"), "deploy again")
                } else {
                    Finding::unknown(check, why, "s3:GetObject is needed")
                });
                return None;
            }
        };
        match Fleets::read(&text) {
            Err(problems) => {
                let all: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
                let todo = "mend it (dayfly fleets check tells the same) and deploy again";
                found.push(Finding::bad(check, format!("{at} is refused: {}", all.join("; ")), todo));
                None
            }
            Ok(fleets) => {
                found.push(Finding::ok(
                    check,
                    format!("{at} has {} and no mistakes", counted(fleets.fleets.len(), "fleet")),
                ));
                let warnings = fleets.warnings();
                found.extend(warnings.iter().map(|it| Finding::warn(check, it.to_string(), "see dayfly fleets check")));
                Some(fleets)
            }
        }
    }

    async fn parameter(&self, name: &str) -> Result<SecretString, String> {
        let answer =
            self.ssm.get_parameter().name(name).with_decryption(true).send().await.map_err(|error| told(&error))?;
        let value = answer.parameter.and_then(|it| it.value);
        value.map(SecretString::from).ok_or_else(|| "it has no value".to_owned())
    }

    async fn webhook_secret(&self, config: &Config, found: &mut Vec<Finding>) -> Option<SecretString> {
        let name = &config.webhook_secret_parameter;
        let read = self.parameter(name).await;
        found.push(places::secret("the webhook's secret", name, &read, places::is_webhook_secret));
        read.ok().as_ref().and_then(places::first_secret)
    }
}

/// The largest age in an answer of CloudWatch's, which counts seconds.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>
fn oldest(answer: &Answer) -> Option<Millis> {
    let values = answer.body.split("<Maximum>").skip(1).filter_map(|it| it.split_once("</Maximum>"));
    let whole = |text: &str| text.trim().split('.').next().and_then(|it| it.parse::<u64>().ok());
    values.filter_map(|(value, _)| whole(value)).max().filter(|_| answer.is_success()).map(|seconds| seconds * 1000)
}

/// Text as it stands in a query.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use dayfly_control::aws::calls::Answer;

    use super::{encoded, oldest};

    #[test]
    fn the_oldest_message_is_the_largest_maximum() {
        let point = |it: &str| format!("<member><Maximum>{it}</Maximum><Unit>Seconds</Unit></member>");
        let body = format!("<Datapoints>{}{}{}</Datapoints>", point("60.0"), point("3720.5"), point("1.0E3x"));
        let answer = |status, body: &str| Answer { status, date: None, body: body.to_owned() };
        assert_eq!(oldest(&answer(200, &body)), Some(3_720_000));
        assert_eq!(oldest(&answer(403, &body)), None);
        assert_eq!(oldest(&answer(200, "<Datapoints/>")), None);
    }

    #[test]
    fn text_is_encoded_for_a_query() {
        assert_eq!(encoded("a+b/=~"), "a%2Bb%2F%3D~");
    }
}
