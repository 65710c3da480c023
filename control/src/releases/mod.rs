//! Where releases of the runner come from ([`github`]), and how they are packed anew on their way ([`repack`]).

pub mod github;
pub mod repack;

use crate::{
    decide::releases::{Asset, Release, Version},
    github::GitHubError,
};

/// What GitHub answers when it is asked for the releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They are those of the ETag.
    Unchanged,
    /// The latest of them, without drafts and pre-releases.
    Releases {
        /// The releases.
        releases: Vec<Release>,
        /// To be asked with the next time.
        etag: Option<String>,
    },
}

/// What the handler needs of GitHub's releases.
pub trait Releases {
    /// An archive on its way.
    type Body: Body;

    /// The latest releases, unless they are those of `etag`.
    fn list(&self, etag: Option<&str>) -> impl Future<Output = Result<Answer, GitHubError>>;
    /// The release of this version, whatever it is marked as; none where there is none.
    fn find(&self, version: Version) -> impl Future<Output = Result<Option<Release>, GitHubError>>;
    /// Begins to download an archive.
    fn download(&self, asset: &Asset) -> impl Future<Output = Result<Self::Body, GitHubError>>;
}

/// An archive on its way.
pub trait Body {
    /// The next bytes; none at its end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, GitHubError>>;
}
