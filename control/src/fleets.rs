//! The fleets document: which kinds of runners there are, and whose jobs they take. Terraform writes it to S3;
//! `fleets.schema.json` beside this crate describes it for editors; [`Fleets::read`] has the last word and tells every
//! mistake at once.

mod admission;
mod interrupted;
mod launch;
mod matching;
mod pattern;
mod pool;
mod read;
mod target;
mod unknown;
mod warnings;

pub use admission::{Admission, Bar};
pub use interrupted::Interrupted;
pub use launch::{Handover, Image, Instances, Launch, Market, Range, Requirements, SpotAllocation};
pub use matching::{Matching, Steering, Ties};
pub use pattern::Pattern;
pub use pool::{Eviction, Pool, PoolKind, Schedule};
pub use target::{BadScope, OutOfReach, Owner, Scope, Target};
pub use unknown::unknown_fields;
pub use warnings::Warning;

use dayfly_contract::Problems;

/// The document's version that this crate reads.
pub const VERSION: u32 = 1;

/// The JSON Schema that describes the document for editors.
pub const SCHEMA: &str = include_str!("../fleets.schema.json");

/// The whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleets {
    /// All fleets, in document order.
    pub fleets: Vec<Fleet>,
    /// Whose jobs any fleet takes.
    pub admission: Admission,
    /// Which of several fleets takes a job that all of them fit equally well.
    pub ties: Ties,
}

impl Fleets {
    /// Reads the document.
    pub fn read(text: &str) -> Result<Self, Problems> {
        read::fleets(text)
    }

    /// The fleet called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fleet> {
        self.fleets.iter().find(|fleet| fleet.name == name)
    }
}

/// Runners of one kind: what jobs they take and what they are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Its name, part of tags and runner names.
    pub name: String,
    /// The labels its runners carry.
    pub labels: Vec<String>,
    /// How these and a job's labels are compared.
    pub matching: Matching,
    /// Of several fleets that fit a job as closely, the highest priority takes it.
    pub priority: u64,
    /// Whose jobs it takes; within what the document as a whole admits.
    pub admission: Admission,
    /// What a job's own labels may ask of its instance.
    pub steering: Steering,
    /// Whether a runner takes one job only; else it takes jobs until it is idle.
    pub ephemeral: bool,
    /// The most instances it may have at a time.
    pub max: u64,
    /// How long a job must have waited to be counted.
    pub delay_seconds: u64,
    /// How long after its launch an instance counts as "about to take a job".
    pub boot_seconds: u64,
    /// How long after a launch the fleet launches nothing more, so that jobs can gather; 0 for not at all.
    pub cooldown_seconds: u64,
    /// What becomes of its jobs whose instances are taken away.
    pub interrupted: Interrupted,
    /// What it keeps ready before a job comes.
    pub pool: Option<Pool>,
    /// Where its runners register.
    pub github: GitHub,
    /// How a registration gets to its instance.
    pub handover: Handover,
    /// What its instances are launched from.
    pub launch: Launch,
}

/// Where a fleet's runners register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHub {
    /// At an organization, a repository or an enterprise.
    pub level: Level,
    /// Its login, `owner/repo` or slug. Without one, the job's own organization or repository is taken.
    pub owner: Option<String>,
    /// The runner group they join.
    pub runner_group: RunnerGroup,
}

/// A runner group. A repository has one only, the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerGroup {
    /// By GitHub's id of it; 1 is the default group.
    Id(u64),
    /// By its name, for which GitHub is asked once.
    Name(String),
}

impl RunnerGroup {
    /// The group that every organization has.
    pub const DEFAULT: Self = Self::Id(1);
}

/// What owns a runner at GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Shared by the repositories of an organization.
    Organization,
    /// Of one repository.
    Repository,
    /// Shared by the organizations of an enterprise.
    Enterprise,
}

#[cfg(test)]
pub(crate) mod tests;
