//! Every call that GitHub's description has: made and held against it, or known not to be served.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{As, Lab, ORG, REPO, Receiver};

/// In the description, for other issues, and not served: 404 or 405.
const NOT_SERVED: [&str; 22] = [
    "PATCH /app/hook/config",
    "DELETE /app/installations/{installation_id}",
    "POST /orgs/{org}/actions/runner-groups",
    "DELETE /orgs/{org}/actions/runner-groups/{runner_group_id}",
    "PATCH /orgs/{org}/actions/runner-groups/{runner_group_id}",
    "PUT /orgs/{org}/actions/runner-groups/{runner_group_id}/runners",
    "GET /orgs/{org}/actions/runners/{runner_id}/labels",
    "POST /orgs/{org}/actions/runners/{runner_id}/labels",
    "PUT /orgs/{org}/actions/runners/{runner_id}/labels",
    "DELETE /orgs/{org}/actions/runners/{runner_id}/labels",
    "DELETE /orgs/{org}/actions/runners/{runner_id}/labels/{name}",
    "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs",
    "GET /repos/{owner}/{repo}/actions/runners/{runner_id}/labels",
    "POST /repos/{owner}/{repo}/actions/runners/{runner_id}/labels",
    "PUT /repos/{owner}/{repo}/actions/runners/{runner_id}/labels",
    "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}/labels",
    "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}/labels/{name}",
    "DELETE /repos/{owner}/{repo}/actions/runs/{run_id}",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "GET /repos/{owner}/{repo}/pulls",
    "POST /repos/{owner}/{repo}/pulls",
];

/// Notes each call that went well.
struct Tour {
    lab: Lab,
    seen: BTreeSet<String>,
}

impl Tour {
    async fn go(&mut self, expected: u16, method: &str, path: &str, who: As) -> serde_json::Value {
        self.send(expected, method, path, who, None).await
    }

    async fn send(
        &mut self,
        expected: u16,
        method: &str,
        path: &str,
        who: As,
        body: Option<serde_json::Value>,
    ) -> serde_json::Value {
        let reply = self.lab.call(method, path, who, body).await.unwrap();
        assert_eq!(reply.status, expected, "{method} {path}: {}", reply.body);
        let bare = path.split('?').next().unwrap_or_default();
        self.seen.insert(format!("{method} {}", self.lab.api.pattern(bare).unwrap()));
        reply.body
    }
}

