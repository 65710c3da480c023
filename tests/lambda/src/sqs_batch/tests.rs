use super::*;

fn mapping(batch_size: usize, window: u64) -> Mapping {
    Mapping {
        id: "m".to_owned(),
        queue_arn: "arn:aws:sqs:eu-west-1:123456789012:q".to_owned(),
        function: "f".to_owned(),
        batch_size,
        window: Duration::from_secs(window),
        reports_failures: true,
        max_concurrency: None,
    }
}

fn messages(count: usize) -> Vec<Message> {
    (1..=count)
        .map(|n| {
            serde_json::from_value(json!({
                "MessageId": format!("m{n}"), "ReceiptHandle": format!("r{n}"), "MD5OfBody": "md5", "Body": "hi",
                "Attributes": {"SenderId": "AROAX:i-0", "SentTimestamp": "1", "ApproximateReceiveCount": "2"}
            }))
            .unwrap()
        })
        .collect()
}

const POLL: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_a_window_one_receive_is_a_batch() {
    let mapping = mapping(10, 0);
    assert_eq!(gather(&mapping, &[], Duration::ZERO, POLL), Gather::Receive(10, POLL));
    assert_eq!(gather(&mapping, &messages(1), Duration::ZERO, POLL), Gather::Invoke);
}

#[test]
fn a_window_gathers_until_it_is_over_or_the_batch_is_full() {
    let mapping = mapping(12, 5);
    assert_eq!(gather(&mapping, &[], Duration::ZERO, POLL), Gather::Receive(10, POLL));
    assert_eq!(gather(&mapping, &messages(10), 2 * SECOND, POLL), Gather::Receive(2, 3 * SECOND));
    assert_eq!(gather(&mapping, &messages(3), 2 * SECOND, SECOND), Gather::Receive(9, SECOND));
    assert_eq!(gather(&mapping, &messages(3), 5 * SECOND, POLL), Gather::Invoke);
    assert_eq!(gather(&mapping, &messages(12), SECOND, POLL), Gather::Invoke);
    let mut large = messages(1);
    large[0].body = "x".repeat(BYTES_LIMIT);
    assert_eq!(gather(&mapping, &large, SECOND, POLL), Gather::Invoke);
}

#[test]
fn a_record_has_all_that_sqs_told() {
    let message: Message = serde_json::from_value(json!({
        "MessageId": "m1", "ReceiptHandle": "r1", "MD5OfBody": "md5", "Body": "hi",
        "Attributes": {"SenderId": "AROAX:i-0", "SentTimestamp": "1795197030607", "ApproximateReceiveCount": "2"},
        "MD5OfMessageAttributes": "md5a",
        "MessageAttributes": {"a": {"StringValue": "x", "DataType": "String"}}
    }))
    .unwrap();
    assert_eq!(
        event(&mapping(1, 0), &[message]),
        json!({"Records": [{
            "messageId": "m1", "receiptHandle": "r1", "body": "hi", "md5OfBody": "md5",
            "attributes": {"SenderId": "AROAX:i-0", "SentTimestamp": "1795197030607", "ApproximateReceiveCount": "2"},
            "messageAttributes": {
                "a": {"stringValue": "x", "dataType": "String", "stringListValues": [], "binaryListValues": []}
            },
            "md5OfMessageAttributes": "md5a",
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q", "awsRegion": "eu-west-1"
        }]})
    );
}

#[track_caller]
fn settles(answer: &str, expected: &[&str]) {
    let batch = messages(3);
    let ids: Vec<&str> =
        settled(&mapping(10, 0), &batch, answer.as_bytes()).iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, expected, "{answer}");
}

#[test]
fn the_documents_success_conditions() {
    for answer in ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
        settles(answer, &["m1", "m2", "m3"]);
    }
}

#[test]
fn failures_named_stay() {
    settles(r#"{"batchItemFailures":[{"itemIdentifier":"m2"}]}"#, &["m1", "m3"]);
    settles(r#"{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m3"}]}"#, &["m2"]);
}

#[test]
fn the_documents_failure_conditions() {
    for answer in [
        "not json",
        r#""text""#,
        r#"{"batchItemFailures":"m1"}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        r#"{"batchItemFailures":[{"wrong":"m1"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"unknown"}]}"#,
    ] {
        settles(answer, &[]);
    }
}

#[test]
fn without_reports_success_settles_all() {
    let batch = messages(2);
    let mapping = Mapping { reports_failures: false, ..mapping(10, 0) };
    assert_eq!(settled(&mapping, &batch, br#"{"batchItemFailures":[{"itemIdentifier":"m1"}]}"#).len(), 2);
    assert_eq!(settled(&mapping, &batch, b"not json").len(), 2);
}
