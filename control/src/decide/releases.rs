//! Which releases of the runner are kept in S3, which of them is the latest, and which may go.
//!
//! GitHub's releases and what is in the store go in; [`fetches`], [`pointer`] and [`surplus`] come out. Whatever a run
//! did or did not get done, the next one decides by what it finds.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use dayfly_contract::{RunnerRelease, version_numbers};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// Archives that nobody names are left alone for so long: they may be of a run that is not through yet.
pub const STRAY: Duration = Duration::from_hours(24);

/// A version of the runner, such as 2.336.0. Ordered as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version([u32; 3]);

/// It is not three numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version such as \"2.336.0\"")]
pub struct NoVersion(String);

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let read = version_numbers(text).map(Self);
        // 2.0336.0 is the same in numbers, and another object's key.
        read.filter(|it| it.to_string() == text).ok_or_else(|| NoVersion(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(it: Version) -> Self {
        it.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A release at GitHub. No draft and no pre-release: GitHub marks a runner's as one while it is being rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// When it was published.
    pub published_at: Millis,
    /// Its runners, by platform.
    pub assets: Vec<Asset>,
}

/// A runner for one platform, as GitHub offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Such as `linux-x64`.
    pub platform: String,
    /// Where it is downloaded from.
    pub url: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lower case hexadecimal digits; none where GitHub does not tell it.
    pub sha256: Option<String>,
}

impl Release {
    /// The runner for `platform`.
    #[must_use]
    pub fn asset(&self, platform: &str) -> Option<&Asset> {
        self.assets.iter().find(|it| it.platform == platform)
    }
}

/// Which version is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// GitHub's newest that was published so long ago.
    Newest {
        /// The time for others to find out what is wrong with it.
        delay: Duration,
    },
    /// This one.
    Pinned(Version),
}

/// What is wanted of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which version is the latest.
    pub follow: Follow,
    /// Versions that fleets name, which are there besides.
    pub also: BTreeSet<Version>,
    /// How many versions stay, the newest.
    pub keep: usize,
}

impl Policy {
    /// The version that is to be the latest on `platform`; none where GitHub has none that is old enough.
    #[must_use]
    pub fn target(&self, releases: &[Release], platform: &str, now: Millis) -> Option<Version> {
        match self.follow {
            Follow::Pinned(version) => Some(version),
            Follow::Newest { delay } => {
                let old_enough = |it: &&Release| it.published_at.saturating_add(millis(delay)) <= now;
                let offered = releases.iter().filter(|it| it.asset(platform).is_some());
                offered.filter(old_enough).map(|it| it.version).max()
            }
        }
    }
}

/// The versions to be fetched, the most urgent first: what is wanted and not `whole` in the store.
#[must_use]
pub fn fetches(policy: &Policy, target: Option<Version>, whole: &BTreeSet<Version>) -> Vec<Version> {
    let others = policy.also.iter().rev().copied().filter(|it| Some(*it) != target);
    target.into_iter().chain(others).filter(|it| !whole.contains(it)).collect()
}

/// The document to be the latest, of `target`'s where it is in the store; none where all is as it should be.
///
/// Who follows never goes back by itself, not even where GitHub withdraws a release or the delay grows: agents of a
/// newer version have come to terms with it. Who pins does.
#[must_use]
pub fn pointer<'a>(
    policy: &Policy,
    target: Option<&'a RunnerRelease>,
    latest: Option<&RunnerRelease>,
) -> Option<&'a RunnerRelease> {
    let target = target.filter(|it| Some(*it) != latest)?;
    let goes_back = latest.is_some_and(|latest| version_of(latest) > version_of(target));
    (matches!(policy.follow, Follow::Pinned(_)) || !goes_back).then_some(target)
}

/// The versions in the store that may go: all but the newest `keep`, those that are wanted, and the latest. None before
/// there is a latest.
#[must_use]
pub fn surplus(
    policy: &Policy,
    target: Option<Version>,
    latest: Option<Version>,
    stored: &BTreeSet<Version>,
) -> Vec<Version> {
    // An agent may know no other way to a runner.
    if latest.is_none() {
        return vec![];
    }
    let wanted = |it: &Version| Some(*it) == target || Some(*it) == latest || policy.also.contains(it);
    stored.iter().rev().skip(policy.keep).copied().filter(|it| !wanted(it)).collect()
}

/// The version that a document is of.
#[must_use]
pub fn version_of(release: &RunnerRelease) -> Option<Version> {
    release.runner_version.parse().ok()
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