#[tokio::test]
async fn every_call_of_the_description_answers_in_its_shape_or_is_known_not_to_be_served() {
    let lab = Lab::start().await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    let failed = lab.run_a_job("Failed").await.unwrap();
    let run = lab.github.job(failed).unwrap().run_id;
    let cancelled = lab.queue(&["linux", "big"]).unwrap();
    let cancelled_run = lab.github.job(cancelled).unwrap().run_id;
    receiver.wait(&lab.github, 4).await.unwrap();
    let delivery = lab.github.deliveries()[0].id;
    let hook = lab.github.deliveries()[0].request_headers["x-github-hook-id"].clone();

    let mut tour = Tour { lab, seen: BTreeSet::new() };
    apps(&mut tour).await;
    for owner in [format!("/orgs/{ORG}"), format!("/repos/{REPO}"), "/enterprises/octo-enterprise".to_owned()] {
        runners(&mut tour, &owner).await;
    }
    for owner in [format!("/orgs/{ORG}"), "/enterprises/octo-enterprise".to_owned()] {
        let groups = format!("{owner}/actions/runner-groups");
        tour.go(200, "GET", &groups, As::Installation).await;
        tour.go(200, "GET", &format!("{groups}/1"), As::Installation).await;
        tour.go(200, "GET", &format!("{groups}/1/runners"), As::Installation).await;
    }
    let hooks = [
        ("/app/hook".to_owned(), As::App),
        (format!("/orgs/{ORG}/hooks/{hook}"), As::Installation),
        (format!("/repos/{REPO}/hooks/{hook}"), As::Installation),
    ];
    for (hook, who) in hooks {
        tour.go(200, "GET", &format!("{hook}/deliveries?per_page=2"), who.clone()).await;
        tour.go(200, "GET", &format!("{hook}/deliveries/{delivery}"), who.clone()).await;
        tour.go(202, "POST", &format!("{hook}/deliveries/{delivery}/attempts"), who).await;
    }
    let actions = format!("/repos/{REPO}/actions");
    tour.go(200, "GET", &format!("{actions}/jobs/{failed}"), As::Installation).await;
    tour.go(200, "GET", &format!("{actions}/jobs/{cancelled}"), As::Installation).await;
    tour.go(200, "GET", &format!("{actions}/runs"), As::Installation).await;
    tour.go(200, "GET", &format!("{actions}/runs/{run}"), As::Installation).await;
    tour.go(200, "GET", &format!("{actions}/runs/{run}/jobs"), As::Installation).await;
    tour.go(202, "POST", &format!("{actions}/runs/{cancelled_run}/cancel"), As::Installation).await;
    let debug = Some(json!({ "enable_debug_logging": false }));
    for again in [format!("jobs/{failed}/rerun"), format!("runs/{run}/rerun"), format!("runs/{run}/rerun-failed-jobs")]
    {
        let path = format!("{actions}/{again}");
        tour.send(201, "POST", &path, As::Installation, debug.clone()).await;
        tour.go(202, "POST", &format!("{actions}/runs/{run}/cancel"), As::Installation).await;
    }
    for who in [As::Nobody, As::App, As::Installation] {
        tour.go(200, "GET", "/rate_limit", who).await;
    }
    let releases = "/repos/actions/runner/releases";
    for what in ["", "/latest", "/tags/v2.336.0"] {
        tour.go(200, "GET", &format!("{releases}{what}"), As::Nobody).await;
    }

    let mut left = BTreeSet::from_iter(tour.lab.api.operations());
    for operation in &tour.seen {
        assert!(left.remove(operation), "{operation}");
    }
    let not_served: BTreeSet<String> = NOT_SERVED.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(left, not_served);
    for operation in not_served {
        let (method, pattern) = operation.split_once(' ').unwrap();
        let path = pattern
            .replace("{owner}/{repo}", REPO)
            .replace("{org}", ORG)
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let reply = tour.lab.call_anyhow(method, &path, As::Installation, None).await.unwrap();
        assert!([404, 405].contains(&reply.status), "{operation}: {}", reply.status);
    }
}

async fn apps(tour: &mut Tour) {
    tour.go(200, "GET", "/app", As::App).await;
    tour.go(200, "GET", "/app/hook/config", As::App).await;
    tour.go(200, "GET", "/app/installations", As::App).await;
    let id = tour.go(200, "GET", &format!("/orgs/{ORG}/installation"), As::App).await["id"].clone();
    tour.go(200, "GET", &format!("/repos/{REPO}/installation"), As::App).await;
    tour.go(200, "GET", &format!("/app/installations/{id}"), As::App).await;
    let path = format!("/app/installations/{id}/access_tokens");
    tour.go(201, "POST", &path, As::App).await;
    let narrow = json!({ "repositories": ["octo-repo"], "permissions": { "actions": "read" } });
    tour.send(201, "POST", &path, As::App, Some(narrow)).await;
}

async fn runners(tour: &mut Tour, owner: &str) {
    let base = format!("{owner}/actions/runners");
    let body = json!({ "name": "one", "runner_group_id": 1, "labels": ["self-hosted", "big"] });
    let made = tour.send(201, "POST", &format!("{base}/generate-jitconfig"), As::Installation, Some(body)).await;
    let id = &made["runner"]["id"];
    tour.go(201, "POST", &format!("{base}/registration-token"), As::Installation).await;
    tour.go(201, "POST", &format!("{base}/remove-token"), As::Installation).await;
    tour.go(200, "GET", &base, As::Installation).await;
    tour.go(200, "GET", &format!("{base}/downloads"), As::Installation).await;
    tour.go(200, "GET", &format!("{base}/{id}"), As::Installation).await;
    tour.go(204, "DELETE", &format!("{base}/{id}"), As::Installation).await;
}
