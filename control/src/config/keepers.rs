//! What the keepers are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dayfly_contract::LATEST;

use super::{
    Role,
    reader::{PARAMETER, Reader, is_parameter, is_url},
    s3_object,
};
use crate::{
    decide::{
        housekeeping::ImagePolicy,
        releases::{Follow, Policy, Version},
    },
    fleets::Pattern,
    handlers::{housekeep, sync_runner},
};

/// What sync-runner keeps, where, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// The bucket.
    pub bucket: String,
    /// What is kept in it.
    pub settings: sync_runner::Settings,
    /// Base of the REST API that has the runner's releases: github.com's, for GHES too.
    pub releases_url: String,
    /// Parameter with a token to ask it with.
    pub token_parameter: Option<String>,
}

/// What housekeep clears away, and where it tells of it. What the keys of registrations begin with is beside it in the
/// config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HousekeepConfig {
    /// The bucket of its reports.
    pub bucket: String,
    /// What goes, and when.
    pub settings: housekeep::Settings,
    /// What the names of parameters begin with that may name images; all where there is none.
    pub parameter_prefixes: Vec<String>,
    /// The security group of the deployment's runners.
    pub security_group: Option<String>,
}

const RELEASES_URL: &str = "https://api.github.com";
const PLATFORMS: &str = "linux-x64,linux-arm64";

pub(super) fn sync(reader: &mut Reader<'_>) -> Option<SyncConfig> {
    let store = reader.text("DAYFLY_RUNNERS", "s3://bucket/prefix", is_store);
    let platforms = reader.text_or(
        "DAYFLY_RUNNER_PLATFORMS",
        PLATFORMS,
        "platforms of the runner's releases such as \"linux-x64\", separated by commas",
        |text| text.split(',').all(is_platform),
    );
    let version =
        reader.text_or("DAYFLY_RUNNER_VERSION", LATEST, "\"latest\" or a version such as \"2.336.0\"", |text| {
            text == LATEST || text.parse::<Version>().is_ok()
        });
    let delay = reader.number("DAYFLY_RUNNER_DELAY_HOURS", 0, 0..=2160, "a whole number of hours from 0 to 2160");
    let also = reader.text_or("DAYFLY_RUNNER_ALSO", "", "versions such as \"2.336.0\", separated by commas", |text| {
        versions(text).is_some()
    });
    let keep = reader.number("DAYFLY_RUNNER_KEEP", 3, 2..=50, "a whole number from 2 to 50");
    let releases_url = reader.text_or(
        "DAYFLY_RELEASES_URL",
        RELEASES_URL,
        "the REST API's URL such as \"https://api.github.com\"",
        is_url,
    );
    let token_parameter = reader.optional("DAYFLY_RELEASES_TOKEN_PARAMETER", PARAMETER, is_parameter);
    if reader.role != Some(Role::SyncRunner) {
        return None;
    }
    let store = s3_object(&store).unwrap_or_default();
    let newest = Follow::Newest { delay: Duration::from_hours(u64::from(delay)) };
    Some(SyncConfig {
        bucket: store.bucket,
        settings: sync_runner::Settings {
            prefix: store.key,
            platforms: platforms.split(',').map(str::to_owned).collect(),
            policy: Policy {
                follow: version.parse().map_or(newest, Follow::Pinned),
                also: versions(&also).unwrap_or_default(),
                keep: keep as usize,
            },
        },
        releases_url,
        token_parameter,
    })
}

pub(super) fn housekeep(reader: &mut Reader<'_>) -> Option<HousekeepConfig> {
    let reports = reader.text("DAYFLY_REPORTS", "s3://bucket/prefix", is_store);
    let dry_run =
        reader.text_or("DAYFLY_HOUSEKEEP_DRY_RUN", "true", "true or false", |it| matches!(it, "true" | "false"));
    let tags = reader.text_or(
        "DAYFLY_HOUSEKEEP_IMAGE_TAGS",
        "{}",
        "a JSON object of tags and values such as {\"dayfly:image\": \"*\"}",
        |text| tags(text).is_some(),
    );
    let range = "a whole number from 1 to 3650";
    let days = reader.number("DAYFLY_HOUSEKEEP_IMAGE_DAYS", 30, 1..=3650, range);
    let keep = reader.number("DAYFLY_HOUSEKEEP_IMAGE_KEEP", 3, 1..=3650, range);
    // A registration may be claimed for an hour, and a pool's instance may wait for longer.
    let hours = reader.number("DAYFLY_HOUSEKEEP_LEFTOVER_HOURS", 24, 2..=2160, "a whole number from 2 to 2160");
    let most = reader.number("DAYFLY_HOUSEKEEP_MOST", 20, 1..=1000, "a whole number from 1 to 1000");
    let prefixes = reader.text_or(
        "DAYFLY_HOUSEKEEP_PARAMETERS",
        "",
        "what SSM parameters' names begin with, separated by commas",
        |text| text.is_empty() || text.split(',').all(|it| !it.is_empty()),
    );
    let security_group =
        reader.optional("DAYFLY_RUNNER_SECURITY_GROUP", "a security group's id", |it| it.starts_with("sg-"));
    if reader.role != Some(Role::Housekeep) {
        return None;
    }
    let reports = s3_object(&reports).unwrap_or_default();
    let registrations = reader.variables.get("DAYFLY_REGISTRATION_BUCKET_PREFIX").cloned().unwrap_or_default();
    Some(HousekeepConfig {
        bucket: reports.bucket,
        settings: housekeep::Settings {
            dry_run: dry_run != "false",
            images: ImagePolicy {
                tags: self::tags(&tags).unwrap_or_default(),
                age: Duration::from_hours(24 * u64::from(days)),
                keep: keep as usize,
                most: most as usize,
            },
            leftover_age: Duration::from_hours(u64::from(hours)),
            most: most as usize,
            registrations,
            reports: reports.key,
        },
        parameter_prefixes: prefixes.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        security_group,
    })
}

fn tags(text: &str) -> Option<BTreeMap<String, Pattern>> {
    let tags: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    let good = tags.iter().all(|(name, value)| !name.is_empty() && !value.is_empty());
    good.then(|| tags.into_iter().map(|(name, value)| (name, Pattern::new(value))).collect())
}

fn is_store(text: &str) -> bool {
    s3_object(text).is_some_and(|it| !it.key.starts_with('/') && !it.key.ends_with('/'))
}

fn is_platform(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn versions(text: &str) -> Option<BTreeSet<Version>> {
    text.split(',').filter(|it| !it.is_empty()).map(|it| it.parse().ok()).collect()
}
