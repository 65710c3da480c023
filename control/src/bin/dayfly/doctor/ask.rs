//! Asks for all that the doctor looks at. What fails is an answer as well.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::{error::ProvideErrorMetadata, types::TimeToLiveStatus};
use aws_sdk_ec2::types::{Filter, InstanceType};
use aws_sdk_sqs::types::QueueAttributeName;
use dayfly_control::{
    aws::{
        self,
        calls::{Answer, Call, CallError, Caller},
    },
    clock::{Clock, Millis, SystemClock},
    config::{Config, Role, S3Object},
    fleets::{Fleet, Fleets, Image, Instances, Market},
    github::{jwt::AppKey, lazy::LazyApp},
    handlers::reconcile::RAN,
    ledger::{Census, dynamo::DynamoLedger},
    report::Chain,
};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    Doctor,
    finding::Finding,
    github,
    launches::{self, Resolved, Template},
    places,
};
use crate::{
    deployed::{self, Told},
    place::Connected,
};

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
fn told<E, R>(error: aws_sdk_ssm::error::SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => Chain(&error).to_string(),
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
            Err(error) => Err(told(error)),
        };
        let expires = match client.describe_time_to_live().table_name(table).send().await {
            Ok(answer) => {
                let status = answer.time_to_live_description.and_then(|it| it.time_to_live_status);
                Ok(matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)))
            }
            Err(error) => Err(told(error)),
        };
        found.extend(places::table(table, state, expires));
        let ledger = DynamoLedger::new(&client, table);
        let noted = match ledger.text(&format!("reconcile#{RAN}")).await {
            Ok(text) => Ok(text.and_then(|text| text.parse::<Millis>().ok())),
            Err(error) => Err(Chain(&error).to_string()),
        };
        found.push(places::ran(noted, SystemClock.now()));
    }

    async fn queues(&self, found: &mut Vec<Finding>) {
        let client = aws_sdk_sqs::Client::new(&self.place.sdk);
        for queue in QUEUES {
            let name = format!("dayfly-{}-{queue}", self.deployment);
            let ask = async {
                let url = client.get_queue_url().queue_name(&name).send().await.map_err(told)?.queue_url;
                let answer = client
                    .get_queue_attributes()
                    .set_queue_url(url)
                    .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
                    .send()
                    .await
                    .map_err(told)?;
                let count = answer.attributes.as_ref();
                let count = count.and_then(|it| it.get(&QueueAttributeName::ApproximateNumberOfMessages));
                count.and_then(|it| it.parse().ok()).ok_or_else(|| "SQS did not tell how many are in it".to_owned())
            };
            found.push(places::queue(&name, ask.await));
        }
    }

    async fn rule(&self) -> Finding {
        let name = format!("dayfly-{}-reconcile", self.deployment);
        let client = aws_sdk_eventbridge::Client::new(&self.place.sdk);
        places::rule(match client.describe_rule().name(name).send().await {
            Ok(answer) => Ok(answer.state.map(|it| it.as_str().to_owned())),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(told(error)),
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
                found.push(Finding::ok(check, format!("{at} has {} fleets and no mistakes", fleets.fleets.len())));
                let warnings = fleets.warnings();
                found.extend(warnings.iter().map(|it| Finding::warn(check, it.to_string(), "see dayfly fleets check")));
                Some(fleets)
            }
        }
    }

    async fn parameter(&self, name: &str) -> Result<SecretString, String> {
        let answer = self.ssm.get_parameter().name(name).with_decryption(true).send().await.map_err(told)?;
        let value = answer.parameter.and_then(|it| it.value);
        value.map(SecretString::from).ok_or_else(|| "it has no value".to_owned())
    }

    async fn webhook_secret(&self, config: &Config, found: &mut Vec<Finding>) -> Option<SecretString> {
        let name = &config.webhook_secret_parameter;
        let read = self.parameter(name).await;
        found.push(places::secret("the webhook's secret", name, &read, places::is_webhook_secret));
        read.ok().as_ref().and_then(places::first_secret)
    }

    /// Where this deployment listens, by API Gateway.
    async fn webhook_url(&self, found: &mut Vec<Finding>) -> Option<String> {
        if let Some(url) = &self.asked.webhook_url {
            return Some(url.clone());
        }
        let check = "webhook address";
        let name = format!("dayfly-{}-webhook", self.deployment);
        let mut token = String::new();
        // An account has 600 APIs at most.
        for _ in 0..10 {
            let url = format!("{}/v2/apis?maxResults=100{token}", self.caller.endpoint("apigateway"));
            let answer = match self.caller.signed("apigateway", &Call::get(url)).await {
                Ok(answer) if answer.is_success() => answer,
                Ok(answer) => {
                    let why = format!("API Gateway answered {}", answer.status);
                    found.push(Finding::unknown(check, why, "apigateway:GET on /apis is needed, or --webhook-url"));
                    return None;
                }
                Err(error) => {
                    found.push(Finding::unknown(check, failed(&error), "ask again, or name it by --webhook-url"));
                    return None;
                }
            };
            let (endpoint, next) = api(&answer, &name);
            if let Some(endpoint) = endpoint {
                return Some(format!("{endpoint}/webhook"));
            }
            let Some(next) = next else { break };
            token = format!("&nextToken={}", encoded(&next));
        }
        found.push(Finding::bad(
            check,
            format!("there is no HTTP API {name}"),
            "deploy it, or name the address by --webhook-url",
        ));
        None
    }

    /// A ping as GitHub would send it, with the stored secret and with another one.
    async fn ping(&self, url: &str, secret: &SecretString) -> Vec<Finding> {
        let body = json!({"zen": "dayfly doctor", "hook_id": 0, "hook": {"type": "App", "events": ["workflow_job"]}})
            .to_string();
        let other = SecretString::from(SystemClock.uuid());
        let send = async |secret: &SecretString| {
            let call = Call::post(url, body.clone())
                .header("content-type", "application/json")
                .header("user-agent", "GitHub-Hookshot/dayfly-doctor")
                .header("x-github-event", "ping")
                .header("x-github-delivery", SystemClock.uuid())
                .header("x-hub-signature-256", signature(secret, &body));
            self.caller.plain(&call).await.map(|it| it.status).map_err(|error| failed(&error))
        };
        places::ping(url, &send(secret).await, &send(&other).await)
    }

    async fn github(
        &self,
        config: &Config,
        table: &str,
        fleets: Option<&Fleets>,
        url: Option<&str>,
        found: &mut Vec<Finding>,
    ) {
        let api = &config.github.url;
        let before = SystemClock.now();
        // Whatever the answer: it has a date.
        match self.caller.plain(&Call::get(api.clone()).header("user-agent", "dayfly")).await {
            Ok(answer) => found.push(places::clock("GitHub", answer.date, before, SystemClock.now())),
            Err(error) => {
                let todo = "see whether it can be reached from here, and DAYFLY_GITHUB_URL";
                found.push(Finding::unknown("clock against GitHub", failed(&error), todo));
            }
        }
        let mut readable = true;
        if let Some(name) = &config.github.token_parameter {
            let read = self.parameter(name).await;
            found.push(places::secret("GitHub's token", name, &read, places::is_token));
            found.push(github::token());
            return;
        }
        for app in &config.github.apps {
            let read = self.parameter(&app.key_parameter).await;
            readable &= read.is_ok();
            let what = format!("the private key of App {}", app.id);
            found.push(places::secret(&what, &app.key_parameter, &read, |secret| {
                AppKey::from_pem(&app.id, secret).map(drop).map_err(|error| Chain(&error).to_string())
            }));
        }
        if !readable {
            let todo = "ask with credentials that may read the Apps' keys";
            found.push(Finding::unknown("github", "nothing can be asked without the Apps' keys", todo));
            return;
        }
        let notes = DynamoLedger::new(&aws_sdk_dynamodb::Client::new(&self.place.sdk), table).reading_only();
        match LazyApp::new(self.ssm.clone(), config.github.clone(), notes).inspect().await {
            Ok(all) => {
                let now = SystemClock.now();
                found.extend(all.iter().flat_map(|it| github::app(it, fleets, url, now)));
            }
            Err(error) => {
                let todo = "see the Apps' ids and keys above";
                found.push(Finding::bad("github", Chain(&error).to_string(), todo));
            }
        }
    }

    async fn aws_clock(&self) -> Finding {
        let before = SystemClock.now();
        match self.caller.plain(&Call::get(self.caller.endpoint("sts"))).await {
            Ok(answer) => places::clock("AWS", answer.date, before, SystemClock.now()),
            Err(error) => Finding::unknown("clock against AWS", failed(&error), "ask again"),
        }
    }

    async fn launches(&self, fleets: &Fleets, found: &mut Vec<Finding>) {
        let mut profiles = BTreeSet::new();
        for fleet in &fleets.fleets {
            let told = self.template(fleet).await;
            found.push(launches::template(fleet, &told));
            let (mut of_template, mut known) = (None, false);
            if let Template::There { image, profile } = told {
                (of_template, known) = (image, true);
                profiles.extend(profile);
            }
            if let Some((named, resolved)) = self.image(fleet, of_template, known).await {
                found.push(launches::image(fleet, &named, &resolved));
            }
        }
        for profile in profiles {
            let name = profile.rsplit('/').next().unwrap_or_default();
            let status = self.iam("GetInstanceProfile", "InstanceProfileName", name).await;
            let todo = "deploy again: no instance can be launched without";
            found.push(places::role(&format!("instance profile {name}"), name, status, todo));
        }
        if fleets.fleets.iter().any(|it| it.launch.market == Market::Spot) {
            let name = "AWSServiceRoleForEC2Spot";
            let status = self.iam("GetRole", "RoleName", name).await;
            let todo = "EC2 makes it with the first spot request of somebody who may iam:CreateServiceLinkedRole";
            let role = places::role("role for spot", name, status, todo);
            // Scale-up may have it made.
            found.push(if role.level == super::Level::Bad {
                Finding::warn(&role.check, role.what, role.todo)
            } else {
                role
            });
        }
    }

    async fn template(&self, fleet: &Fleet) -> Template {
        let (id, version) = (&fleet.launch.template_id, &fleet.launch.template_version);
        let asked = self.ec2.describe_launch_template_versions().launch_template_id(id).versions(version);
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let absent = error.code().is_some_and(|code| code.starts_with("InvalidLaunchTemplate"));
                let why = told(error);
                return if absent { Template::Absent(why) } else { Template::Unasked(why) };
            }
        };
        let found = answer.launch_template_versions.unwrap_or_default().into_iter().next();
        let Some(data) = found.and_then(|it| it.launch_template_data) else {
            return Template::Absent("EC2 has no such version".to_owned());
        };
        let profile = data.iam_instance_profile.and_then(|it| it.name.or(it.arn));
        Template::There { image: data.image_id, profile }
    }

    /// The fleet's image, as it is named and as it resolves; none where its template could not be seen.
    async fn image(&self, fleet: &Fleet, of_template: Option<String>, known: bool) -> Option<(String, Resolved)> {
        Some(match (&fleet.launch.image, of_template) {
            (Some(Image::Id(id)), _) => (format!("image {id}"), self.image_by_id(id).await),
            (Some(Image::Parameter(name)), _) => (format!("the parameter {name}"), self.image_by_parameter(name).await),
            (Some(Image::Newest { owners, name }), _) => {
                let named = format!("the newest image {name} of {}", owners.join(", "));
                (named, self.newest(owners, name).await)
            }
            (None, Some(id)) => match id.strip_prefix("resolve:ssm:") {
                Some(name) => (format!("the template's parameter {name}"), self.image_by_parameter(name).await),
                None => (format!("the template's image {id}"), self.image_by_id(&id).await),
            },
            (None, None) if known => {
                ("the template".to_owned(), Resolved::Absent("neither it nor the fleet names an image".to_owned()))
            }
            (None, None) => return None,
        })
    }

    async fn image_by_parameter(&self, name: &str) -> Resolved {
        match self.ssm.get_parameter().name(name).send().await {
            Ok(answer) => match answer.parameter.and_then(|it| it.value) {
                Some(id) => self.image_by_id(id.trim()).await,
                None => Resolved::Absent("the parameter is empty".to_owned()),
            },
            Err(error) if error.code() == Some("ParameterNotFound") => {
                Resolved::Absent("there is no such parameter".into())
            }
            Err(error) => Resolved::Unasked(told(error)),
        }
    }

    async fn image_by_id(&self, id: &str) -> Resolved {
        resolved(self.ec2.describe_images().image_ids(id).send().await.map(|it| it.images.unwrap_or_default()))
    }

    async fn newest(&self, owners: &[String], name: &str) -> Resolved {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let asked = self.ec2.describe_images().set_owners(Some(owners.to_vec()));
        let asked = asked.filters(filter("name", name)).filters(filter("state", "available"));
        resolved(asked.send().await.map(|it| it.images.unwrap_or_default()))
    }

    async fn quotas(&self, fleets: &Fleets, found: &mut Vec<Finding>) {
        let listed: BTreeSet<&String> = fleets
            .fleets
            .iter()
            .flat_map(|fleet| match &fleet.launch.instances {
                Instances::Types(types) => types.iter().collect::<Vec<_>>(),
                Instances::Requirements(_) => Vec::new(),
            })
            .collect();
        let vcpus = match self.vcpus(&listed).await {
            Ok(vcpus) => vcpus,
            Err(why) => {
                found.push(Finding::unknown("quotas", why, "ec2:DescribeInstanceTypes is needed"));
                return;
            }
        };
        let (demand, uncounted) = launches::demand(&fleets.fleets, &vcpus);
        for ((market, class), demand) in demand {
            let code = class.quota(if market == Market::Spot.name() { Market::Spot } else { Market::OnDemand });
            found.push(launches::quota(market, class, demand, self.quota(code).await));
        }
        if !uncounted.is_empty() {
            let what = format!("not counted against any quota: {}", uncounted.join(", "));
            found.push(Finding::unknown("quotas", what, "see Service Quotas (EC2) for these"));
        }
    }

    async fn vcpus(&self, types: &BTreeSet<&String>) -> Result<BTreeMap<String, u64>, String> {
        let mut vcpus = BTreeMap::new();
        let types: Vec<InstanceType> = types.iter().map(|it| InstanceType::from(it.as_str())).collect();
        for some in types.chunks(100) {
            let answer = self.ec2.describe_instance_types().set_instance_types(Some(some.to_vec())).send().await;
            for it in answer.map_err(told)?.instance_types.unwrap_or_default() {
                let count = it.v_cpu_info.and_then(|it| it.default_v_cpus).and_then(|it| u64::try_from(it).ok());
                vcpus.extend(it.instance_type.map(|it| it.as_str().to_owned()).zip(count));
            }
        }
        Ok(vcpus)
    }

    async fn quota(&self, code: &str) -> Result<f64, String> {
        let url = format!("{}/", self.caller.endpoint("servicequotas"));
        let call = Call::post(url, json!({"ServiceCode": "ec2", "QuotaCode": code}).to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "ServiceQuotasV20190624.GetServiceQuota");
        let answer = self.caller.signed("servicequotas", &call).await.map_err(|error| failed(&error))?;
        if answer.is_denied() {
            return Err("access denied".to_owned());
        }
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        body["Quota"]["Value"].as_f64().ok_or_else(|| {
            let why = body["__type"].as_str().map(|it| it.rsplit('#').next().unwrap_or(it).to_owned());
            format!("Service Quotas does not tell {code}: {}", why.unwrap_or_else(|| answer.status.to_string()))
        })
    }
}

