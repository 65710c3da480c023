//! The documents are moto 5.2.1's own answers, shortened.

use serde_json::{Value, json};

use super::*;

fn read<T: for<'a> Deserialize<'a>>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:demo-webhook";

#[test]
fn a_function() {
    let shape: FunctionShape = read(json!({
        "CodeSha256": "zGEEPzZ33wmrV+gPvvLrz2eXeI2zOkrBSYThvudqFKc=", "CodeSize": 117, "FunctionArn": FUNCTION,
        "FunctionName": "demo-webhook", "Handler": "webhook", "MemorySize": 128, "Runtime": "provided.al2023",
        "Timeout": 5, "VpcConfig": null, "Environment": {"Variables": {"A": "b"}}
    }));
    let function = shape.model(Some(2));
    assert_eq!(function.timeout, Duration::from_secs(5));
    assert_eq!(function.environment.0["A"], "b");
    assert_eq!(function.log_group, "/aws/lambda/demo-webhook");
    assert!(function.same_process(&model::Function { reserved: None, ..function.clone() }));
    assert!(!function.same_process(&model::Function { handler: "other".to_owned(), ..function.clone() }));
}

fn mapping() -> Value {
    json!({
        "UUID": "46b82ba0", "BatchSize": 10, "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q",
        "FunctionArn": FUNCTION, "LastModified": 1_795_197_030.0, "State": "Enabled",
        "FunctionResponseTypes": ["ReportBatchItemFailures"], "MaximumBatchingWindowInSeconds": 1,
        "ScalingConfig": {"MaximumConcurrency": 5}
    })
}

#[test]
fn a_mapping() {
    let found = read::<MappingShape>(mapping()).model().unwrap().unwrap();
    assert_eq!(
        found,
        model::Mapping {
            id: "46b82ba0".to_owned(),
            queue_arn: "arn:aws:sqs:eu-west-1:123456789012:q".to_owned(),
            function: "demo-webhook".to_owned(),
            batch_size: 10,
            window: Duration::from_secs(1),
            reports_failures: true,
            max_concurrency: Some(5),
        }
    );
}

#[test]
fn mappings_that_are_off_or_not_ours() {
    let with = |key: &str, value: Value| {
        let mut document = mapping();
        document[key] = value;
        read::<MappingShape>(document).model()
    };
    assert_eq!(with("State", json!("Disabled")).unwrap(), None);
    let kinesis = with("EventSourceArn", json!("arn:aws:kinesis:eu-west-1:1:stream/s")).unwrap_err();
    assert!(kinesis.to_string().contains("only SQS"), "{kinesis}");
    let filtered = with("FilterCriteria", json!({"Filters": [{"Pattern": "{}"}]})).unwrap_err();
    assert!(filtered.to_string().contains("filter criteria"), "{filtered}");
    assert!(with("FunctionResponseTypes", Value::Null).is_ok_and(|m| !m.unwrap().reports_failures));
}

fn integration() -> Value {
    json!({
        "integrationId": "wrbrvfib", "integrationMethod": "POST", "integrationType": "AWS_PROXY",
        "integrationUri":
            format!("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"),
        "payloadFormatVersion": "2.0", "timeoutInMillis": 30000
    })
}

#[test]
fn a_route() {
    let shape: RouteShape =
        read(json!({"authorizationType": "NONE", "routeKey": "POST /webhook", "target": "integrations/wrbrvfib"}));
    let route = shape.model(&[read(integration())]).unwrap();
    assert_eq!((route.function.as_str(), route.timeout), ("demo-webhook", Duration::from_secs(30)));
}

#[test]
fn routes_that_can_not_be_served_say_why() {
    let route = |key: &str, authorization: &str, target: &str| -> RouteShape {
        read(json!({"authorizationType": authorization, "routeKey": key, "target": target}))
    };
    let good = || vec![read::<IntegrationShape>(integration())];
    let changed = |key: &str, value: Value| {
        let mut document = integration();
        document[key] = value;
        vec![read::<IntegrationShape>(document)]
    };
    let at = "integrations/wrbrvfib";
    for (shape, integrations, says) in [
        (route("webhook", "NONE", at), good(), "key"),
        (route("POST /x", "JWT", at), good(), "JWT authorization"),
        (route("POST /x", "NONE", "integrations/other"), good(), "does not exist"),
        (route("POST /x", "NONE", at), changed("payloadFormatVersion", json!("1.0")), "format is 1.0"),
        (route("POST /x", "NONE", at), changed("integrationType", json!("HTTP_PROXY")), "HTTP_PROXY"),
    ] {
        let error = shape.model(&integrations).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn rules_and_schedules() {
    let rule: RuleShape = read(json!({
        "Arn": "arn:aws:events:eu-west-1:1:rule/tick", "Name": "tick", "ScheduleExpression": "rate(1 minute)",
        "State": "ENABLED"
    }));
    let target: TargetShape = read(json!({"Id": "1", "Arn": FUNCTION, "Input": "{\"a\":1}"}));
    let expression = rule.expression().unwrap();
    assert_eq!(rule.model(expression, &target).unwrap().unwrap().input.as_deref(), Some("{\"a\":1}"));
    let queue: TargetShape = read(json!({"Id": "1", "Arn": "arn:aws:sqs:eu-west-1:1:q"}));
    assert_eq!(rule.model(expression, &queue).unwrap(), None);

    let pattern: RuleShape = read(json!({"Arn": "a", "Name": "p", "EventPattern": "{}", "State": "ENABLED"}));
    assert_eq!(pattern.expression(), None);
    let off: RuleShape =
        read(json!({"Arn": "a", "Name": "p", "ScheduleExpression": "rate(1 minute)", "State": "DISABLED"}));
    assert_eq!(off.expression(), None);

    let schedule = |state: &str, zone: &str| {
        read::<ScheduleShape>(json!({
            "Arn": "arn:aws:scheduler:eu-west-1:1:schedule/g/s", "Name": "s", "GroupName": "g", "State": state,
            "ScheduleExpression": "cron(0/3 14 * * ? *)", "ScheduleExpressionTimezone": zone,
            "Target": {"Arn": FUNCTION, "RoleArn": "r", "Input": "{\"p\":3}"}
        }))
        .model()
    };
    assert_eq!(schedule("ENABLED", "UTC").unwrap().unwrap().function, "demo-webhook");
    assert_eq!(schedule("DISABLED", "UTC").unwrap(), None);
    assert!(schedule("ENABLED", "Mars/Olympus").unwrap_err().to_string().contains("Mars/Olympus"));
}
