//! Whether a run is a fork's: asked of GitHub once, however many jobs it has, and noted in the ledger.
//!
//! A matrix begins a hundred jobs at once, each in an invocation of its own. The first to claim the run asks, and the
//! others wait for its note.

use std::time::Duration;

use tracing::warn;

use super::asking;
use crate::{
    clock::{Clock, seconds},
    fleets::Target,
    github::{GitHub, GitHubError},
    ledger::Notes,
    report::{BoxError, Chain},
};

/// How long the ledger remembers a run. GitHub ends one after 35 days, and lets it be run again for 30.
const RUN_SECONDS: u64 = 65 * 24 * 3600;
/// How long a run is claimed: as long as GitHub is asked, and a little.
const CLAIM_SECONDS: u64 = 5;
/// When those who wait for another's note look for it, in milliseconds since they looked last: 2.5 s in all.
const LOOKS: [u64; 6] = [50, 100, 200, 400, 750, 1000];

/// Why it is not known whether a run is a fork's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// GitHub refuses to tell: a person has to change something.
    #[error(transparent)]
    Refused(GitHubError),
    /// It is not known just now.
    #[error(transparent)]
    Passing(BoxError),
}

/// Whether the run `id` of `repository` (`owner/repo`) is a fork's. `target` has the token to ask with.
pub(super) async fn is_fork<L: Notes, G: GitHub, C: Clock>(
    (ledger, github, clock): (&L, &G, &C),
    target: &Target,
    repository: &str,
    id: u64,
) -> Result<bool, Unknown> {
    let key = key(repository, id);
    let recall = async || match ledger.recall(&key).await {
        Ok(noted) => Ok(noted.map(|noted| noted != 0)),
        Err(error) => Err(Unknown::Passing(error.into())),
    };
    if let Some(noted) = recall().await? {
        return Ok(noted);
    }
    let now = seconds(clock.now());
    let first = ledger.claim(&format!("asking-{key}"), now, now + CLAIM_SECONDS).await.unwrap_or_else(|error| {
        // One call more is all that it costs.
        warn!("{}", Chain(&error));
        true
    });
    if !first {
        for wait in LOOKS {
            clock.sleep(Duration::from_millis(wait)).await;
            if let Some(noted) = recall().await? {
                return Ok(noted);
            }
        }
        return Err(Unknown::Passing("another invocation asks GitHub, and has no answer yet".into()));
    }
    let is_fork = match asking::patiently(clock, async || github.run(target, repository, id).await).await {
        Ok(run) => run.is_of_fork(repository),
        Err(refused @ GitHubError::Permanent(_)) => return Err(Unknown::Refused(refused)),
        Err(passing) => return Err(Unknown::Passing(passing.into())),
    };
    if let Err(error) = ledger.remember(&key, u64::from(is_fork), seconds(clock.now()) + RUN_SECONDS).await {
        warn!("{}", Chain(&error));
    }
    Ok(is_fork)
}

/// Under which a run is noted.
pub(super) fn key(repository: &str, run: u64) -> String {
    format!("fork#{}#{run}", repository.to_lowercase())
}
