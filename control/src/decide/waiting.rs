//! How long a job waited for its runner.

use super::{events::JobEvent, jobs::JobState};
use crate::{clock::Millis, ledger::Job};

/// Milliseconds from queued to running of the job that `event` tells of, where it is the first to say that it runs;
/// `job` is what the ledger had of it before.
///
/// GitHub's own times count, since webhooks are late. But a job that waited for an approval was created long before it
/// was queued: there the ledger's times are the better ones.
#[must_use]
pub fn queue_ms(job: Option<&Job>, event: &JobEvent, now: Millis) -> Option<u64> {
    if event.state != JobState::Running || job.is_some_and(|job| job.state >= JobState::Running) {
        return None;
    }
    // One that waited for us to ask whose code it runs was queued all the time.
    let was_held =
        job.is_some_and(|job| job.history.has(JobState::Waiting.name()) && !job.history.has(super::doubt::FORK));
    let by_github = event.waited_ms.filter(|_| !was_held);
    by_github.or_else(|| now.checked_sub(job?.queued_at?))
}

#[cfg(test)]
mod tests {
    use super::{JobEvent, JobState, queue_ms};
    use crate::{decide::events::tests::event, ledger::tests::job};

    #[test]
    fn github_knows_best_how_long_a_job_waited() {
        let known = |state| crate::ledger::Job { state, queued_at: Some(5_000), ..job(7, "linux-x64") };
        let queued = known(JobState::Queued);
        let mut held = queued.clone();
        held.history.add(1_000, "waiting", "");
        let mut asked_about = held.clone();
        asked_about.history.add(1_000, super::super::doubt::FORK, "");
        let told = |waited_ms| JobEvent { waited_ms, ..event(JobState::Running) };
        let cases = [
            (Some(&queued), told(Some(1_500)), Some(1_500)),
            (Some(&queued), told(None), Some(4_000)),
            (Some(&held), told(Some(1_500)), Some(4_000)),
            (Some(&asked_about), told(Some(1_500)), Some(1_500)),
            (None, told(Some(1_500)), Some(1_500)),
            (None, told(None), None),
        ];
        for (i, (job, event, expected)) in cases.into_iter().enumerate() {
            assert_eq!(queue_ms(job, &event, 9_000), expected, "case {i}");
        }
        for again in [JobState::Running, JobState::Done] {
            assert_eq!(queue_ms(Some(&known(again)), &told(Some(1_500)), 9_000), None, "counted once");
        }
        assert_eq!(queue_ms(Some(&queued), &event(JobState::Done), 9_000), None, "cancelled");
    }
}
