//! HTTP API payload format 2.0: from a request to an event, from an answer to a response.
//!
//! Source: API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs".

use std::{collections::BTreeMap, net::IpAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{model::Api, routes::decode};

/// A request, with all that the event tells of it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) api: &'a Api,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) route_key: &'a str,
    pub(crate) path_parameters: BTreeMap<String, String>,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    pub(crate) source: IpAddr,
    pub(crate) id: &'a str,
    pub(crate) now: Timestamp,
}

/// The event for the function.
pub(crate) fn event(request: &Request<'_>) -> Value {
    let headers = joined(request.headers);
    let header = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let domain = format!("{}.execute-api.{}.amazonaws.com", request.api.id, request.region);
    let time = request.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let mut event = json!({
        "version": "2.0",
        "routeKey": request.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": request.account,
            "apiId": request.api.id,
            "domainName": domain,
            "domainPrefix": request.api.id,
            "http": {
                "method": request.method.as_str(),
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source.to_string(),
                "userAgent": header("user-agent"),
            },
            "requestId": request.id,
            "routeKey": request.route_key,
            "stage": request.api.stage,
            "time": time,
            "timeEpoch": request.now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies: Vec<&str> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';').map(str::trim))
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let query = query_parameters(request.query);
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query);
    }
    if !request.path_parameters.is_empty() {
        event["pathParameters"] = json!(request.path_parameters);
    }
    if !request.api.stage_variables.is_empty() {
        event["stageVariables"] = json!(request.api.stage_variables);
    }
    if !request.body.is_empty() {
        let text = std::str::from_utf8(request.body).ok().filter(|_| is_text(&header("content-type")));
        event["isBase64Encoded"] = json!(text.is_none());
        event["body"] = json!(text.map_or_else(|| BASE64_STANDARD.encode(request.body), str::to_owned));
    }
    event
}

/// Names in lower case; the values of a repeated header joined by commas; cookies have their own place.
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if name != header::COOKIE {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            found.entry(name.as_str().to_owned()).or_default().push(value);
        }
    }
    found.into_iter().map(|(name, values)| (name, json!(values.join(",")))).collect()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decode(&text.replace('+', " "));
        found
            .entry(plain(name))
            .and_modify(|values| {
                values.push(',');
                values.push_str(&plain(value));
            })
            .or_insert_with(|| plain(value));
    }
    found
}

/// Which bodies go as they are; all others go as base64.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = ["", "application/json", "application/xml", "application/javascript"];
    kind.starts_with("text/") || known.contains(&kind.as_str())
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The response that an answer stands for; none where it is none, which is a 500.
pub(crate) fn response(answer: &[u8]) -> Option<Response> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let Some(status) = answer.get("statusCode") else {
        // A plain answer: the body itself, as JSON, with 200.
        let body = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        return Some(Response { status: StatusCode::OK, headers, body: body.into_bytes() });
    };
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    let mut headers = HeaderMap::new();
    let given = present(&answer, "headers").map(Value::as_object);
    // Something there that is no object spoils the whole answer.
    for (name, value) in given.unwrap_or(Some(&Map::new()))? {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    let given = present(&answer, "cookies").map(Value::as_array);
    for cookie in given.unwrap_or(Some(&Vec::new()))? {
        headers.append(header::SET_COOKIE, HeaderValue::try_from(cookie.as_str()?).ok()?);
    }
    let body = match present(&answer, "body") {
        None => String::new(),
        Some(body) => body.as_str()?.to_owned(),
    };
    let encoded = answer.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    let body = if encoded { BASE64_STANDARD.decode(body).ok()? } else { body.into_bytes() };
    if !body.is_empty() {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
    }
    Some(Response { status, headers, body })
}

fn present<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    answer.get(name).filter(|value| !value.is_null())
}

#[cfg(test)]
#[path = "http_event/tests.rs"]
mod tests;
