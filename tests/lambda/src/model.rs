//! What there is to host, once parsed: functions, queue mappings, HTTP APIs and schedules.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::tz::TimeZone;

use crate::{routes::Route, when::When};

/// Everything that one look at moto found.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) functions: Vec<Function>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) apis: Vec<Api>,
    pub(crate) schedules: Vec<Schedule>,
    /// What was found and can't be hosted, a sentence each.
    pub(crate) problems: Vec<String>,
}

/// A Lambda function's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) handler: String,
    pub(crate) timeout: Duration,
    pub(crate) memory_mb: u64,
    /// Base64 of the zip's SHA-256, as AWS shows it.
    pub(crate) code_sha256: String,
    pub(crate) environment: Environment,
    pub(crate) log_group: String,
    pub(crate) log_format: Option<String>,
    pub(crate) log_level: Option<String>,
    /// Reserved concurrency; 0 switches the function off.
    pub(crate) reserved: Option<usize>,
}

impl Function {
    /// Whether a process started for `self` may serve `other` too: all that a process is born with is the same.
    pub(crate) fn same_process(&self, other: &Self) -> bool {
        Self { reserved: other.reserved, ..self.clone() } == *other
    }
}

/// A function's variables. They may hold secrets, so only their names are shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A queue that feeds a function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) id: String,
    pub(crate) queue_arn: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    pub(crate) window: Duration,
    /// `ReportBatchItemFailures`: the answer names the messages that failed.
    pub(crate) reports_failures: bool,
    pub(crate) max_concurrency: Option<usize>,
}

/// An HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Api {
    pub(crate) id: String,
    pub(crate) stage: String,
    pub(crate) stage_variables: BTreeMap<String, String>,
    pub(crate) routes: Vec<Route>,
}

/// A rule or an EventBridge Scheduler schedule that invokes a function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) function: String,
    pub(crate) when: When,
    /// UTC for rules.
    pub(crate) zone: TimeZone,
    pub(crate) input: Option<String>,
    pub(crate) by: Scheduler,
}

/// Which of AWS's two schedulers it is: their events differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheduler {
    /// An EventBridge rule.
    Rule,
    /// EventBridge Scheduler.
    Scheduler,
}

/// The part of an ARN after its `n`th colon, such as account (4) and resource name (5 or 6).
pub(crate) fn arn_part(arn: &str, n: usize) -> &str {
    arn.split(':').nth(n).unwrap_or_default()
}

/// The function's name in a function ARN (with or without version) or in API Gateway's
/// `arn:aws:apigateway:…:path/2015-03-31/functions/<function ARN>/invocations`.
pub(crate) fn function_in(arn: &str) -> Option<&str> {
    let arn = arn.split_once("/functions/").map_or(arn, |(_, rest)| rest);
    let arn = arn.strip_suffix("/invocations").unwrap_or(arn);
    (arn_part(arn, 2) == "lambda" && arn_part(arn, 5) == "function").then(|| arn_part(arn, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_are_found_in_both_kinds_of_arn() {
        let plain = "arn:aws:lambda:eu-west-1:123456789012:function:f-1";
        assert_eq!(function_in(plain), Some("f-1"));
        assert_eq!(function_in(&format!("{plain}:live")), Some("f-1"));
        let uri = format!("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{plain}/invocations");
        assert_eq!(function_in(&uri), Some("f-1"));
        assert_eq!(function_in("arn:aws:sqs:eu-west-1:123456789012:q"), None);
        assert_eq!(function_in("https://example.com/functions/x"), None);
    }

    #[test]
    fn variables_are_shown_by_name_alone() {
        let environment = Environment(BTreeMap::from([("KEY".to_owned(), "s3cret".to_owned())]));
        let shown = format!("{environment:?}");
        assert!(shown.contains("KEY") && !shown.contains("s3cret"), "{shown}");
    }
}
