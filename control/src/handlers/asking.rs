//! What is asked of GitHub about a job, and for how long.

use std::time::Duration;

use super::ending;
use crate::{
    clock::Clock,
    decide::{events::JobEvent, jobs::JobState},
    github::GitHubError,
    ledger::Job,
    report::Failure,
};

/// How long one question may take with all its tries. GitHub waits 10 s for the answer to its delivery, and two questions
/// may have to be asked for one.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// So often a question is asked that fails and may do the next time.
pub(super) const TRIES: u32 = 3;
/// Before each further try, and a little by chance.
const PAUSE: Duration = Duration::from_millis(200);

/// What `ask` is answered within [`PATIENCE`], by [`TRIES`] at most. A limit is not tried again: GitHub names longer waits.
pub(super) async fn patiently<T>(
    clock: &impl Clock,
    ask: impl AsyncFn() -> Result<T, GitHubError>,
) -> Result<T, GitHubError> {
    let work = async {
        for attempt in 1..TRIES {
            match ask().await {
                Err(GitHubError::Transient(_)) => clock.sleep(PAUSE + clock.jitter(attempt)).await,
                other => return other,
            }
        }
        ask().await
    };
    // Boxed: it is large, and hardly ever there.
    within(clock, PATIENCE, Box::pin(work)).await.unwrap_or_else(|| {
        let why = format!("it has not answered within {} s", PATIENCE.as_secs());
        Err(GitHubError::Transient(Failure::new("asking GitHub", why)))
    })
}

/// What comes of `work`, if it comes in time.
pub(crate) async fn within<T>(clock: &impl Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    ending::by(clock, clock.now().saturating_add(limit), work).await
}

/// The event that tells of a known `job` that it is `state`. Whose code it runs was decided by whoever noted it.
pub(super) fn again(job: Job, state: JobState) -> JobEvent {
    JobEvent {
        state,
        id: job.id,
        labels: job.labels,
        asks: Vec::new(),
        repository: job.repository,
        public_fork: false,
        run_id: job.run_id,
        run_attempt: job.run_attempt,
        installation: job.installation,
        runner_name: job.runner_name,
        runner_id: None,
        conclusion: None,
        waited_ms: None,
    }
}
