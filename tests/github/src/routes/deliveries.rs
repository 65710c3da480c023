//! Past webhook deliveries: list, get, send again. The App's hook is the only one; it answers under its id for the
//! organization and its repositories too.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ask::Ask;
use super::paging::{linked, per_page, url};
use crate::answer::{Answered, Failure, answer, ok};
use crate::model::Owner;
use crate::shared::Shared;
use crate::webhooks::{Delivery, HOOK_ID, seconds};

pub(crate) async fn list(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    allowed(&ask, "read")?;
    let before = match ask.query.get("cursor") {
        None => u64::MAX,
        Some(cursor) => cursor
            .strip_prefix("v1_")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, format!("Invalid cursor: {cursor}")))?,
    };
    let wanted = match ask.query.get("status").map(String::as_str) {
        None => None,
        Some("success") => Some(true),
        Some("failure") => Some(false),
        Some(other) => {
            return Err(Failure::new(StatusCode::BAD_REQUEST, format!("status: found {other}")));
        }
    };
    let mut found: Vec<Delivery> = shared
        .deliverer
        .sent()
        .into_iter()
        .filter(|delivery| delivery.id < before && wanted.is_none_or(|good| delivery.succeeded() == good))
        .collect();
    // Newest first; those under way were given their ids before some that have ended.
    found.sort_unstable_by_key(|delivery| std::cmp::Reverse(delivery.id));
    let size = per_page(&ask);
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|last| format!("v1_{}", last.id));
    let link = next.map(|cursor| url(&ask, &shared.public_url, "cursor", &cursor, "next"));
    let items: Vec<Value> = found.iter().map(|delivery| brief(&shared, delivery)).collect();
    Ok(linked(ok(&json!(items)), link))
}

pub(crate) async fn one(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    allowed(&ask, "read")?;
    let id: u64 = ask.id("delivery_id")?;
    let found = shared.deliverer.sent().into_iter().find(|delivery| delivery.id == id);
    let delivery = found.ok_or_else(Failure::not_found)?;
    let mut body = brief(&shared, &delivery);
    body["url"] = json!(delivery.url);
    body["request"] = json!({ "headers": delivery.request_headers, "payload": delivery.request_payload });
    body["response"] = json!({ "headers": delivery.response_headers, "payload": delivery.response_payload });
    Ok(ok(&body))
}

pub(crate) async fn again(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    allowed(&ask, "write")?;
    let id: u64 = ask.id("delivery_id")?;
    if shared.deliverer.redeliver(id) {
        Ok(answer(StatusCode::ACCEPTED, &json!({})))
    } else {
        Err(Failure::not_found())
    }
}

/// The App sees its hook with its JWT; others need the permission for hooks, and the hook's id.
fn allowed(ask: &Ask, level: &str) -> Result<(), Failure> {
    let permission = match &ask.owner {
        None => return ask.by_app(),
        Some(Owner::Repo(_)) => "repository_hooks",
        Some(Owner::Org(_) | Owner::Enterprise(_)) => "organization_hooks",
    };
    ask.may(permission, level)?;
    let hook: u64 = ask.id("hook_id")?;
    if hook == HOOK_ID { Ok(()) } else { Err(Failure::not_found()) }
}

fn brief(shared: &Shared, delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": seconds(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": shared.installation_id,
        "repository_id": delivery.repository_id,
        "throttled_at": null,
    })
}
