//! The release of actions/runner.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::ask::{Ask, RUNNER_REPOSITORY};
use crate::answer::{Answered, Failure, ok};
use crate::config::RunnerRelease;
use crate::shared::Shared;
use crate::webhooks::seconds;

const ARCHITECTURES: [&str; 2] = ["x64", "arm64"];

/// The latest release; only the runner's repository has one. Anyone may ask.
pub(crate) async fn latest(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    if ask.repository()? != RUNNER_REPOSITORY {
        return Err(Failure::not_found());
    }
    let (release, base, when) = (&shared.release, &shared.public_url, seconds(shared.started));
    let tag = format!("v{}", release.version);
    let author = shared.payloads.person("github-actions");
    let url = format!("{base}/repos/{RUNNER_REPOSITORY}/releases");
    let asset = |(place, arch): (usize, &str)| {
        let id = place + 1;
        json!({
            "id": id,
            "node_id": format!("RA_kw{id}"),
            "name": file(release, arch),
            "label": "",
            "state": "uploaded",
            "content_type": "application/x-gzip",
            "size": 0,
            "digest": sha256(release, arch).map(|sum| format!("sha256:{sum}")),
            "download_count": 0,
            "created_at": when,
            "updated_at": when,
            "uploader": author,
            "url": format!("{url}/assets/{id}"),
            "browser_download_url": download(release, arch),
        })
    };
    Ok(ok(&json!({
        "id": 1,
        "node_id": "RE_kw1",
        "tag_name": tag,
        "target_commitish": "main",
        "name": tag,
        "draft": false,
        "prerelease": false,
        "immutable": false,
        "created_at": when,
        "published_at": when,
        "author": author,
        "assets": ARCHITECTURES.into_iter().enumerate().map(asset).collect::<Vec<Value>>(),
        "body": notes(release),
        "url": format!("{url}/1"),
        "assets_url": format!("{url}/1/assets"),
        "upload_url": format!("{url}/1/assets{{?name,label}}"),
        "html_url": format!("https://github.com/{RUNNER_REPOSITORY}/releases/tag/{tag}"),
        "tarball_url": format!("{base}/repos/{RUNNER_REPOSITORY}/tarball/{tag}"),
        "zipball_url": format!("{base}/repos/{RUNNER_REPOSITORY}/zipball/{tag}"),
    })))
}

/// Where the runner can be downloaded.
pub(crate) async fn downloads(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may_runners("read")?;
    let release = &shared.release;
    let one = |arch: &str| {
        let mut body = json!({
            "os": "linux",
            "architecture": arch,
            "download_url": download(release, arch),
            "filename": file(release, arch),
        });
        if let Some(sum) = sha256(release, arch) {
            body["sha256_checksum"] = json!(sum);
        }
        body
    };
    Ok(ok(&ARCHITECTURES.into_iter().map(one).collect::<Value>()))
}

fn file(release: &RunnerRelease, arch: &str) -> String {
    format!("actions-runner-linux-{arch}-{}.tar.gz", release.version)
}

fn download(release: &RunnerRelease, arch: &str) -> String {
    format!("{}/{}", release.download_url.trim_end_matches('/'), file(release, arch))
}

fn sha256<'a>(release: &'a RunnerRelease, arch: &str) -> Option<&'a str> {
    release.sha256.iter().find(|(known, _)| known == arch).map(|(_, sum)| sum.as_str())
}

/// The checksums stand in the notes between comments, which is how installers find them.
fn notes(release: &RunnerRelease) -> String {
    let line = |arch: &str| {
        sha256(release, arch).map(|sum| {
            let name = file(release, arch);
            format!("- {name} <!-- BEGIN SHA linux-{arch} -->{sum}<!-- END SHA linux-{arch} -->\n")
        })
    };
    let lines: String = ARCHITECTURES.into_iter().filter_map(line).collect();
    format!("## SHA-256 Checksums\n\n{lines}")
}
