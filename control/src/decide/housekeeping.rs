//! Which images may go and why each other one stays, which snapshots go with them, and what is left over from instances
//! that are long gone.
//!
//! An image goes only where nothing that can be seen names it. So whoever asks must have seen everything: a listing that
//! failed is not an empty one.

mod uses;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::Serialize;

pub use uses::{images_in, of_fleets, parameter_of};

use crate::{clock::Millis, fleets::Pattern};

/// An image of the account's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, or last launched from as far as EC2 knows, whichever is later.
    pub last_used: Millis,
    /// When it was made.
    pub created_at: Millis,
    /// Of the CPU.
    pub architecture: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The snapshots that it consists of.
    pub snapshots: Vec<String>,
    /// Why it can't be taken away whatever names it: everybody may launch from it, it is protected, or not made yet.
    pub held: Option<Held>,
}

/// What keeps an image though nothing names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Everybody may launch from it, so nobody knows who does.
    Public,
    /// It is protected against deregistration.
    Protected,
    /// It is still being made.
    Unfinished,
}

/// Which images are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Those with all of these tags; the values may have `*` and `?`. None where this is empty.
    pub tags: BTreeMap<String, Pattern>,
    /// For so long an image must not have been made or launched from.
    pub age: Duration,
    /// Of each group (the same architecture and the same values of the tags) the newest stay, so many.
    pub keep: usize,
    /// So many go at a time.
    pub most: usize,
}

/// Something that names an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A version of a launch template.
    Template {
        /// The template's id.
        id: String,
        /// The version.
        version: String,
    },
    /// A parameter of SSM.
    Parameter(String),
    /// An instance that has not ended.
    Instance(String),
    /// A fleet of the fleets document.
    Fleet(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template { id, version } => write!(f, "version {version} of launch template {id}"),
            Self::Parameter(name) => write!(f, "parameter {name}"),
            Self::Instance(id) => write!(f, "instance {id}"),
            Self::Fleet(name) => write!(f, "fleet {name} of the fleets document"),
        }
    }
}

/// Who names an image, by its id.
pub type Uses = BTreeMap<String, BTreeSet<Use>>;

/// What becomes of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go.
    Goes,
    /// It stays.
    Stays(Why),
}

/// Why an image stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Something names it, and perhaps more does.
    Used(Use),
    /// It is held.
    Held(Held),
    /// It was made or launched from lately.
    Young,
    /// It is among the newest of its group.
    Newest,
    /// Enough go this time; it may be the next time's.
    Later,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used(by) => write!(f, "named by {by}"),
            Self::Held(Held::Public) => write!(f, "public"),
            Self::Held(Held::Protected) => write!(f, "protected against deregistration"),
            Self::Held(Held::Unfinished) => write!(f, "still being made"),
            Self::Young => write!(f, "made or launched from lately"),
            Self::Newest => write!(f, "among the newest of its kind"),
            Self::Later => write!(f, "enough go this time"),
        }
    }
}

impl ImagePolicy {
    fn group<'a>(&self, image: &'a Image) -> Option<(&'a str, Vec<&'a str>)> {
        let value = |(name, pattern): (&String, &Pattern)| {
            image.tags.get(name).map(String::as_str).filter(|value| pattern.matches(value))
        };
        let values = self.tags.iter().map(value).collect::<Option<Vec<_>>>()?;
        (!values.is_empty()).then_some((image.architecture.as_str(), values))
    }
}

/// What becomes of each image that is looked after, the oldest first. The others are not in the answer.
#[must_use]
pub fn judge<'a>(images: &'a [Image], policy: &ImagePolicy, uses: &Uses, now: Millis) -> Vec<(&'a Image, Verdict)> {
    let mut groups: BTreeMap<_, Vec<&Image>> = BTreeMap::new();
    for image in images {
        if let Some(group) = policy.group(image) {
            groups.entry(group).or_default().push(image);
        }
    }
    let mut newest = BTreeSet::new();
    for group in groups.values_mut() {
        // One that is not made yet may never be.
        let made = |it: &&&Image| it.held != Some(Held::Unfinished);
        group.sort_by_key(|it| (std::cmp::Reverse(it.created_at), &it.id));
        newest.extend(group.iter().filter(made).take(policy.keep).map(|it| it.id.as_str()));
    }
    let mut all: Vec<&Image> = groups.into_values().flatten().collect();
    all.sort_by_key(|it| (it.created_at, &it.id));
    let mut going = 0;
    let verdict = |image: &'a Image| {
        let named_by = uses.get(&image.id).and_then(BTreeSet::first);
        let why = match (named_by, image.held) {
            (Some(by), _) => Why::Used(by.clone()),
            (None, Some(held)) => Why::Held(held),
            (None, None) if !is_old(image.last_used, policy.age, now) => Why::Young,
            (None, None) if newest.contains(image.id.as_str()) => Why::Newest,
            (None, None) if going >= policy.most => Why::Later,
            (None, None) => {
                going += 1;
                return (image, Verdict::Goes);
            }
        };
        (image, Verdict::Stays(why))
    };
    all.into_iter().map(verdict).collect()
}

/// The snapshots that may go once the images `gone` are gone: theirs and those that were to go before, without those that
/// any image which is `left` consists of.
#[must_use]
pub fn snapshots(gone: &[&Image], left: &[&Image], before: &BTreeSet<String>) -> BTreeSet<String> {
    let used: BTreeSet<&String> = left.iter().flat_map(|it| &it.snapshots).collect();
    let all = gone.iter().flat_map(|it| &it.snapshots).chain(before);
    all.filter(|it| !used.contains(it)).cloned().collect()
}

/// Something of an instance's that may have outlived it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A registration in SSM.
    Parameter,
    /// A registration in S3.
    Object,
    /// A volume that is attached to nothing.
    Volume,
    /// A request for a spot instance.
    SpotRequest,
}

impl Kind {
    /// Its name among the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::Object => "object",
            Self::Volume => "volume",
            Self::SpotRequest => "spot_request",
        }
    }
}

/// One of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Its id, name or key.
    pub id: String,
    /// When it was made or written.
    pub since: Millis,
    /// The instance that it is for, where that is known and matters: while that lives, it is none.
    pub instance: Option<String>,
}

/// Those of `found` that may go, the oldest first and no more than `most`: old enough, and of no instance that is `alive`.
/// A registration is claimed within minutes and an hour at most, so after a day nobody will; and its runner is no longer
/// known to GitHub.
#[must_use]
pub fn leftovers<'a>(
    found: &'a [Leftover],
    alive: &BTreeSet<String>,
    age: Duration,
    most: usize,
    now: Millis,
) -> Vec<&'a Leftover> {
    let lives = |it: &Leftover| it.instance.as_ref().is_some_and(|instance| alive.contains(instance));
    let mut old: Vec<&Leftover> = found.iter().filter(|it| is_old(it.since, age, now) && !lives(it)).collect();
    old.sort_by_key(|it| (it.since, &it.id));
    old.truncate(most);
    old
}

fn is_old(since: Millis, age: Duration, now: Millis) -> bool {
    u128::from(now.saturating_sub(since)) >= age.as_millis()
}

#[cfg(test)]
mod tests;
