//! Runner groups.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::ask::Ask;
use super::paging::{linked, page};
use super::runners::shown as runner_shown;
use crate::answer::{Answered, Failure, ok};
use crate::config::Group;
use crate::model::Owner;
use crate::shared::Shared;

pub(crate) async fn list(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("read")?;
    let wanted = ask.query.get("visible_to_repository");
    let all: Vec<Value> = shared.look(|world, _| {
        let visible = |group: &&Group| match (&group.repositories, wanted) {
            (Some(names), Some(wanted)) => {
                names.iter().any(|name| name.rsplit('/').next().is_some_and(|name| name.eq_ignore_ascii_case(wanted)))
            }
            (None, _) | (_, None) => true,
        };
        world.groups.iter().filter(visible).map(|group| shown(group, &base(&shared, owner))).collect()
    });
    let total = all.len();
    let (groups, link) = page(&ask, &shared.public_url, all);
    Ok(linked(ok(&json!({ "total_count": total, "runner_groups": groups })), link))
}

pub(crate) async fn one(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("read")?;
    let id: u64 = ask.id("runner_group_id")?;
    let found = shared.look(|world, _| world.group(id).map(|group| shown(group, &base(&shared, owner))));
    found.map(|group| ok(&group)).ok_or_else(Failure::not_found)
}

/// The runners of a group.
pub(crate) async fn runners(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let owner = ask.may_runners("read")?;
    let id: u64 = ask.id("runner_group_id")?;
    let all: Option<Vec<Value>> = shared.look(|world, now| {
        world.group(id)?;
        let of_group = world.runners_of(owner).filter(|runner| runner.group_id == id);
        Some(of_group.map(|runner| runner_shown(world, runner, now)).collect())
    });
    let all = all.ok_or_else(Failure::not_found)?;
    let total = all.len();
    let (runners, link) = page(&ask, &shared.public_url, all);
    Ok(linked(ok(&json!({ "total_count": total, "runners": runners })), link))
}

fn base(shared: &Shared, owner: &Owner) -> String {
    let kind = if matches!(owner, Owner::Org(_)) { "/orgs/" } else { "/" };
    format!("{}{kind}{}/actions/runner-groups", shared.public_url, owner.path())
}

fn shown(group: &Group, base: &str) -> Value {
    let id = group.id;
    let mut body = json!({
        "id": id,
        "name": group.name,
        "visibility": if group.repositories.is_some() { "selected" } else { "all" },
        "default": id == 1,
        "runners_url": format!("{base}/{id}/runners"),
        "hosted_runners_url": format!("{base}/{id}/hosted-runners"),
        "inherited": false,
        "allows_public_repositories": true,
        "restricted_to_workflows": false,
        "selected_workflows": [],
        "workflow_restrictions_read_only": false,
    });
    if group.repositories.is_some() {
        body["selected_repositories_url"] = json!(format!("{base}/{id}/repositories"));
    }
    body
}
