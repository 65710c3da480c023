//! What `dayfly doctor` asks of GitHub, by one identity.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

use super::{Client, Identity};
use crate::{
    clock::Clock,
    github::{
        GitHubError,
        inspect::{Delivered, Inspected, Installation},
        jwt::AppKey,
        rest::Ask,
    },
    ledger::Notes,
};

/// Of an App with more installations than a page holds, the first are looked at.
const PAGE: usize = 100;
/// How many of the last deliveries are looked at.
const DELIVERIES: usize = 30;

#[derive(Deserialize)]
struct Listed {
    id: u64,
    account: Option<Account>,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    repository_selection: String,
    suspended_at: Option<String>,
}

/// An organization and a person have a login, an enterprise a slug.
#[derive(Deserialize)]
struct Account {
    login: Option<String>,
    slug: Option<String>,
}

impl From<Listed> for Installation {
    fn from(it: Listed) -> Self {
        let account = it.account.and_then(|account| account.login.or(account.slug));
        Self {
            id: it.id,
            account: account.unwrap_or_else(|| "nobody".to_owned()),
            permissions: it.permissions,
            events: it.events,
            suspended: it.suspended_at.is_some(),
            selected: it.repository_selection == "selected",
        }
    }
}

#[derive(Deserialize)]
struct Delivery {
    delivered_at: jiff::Timestamp,
    event: String,
    #[serde(default)]
    status_code: u16,
}

impl From<Delivery> for Delivered {
    fn from(it: Delivery) -> Self {
        let at = u64::try_from(it.delivered_at.as_millisecond()).unwrap_or(0);
        Self { at, event: it.event, status: it.status_code }
    }
}

impl<C: Clock, N: Notes> Client<C, N> {
    /// What the App is; none for a token, which tells nothing of itself.
    pub async fn inspect(&self) -> Option<Inspected> {
        let Identity::App(key) = &self.identity else { return None };
        let installations = format!("/app/installations?per_page={PAGE}");
        let deliveries = format!("/app/hook/deliveries?per_page={DELIVERIES}");
        Some(Inspected {
            id: key.app_id().to_owned(),
            app: self.told(key, "asking for the App", "/app").await,
            installations: self
                .told(key, "listing the App's installations", &installations)
                .await
                .map(|all: Vec<Listed>| all.into_iter().map(Into::into).collect()),
            hook: self.told(key, "asking for the App's webhook", "/app/hook/config").await,
            deliveries: self
                .told(key, "listing the App's last deliveries", &deliveries)
                .await
                .map(|all: Vec<Delivery>| all.into_iter().map(Into::into).collect()),
        })
    }

    async fn told<T: DeserializeOwned>(&self, key: &AppKey, doing: &str, path: &str) -> Result<T, GitHubError> {
        let answer = self.as_app(key, Ask::get(path)).await.and_then(|answer| answer.read());
        answer.map_err(|failed| failed.into_error(doing.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Delivered, Installation};
    use crate::github::{
        client::tests::{ok, stage},
        inspect::{App, HookConfig},
    };

    #[tokio::test]
    async fn an_app_tells_what_it_may_where_it_is_and_how_its_webhook_does() {
        let answers = [
            ok(200, json!({"name": "Dayfly", "permissions": {"actions": "read"}, "events": ["workflow_job"]})),
            ok(
                200,
                json!([
                    {"id": 77, "account": {"login": "octo-org"}, "permissions": {"actions": "read"},
                     "events": ["workflow_job"], "repository_selection": "selected", "suspended_at": null},
                    {"id": 78, "account": {"slug": "big"}, "permissions": {}, "events": [],
                     "repository_selection": "all", "suspended_at": "2026-11-18T11:06:40Z"},
                ]),
            ),
            ok(
                200,
                json!({"url": "https://x/webhook", "content_type": "json", "secret": "********", "insecure_ssl": "0"}),
            ),
            ok(200, json!([{"id": 1, "delivered_at": "2026-11-18T11:06:40Z", "event": "ping", "status_code": 401}])),
        ];
        let stage = stage("", answers).await;
        let it = stage.app.inspect().await.unwrap();
        let permissions = [("actions".to_owned(), "read".to_owned())];
        let app =
            App { name: "Dayfly".into(), permissions: permissions.clone().into(), events: vec!["workflow_job".into()] };
        assert_eq!((it.id.as_str(), it.app.unwrap()), ("4711", app.clone()));
        let first = Installation {
            id: 77,
            account: "octo-org".into(),
            permissions: app.permissions,
            events: app.events,
            suspended: false,
            selected: true,
        };
        let installations = it.installations.unwrap();
        assert_eq!((&installations[0], installations[1].account.as_str()), (&first, "big"));
        assert!(installations[1].suspended && !installations[1].selected);
        let hook = HookConfig {
            url: Some("https://x/webhook".into()),
            content_type: Some("json".into()),
            insecure_ssl: json!("0"),
        };
        assert_eq!(it.hook.unwrap(), hook);
        let delivered = Delivered { at: 1_795_000_000_000, event: "ping".into(), status: 401 };
        assert_eq!(it.deliveries.unwrap(), [delivered]);
        let asked = [
            "GET /app",
            "GET /app/installations?per_page=100",
            "GET /app/hook/config",
            "GET /app/hook/deliveries?per_page=30",
        ];
        assert_eq!(stage.asked(), asked);
        assert!(stage.bearers().iter().all(|bearer| bearer.starts_with("Bearer eyJ")), "as the App");
    }

    #[tokio::test]
    async fn what_github_refuses_is_told_one_by_one() {
        let refused = || ok(404, json!({"message": "Not Found"}));
        let stage = stage("", [refused(), ok(200, json!([])), refused(), ok(200, json!([]))]).await;
        let it = stage.app.inspect().await.unwrap();
        assert!(it.app.is_err() && it.hook.is_err());
        assert!(it.installations.unwrap().is_empty() && it.deliveries.unwrap().is_empty());
    }
}
