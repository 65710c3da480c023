//! What is deployed: the functions of a deployment, and what they were told by their environment. The command line asks
//! Lambda for it, so that nobody has to tell it again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use dayfly_control::{
    aws::calls::{Answer, Call, Caller},
    config::{Config, Role},
};
use serde::Deserialize;

/// A function, as Lambda tells of it.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Function {
    /// The ARN of its role.
    pub(crate) role: String,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub(crate) state: Option<String>,
    /// Why it is in that state.
    pub(crate) state_reason: Option<String>,
    pub(crate) environment: Option<Environment>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

/// What Lambda told of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is there.
    There(Box<Function>),
    /// There is none of that name.
    Absent,
    /// Lambda did not let us see it, or did not answer.
    Unasked(String),
}

impl Function {
    /// Its configuration, by its own code.
    pub(crate) fn config(&self, role: Role) -> Result<Config, dayfly_contract::Problems> {
        let mut variables = self.environment.clone().unwrap_or_default().variables;
        variables.insert("_HANDLER".to_owned(), role.name().to_owned());
        Config::read(&variables)
    }
}

/// The name of a function.
pub(crate) fn name(deployment: &str, role: Role) -> String {
    format!("dayfly-{deployment}-{}", role.name())
}

/// Asks Lambda for the function of that `role`.
pub(crate) async fn ask(caller: &Caller, deployment: &str, role: Role) -> Told {
    let path = format!("/2015-03-31/functions/{}/configuration", name(deployment, role));
    match caller.signed("lambda", &Call::get(caller.endpoint("lambda") + &path)).await {
        Ok(answer) => told(&answer),
        Err(error) => Told::Unasked(dayfly_control::report::Chain(&error).to_string()),
    }
}

fn told(answer: &Answer) -> Told {
    match answer.status {
        404 => Told::Absent,
        _ if answer.is_denied() => Told::Unasked("access denied: lambda:GetFunctionConfiguration is needed".to_owned()),
        200 => serde_json::from_str(&answer.body).map_or_else(
            |error| Told::Unasked(format!("Lambda's answer is not understood at line {}", error.line())),
            |function| Told::There(Box::new(function)),
        ),
        status => Told::Unasked(format!("Lambda answered {status}")),
    }
}

/// The configuration of the function of that `role`, for a command that can't do without.
pub(crate) async fn config(caller: &Caller, deployment: &str, role: Role) -> Result<Config> {
    let name = name(deployment, role);
    match ask(caller, deployment, role).await {
        Told::There(function) => {
            function.config(role).with_context(|| format!("reading the environment of the function {name}"))
        }
        Told::Absent => bail!("there is no function {name}; --deployment and AWS_REGION say which"),
        Told::Unasked(why) => bail!("asking for the function {name}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use dayfly_control::{aws::calls::Answer, config::Role};
    use serde_json::json;

    use super::{Told, told};

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, date: None, body: body.to_owned() }
    }

    #[test]
    fn a_functions_environment_is_read_by_its_own_code() {
        let body = json!({
            "FunctionName": "dayfly-main-webhook", "Role": "arn:aws:iam::123456789012:role/dayfly-main-webhook",
            "State": "Active", "Timeout": 30, "Environment": {"Variables": {
                "DAYFLY_DEPLOYMENT": "main", "DAYFLY_TABLE": "dayfly-main-ledger",
                "DAYFLY_WAKE_QUEUE_URL": "https://sqs.example/1/dayfly-main-wake", "DAYFLY_FLEETS": "s3://b/fleets.json",
                "DAYFLY_WEBHOOK_SECRET_PARAMETER": "/dayfly/main/github/webhook-secret",
            }},
        });
        let Told::There(function) = told(&answer(200, &body.to_string())) else { panic!("it is there") };
        let config = function.config(Role::Webhook).unwrap();
        assert_eq!((config.deployment.as_str(), config.fleets.bucket.as_str()), ("main", "b"));
        let problems = function.config(Role::ScaleUp).unwrap_err().to_string();
        assert!(problems.contains("DAYFLY_GITHUB_APPS"), "{problems}");
    }

    #[test]
    fn what_lambda_does_not_tell_is_told_apart() {
        assert_eq!(told(&answer(404, "{}")), Told::Absent);
        assert!(matches!(told(&answer(403, "{}")), Told::Unasked(why) if why.contains("access denied")));
        assert!(matches!(told(&answer(500, "")), Told::Unasked(why) if why.contains("500")));
        assert!(matches!(told(&answer(200, "<html>")), Told::Unasked(_)));
    }
}
