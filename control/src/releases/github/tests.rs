use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{Request, State},
    http::Response,
};

use super::*;
use crate::clock::SystemClock;

const SUM: &str = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

fn told(tag: &str, more: &str, digest: &str, notes: &str) -> String {
    format!(
        r#"{{"tag_name": "{tag}", "draft": false, "prerelease": false, "published_at": "2026-11-02T10:00:00Z", {more}
            "body": "{notes}", "assets": [
              {{"name": "actions-runner-linux-x64-2.336.0.tar.gz", "size": 221000000, "digest": {digest},
                "browser_download_url": "https://github.com/a.tar.gz"}},
              {{"name": "actions-runner-win-x64-2.336.0.zip", "size": 1, "digest": null, "browser_download_url": "b"}},
              {{"name": "actions-runner-linux-x64-2.336.0-noexternals.tar.gz", "size": 1, "digest": null,
                "browser_download_url": "c"}}]}}"#
    )
}

#[test]
fn releases_are_read_as_github_tells_them() {
    let digest = format!("\"sha256:{SUM}\"");
    let list = format!(
        "[{}, {}, {}, {}]",
        told("v2.336.0", "", &digest, ""),
        told("v2.337.0", r#""prerelease": true, "#, &digest, "").replacen(r#""prerelease": false, "#, "", 1),
        told("v2.338.0", r#""draft": true, "#, &digest, "").replacen(r#""draft": false, "#, "", 1),
        told("nightly", "", &digest, ""),
    );
    let releases = answer::list(&list).unwrap();
    assert_eq!(releases.len(), 1, "{releases:?}");
    let expected = Asset {
        platform: "linux-x64".into(),
        url: "https://github.com/a.tar.gz".into(),
        size: 221_000_000,
        sha256: Some(SUM.into()),
    };
    assert_eq!((releases[0].published_at, &releases[0].assets[..]), (1_793_613_600_000, &[expected][..]));
    // Who names a version means it.
    let pre = told("v2.336.0", "", &digest, "").replace(r#""prerelease": false"#, r#""prerelease": true"#);
    assert!(answer::one(&pre).unwrap().is_some());
}

#[test]
fn a_checksum_is_githubs_own_or_the_notes_and_not_two_at_once() {
    let sum = |digest: &str, notes: &str| {
        answer::one(&told("v2.336.0", "", digest, notes)).unwrap().unwrap().assets[0].sha256.clone()
    };
    let notes = |sum: &str| format!("x <!-- BEGIN SHA linux-x64 -->{sum}<!-- END SHA linux-x64 --> y");
    let (digest, other) = (format!("\"sha256:{SUM}\""), SUM.replace('6', "7"));
    let some = Some(SUM.to_owned());
    assert_eq!(sum(&digest, "none"), some);
    assert_eq!(sum("null", &notes(SUM)), some);
    assert_eq!(sum("null", &notes(&SUM.to_uppercase())), some);
    assert_eq!(sum(&digest, &notes(SUM)), some);
    assert_eq!(sum(&digest, &notes(&other)), None);
    assert_eq!(sum("null", "none"), None);
    assert_eq!(sum("\"sha512:00\"", &notes("<sum>")), None);
    assert_eq!(sum("null", &notes(SUM).replace("linux-x64", "linux-arm64")), None);
}

#[test]
fn a_redirect_leads_on_but_not_to_a_less_safe_place() {
    let cases = [
        ("https://github.com/a", "https://objects.githubusercontent.com/b?c=d", true),
        ("https://github.com/a", "http://github.com/a", false),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:2/b", true),
        ("http://127.0.0.1:1/a", "https://github.com/b", true),
        ("https://github.com/a", "/b", false),
        ("https://github.com/a", "file:///etc/passwd", false),
    ];
    for (from, to, follows) in cases {
        assert_eq!(follow(from, to).as_deref() == Some(to), follows, "{to}");
    }
}

type Seen = Arc<Mutex<Vec<String>>>;

/// GitHub's API and, on another port, where its archives are.
async fn github() -> (String, Seen) {
    let seen = Seen::default();
    let storage = serve(Router::new().fallback(storage).with_state(seen.clone())).await;
    let api = Router::new().fallback(api).with_state((seen.clone(), storage));
    (serve(api).await, seen)
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn note(seen: &Seen, request: &Request) {
    let header = |name| request.headers().get(name).map(|it| format!(" {}", it.to_str().unwrap())).unwrap_or_default();
    let line = format!("{}{}{}", request.uri(), header("authorization"), header("if-none-match"));
    seen.lock().unwrap().push(line);
}

async fn api(State((seen, storage)): State<(Seen, String)>, request: Request) -> Response<HttpBody> {
    note(&seen, &request);
    let answer = Response::builder();
    let answer = match request.uri().path() {
        "/repos/actions/runner/releases" if request.headers().get("if-none-match").is_some_and(|it| it == "\"e1\"") => {
            answer.status(304).body(HttpBody::empty())
        }
        "/repos/actions/runner/releases" => {
            let digest = format!("\"sha256:{SUM}\"");
            let body = format!("[{}]", told("v2.336.0", "", &digest, ""));
            answer.header("etag", "\"e1\"").body(HttpBody::from(body))
        }
        "/repos/actions/runner/releases/tags/v2.1.0" => {
            answer.status(403).header("x-ratelimit-remaining", "0").body(HttpBody::from("{}"))
        }
        "/archive" => answer.status(302).header("location", format!("{storage}/blob")).body(HttpBody::empty()),
        "/round" => answer.status(302).header("location", format!("{storage}/round")).body(HttpBody::empty()),
        _ => answer.status(404).body(HttpBody::from("{}")),
    };
    answer.unwrap()
}

async fn storage(State(seen): State<Seen>, request: Request) -> Response<HttpBody> {
    note(&seen, &request);
    let own = format!("http://{}/round", request.headers()["host"].to_str().unwrap());
    let answer = Response::builder();
    let answer = match request.uri().path() {
        "/blob" => answer.body(HttpBody::from(vec![7; 300_000])),
        "/round" => answer.status(302).header("location", own).body(HttpBody::empty()),
        _ => answer.status(500).body(HttpBody::empty()),
    };
    answer.unwrap()
}

fn asset(url: String) -> Asset {
    Asset { platform: "linux-x64".into(), url, size: 0, sha256: None }
}

#[tokio::test]
async fn an_etag_spares_the_answer_and_a_limit_is_told_as_one() {
    let (url, seen) = github().await;
    let token = Some(SecretString::from("ghp_1"));
    let releases = GitHubReleases::new(&url, token, SystemClock).unwrap();
    let Answer::Releases { releases: listed, etag } = releases.list(None).await.unwrap() else { panic!("unchanged") };
    assert_eq!((listed.len(), etag.as_deref()), (1, Some("\"e1\"")));
    assert_eq!(releases.list(Some("\"e1\"")).await.unwrap(), Answer::Unchanged);
    let version = |text: &str| text.parse().unwrap();
    assert_eq!(releases.find(version("2.336.1")).await.unwrap(), None);
    let limited = releases.find(version("2.1.0")).await.unwrap_err();
    assert!(matches!(limited, GitHubError::Limited { .. }), "{limited}");
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "/repos/actions/runner/releases?per_page=30 Bearer ghp_1",
            "/repos/actions/runner/releases?per_page=30 Bearer ghp_1 \"e1\"",
            "/repos/actions/runner/releases/tags/v2.336.1 Bearer ghp_1",
            "/repos/actions/runner/releases/tags/v2.1.0 Bearer ghp_1",
        ]
    );
}

#[tokio::test]
async fn an_archive_is_followed_to_where_it_lies_without_the_token() {
    let (url, seen) = github().await;
    let releases = GitHubReleases::new(&url, Some(SecretString::from("ghp_1")), SystemClock).unwrap();
    let mut body = releases.download(&asset(format!("{url}/archive"))).await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = body.chunk().await.unwrap() {
        assert!(chunk.iter().all(|it| *it == 7));
        bytes += chunk.len();
    }
    assert_eq!(bytes, 300_000);
    assert_eq!(*seen.lock().unwrap(), ["/archive", "/blob"], "it is for the API alone");
    let round = releases.download(&asset(format!("{url}/round"))).await.unwrap_err();
    assert!(crate::report::Chain(&round).to_string().contains("from one address to the next"), "{round}");
    let gone = releases.download(&asset(format!("{url}/none"))).await.unwrap_err();
    assert!(crate::report::Chain(&gone).to_string().contains("GitHub answered 404"), "{gone}");
}
