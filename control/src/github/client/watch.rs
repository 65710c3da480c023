//! What reconcile asks of GitHub, by one identity.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Client, Identity, runners};
use crate::{
    clock::Clock,
    decide::reconcile::{deaths::AtGitHub, deliveries::Failed as FailedDelivery, gaps::Delivered, leftovers::Listed},
    fleets::Target,
    github::{
        GitHubError, Job,
        rest::{Answer, Ask, Failed},
        watch::{FailedPage, Hook, Redelivery, Watch},
    },
    ledger::Notes,
    report::Failure,
};

/// The most that GitHub gives in a page.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct RunnerList {
    runners: Vec<ListedRunner>,
}

#[derive(Deserialize)]
struct ListedRunner {
    id: u64,
    name: String,
    status: String,
    #[serde(default)]
    busy: bool,
}

#[derive(Deserialize)]
struct Delivery {
    id: u64,
    guid: String,
    delivered_at: jiff::Timestamp,
    event: String,
    #[serde(default)]
    status_code: u16,
}

impl Delivery {
    fn has_failed(&self) -> bool {
        !(200..400).contains(&self.status_code)
    }

    fn into_failed(self) -> FailedDelivery {
        let at = u64::try_from(self.delivered_at.as_millisecond()).unwrap_or(0);
        FailedDelivery { id: self.id, guid: self.guid, at, event: self.event, status: self.status_code }
    }
}

impl<C: Clock, N: Notes> Client<C, N> {
    /// The id of the App that this is; none for a token.
    pub(in crate::github) fn app_id(&self) -> Option<&str> {
        match &self.identity {
            Identity::App(key) => Some(key.app_id()),
            Identity::Token(_) => None,
        }
    }

    /// A request about `hook`: about an App's as the App itself.
    async fn ask_hook(&self, hook: &Hook, ask: Ask<'_>) -> Result<Answer, Failed> {
        match (hook, &self.identity) {
            (Hook::App(_), Identity::App(key)) => self.as_app(key, ask).await,
            (Hook::App(_), Identity::Token(_)) => Err(Failed::Unreached("a token has no App".into())),
            (Hook::Own { scope, .. }, _) => self.ask(&Target { scope: scope.clone(), installation: None }, ask).await,
        }
    }
}

fn path(hook: &Hook) -> String {
    match hook {
        Hook::App(_) => "/app/hook/deliveries".to_owned(),
        Hook::Own { scope, id } => format!("/{scope}/hooks/{id}/deliveries"),
    }
}

