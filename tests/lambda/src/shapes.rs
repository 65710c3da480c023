//! The parts of AWS's answers that are read, and how they become the model.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::{
    model::{self, function_in},
    routes::{Route, RouteKey},
    when::When,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionShape {
    pub(crate) function_name: String,
    function_arn: String,
    #[serde(default)]
    handler: String,
    timeout: u64,
    memory_size: u64,
    code_sha256: String,
    environment: Option<EnvironmentShape>,
    logging_config: Option<LoggingShape>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnvironmentShape {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingShape {
    log_format: Option<String>,
    application_log_level: Option<String>,
    log_group: Option<String>,
}

impl FunctionShape {
    pub(crate) fn model(self, reserved: Option<usize>) -> model::Function {
        let logging = self.logging_config;
        let log =
            |part: fn(&LoggingShape) -> &Option<String>| logging.as_ref().and_then(|logging| part(logging).clone());
        model::Function {
            log_group: log(|l| &l.log_group).unwrap_or_else(|| format!("/aws/lambda/{}", self.function_name)),
            log_format: log(|l| &l.log_format),
            log_level: log(|l| &l.application_log_level),
            name: self.function_name,
            arn: self.function_arn,
            handler: self.handler,
            timeout: Duration::from_secs(self.timeout),
            memory_mb: self.memory_size,
            code_sha256: self.code_sha256,
            environment: model::Environment(self.environment.map(|e| e.variables).unwrap_or_default()),
            reserved,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MappingShape {
    #[serde(rename = "UUID")]
    pub(crate) uuid: String,
    event_source_arn: String,
    function_arn: String,
    state: Option<String>,
    batch_size: Option<usize>,
    maximum_batching_window_in_seconds: Option<u64>,
    #[serde(default)]
    function_response_types: Option<Vec<String>>,
    scaling_config: Option<ScalingShape>,
    filter_criteria: Option<FilterShape>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalingShape {
    maximum_concurrency: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterShape {
    #[serde(default)]
    filters: Vec<serde_json::Value>,
}

impl MappingShape {
    /// The mapping, or none where it is switched off.
    pub(crate) fn model(self) -> Result<Option<model::Mapping>> {
        if matches!(self.state.as_deref(), Some("Disabled" | "Disabling" | "Deleting")) {
            return Ok(None);
        }
        let source = &self.event_source_arn;
        ensure!(model::arn_part(source, 2) == "sqs", "its source is {source}; only SQS queues are polled here");
        let filters = self.filter_criteria.is_some_and(|criteria| !criteria.filters.is_empty());
        ensure!(!filters, "it has filter criteria, which are not applied here");
        let function = function_in(&self.function_arn).context("its function's ARN is not one")?.to_owned();
        Ok(Some(model::Mapping {
            id: self.uuid,
            function,
            batch_size: self.batch_size.unwrap_or(10).max(1),
            window: Duration::from_secs(self.maximum_batching_window_in_seconds.unwrap_or(0)),
            reports_failures: self
                .function_response_types
                .is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")),
            max_concurrency: self.scaling_config.and_then(|scaling| scaling.maximum_concurrency),
            queue_arn: self.event_source_arn,
        }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiShape {
    pub(crate) api_id: String,
    pub(crate) protocol_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageShape {
    pub(crate) stage_name: String,
    #[serde(default)]
    pub(crate) stage_variables: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteShape {
    pub(crate) route_key: String,
    target: Option<String>,
    authorization_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationShape {
    integration_id: String,
    integration_type: Option<String>,
    integration_uri: Option<String>,
    payload_format_version: Option<String>,
    timeout_in_millis: Option<u64>,
}

impl RouteShape {
    pub(crate) fn model(&self, integrations: &[IntegrationShape]) -> Result<Route> {
        let key = RouteKey::parse(&self.route_key).context("its key is not a method and a path")?;
        let authorization = self.authorization_type.as_deref().unwrap_or("NONE");
        ensure!(authorization == "NONE", "it wants {authorization} authorization, which is not checked here");
        let id = self.target.as_deref().and_then(|target| target.strip_prefix("integrations/"));
        let integration = integrations
            .iter()
            .find(|integration| Some(integration.integration_id.as_str()) == id)
            .context("its integration does not exist")?;
        let kind = integration.integration_type.as_deref().unwrap_or_default();
        let uri = integration.integration_uri.as_deref().unwrap_or_default();
        let function = function_in(uri).filter(|_| kind == "AWS_PROXY").with_context(|| {
            format!("its integration is {kind} {uri:?}; only AWS_PROXY of a function is served here")
        })?;
        let format = integration.payload_format_version.as_deref().unwrap_or("1.0");
        ensure!(format == "2.0", "its payload format is {format}; only 2.0 is spoken here");
        Ok(Route {
            key,
            function: function.to_owned(),
            timeout: Duration::from_millis(integration.timeout_in_millis.unwrap_or(30_000)),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RuleShape {
    pub(crate) name: String,
    arn: String,
    schedule_expression: Option<String>,
    state: Option<String>,
}

impl RuleShape {
    /// The rule's expression, where it is a schedule and switched on.
    pub(crate) fn expression(&self) -> Option<&str> {
        self.schedule_expression
            .as_deref()
            .filter(|expression| !expression.is_empty() && self.state.as_deref() != Some("DISABLED"))
    }

    /// The schedule of one of the rule's targets; none where that is no function.
    pub(crate) fn model(&self, expression: &str, target: &TargetShape) -> Result<Option<model::Schedule>> {
        let Some(function) = function_in(&target.arn) else { return Ok(None) };
        let transformed = target.input_path.is_some() || target.input_transformer.is_some();
        ensure!(!transformed, "its target transforms the input, which is not done here");
        Ok(Some(model::Schedule {
            name: self.name.clone(),
            arn: self.arn.clone(),
            function: function.to_owned(),
            when: When::parse(expression)?,
            zone: TimeZone::UTC,
            input: target.input.clone(),
            by: model::Scheduler::Rule,
        }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TargetShape {
    arn: String,
    input: Option<String>,
    input_path: Option<String>,
    input_transformer: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScheduleShape {
    pub(crate) name: String,
    arn: String,
    schedule_expression: String,
    schedule_expression_timezone: Option<String>,
    state: Option<String>,
    target: ScheduleTargetShape,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScheduleTargetShape {
    arn: String,
    input: Option<String>,
}

impl ScheduleShape {
    /// The schedule; none where it is off or its target is no function.
    pub(crate) fn model(self) -> Result<Option<model::Schedule>> {
        if self.state.as_deref() == Some("DISABLED") {
            return Ok(None);
        }
        let Some(function) = function_in(&self.target.arn) else { return Ok(None) };
        let zone = match self.schedule_expression_timezone.as_deref() {
            None | Some("UTC") => TimeZone::UTC,
            Some(name) => TimeZone::get(name).with_context(|| format!("time zone is {name:?}"))?,
        };
        Ok(Some(model::Schedule {
            function: function.to_owned(),
            when: When::parse(&self.schedule_expression)?,
            zone,
            input: self.target.input,
            by: model::Scheduler::Scheduler,
            name: self.name,
            arn: self.arn,
        }))
    }
}

#[cfg(test)]
#[path = "shapes/tests.rs"]
mod tests;
