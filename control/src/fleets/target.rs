//! Who a runner is registered for at GitHub.

use std::{fmt, str::FromStr};

use super::{Fleet, Level, Pattern};

/// An owner of runners at GitHub. Its text is the path that GitHub's REST API has for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `orgs/<login>`
    Organization(String),
    /// `repos/<owner>/<repo>`
    Repository(String),
    /// `enterprises/<slug>`
    Enterprise(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization(name) => write!(f, "orgs/{name}"),
            Self::Repository(name) => write!(f, "repos/{name}"),
            Self::Enterprise(name) => write!(f, "enterprises/{name}"),
        }
    }
}

impl Scope {
    /// Whether `repository` may be this owner's. Which organizations an enterprise has is for GitHub to know.
    #[must_use]
    pub fn holds(&self, repository: &str) -> bool {
        match self {
            Self::Organization(name) => {
                repository.split_once('/').is_some_and(|(owner, _)| owner.eq_ignore_ascii_case(name))
            }
            Self::Repository(name) => repository.eq_ignore_ascii_case(name),
            Self::Enterprise(_) => true,
        }
    }
}

/// A scope's text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither orgs/…, repos/…/… nor enterprises/…")]
pub struct BadScope(String);

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        match text.split_once('/') {
            Some(("orgs", name)) => Ok(Self::Organization(name.to_owned())),
            Some(("repos", name)) => Ok(Self::Repository(name.to_owned())),
            Some(("enterprises", name)) => Ok(Self::Enterprise(name.to_owned())),
            _ => Err(BadScope(text.to_owned())),
        }
    }
}

/// A scope and what is known of the App's installation there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Who the runner is for.
    pub scope: Scope,
    /// The installation that a webhook named; it may be missing or stale.
    pub installation: Option<u64>,
}

/// What is known of a repository's owner beyond its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Whether it is a person. Only organizations and enterprises have runners that repositories share.
    pub is_person: bool,
    /// The slug of its enterprise, where that is known.
    pub enterprise: Option<String>,
}

/// Why GitHub gives the runners of a fleet no job of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutOfReach {
    /// They are registered for this owner, and the repository is another's.
    OtherOwner(String),
    /// They are those of an organization or enterprise, and the repository is a person's.
    Person,
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOwner(owner) => write!(f, "its runners are those of {owner}"),
            Self::Person => write!(f, "its runners are for organizations, and the repository is a person's"),
        }
    }
}

impl Fleet {
    /// Why GitHub gives no job of `repository`, which is `owner`'s, to a runner of this fleet, if that is so. Without a
    /// repository only what is told of the owner is looked at.
    #[must_use]
    pub fn out_of_reach(&self, repository: Option<&str>, owner: &Owner) -> Option<OutOfReach> {
        let own = self.github.owner.as_deref();
        let other = || Some(OutOfReach::OtherOwner(own.unwrap_or_default().to_owned()));
        if owner.is_person && self.github.level != Level::Repository {
            return Some(OutOfReach::Person);
        }
        let of_enterprise = own.filter(|_| self.github.level == Level::Enterprise).zip(owner.enterprise.as_deref());
        if of_enterprise.is_some_and(|(own, theirs)| !own.eq_ignore_ascii_case(theirs)) {
            return other();
        }
        match (self.owner_pattern(), repository) {
            (Some(pattern), Some(repository)) if !pattern.matches(repository) => other(),
            _ => None,
        }
    }

    fn owner_pattern(&self) -> Option<Pattern> {
        let owner = self.github.owner.as_deref()?;
        match self.github.level {
            Level::Organization => Some(Pattern::new(format!("{owner}/*"))),
            Level::Repository => Some(Pattern::new(owner)),
            // Which organizations an enterprise has is for GitHub to know. Its events may name it.
            Level::Enterprise => None,
        }
    }

    /// Who a runner for a job of `repository` registers for.
    #[must_use]
    pub fn scope_for(&self, repository: &str) -> Scope {
        let owner = self.github.owner.as_deref();
        match self.github.level {
            Level::Organization => {
                let own = repository.split_once('/').map_or(repository, |(owner, _)| owner);
                Scope::Organization(owner.unwrap_or(own).to_owned())
            }
            Level::Repository => Scope::Repository(owner.unwrap_or(repository).to_owned()),
            // The reader refuses an enterprise without a slug.
            Level::Enterprise => Scope::Enterprise(owner.unwrap_or_default().to_owned()),
        }
    }

    /// The installation to use for `scope`, where a webhook named `installation`. An enterprise has an installation of
    /// its own, never the one that sent an organization's webhook.
    #[must_use]
    pub fn target(&self, scope: Scope, installation: Option<u64>) -> Target {
        let installation = if matches!(scope, Scope::Enterprise(_)) { None } else { installation };
        Target { scope, installation }
    }
}