impl<C: Clock, N: Notes> Watch for Client<C, N> {
    async fn standing(&self, target: &Target, name: &str) -> Result<AtGitHub, GitHubError> {
        let path = format!("{}?name={name}", runners(&target.scope));
        let listed = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<RunnerList>());
        let listed = listed.map_err(|failed| failed.into_error(format!("looking for {name} at {}", target.scope)))?;
        let found = listed.runners.iter().find(|it| it.name == name);
        Ok(match found.map(|it| (it.status.as_str(), it.busy)) {
            None => AtGitHub::Absent,
            Some(("offline", false)) => AtGitHub::Offline,
            Some(("offline", true)) => AtGitHub::Busy,
            // Also a status of a later GitHub: whatever it is, it is not offline.
            Some(_) => AtGitHub::Online,
        })
    }

    async fn known_job(&self, target: &Target, repository: &str, id: u64) -> Result<Option<Job>, GitHubError> {
        let doing = || format!("looking up job {id} of {repository}");
        let path = format!("/repos/{repository}/actions/jobs/{id}");
        match self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read()) {
            Ok(job) => Ok(Some(job)),
            Err(failed) if failed.is(StatusCode::NOT_FOUND) || failed.is(StatusCode::GONE) => {
                // GitHub says the same of what we may not see, or are not installed for.
                let path = format!("/repos/{repository}/actions/runs?per_page=1");
                match self.ask(target, Ask::get(&path)).await {
                    Ok(_) => Ok(None),
                    Err(_) => Err(failed.into_error(doing())),
                }
            }
            Err(failed) => Err(failed.into_error(doing())),
        }
    }

    async fn runners(&self, target: &Target, page: u32) -> Result<(Vec<Listed>, bool), GitHubError> {
        let path = format!("{}?per_page={PAGE}&page={page}", runners(&target.scope));
        let listed = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<RunnerList>());
        let listed = listed.map_err(|failed| failed.into_error(format!("listing the runners of {}", target.scope)))?;
        let more = listed.runners.len() >= PAGE;
        let all = listed.runners.into_iter().map(|it| Listed {
            id: it.id,
            name: it.name,
            online: it.status != "offline",
            busy: it.busy,
        });
        Ok((all.collect(), more))
    }

    async fn app_hooks(&self) -> Result<Vec<Hook>, GitHubError> {
        Ok(self.app_id().map(|id| Hook::App(id.to_owned())).into_iter().collect())
    }

    async fn failed(&self, hook: &Hook, cursor: Option<&str>) -> Result<FailedPage, GitHubError> {
        let doing = || format!("listing the failed deliveries of {hook}");
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("{}?status=failure&per_page={PAGE}{after}", path(hook));
        let answer = self.ask_hook(hook, Ask::get(&path)).await.map_err(|failed| failed.into_error(doing()))?;
        let next = answer.link.as_deref().and_then(next_cursor);
        if next.is_none() && answer.link.as_ref().is_some_and(|link| link.contains("rel=\"next\"")) {
            return Err(GitHubError::Permanent(Failure::new(doing(), "its link to the next page has no cursor")));
        }
        let all = answer.read::<Vec<Delivery>>().map_err(|failed| failed.into_error(doing()))?;
        // An older GHES does not know the filter.
        let failed = all.into_iter().filter(Delivery::has_failed).map(Delivery::into_failed).collect();
        Ok(FailedPage { failed, next })
    }

    async fn delivered(&self, hook: &Hook) -> Result<Delivered, GitHubError> {
        let path = format!("{}?per_page={PAGE}", path(hook));
        let answer = self.ask_hook(hook, Ask::get(&path)).await.and_then(|answer| answer.read::<Vec<Delivery>>());
        let all = answer.map_err(|failed| failed.into_error(format!("listing the latest deliveries of {hook}")))?;
        let of_jobs = || all.iter().filter(|it| matches!(it.event.as_str(), "workflow_job" | "check_run"));
        let latest = |it: &Delivery| u64::try_from(it.delivered_at.as_millisecond()).ok();
        Ok(Delivered {
            any: of_jobs().filter_map(latest).max(),
            good: of_jobs().filter(|it| !it.has_failed()).filter_map(latest).max(),
        })
    }

    async fn redeliver(&self, hook: &Hook, id: u64) -> Result<Redelivery, GitHubError> {
        let path = format!("{}/{id}/attempts", path(hook));
        match self.ask_hook(hook, Ask::post(&path, &json!({}))).await {
            Ok(_) => Ok(Redelivery::Accepted),
            Err(failed)
                if [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY]
                    .into_iter()
                    .any(|status| failed.is(status)) =>
            {
                Ok(Redelivery::Gone)
            }
            Err(failed) => Err(failed.into_error(format!("sending delivery {id} of {hook} again"))),
        }
    }
}

