//! Which job a runner gets.

use crate::config::Group;
use crate::job_state::JobState;
use crate::model::{Job, Owner, Runner};

/// The oldest queued job that fits the runner.
pub(crate) fn next_job<'a>(jobs: impl Iterator<Item = &'a Job>, runner: &Runner, groups: &[Group]) -> Option<u64> {
    jobs.filter(|job| job.state == JobState::Queued && fits(job, runner, groups))
        .min_by_key(|job| (job.created_at, job.id))
        .map(|job| job.id)
}

/// Whether the runner may take the job: its owner and group let the repository in, it is in the group that the job
/// asks for, and it has every label of the job. Labels are compared without regard to case, as GitHub does.
pub(crate) fn fits(job: &Job, runner: &Runner, groups: &[Group]) -> bool {
    let group = groups.iter().find(|group| group.id == runner.group_id);
    // Repositories have no groups: their runners are all in group 1, which admits the repository itself.
    let admitted = matches!(runner.owner, Owner::Repo(_)) || group.is_some_and(|group| admits(group, &job.repository));
    let asked =
        job.group.as_ref().is_none_or(|asked| group.is_some_and(|group| group.name.eq_ignore_ascii_case(asked)));
    let labelled = job.labels.iter().all(|label| runner.labels.iter().any(|has| has.eq_ignore_ascii_case(label)));
    runner.owner.covers(&job.repository) && admitted && asked && labelled
}

fn admits(group: &Group, repository: &str) -> bool {
    group.repositories.as_ref().is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(repository)))
}