fn resolved<E, R>(found: Result<Vec<aws_sdk_ec2::types::Image>, aws_sdk_ec2::error::SdkError<E, R>>) -> Resolved
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match found {
        // Creation dates are ISO 8601 in UTC, so that their order is that of their texts.
        Ok(all) => all.into_iter().max_by_key(|it| it.creation_date.clone()).map_or_else(
            || Resolved::Absent("EC2 shows none".to_owned()),
            |it| Resolved::There {
                id: it.image_id.unwrap_or_default(),
                state: it.state.map_or_else(|| "unknown".to_owned(), |it| it.as_str().to_owned()),
            },
        ),
        Err(error) if error.code().is_some_and(|code| code.starts_with("InvalidAMIID")) => {
            Resolved::Absent(told(error))
        }
        Err(error) => Resolved::Unasked(told(error)),
    }
}

/// The address of the API called `name` in a page of API Gateway's list, and the token of the next page.
fn api(page: &Answer, name: &str) -> (Option<String>, Option<String>) {
    let page: Value = serde_json::from_str(&page.body).unwrap_or_default();
    let all = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(|it| it.trim_end_matches('/').to_owned());
    let found = all.iter().find(|it| it["name"] == name).and_then(|it| text(&it["apiEndpoint"]));
    (found, text(&page["nextToken"]))
}

/// Text as it stands in a query.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// As GitHub signs. <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
fn signature(secret: &SecretString, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}

#[cfg(test)]
mod tests {
    use dayfly_control::aws::calls::Answer;
    use secrecy::SecretString;
    use serde_json::json;

    use super::{api, encoded, signature};

    #[test]
    fn the_deployments_api_is_found_by_its_name() {
        let page = json!({"items": [
            {"name": "other", "apiEndpoint": "https://a.example"},
            {"name": "dayfly-main-webhook", "apiEndpoint": "https://b.example/"},
        ], "nextToken": "a+b"});
        let page = Answer { status: 200, date: None, body: page.to_string() };
        assert_eq!(api(&page, "dayfly-main-webhook"), (Some("https://b.example".into()), Some("a+b".into())));
        assert_eq!(api(&page, "dayfly-x-webhook").0, None);
        assert_eq!(api(&Answer::default(), "x"), (None, None));
        assert_eq!(encoded("a+b/=~"), "a%2Bb%2F%3D~");
    }

    #[test]
    fn a_ping_is_signed_as_github_signs() {
        // The example of GitHub's documents.
        let secret = SecretString::from("It's a Secret to Everybody");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(&secret, "Hello, World!"), expected);
    }
}
