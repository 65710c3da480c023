//! The App's JWT over HTTP, its tokens, the rate limit.

use std::time::Duration;

use laptop_github::{Clock, Quirks, Webhook};
use serde_json::{Value, json};

use crate::support::{As, Lab, ORG, REPO, sign};

const TOKENS: &str = "/app/installations/7654321/access_tokens";

async fn token(lab: &Lab, body: Option<Value>) -> As {
    let reply = lab.call("POST", TOKENS, As::App, body).await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.body);
    As::Shown(format!("token {}", reply.body["token"].as_str().unwrap()))
}

#[tokio::test]
async fn a_jwt_is_refused_with_githubs_words() {
    let lab = Lab::start().await.unwrap();
    let now = lab.clock.now().as_second();
    let cases = [
        (json!({ "iat": now + 90, "exp": now + 500, "iss": 123_456 }), 401, "'Issued at' claim ('iat') must be"),
        (json!({ "iat": now - 900, "exp": now - 1, "iss": 123_456 }), 401, "'Expiration time' claim ('exp') must be"),
        (json!({ "iat": now, "exp": now + 601, "iss": 123_456 }), 401, "'Expiration time' claim ('exp') is too far"),
        (json!({ "iat": now, "exp": now + 500, "iss": 99 }), 404, "Integration not found"),
    ];
    for (claims, status, message) in cases {
        let shown = As::Shown(format!("Bearer {}", sign(&claims)));
        let reply = lab.call("GET", "/app", shown, None).await.unwrap();
        assert_eq!(reply.status, status, "{claims}");
        assert!(reply.message().starts_with(message), "{claims}: {}", reply.message());
    }
    for shown in ["Bearer a.b.c", "Bearer ", "Basic abc", "nonsense", "Bearer ghs_never"] {
        let reply = lab.call("GET", "/app", As::Shown(shown.to_owned()), None).await.unwrap();
        assert_eq!(reply.status, 401, "{shown}");
    }
    assert_eq!(lab.call("GET", "/app", As::Nobody, None).await.unwrap().status, 401);
    assert_eq!(lab.call("GET", "/app", As::Installation, None).await.unwrap().status, 401);
}