/// The cursor of the next page in a `link` header, as it stands there.
/// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api#using-link-headers>
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let query = url.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix("cursor=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::{AtGitHub, Client, Delivered, FailedPage, Hook, Identity, Redelivery, Watch, next_cursor};
    use crate::github::{
        GitHubError,
        authorities::Authorities,
        client::tests::{Answer, FixedClock, Noted, TOKEN, ok, stage, target, token},
    };

    const REPOSITORY: &str = "octo-org/octo-repo";

    fn app() -> Hook {
        Hook::App("4711".into())
    }

    #[tokio::test]
    async fn a_runner_stands_as_github_says() {
        let listed = |status: &str, busy: Value| {
            ok(
                200,
                json!({"total_count": 2, "runners": [
                    {"id": 1, "name": "linux-x64-i-12", "status": "online", "busy": true},
                    {"id": 2, "name": "linux-x64-i-1", "status": status, "busy": busy},
                ]}),
            )
        };
        let answers = [
            token("t1"),
            listed("online", json!(false)),
            listed("online", json!(true)),
            listed("offline", json!(true)),
            listed("offline", json!(false)),
            listed("dreaming", json!(false)),
            ok(200, json!({"total_count": 0, "runners": []})),
            ok(503, Value::Null),
        ];
        let stage = stage("", answers).await;
        let ask = async || stage.app.standing(&target(Some(77)), "linux-x64-i-1").await;
        let expected =
            [AtGitHub::Online, AtGitHub::Online, AtGitHub::Busy, AtGitHub::Offline, AtGitHub::Online, AtGitHub::Absent];
        for expected in expected {
            assert_eq!(ask().await.unwrap(), expected);
        }
        assert!(matches!(ask().await, Err(GitHubError::Transient(_))), "no answer is no word");
        assert_eq!(stage.asked()[1], "GET /orgs/octo-org/actions/runners?name=linux-x64-i-1");
    }

    #[tokio::test]
    async fn a_job_that_is_not_there_is_told_from_a_failure() {
        let job = json!({"id": 7, "run_id": 5, "run_attempt": 2, "status": "completed", "labels": ["self-hosted"],
                         "runner_id": 1, "runner_name": "linux-x64-i-1"});
        let gone = || ok(404, json!({"message": "Not Found"}));
        let found = ok(200, json!({"id": 77}));
        let runs = ok(200, json!({"total_count": 0, "workflow_runs": []}));
        let answers = [token("t1"), ok(200, job), gone(), found, runs, ok(500, json!({})), gone(), gone()];
        let stage = stage("", answers).await;
        let ask = async || stage.app.known_job(&target(Some(77)), REPOSITORY, 7).await;
        assert_eq!(ask().await.unwrap().unwrap().status, "completed");
        assert_eq!(ask().await.unwrap(), None);
        assert!(matches!(ask().await, Err(GitHubError::Transient(_))));
        assert!(matches!(ask().await, Err(GitHubError::Permanent(_))), "nothing there may be seen");
        let asked = stage.asked();
        assert_eq!(asked[1], "GET /repos/octo-org/octo-repo/actions/jobs/7");
        assert_eq!(asked[4], "GET /repos/octo-org/octo-repo/actions/runs?per_page=1");
    }

    #[tokio::test]
    async fn runners_are_listed_page_by_page() {
        let it = |id: u64| json!({"id": id, "name": format!("linux-x64-{id}"), "status": "offline", "busy": id == 2});
        let full: Vec<Value> = (1..=100).map(it).collect();
        let answers = [token("t1"), ok(200, json!({"runners": full})), ok(200, json!({"runners": [it(101)]}))];
        let stage = stage("", answers).await;
        let (first, more) = stage.app.runners(&target(Some(77)), 1).await.unwrap();
        assert_eq!((first.len(), more, first[1].busy, first[0].online), (100, true, true, false));
        let (second, more) = stage.app.runners(&target(Some(77)), 2).await.unwrap();
        assert_eq!((second[0].id, more), (101, false));
        assert_eq!(stage.asked()[2], "GET /orgs/octo-org/actions/runners?per_page=100&page=2");
    }

    fn delivery(id: u64, status: u16) -> Value {
        json!({"id": id, "guid": format!("g{id}"), "delivered_at": "2026-11-18T11:06:40Z", "redelivery": false,
               "duration": 0.03, "status": "x", "status_code": status, "event": "workflow_job", "action": "queued",
               "installation_id": 77, "repository_id": null, "throttled_at": null})
    }

    #[tokio::test]
    async fn failed_deliveries_are_listed_as_the_app_by_githubs_cursor() {
        let next = "<http://x/app/hook/deliveries?cursor=v1_12%3D&per_page=100>; rel=\"next\"";
        let page: Answer = (200, vec![("link", next.to_owned())], json!([delivery(9, 500), delivery(8, 202)]));
        let stage = stage("", [page, ok(200, json!([delivery(7, 0)])), ok(202, json!({})), ok(404, json!({}))]).await;
        let FailedPage { failed, next } = stage.app.failed(&app(), None).await.unwrap();
        assert_eq!((failed.len(), failed[0].id, failed[0].at, failed[0].status), (1, 9, 1_795_000_000_000, 500));
        assert_eq!((failed[0].guid.as_str(), failed[0].event.as_str()), ("g9", "workflow_job"));
        let second = stage.app.failed(&app(), next.as_deref()).await.unwrap();
        assert_eq!((second.failed[0].id, second.next), (7, None));
        assert_eq!(stage.app.redeliver(&app(), 9).await.unwrap(), Redelivery::Accepted);
        assert_eq!(stage.app.redeliver(&app(), 7).await.unwrap(), Redelivery::Gone);
        let list = "GET /app/hook/deliveries?status=failure&per_page=100";
        assert_eq!(
            stage.asked(),
            [
                list.to_owned(),
                format!("{list}&cursor=v1_12%3D"),
                "POST /app/hook/deliveries/9/attempts".to_owned(),
                "POST /app/hook/deliveries/7/attempts".to_owned(),
            ]
        );
        assert!(stage.bearers().iter().all(|bearer| bearer.starts_with("Bearer eyJ")), "as the App");
    }

    #[tokio::test]
    async fn the_latest_deliveries_about_jobs_tell_when_github_delivered() {
        let mut other = delivery(9, 202);
        (other["event"], other["delivered_at"]) = (json!("push"), json!("2026-11-18T11:09:40Z"));
        let mut failed = delivery(8, 500);
        failed["delivered_at"] = json!("2026-11-18T11:06:41Z");
        let stage = stage("", [ok(200, json!([other, failed, delivery(7, 202)])), ok(200, json!([]))]).await;
        let found = stage.app.delivered(&app()).await.unwrap();
        assert_eq!((found.any, found.good), (Some(1_795_000_001_000), Some(1_795_000_000_000)));
        assert_eq!(stage.app.delivered(&app()).await.unwrap(), Delivered::default());
        assert_eq!(stage.asked()[0], "GET /app/hook/deliveries?per_page=100");
    }

    #[tokio::test]
    async fn an_organizations_hook_is_asked_with_its_token() {
        let answers = [ok(200, json!({"id": 77})), token("t1"), ok(200, json!([delivery(9, 500)])), ok(202, json!({}))];
        let stage = stage("", answers).await;
        let hook = Hook::read("orgs/octo-org/hooks/12").unwrap();
        assert_eq!(stage.app.failed(&hook, None).await.unwrap().failed.len(), 1);
        stage.app.redeliver(&hook, 9).await.unwrap();
        assert_eq!(
            stage.asked()[1..],
            [
                TOKEN.to_owned(),
                "GET /orgs/octo-org/hooks/12/deliveries?status=failure&per_page=100".to_owned(),
                "POST /orgs/octo-org/hooks/12/deliveries/9/attempts".to_owned(),
            ]
        );
        assert_eq!(stage.bearers()[3], "Bearer t1");
    }

    #[tokio::test]
    async fn a_token_has_no_app_and_no_hook_of_one() {
        let stage = stage("", []).await;
        assert_eq!(stage.app.app_hooks().await.unwrap(), [app()]);
        let identity = Identity::Token(SecretString::from("a-persons-token"));
        let client = Client::new(&stage.url, &Authorities::default(), identity, FixedClock, Noted::default()).unwrap();
        assert_eq!(client.app_hooks().await.unwrap(), []);
        assert!(client.failed(&app(), None).await.is_err());
        assert_eq!(stage.asked(), [""; 0]);
    }

    #[test]
    fn the_cursor_is_the_next_pages() {
        let prev = "<https://api.github.com/app/hook/deliveries?per_page=1&cursor=v1_3>; rel=\"prev\"";
        let next = "<https://api.github.com/app/hook/deliveries?per_page=1&cursor=v1_7>; rel=\"next\"";
        assert_eq!(next_cursor(&format!("{prev}, {next}")).as_deref(), Some("v1_7"));
        assert_eq!(next_cursor(prev), None);
        assert_eq!(next_cursor(""), None);
    }
}
