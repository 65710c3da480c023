//! What runs in a job, in which order, and what is skipped after a failure.

use crate::job::{Job, JobResult, Step};

/// The variable that names the first hook.
pub const STARTED: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// The variable that names the last one.
pub const COMPLETED: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";

/// One thing to run.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// The machine's own script before the job's steps.
    StartedHook(String),
    /// A step.
    Step(&'a Step),
    /// The machine's own script after them.
    CompletedHook(String),
}

/// All that a job runs. `var` looks variables up.
pub fn items(job: &Job, var: impl Fn(&str) -> Option<String>) -> Vec<Item<'_>> {
    let hook = |name| var(name).filter(|path| !path.is_empty());
    let first = hook(STARTED).map(Item::StartedHook);
    let last = hook(COMPLETED).map(Item::CompletedHook);
    first.into_iter().chain(job.steps.iter().map(Item::Step)).chain(last).collect()
}

impl Item<'_> {
    /// Whether it runs where the job stands at `so_far`: after a failure, only the last hook does.
    #[must_use]
    pub fn runs(&self, so_far: JobResult) -> bool {
        so_far == JobResult::Succeeded || matches!(self, Self::CompletedHook(_))
    }

    /// Its heading in the log.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::StartedHook(_) => "Set up runner".to_owned(),
            Self::CompletedHook(_) => "Complete runner".to_owned(),
            Self::Step(step) if step.name.is_empty() => {
                format!("Run {}", step.run.lines().next().unwrap_or_default())
            }
            Self::Step(step) => step.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let json = r#"{"id":1,"name":"n","repository":"o/r","steps":[{"name":"a","run":"x"},{"run":"y\nz"}]}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn hooks_stand_around_the_steps() {
        let job = job();
        let titles =
            |var: fn(&str) -> Option<String>| -> Vec<String> { items(&job, var).iter().map(Item::title).collect() };
        assert_eq!(titles(|_| None), ["a", "Run y"]);
        assert_eq!(titles(|_| Some("/hook.sh".to_owned())), ["Set up runner", "a", "Run y", "Complete runner"]);
        assert_eq!(titles(|_| Some(String::new())), ["a", "Run y"]);
    }

    #[test]
    fn after_a_failure_only_the_last_hook_runs() {
        let step = Step { name: String::new(), run: String::new() };
        let hook = Item::CompletedHook(String::new());
        for so_far in [JobResult::Failed, JobResult::Canceled] {
            assert!(!Item::Step(&step).runs(so_far) && hook.runs(so_far));
        }
        assert!(Item::Step(&step).runs(JobResult::Succeeded));
    }
}