#[tokio::test]
async fn a_jwt_may_be_shown_twice_unless_told_otherwise() {
    let lab = Lab::start().await.unwrap();
    let same = || As::Shown(format!("Bearer {}", lab.jwt()));
    for _ in 0..2 {
        assert_eq!(lab.call("GET", "/app", same(), None).await.unwrap().status, 200);
    }
    lab.github.set_quirks(Quirks { refuse_repeated_jwt: true, ..Quirks::default() });
    assert_eq!(lab.call("GET", "/app", same(), None).await.unwrap().status, 401);
    lab.clock.advance(Duration::from_secs(1));
    assert_eq!(lab.call("GET", "/app", same(), None).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_token_is_good_for_an_hour() {
    let lab = Lab::start().await.unwrap();
    let reply = lab.call("POST", TOKENS, As::App, None).await.unwrap();
    assert_eq!(reply.body["expires_at"], "2026-11-20T15:00:00Z");
    assert_eq!(reply.body["permissions"]["organization_self_hosted_runners"], "write");
    let shown = As::Shown(format!("Bearer {}", reply.body["token"].as_str().unwrap()));
    let path = format!("/orgs/{ORG}/actions/runners");
    lab.clock.advance(Duration::from_secs(3599));
    assert_eq!(lab.call("GET", &path, shown.clone(), None).await.unwrap().status, 200);
    lab.clock.advance(Duration::from_secs(1));
    let late = lab.call("GET", &path, shown, None).await.unwrap();
    assert_eq!((late.status, late.message()), (401, "Bad credentials"));
}

#[tokio::test]
async fn a_token_does_what_it_was_asked_for_and_no_more() {
    let lab = Lab::start().await.unwrap();
    let narrow = token(&lab, Some(json!({ "permissions": { "actions": "read" } }))).await;
    let runs = format!("/repos/{REPO}/actions/runs");
    assert_eq!(lab.call("GET", &runs, narrow.clone(), None).await.unwrap().status, 200);
    let runners = format!("/orgs/{ORG}/actions/runners");
    let refused = lab.call("GET", &runners, narrow, None).await.unwrap();
    assert_eq!((refused.status, refused.message()), (403, "Resource not accessible by integration"));

    let beyond = json!({ "permissions": { "secrets": "write" } });
    assert_eq!(lab.call_badly("POST", TOKENS, As::App, Some(beyond)).await.unwrap().status, 422);
    let nowhere = json!({ "repositories": ["nowhere"] });
    assert_eq!(lab.call_badly("POST", TOKENS, As::App, Some(nowhere)).await.unwrap().status, 422);
    let other = lab.call("POST", "/app/installations/5/access_tokens", As::App, None).await.unwrap();
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn a_token_limited_to_repositories_does_not_see_others() {
    let lab = Lab::with(|config| config.repositories.push("octo-org/other".to_owned())).await.unwrap();
    let one = token(&lab, Some(json!({ "repositories": ["other"] }))).await;
    let path = |repository: &str| format!("/repos/octo-org/{repository}/actions/runs");
    assert_eq!(lab.call("GET", &path("other"), one.clone(), None).await.unwrap().status, 200);
    assert_eq!(lab.call("GET", &path("octo-repo"), one, None).await.unwrap().status, 404);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let lab = Lab::start().await.unwrap();
    for path in
        ["/orgs/nobody/installation", "/repos/octo-org/nothing/installation", "/repos/nobody/octo-repo/installation"]
    {
        assert_eq!(lab.call("GET", path, As::App, None).await.unwrap().status, 404, "{path}");
    }
    let reply = lab.call_anyhow("GET", "/no/such/route", As::Nobody, None).await.unwrap();
    assert_eq!((reply.status, reply.message()), (404, "Not Found"));
    assert_eq!(reply.header("x-ratelimit-resource"), "core");
}

#[tokio::test]
async fn the_enterprise_servers_prefix_is_the_same_api() {
    let lab = Lab::start().await.unwrap();
    assert_eq!(lab.call("GET", "/api/v3/app", As::App, None).await.unwrap().status, 200);
    let path = format!("/api/v3/orgs/{ORG}/actions/runners?per_page=1");
    lab.jit("one", &["a"]).await.unwrap();
    lab.jit("two", &["a"]).await.unwrap();
    let reply = lab.get(&path).await.unwrap();
    let next = format!("<{}/api/v3/orgs/{ORG}/actions/runners?page=2&per_page=1>; rel=\"next\"", lab.github.url());
    assert!(reply.header("link").starts_with(&next), "{}", reply.header("link"));
    assert_eq!(lab.github.calls().get("GET /orgs/{org}/actions/runners"), Some(&1));
}

#[tokio::test]
async fn requests_are_counted_for_each_caller_and_refused_when_used_up() {
    let lab = Lab::with(|config| config.rate_limit = 3).await.unwrap();
    let path = format!("/orgs/{ORG}/actions/runners");
    for (used, remaining) in [("1", "2"), ("2", "1"), ("3", "0")] {
        let reply = lab.get(&path).await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-ratelimit-limit"), "3");
        assert_eq!((reply.header("x-ratelimit-used"), reply.header("x-ratelimit-remaining")), (used, remaining));
    }
    let refused = lab.get(&path).await.unwrap();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.message(), "API rate limit exceeded for installation ID 7654321.");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(reset, lab.clock.now().as_second() + 3600);

    // Asking how many are left is free, and the App has a count of its own.
    let left = lab.get("/rate_limit").await.unwrap();
    assert_eq!((left.status, &left.body["rate"]["remaining"]), (200, &json!(0)));
    assert_eq!(lab.call("GET", "/app", As::App, None).await.unwrap().header("x-ratelimit-used"), "1");

    lab.clock.advance(Duration::from_hours(1));
    // The first token is as old as the count by now.
    let again = lab.call("GET", "/rate_limit", As::Nobody, None).await.unwrap();
    assert_eq!(again.body["rate"], json!({ "limit": 60, "used": 0, "remaining": 60, "reset": reset + 3600 }));
    let fresh = As::Shown(format!("Bearer {}", secrecy::ExposeSecret::expose_secret(&lab.github.installation_token())));
    let reply = lab.call("GET", &path, fresh, None).await.unwrap();
    assert_eq!((reply.status, reply.header("x-ratelimit-used")), (200, "1"));
}

#[tokio::test]
async fn the_app_shows_where_its_webhook_goes_and_not_its_secret() {
    let lab = Lab::start().await.unwrap();
    let before = lab.call("GET", "/app/hook/config", As::App, None).await.unwrap();
    lab.github.set_webhook(Webhook { url: "http://127.0.0.1:9/webhook".into(), secret: "hush-hush".into() });
    let after = lab.call("GET", "/app/hook/config", As::App, None).await.unwrap();
    assert_eq!((before.status, after.status), (200, 200));
    assert_eq!((&after.body["url"], &after.body["secret"]), (&json!("http://127.0.0.1:9/webhook"), &json!("********")));
    assert_eq!(lab.call("GET", "/app/hook/config", As::Installation, None).await.unwrap().status, 401);
}
