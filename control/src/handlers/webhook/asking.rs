//! What is asked of GitHub before a job is noted, and for how long.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};

use crate::{
    clock::Clock,
    github::{GitHub, GitHubError, Job, Run},
    report::Failure,
};

use super::{Deps, Ports, payload::Origin};

/// GitHub waits 10 s for the answer to its delivery, and two questions may have to be asked for one.
const PATIENCE: Duration = Duration::from_secs(4);

/// The job `id`.
pub(super) async fn job<P: Ports>(deps: &Deps<P>, origin: &Origin, id: u64) -> Result<Job, GitHubError> {
    patiently(&deps.clock, deps.github.job(&origin.target, &origin.repository, id)).await
}

/// The workflow run `id`.
pub(super) async fn run<P: Ports>(deps: &Deps<P>, origin: &Origin, id: u64) -> Result<Run, GitHubError> {
    patiently(&deps.clock, deps.github.run(&origin.target, &origin.repository, id)).await
}

async fn patiently<T>(
    clock: &impl Clock,
    question: impl Future<Output = Result<T, GitHubError>>,
) -> Result<T, GitHubError> {
    // Boxed: it is large, and hardly ever there.
    within(clock, PATIENCE, Box::pin(question)).await.unwrap_or_else(|| {
        let why = format!("it has not answered within {} s", PATIENCE.as_secs());
        Err(GitHubError::Transient(Failure::new("asking GitHub", why)))
    })
}

/// What comes of `work`, if it comes in time.
pub(super) async fn within<T>(clock: &impl Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(clock.sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
