//! The webhook, the App and the clocks.

use dayfly_control::{
    aws::calls::{Answer, Call},
    clock::{Clock, SystemClock},
    config::Config,
    fleets::Fleets,
    github::{inspect, jwt::AppKey, lazy::LazyApp},
    ledger::dynamo::DynamoLedger,
    report::Chain,
};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    super::{finding::Finding, github, places},
    Asking, encoded, failed,
};

impl Asking<'_> {
    /// Where this deployment listens, by API Gateway.
    pub(super) async fn webhook_url(&self, found: &mut Vec<Finding>) -> Option<String> {
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
    pub(super) async fn ping(&self, url: &str, secret: &SecretString) -> Vec<Finding> {
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

    pub(super) async fn github(
        &self,
        config: &Config,
        table: &str,
        fleets: Option<&Fleets>,
        url: Option<&str>,
        found: &mut Vec<Finding>,
    ) {
        let before = SystemClock.now();
        match inspect::time(&config.github).await {
            Ok(date) => found.push(places::clock("GitHub", date, before, SystemClock.now())),
            Err(error) => {
                let todo = "see whether it can be reached from here, and DAYFLY_GITHUB_URL";
                found.push(github::unreached("clock against GitHub", &error, todo));
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

    pub(super) async fn aws_clock(&self) -> Finding {
        let before = SystemClock.now();
        match self.caller.plain(&Call::get(self.caller.endpoint("sts"))).await {
            Ok(answer) => places::clock("AWS", answer.date, before, SystemClock.now()),
            Err(error) => Finding::unknown("clock against AWS", failed(&error), "ask again"),
        }
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

    use super::{api, signature};

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
    }

    #[test]
    fn a_ping_is_signed_as_github_signs() {
        // The example of GitHub's documents.
        let secret = SecretString::from("It's a Secret to Everybody");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(&secret, "Hello, World!"), expected);
    }
}
