//! GitHub's REST API, as far as Dayfly and its tests call it. `ask` is what every handler gets.

mod apps;
mod ask;
mod deliveries;
mod groups;
mod jobs;
mod paging;
mod registration;
mod releases;
mod runners;
mod runs;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::json;

use self::ask::Ask;
pub(crate) use self::releases::downloads_of_releases;
use crate::answer::{Answered, ok};
use crate::gate::Caller;
use crate::limits::{Payer, Standing};
use crate::shared::Shared;

/// All routes.
pub(crate) fn all() -> Router<Arc<Shared>> {
    let app = Router::new()
        .route("/app", get(apps::app))
        .route("/app/hook/config", get(apps::hook_config))
        .route("/app/installations", get(apps::installations))
        .route("/app/installations/{installation_id}", get(apps::installation))
        .route("/app/installations/{installation_id}/access_tokens", post(apps::access_token))
        .route("/orgs/{org}/installation", get(apps::installation_of))
        .route("/repos/{owner}/{repo}/installation", get(apps::installation_of))
        .route("/rate_limit", get(rate_limit))
        .route("/repos/{owner}/{repo}/releases", get(releases::list))
        .route("/repos/{owner}/{repo}/releases/latest", get(releases::latest))
        .route("/repos/{owner}/{repo}/releases/tags/{tag}", get(releases::tagged));
    let hooks = ["/app/hook", "/orgs/{org}/hooks/{hook_id}", "/repos/{owner}/{repo}/hooks/{hook_id}"];
    let app = hooks.iter().fold(app, |router, hook| {
        router
            .route(&format!("{hook}/deliveries"), get(deliveries::list))
            .route(&format!("{hook}/deliveries/{{delivery_id}}"), get(deliveries::one))
            .route(&format!("{hook}/deliveries/{{delivery_id}}/attempts"), post(deliveries::again))
    });
    let owners = ["/orgs/{org}", "/repos/{owner}/{repo}", "/enterprises/{enterprise}"];
    let app = owners.iter().fold(app, |router, owner| {
        let base = format!("{owner}/actions/runners");
        router
            .route(&base, get(runners::list))
            .route(&format!("{base}/downloads"), get(releases::downloads))
            .route(&format!("{base}/generate-jitconfig"), post(registration::jit_config))
            .route(&format!("{base}/registration-token"), post(registration::registration_token))
            .route(&format!("{base}/remove-token"), post(registration::remove_token))
            .route(&format!("{base}/{{runner_id}}"), get(runners::one).delete(runners::remove))
    });
    let app = ["/orgs/{org}", "/enterprises/{enterprise}"].iter().fold(app, |router, owner| {
        router
            .route(&format!("{owner}/actions/runner-groups"), get(groups::list))
            .route(&format!("{owner}/actions/runner-groups/{{runner_group_id}}"), get(groups::one))
            .route(&format!("{owner}/actions/runner-groups/{{runner_group_id}}/runners"), get(groups::runners))
    });
    let actions = "/repos/{owner}/{repo}/actions";
    app.route(&format!("{actions}/jobs/{{job_id}}"), get(jobs::one))
        .route(&format!("{actions}/jobs/{{job_id}}/rerun"), post(jobs::rerun))
        .route(&format!("{actions}/runs"), get(runs::list))
        .route(&format!("{actions}/runs/{{run_id}}"), get(runs::one))
        .route(&format!("{actions}/runs/{{run_id}}/jobs"), get(runs::jobs))
        .route(&format!("{actions}/runs/{{run_id}}/cancel"), post(runs::cancel))
        .route(&format!("{actions}/runs/{{run_id}}/rerun"), post(runs::rerun))
        .route(&format!("{actions}/runs/{{run_id}}/rerun-failed-jobs"), post(runs::rerun_failed))
}

/// How many requests are left. Asking is free.
async fn rate_limit(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    let payer = match &ask.caller {
        Caller::Anonymous => Payer::Anonymous,
        Caller::App => Payer::App,
        Caller::Installation(grant) => Payer::Installation(grant.installation),
    };
    let core = shared.look(|world, now| world.limits.look(&payer, now));
    // These are not limited here; the figures are those of a fresh window at GitHub.
    let untouched = |limit| Standing { limit, used: 0, ..core };
    let shown = |standing: Standing| {
        json!({
            "limit": standing.limit,
            "used": standing.used,
            "remaining": standing.remaining(),
            "reset": standing.reset,
        })
    };
    Ok(ok(&json!({
        "resources": {
            "core": shown(core),
            "search": shown(untouched(30)),
            "actions_runner_registration": shown(untouched(10_000)),
        },
        "rate": shown(core),
    })))
}
