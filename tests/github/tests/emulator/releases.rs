//! Releases of the runner: listed, asked for by ETag, and downloaded.

use serde_json::json;

use crate::support::{As, Lab};

const RELEASES: &str = "/repos/actions/runner/releases";

async fn downloaded(lab: &Lab, url: &str) -> (u16, Vec<u8>) {
    let answer = lab.client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn what_is_published_is_the_newest_and_can_be_downloaded() {
    let lab = Lab::start().await.unwrap();
    let archives = |text: &str| vec![("linux-x64".to_owned(), text.as_bytes().to_vec())];
    lab.github.publish_runner("2.337.0", archives("old"));
    lab.github.publish_runner("2.338.0", archives("new"));
    let list = lab.call("GET", RELEASES, As::Nobody, None).await.unwrap().body;
    let tags: Vec<_> = list.as_array().unwrap().iter().map(|it| it["tag_name"].as_str().unwrap()).collect();
    assert_eq!(tags, ["v2.338.0", "v2.337.0"], "what was only told of is gone");
    let latest = lab.call("GET", &format!("{RELEASES}/latest"), As::Nobody, None).await.unwrap().body;
    assert_eq!(latest, list[0]);
    let tagged = lab.call("GET", &format!("{RELEASES}/tags/v2.337.0"), As::Nobody, None).await.unwrap().body;
    assert_eq!(tagged, list[1]);
    let asset = &list[0]["assets"][0];
    assert_eq!((&asset["name"], &asset["size"]), (&json!("actions-runner-linux-x64-2.338.0.tar.gz"), &json!(3)));
    let sum = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
    assert_eq!(asset["digest"], format!("sha256:{sum}"), "of \"new\"");
    let url = asset["browser_download_url"].as_str().unwrap();
    let followless = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    assert_eq!(followless.get(url).send().await.unwrap().status(), 302, "it is elsewhere");
    assert_eq!(downloaded(&lab, url).await, (200, b"new".to_vec()));

    assert!(lab.github.spoil_runner("2.338.0", "linux-x64", b"mew".to_vec()));
    assert!(!lab.github.spoil_runner("2.338.0", "linux-arm64", vec![]));
    assert_eq!(downloaded(&lab, url).await, (200, b"mew".to_vec()), "its digest stays");
    let after = lab.call("GET", RELEASES, As::Nobody, None).await.unwrap().body;
    assert_eq!(after, list);
    for none in [url.replace("x64", "arm64"), url.replace("actions/runner/", "actions/other/")] {
        assert_eq!(downloaded(&lab, &none).await.0, 404, "{none}");
    }
    for none in ["tags/v2.339.0", "tags/2.338.0"] {
        assert_eq!(lab.call("GET", &format!("{RELEASES}/{none}"), As::Nobody, None).await.unwrap().status, 404);
    }
    let other = lab.call_anyhow("GET", "/repos/octo-org/octo-repo/releases", As::Nobody, None).await.unwrap();
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn who_knows_the_list_is_told_so_and_no_more() {
    let lab = Lab::start().await.unwrap();
    lab.github.publish_runner("2.337.0", vec![]);
    let url = format!("{}{RELEASES}", lab.github.url());
    let ask = async |etag: &str| {
        let answer = lab.client.get(&url).header("if-none-match", etag).send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), etag, answer.bytes().await.unwrap().len())
    };
    let (status, etag, size) = ask("W/\"other\"").await;
    assert!(status == 200 && size > 100, "{status} {size}");
    assert_eq!(ask(&etag).await, (304, etag.clone(), 0));
    lab.github.publish_runner("2.338.0", vec![]);
    let (status, newer, _) = ask(&etag).await;
    assert_eq!(status, 200);
    assert_ne!(newer, etag);
}
