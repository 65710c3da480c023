//! The releases of actions/runner: anyone may ask for them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::ask::{Ask, RUNNER_REPOSITORY};
use super::paging::{linked, page};
use crate::answer::{Answered, Failure, ok};
use crate::shared::Shared;
use crate::webhooks::seconds;
use crate::world::releases::{Archive, Release};

/// All releases, the newest first. Who shows the ETag of the same list is told so, and no more.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    of_runner(&ask)?;
    let (all, etag) = shared.look(|world, _| (world.releases.all().to_vec(), world.releases.etag()));
    let etag = HeaderValue::try_from(etag).map_err(|_| Failure::not_found())?;
    let same = ask.headers.get(header::IF_NONE_MATCH).is_some_and(|shown| *shown == etag);
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (items, link) = page(&ask, &shared.public_url, all);
        let items: Vec<Value> = items.iter().map(|it| shown(&shared, it)).collect();
        linked(ok(&json!(items)), link)
    };
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// The latest release.
pub(crate) async fn latest(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    of_runner(&ask)?;
    let latest = shared.look(|world, _| world.releases.all().first().cloned());
    latest.map(|it| ok(&shown(&shared, &it))).ok_or_else(Failure::not_found)
}

/// The release of a tag.
pub(crate) async fn tagged(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    of_runner(&ask)?;
    let tag = ask.param("tag")?;
    let of_tag = |it: &&Release| tag.strip_prefix('v') == Some(it.version.as_str());
    let found = shared.look(|world, _| world.releases.all().iter().find(of_tag).cloned());
    found.map(|it| ok(&shown(&shared, &it))).ok_or_else(Failure::not_found)
}

/// What the browser's addresses lead to: github.com and its store of files, not the API.
pub(crate) fn downloads_of_releases() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{owner}/{repo}/releases/download/{tag}/{file}", get(redirect))
        .route("/_objects/{tag}/{file}", get(object))
}

async fn redirect(State(shared): State<Arc<Shared>>, Path(params): Path<HashMap<String, String>>) -> Response {
    let get = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
    let (tag, file) = (get("tag"), get("file"));
    if format!("{}/{}", get("owner"), get("repo")) != RUNNER_REPOSITORY || found(&shared, tag, file).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let to = format!("{}/_objects/{tag}/{file}", shared.public_url);
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

async fn object(State(shared): State<Arc<Shared>>, Path((tag, file)): Path<(String, String)>) -> Response {
    match found(&shared, &tag, &file) {
        Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes.to_vec()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn found(shared: &Shared, tag: &str, file: &str) -> Option<Arc<[u8]>> {
    shared.look(|world, _| world.releases.archive(tag.strip_prefix('v')?, file))
}

/// Only the runner's repository has releases.
fn of_runner(ask: &Ask) -> Result<(), Failure> {
    if ask.repository()? == RUNNER_REPOSITORY { Ok(()) } else { Err(Failure::not_found()) }
}

fn shown(shared: &Shared, release: &Release) -> Value {
    let (base, when) = (&shared.public_url, seconds(release.published_at));
    let tag = format!("v{}", release.version);
    let author = shared.payloads.person("github-actions");
    let url = format!("{base}/repos/{RUNNER_REPOSITORY}/releases");
    let id = release.id;
    let asset = |(place, archive): (usize, &Archive)| {
        let id = id * 100 + place as u64;
        json!({
            "id": id,
            "node_id": format!("RA_kw{id}"),
            "name": release.file(archive),
            "label": "",
            "state": "uploaded",
            "content_type": "application/x-gzip",
            "size": archive.bytes.as_ref().map_or(0, |bytes| bytes.len()),
            "digest": archive.sha256.as_ref().map(|sum| format!("sha256:{sum}")),
            "download_count": 0,
            "created_at": when,
            "updated_at": when,
            "uploader": author,
            "url": format!("{url}/assets/{id}"),
            "browser_download_url": download(release, archive),
        })
    };
    json!({
        "id": id,
        "node_id": format!("RE_kw{id}"),
        "tag_name": tag,
        "target_commitish": "main",
        "name": tag,
        "draft": false,
        "prerelease": false,
        "immutable": false,
        "created_at": when,
        "published_at": when,
        "author": author,
        "assets": release.archives.iter().enumerate().map(asset).collect::<Vec<Value>>(),
        "body": notes(release),
        "url": format!("{url}/{id}"),
        "assets_url": format!("{url}/{id}/assets"),
        "upload_url": format!("{url}/{id}/assets{{?name,label}}"),
        "html_url": format!("https://github.com/{RUNNER_REPOSITORY}/releases/tag/{tag}"),
        "tarball_url": format!("{base}/repos/{RUNNER_REPOSITORY}/tarball/{tag}"),
        "zipball_url": format!("{base}/repos/{RUNNER_REPOSITORY}/zipball/{tag}"),
    })
}

/// Where the runner can be downloaded.
pub(crate) async fn downloads(State(shared): State<Arc<Shared>>, ask: Ask) -> Answered {
    ask.may_runners("read")?;
    let latest = shared.look(|world, _| world.releases.all().first().cloned()).ok_or_else(Failure::not_found)?;
    let one = |archive: &Archive| {
        let (os, architecture) = archive.platform.split_once('-').unwrap_or_default();
        let mut body = json!({
            "os": os,
            "architecture": architecture,
            "download_url": download(&latest, archive),
            "filename": latest.file(archive),
        });
        if let Some(sum) = &archive.sha256 {
            body["sha256_checksum"] = json!(sum);
        }
        body
    };
    Ok(ok(&latest.archives.iter().map(one).collect::<Value>()))
}

fn download(release: &Release, archive: &Archive) -> String {
    format!("{}/{}", release.download_url, release.file(archive))
}

/// The checksums stand in the notes between comments, which is how installers find them.
fn notes(release: &Release) -> String {
    let line = |archive: &Archive| {
        archive.sha256.as_ref().map(|sum| {
            let (name, platform) = (release.file(archive), &archive.platform);
            format!("- {name} <!-- BEGIN SHA {platform} -->{sum}<!-- END SHA {platform} -->\n")
        })
    };
    let lines: String = release.archives.iter().filter_map(line).collect();
    format!("## SHA-256 Checksums\n\n{lines}")
}
