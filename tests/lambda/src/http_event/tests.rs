use super::*;

fn api() -> Api {
    Api { id: "abc123".to_owned(), stage: "$default".to_owned(), stage_variables: BTreeMap::new(), routes: Vec::new() }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn event_of(pairs: &[(&str, &str)], query: &str, body: &[u8]) -> Value {
    event(&Request {
        api: &api(),
        account: "123456789012",
        region: "eu-west-1",
        route_key: "POST /webhook",
        path_parameters: BTreeMap::new(),
        method: &Method::POST,
        path: "/webhook",
        query,
        headers: &headers(pairs),
        body,
        source: [127, 0, 0, 1].into(),
        id: "r",
        now: "2026-11-20T12:00:00.5Z".parse().unwrap(),
    })
}

#[test]
fn a_webhooks_event() {
    let pairs = [("X-GitHub-Event", "workflow_job"), ("Content-Type", "application/json"), ("User-Agent", "hook")];
    let event = event_of(&pairs, "", br#"{"a":1}"#);
    assert_eq!(
        event,
        json!({
            "version": "2.0", "routeKey": "POST /webhook", "rawPath": "/webhook", "rawQueryString": "",
            "headers": {"x-github-event": "workflow_job", "content-type": "application/json", "user-agent": "hook"},
            "requestContext": {
                "accountId": "123456789012", "apiId": "abc123", "domainPrefix": "abc123",
                "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
                "http": {"method": "POST", "path": "/webhook", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                         "userAgent": "hook"},
                "requestId": "r", "routeKey": "POST /webhook", "stage": "$default",
                "time": "20/Nov/2026:12:00:00 +0000", "timeEpoch": 1_795_176_000_500_i64
            },
            "body": r#"{"a":1}"#, "isBase64Encoded": false
        })
    );
}

#[test]
fn repeated_headers_cookies_and_queries() {
    let event = event_of(&[("A", "1"), ("a", "2"), ("Cookie", "x=1; y=2")], "q=a%20b&q=c+d&flag", b"");
    assert_eq!(event["headers"], json!({"a": "1,2"}));
    assert_eq!(event["cookies"], json!(["x=1", "y=2"]));
    assert_eq!(event["queryStringParameters"], json!({"q": "a b,c d", "flag": ""}));
    assert_eq!(event["rawQueryString"], "q=a%20b&q=c+d&flag");
    assert!(event.get("body").is_none());
}

#[test]
fn bodies_that_are_no_text_go_as_base64() {
    for (kind, body, encoded) in [
        ("application/json; charset=utf-8", &b"{}"[..], false),
        ("text/plain", b"x", false),
        ("application/octet-stream", b"x", true),
        ("application/x-www-form-urlencoded", b"payload=1", true),
        ("application/json", b"\xff\xfe", true),
    ] {
        let event = event_of(&[("content-type", kind)], "", body);
        assert_eq!(event["isBase64Encoded"], encoded, "{kind}");
        let text = event["body"].as_str().unwrap();
        let back = if encoded { BASE64_STANDARD.decode(text).unwrap() } else { text.as_bytes().to_vec() };
        assert_eq!(back, body);
    }
}

#[track_caller]
fn answers(answer: &Value, status: u16, body: &str, pairs: &[(&str, &str)]) {
    let response = response(answer.to_string().as_bytes()).unwrap();
    assert_eq!(response.status.as_u16(), status);
    assert_eq!(String::from_utf8(response.body).unwrap(), body);
    assert_eq!(response.headers, headers(pairs));
}

#[test]
fn answers_with_a_status() {
    answers(&json!({"statusCode": 202}), 202, "", &[]);
    let text = ("content-type", "text/plain;charset=UTF-8");
    answers(&json!({"statusCode": "401", "body": "no"}), 401, "no", &[text]);
    answers(&json!({"statusCode": 200, "body": "aGk=", "isBase64Encoded": true}), 200, "hi", &[text]);
    let full = json!({
        "statusCode": 201, "headers": {"X-N": 5, "Content-Type": "a/b"}, "cookies": ["a=1", "b=2"], "body": "x"
    });
    answers(&full, 201, "x", &[("x-n", "5"), ("content-type", "a/b"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    answers(&json!({"statusCode": 200, "headers": null, "cookies": null, "body": null}), 200, "", &[]);
}

#[test]
fn plain_answers_are_bodies() {
    let json = ("content-type", "application/json");
    answers(&json!({"message": "hi"}), 200, r#"{"message":"hi"}"#, &[json]);
    answers(&json!("hi"), 200, "hi", &[json]);
    answers(&json!([1]), 200, "[1]", &[json]);
}

#[test]
fn answers_that_are_none() {
    for answer in [
        "not json",
        r#"{"statusCode":"x"}"#,
        r#"{"statusCode":99999}"#,
        r#"{"statusCode":200,"body":{}}"#,
        r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
        r#"{"statusCode":200,"headers":[]}"#,
        r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
    ] {
        assert_eq!(response(answer.as_bytes()), None, "{answer}");
    }
}
