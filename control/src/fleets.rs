//! The fleets document: which kinds of runners there are. Terraform writes it to S3; `fleets.schema.json` beside this
//! crate describes it for editors; [`Fleets::read`] has the last word and tells every mistake at once.

mod read;
mod target;

pub use target::{BadScope, Scope, Target};

use dayfly_contract::Problems;

/// The document's version that this crate reads.
pub const VERSION: u32 = 1;

/// All fleets, in document order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleets(pub Vec<Fleet>);

impl Fleets {
    /// Reads the document.
    pub fn read(text: &str) -> Result<Self, Problems> {
        read::fleets(text)
    }

    /// The fleet called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fleet> {
        self.0.iter().find(|fleet| fleet.name == name)
    }
}

/// Runners of one kind: what jobs they take and what they are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Its name, part of tags and runner names.
    pub name: String,
    /// The labels its runners carry.
    pub labels: Vec<String>,
    /// Of several fleets that fit a job, the highest priority takes it.
    pub priority: u64,
    /// Whose jobs it takes; empty: everybody's.
    pub repositories: Vec<Pattern>,
    /// The most instances it may have at a time.
    pub max: u64,
    /// How long a job must have waited to be counted.
    pub delay_seconds: u64,
    /// How long after its launch an instance counts as "about to take a job".
    pub boot_seconds: u64,
    /// Where its runners register.
    pub github: GitHub,
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
    pub runner_group_id: u64,
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

/// What a fleet's instances are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Launch template.
    pub template_id: String,
    /// Its version.
    pub template_version: String,
    /// Subnets to choose from.
    pub subnets: Vec<String>,
    /// Instance types to choose from.
    pub instance_types: Vec<String>,
    /// On-demand or spot.
    pub market: Market,
}

/// How instances are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// At the list price, until they end.
    OnDemand,
    /// Cheaper, and may be taken back at two minutes' notice.
    Spot,
}

impl Market {
    /// As EC2's `DefaultTargetCapacityType` and the document have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// `owner/repo` or `owner/*`, compared without regard to case, as GitHub does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `repository` (`owner/repo`) is meant.
    #[must_use]
    pub fn matches(&self, repository: &str) -> bool {
        match self.0.strip_suffix("/*") {
            Some(owner) => repository.split_once('/').is_some_and(|(it, _)| it.eq_ignore_ascii_case(owner)),
            None => self.0.eq_ignore_ascii_case(repository),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
