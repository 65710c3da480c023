//! Whose jobs are taken.

use std::fmt;

use super::Pattern;

/// Whose jobs are taken: by all fleets, or by one of them. A job must be admitted by both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Repositories whose jobs are taken; empty: everybody's.
    pub repositories: Vec<Pattern>,
    /// Repositories whose jobs are not taken, though they are among those above.
    pub denied: Vec<Pattern>,
    /// Whether jobs of public repositories are taken that run what a fork has: anybody can open a pull request.
    pub public_forks: bool,
}

/// What keeps a job out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Its repository is not among those listed.
    NotListed,
    /// Its repository is among those denied.
    Denied,
    /// It runs what a fork of a public repository has.
    PublicFork,
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotListed => "the repository is not among the repositories",
            Self::Denied => "the repository is among the repositories_denied",
            Self::PublicFork => "it runs a fork's code in a public repository, against the public_forks",
        })
    }
}

impl Admission {
    /// What keeps a job of `repository` (`owner/repo`) out, if anything; without one, the lists are not looked at.
    /// `public_fork`: the repository is public, and the job runs what a fork of it has.
    #[must_use]
    pub fn bar(&self, repository: Option<&str>, public_fork: bool) -> Option<Bar> {
        let among = |patterns: &[Pattern]| patterns.iter().any(|it| repository.is_some_and(|name| it.matches(name)));
        if repository.is_some() && !self.repositories.is_empty() && !among(&self.repositories) {
            Some(Bar::NotListed)
        } else if among(&self.denied) {
            Some(Bar::Denied)
        } else if public_fork && !self.public_forks {
            Some(Bar::PublicFork)
        } else {
            None
        }
    }
}
