//! Which answer a request gets: a pure function of the instance, the request and the time.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{Entry, Shared, tree};

/// Session tokens that were handed out: whose they are and until when they are good.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, (String, Timestamp)>);

impl Tokens {
    /// Drops the tokens of an instance that is gone.
    pub(super) fn forget(&mut self, id: &str) {
        self.0.retain(|_, (owner, _)| owner != id);
    }

    fn valid(&self, token: &str, id: &str, now: Timestamp) -> bool {
        self.0.get(token).is_some_and(|(owner, expires)| owner == id && now < *expires)
    }
}

/// What of a request matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) ttl: Option<String>,
    pub(super) forwarded: bool,
}

/// What is sent back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    /// Of a token: seconds it is good for.
    pub(super) token_ttl: Option<i64>,
    /// IP time-to-live of the packets that carry the answer, where it is to be limited.
    pub(super) hops: Option<u32>,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self { status, content_type: "text/plain", ..Self::default() }
    }

    fn text(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }
}

/// Answers `ask` of instance `id`. `new_token` is the token to hand out, if one is asked for.
pub(super) fn answer(shared: &mut Shared, id: &str, ask: &Ask, new_token: &str, now: Timestamp) -> Reply {
    let Shared { account, instances, tokens, .. } = shared;
    let Some(entry) = instances.get_mut(id) else { return Reply::status(403) };
    if let Some((status, times @ 1..)) = entry.refuse {
        entry.refuse = Some((status, times - 1));
        return Reply::status(status);
    }
    if entry.disabled {
        return Reply::status(403);
    }
    match ask.method.as_str() {
        "PUT" => token(tokens, entry, id, ask, new_token, now),
        "GET" | "HEAD" => {
            let optional = entry.facts.metadata_options.http_tokens == "optional";
            let good = match &ask.token {
                Some(token) => tokens.valid(token, id, now),
                None => optional,
            };
            if good { read(account, entry, &ask.path, now) } else { Reply::status(401) }
        }
        _ => Reply::status(405),
    }
}

/// `PUT /latest/api/token`. A request that came through a proxy is refused: that is what the header is looked at for.
fn token(tokens: &mut Tokens, entry: &Entry, id: &str, ask: &Ask, new_token: &str, now: Timestamp) -> Reply {
    if ask.path != "/latest/api/token" {
        return Reply::status(404);
    }
    if ask.forwarded {
        return Reply::status(403);
    }
    match ask.ttl.as_deref().and_then(|ttl| ttl.parse::<i64>().ok()) {
        Some(ttl @ 1..=21600) => {
            tokens.0.insert(new_token.to_owned(), (id.to_owned(), now + SignedDuration::from_secs(ttl)));
            let hops = Some(entry.facts.metadata_options.http_put_response_hop_limit);
            Reply { token_ttl: Some(ttl), hops, ..Reply::text(new_token) }
        }
        _ => Reply::status(400),
    }
}

fn read(account: &str, entry: &Entry, path: &str, now: Timestamp) -> Reply {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let Some(version) = parts.next() else { return Reply::text("latest\n2021-03-23\n2009-04-04") };
    if version != "latest" && !is_version(version) {
        return Reply::status(404);
    }
    let rest: Vec<&str> = parts.collect();
    match rest.as_slice() {
        [] => {
            let user_data = if entry.user_data.is_some() { "\nuser-data" } else { "" };
            Reply::text(format!("dynamic\nmeta-data{user_data}"))
        }
        ["user-data"] => match &entry.user_data {
            Some(bytes) => Reply { content_type: "application/octet-stream", ..Reply::text(bytes.clone()) },
            None => Reply::status(404),
        },
        _ => match tree::lookup(account, entry, &rest, now) {
            Some(text) if text.starts_with('{') => Reply { content_type: "application/json", ..Reply::text(text) },
            Some(text) => Reply::text(text),
            None => Reply::status(404),
        },
    }
}

/// Versions are dates; newer ones than the service knows answer 404, which clients probe for.
fn is_version(text: &str) -> bool {
    text.len() == 10 && text.starts_with("20") && text <= "2021-07-15" && text != "2021-01-03"
}

#[cfg(test)]
mod tests;
