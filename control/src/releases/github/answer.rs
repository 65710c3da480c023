//! GitHub's description of a release, as far as it is needed.

use serde::Deserialize;

use crate::decide::releases::{Asset, Release, Version};

#[derive(Deserialize)]
struct Told {
    tag_name: String,
    draft: bool,
    prerelease: bool,
    published_at: Option<jiff::Timestamp>,
    body: Option<String>,
    assets: Vec<ToldAsset>,
}

#[derive(Deserialize)]
struct ToldAsset {
    name: String,
    size: u64,
    digest: Option<String>,
    browser_download_url: String,
}

/// The releases of a list, without drafts, pre-releases, and what is no version.
pub(super) fn list(text: &str) -> Result<Vec<Release>, serde_json::Error> {
    let told: Vec<Told> = serde_json::from_str(text)?;
    Ok(told.into_iter().filter(|it| !it.draft && !it.prerelease).filter_map(read).collect())
}

/// One that was asked for by its version.
pub(super) fn one(text: &str) -> Result<Option<Release>, serde_json::Error> {
    Ok(Some(serde_json::from_str::<Told>(text)?).filter(|it| !it.draft).and_then(read))
}

fn read(told: Told) -> Option<Release> {
    let version: Version = told.tag_name.strip_prefix('v')?.parse().ok()?;
    let notes = told.body.unwrap_or_default();
    let (beginning, end) = ("actions-runner-", format!("-{version}.tar.gz"));
    let asset = |it: ToldAsset| {
        let platform = it.name.strip_prefix(beginning)?.strip_suffix(&end)?.to_owned();
        let sha256 = sha256(it.digest.as_deref(), in_notes(&notes, &platform));
        Some(Asset { platform, url: it.browser_download_url, size: it.size, sha256 })
    };
    Some(Release {
        version,
        published_at: u64::try_from(told.published_at?.as_millisecond()).ok()?,
        assets: told.assets.into_iter().filter_map(asset).collect(),
    })
}

/// The checksum that GitHub has made of the asset, or that the notes tell; none where they tell two.
fn sha256(digest: Option<&str>, notes: Option<&str>) -> Option<String> {
    let is_sha256 = |it: &&str| it.len() == 64 && it.bytes().all(|b| b.is_ascii_hexdigit());
    let made = digest.and_then(|it| it.strip_prefix("sha256:")).filter(is_sha256).map(str::to_ascii_lowercase);
    let written = notes.filter(is_sha256).map(str::to_ascii_lowercase);
    match (made, written) {
        (Some(made), Some(written)) => (made == written).then_some(made),
        (made, written) => made.or(written),
    }
}

/// What stands between the comments that installers look for.
fn in_notes<'a>(notes: &'a str, platform: &str) -> Option<&'a str> {
    let (_, rest) = notes.split_once(&format!("<!-- BEGIN SHA {platform} -->"))?;
    let (sum, _) = rest.split_once(&format!("<!-- END SHA {platform} -->"))?;
    Some(sum.trim())
}
