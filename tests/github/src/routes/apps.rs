//! The App, its installation and the installation's tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::ask::{Ask, json_of};
use super::paging::{linked, page};
use crate::answer::{Answered, Failure, answer, ok};
use crate::credentials::{Grant, Permissions, app_permissions, covers};
use crate::model::Owner;
use crate::shared::Shared;
use crate::webhooks::{ORG_ID, seconds};

const SLUG: &str = "dayfly";
const EVENTS: [&str; 1] = ["workflow_job"];

pub(crate) async fn app(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.by_app()?;
    let made = seconds(shared.started);
    Ok(ok(&json!({
        "id": shared.app_id,
        "slug": SLUG,
        "node_id": format!("A_kw{}", shared.app_id),
        "client_id": shared.client_id,
        "owner": shared.payloads.account(),
        "name": "Dayfly",
        "description": "Runners that live for one job",
        "external_url": "https://github.com/dayfly",
        "html_url": format!("https://github.com/apps/{SLUG}"),
        "created_at": made,
        "updated_at": made,
        "permissions": app_permissions(),
        "events": EVENTS,
        "installations_count": 1,
    })))
}

pub(crate) async fn installations(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.by_app()?;
    let (items, link) = page(&ask, &shared.public_url, vec![shown(&shared)]);
    Ok(linked(ok(&json!(items)), link))
}

pub(crate) async fn installation(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.by_app()?;
    the_one(&shared, &ask)?;
    Ok(ok(&shown(&shared)))
}

/// How the App's webhook is set up. Its secret is never shown.
pub(crate) async fn hook_config(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.by_app()?;
    let mut config = json!({ "content_type": "json", "insecure_ssl": "0" });
    if let Some(webhook) = shared.deliverer.webhook() {
        config["url"] = json!(webhook.url);
        config["secret"] = json!("********");
    }
    Ok(ok(&config))
}

/// The installation that covers an organization or repository.
pub(crate) async fn installation_of(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.by_app()?;
    let installed = shared.look(|world, _| match &ask.owner {
        Some(Owner::Repo(name)) => world.repository(name).is_some(),
        Some(Owner::Org(_)) => true,
        Some(Owner::Enterprise(_)) | None => false,
    });
    if installed { Ok(ok(&shown(&shared))) } else { Err(Failure::not_found()) }
}

pub(crate) async fn access_token(State(shared): State<Arc<Shared>>, ask: Ask, body: Bytes) -> Answered {
    ask.by_app()?;
    the_one(&shared, &ask)?;
    let body = json_of(&body)?;
    let permissions = narrowed(&body)?;
    let repositories = chosen(&shared, &body)?;
    Ok(issue(&shared, permissions, repositories))
}

fn issue(shared: &Shared, permissions: Permissions, repositories: Option<Vec<String>>) -> Response {
    let lifetime = shared.token_lifetime;
    shared.look(|world, now| {
        let token = world.secret("ghs_", 36);
        let expires_at = now.saturating_add(lifetime).unwrap_or(now);
        let mut body = json!({
            "token": token,
            "expires_at": seconds(expires_at),
            "permissions": permissions,
            "repository_selection": if repositories.is_some() { "selected" } else { "all" },
        });
        if let Some(names) = &repositories {
            let shown = |name: &String| shared.payloads.repository(name, world.repository_id(name));
            body["repositories"] = names.iter().map(shown).collect();
        }
        let grant = Grant { installation: shared.installation_id, permissions, repositories, expires_at };
        world.credentials.issue(token, grant);
        answer(StatusCode::CREATED, &body)
    })
}

fn the_one(shared: &Shared, ask: &Ask) -> Result<(), Failure> {
    let asked: u64 = ask.id("installation_id")?;
    if asked == shared.installation_id { Ok(()) } else { Err(Failure::not_found()) }
}

/// The permissions asked for, which may not be more than the App has; all of them where none are named.
fn narrowed(body: &Value) -> Result<Permissions, Failure> {
    let granted = app_permissions();
    let Some(asked) = body.get("permissions").filter(|asked| !asked.is_null()) else { return Ok(granted) };
    let asked: BTreeMap<String, String> = serde_json::from_value(asked.clone())
        .map_err(|_| Failure::invalid_objects(&["permissions: expected an object of names and levels".to_owned()]))?;
    let beyond: Vec<String> = asked
        .iter()
        .filter(|(name, level)| !covers(&granted, name, level))
        .map(|(name, level)| format!("The permissions requested are not granted to this installation: {name} {level}"))
        .collect();
    if beyond.is_empty() { Ok(asked) } else { Err(Failure::invalid_objects(&beyond)) }
}

/// The repositories that the token is to be limited to, by name or id.
fn chosen(shared: &Shared, body: &Value) -> Result<Option<Vec<String>>, Failure> {
    let (names, ids) = (body.get("repositories"), body.get("repository_ids"));
    if names.or(ids).is_none() {
        return Ok(None);
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    shared.look(|world, _| {
        let by_name = list(names).into_iter().map(|name| {
            let full = format!("{}/{}", world.org, name.as_str().unwrap_or_default());
            world.repository(&full).map(str::to_owned).ok_or(name)
        });
        let by_id = list(ids).into_iter().map(|id| {
            let found = world.repositories.iter().find(|name| Some(world.repository_id(name)) == id.as_u64());
            found.cloned().ok_or(id)
        });
        let found: Result<Vec<String>, Value> = by_name.chain(by_id).collect();
        found.map(Some).map_err(|missing| {
            Failure::invalid_objects(&[format!("There is at least one repository that does not exist: {missing}")])
        })
    })
}

fn shown(shared: &Shared) -> Value {
    let (id, base, made) = (shared.installation_id, &shared.public_url, seconds(shared.started));
    let account = shared.payloads.account();
    json!({
        "id": id,
        "client_id": shared.client_id,
        "html_url": format!("https://github.com/organizations/{}/settings/installations/{id}", account["login"].as_str().unwrap_or_default()),
        "account": account,
        "repository_selection": "all",
        "access_tokens_url": format!("{base}/app/installations/{id}/access_tokens"),
        "repositories_url": format!("{base}/installation/repositories"),
        "app_id": shared.app_id,
        "app_slug": SLUG,
        "target_id": ORG_ID,
        "target_type": "Organization",
        "permissions": app_permissions(),
        "events": EVENTS,
        "created_at": made,
        "updated_at": made,
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": null,
        "suspended_at": null,
    })
}
