//! Pages and the `Link` header.

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::ask::Ask;

/// Page size where none is asked for, and the largest.
const USUAL: usize = 30;
const LARGEST: usize = 100;

/// `per_page`, within bounds.
pub(crate) fn per_page(ask: &Ask) -> usize {
    ask.query.get("per_page").and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(USUAL).min(LARGEST)
}

/// The asked page of `items`, and the `Link` header where there are others.
pub(crate) fn page<T>(ask: &Ask, base: &str, items: Vec<T>) -> (Vec<T>, Option<String>) {
    let size = per_page(ask);
    let page: usize = ask.query.get("page").and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(1);
    let last = items.len().div_ceil(size).max(1);
    let mut links = Vec::new();
    let mut link = |rel: &str, to: usize| links.push(url(ask, base, "page", &to.to_string(), rel));
    if page > 1 {
        link("prev", page - 1);
    }
    if page < last {
        link("next", page + 1);
        link("last", last);
    }
    if page > 1 {
        link("first", 1);
    }
    let items = items.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    (items, (!links.is_empty()).then(|| links.join(", ")))
}

/// One entry of a `Link` header: the request's URL with one parameter changed.
pub(crate) fn url(ask: &Ask, base: &str, name: &str, value: &str, rel: &str) -> String {
    let mut query: Vec<(&str, &str)> =
        ask.query.iter().filter(|(key, _)| *key != name).map(|(key, value)| (key.as_str(), value.as_str())).collect();
    query.push((name, value));
    query.sort_unstable();
    let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    format!("<{base}{}?{}>; rel=\"{rel}\"", ask.path, query.join("&"))
}

/// Adds the header, if there is one to add.
pub(crate) fn linked(mut response: Response, link: Option<String>) -> Response {
    if let Some(value) = link.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
