//! What is asked of GitHub about runs, by one identity.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Client;
use crate::{
    clock::{Clock, Millis},
    fleets::Target,
    github::{
        GitHubError,
        rest::Ask,
        runs::{Again, Asked, OpenRun, RunJob, RunState, Runs, Step},
    },
    ledger::Notes,
};

/// The most that GitHub gives in a page.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Run {
    id: u64,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    conclusion: Option<String>,
    /// Older GHES has none.
    #[serde(default = "first", rename = "run_attempt")]
    attempt: u64,
    #[serde(default)]
    repository: Option<Repository>,
    #[serde(default)]
    head_repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    private: Option<bool>,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    owner: Option<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct RunList {
    workflow_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct JobList {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default = "first")]
    run_attempt: u64,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    runner_name: Option<String>,
    #[serde(default)]
    completed_at: Option<jiff::Timestamp>,
    #[serde(default)]
    steps: Vec<JobStep>,
}

#[derive(Deserialize)]
struct JobStep {
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    completed_at: Option<jiff::Timestamp>,
}

fn first() -> u64 {
    1
}

fn millis(at: jiff::Timestamp) -> Millis {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

impl From<Job> for RunJob {
    fn from(it: Job) -> Self {
        let step = |it: JobStep| Step { conclusion: it.conclusion, completed_at: it.completed_at.map(millis) };
        Self {
            id: it.id,
            name: it.name,
            status: it.status,
            conclusion: it.conclusion,
            attempt: it.run_attempt,
            labels: it.labels,
            runner_name: it.runner_name.filter(|name| !name.is_empty()),
            completed_at: it.completed_at.map(millis),
            steps: it.steps.into_iter().map(step).collect(),
        }
    }
}

impl From<Run> for OpenRun {
    fn from(it: Run) -> Self {
        let is_public = |it: &Repository| match it.visibility.as_deref() {
            Some(visibility) => visibility == "public",
            // What is not told is taken for the worse: a fork's code would be run.
            None => it.private != Some(true),
        };
        let is_person = |it: &Repository| it.owner.as_ref().is_some_and(|owner| owner.kind == "User");
        Self {
            id: it.id,
            public: it.repository.as_ref().is_none_or(is_public),
            of_person: it.repository.as_ref().is_some_and(is_person),
            head_repository: it.head_repository.map(|it| it.full_name),
        }
    }
}

impl<C: Clock, N: Notes> Runs for Client<C, N> {
    async fn run_state(&self, target: &Target, repository: &str, id: u64) -> Result<RunState, GitHubError> {
        let path = format!("/repos/{repository}/actions/runs/{id}");
        let answer = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<Run>());
        let run = answer.map_err(|failed| failed.into_error(format!("looking up run {id} of {repository}")))?;
        Ok(RunState { status: run.status.unwrap_or_default(), conclusion: run.conclusion, attempt: run.attempt })
    }

    async fn run_jobs(
        &self,
        target: &Target,
        repository: &str,
        id: u64,
        page: u32,
    ) -> Result<(Vec<RunJob>, bool), GitHubError> {
        let path = format!("/repos/{repository}/actions/runs/{id}/jobs?filter=latest&per_page={PAGE}&page={page}");
        let answer = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<JobList>());
        let doing = || format!("listing the jobs of run {id} of {repository}");
        let JobList { jobs } = answer.map_err(|failed| failed.into_error(doing()))?;
        let more = jobs.len() >= PAGE;
        Ok((jobs.into_iter().map(RunJob::from).collect(), more))
    }

    async fn run_again(&self, target: &Target, repository: &str, id: u64, what: Again) -> Result<Asked, GitHubError> {
        let path = match what {
            Again::Job(job) => format!("/repos/{repository}/actions/jobs/{job}/rerun"),
            Again::Failed => format!("/repos/{repository}/actions/runs/{id}/rerun-failed-jobs"),
        };
        match self.ask(target, Ask::post(&path, &json!({}))).await {
            Ok(_) => Ok(Asked::Accepted),
            // GitHub says the same status to one who may not.
            Err(failed) if failed.is(StatusCode::FORBIDDEN) && failed.says("already running") => Ok(Asked::Running),
            Err(failed) => Err(failed.into_error(format!("running run {id} of {repository} again"))),
        }
    }

    async fn open_runs(
        &self,
        target: &Target,
        repository: &str,
        status: &str,
        page: u32,
    ) -> Result<(Vec<OpenRun>, bool), GitHubError> {
        let path = format!("/repos/{repository}/actions/runs?status={status}&per_page={PAGE}&page={page}");
        let answer = self.ask(target, Ask::get(&path)).await.and_then(|answer| answer.read::<RunList>());
        let doing = || format!("listing the {status} runs of {repository}");
        let RunList { workflow_runs } = answer.map_err(|failed| failed.into_error(doing()))?;
        let more = workflow_runs.len() >= PAGE;
        Ok((workflow_runs.into_iter().map(OpenRun::from).collect(), more))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Again, Asked, OpenRun, RunState, Runs};
    use crate::github::{
        GitHubError,
        client::tests::{ok, stage, target, token},
    };

    const REPOSITORY: &str = "octo-org/octo-repo";

    #[tokio::test]
    async fn a_run_and_its_jobs_are_read() {
        let told = json!({"id": 5, "status": "completed", "conclusion": "failure", "run_attempt": 2});
        let step = json!({"name": "x", "status": "completed", "conclusion": "cancelled", "number": 1,
                          "completed_at": "2026-11-18T11:06:40Z"});
        let job = json!({"id": 7, "run_id": 5, "run_attempt": 2, "name": "build", "status": "completed",
                         "conclusion": "failure", "labels": ["a"], "runner_name": "", "runner_id": 0,
                         "completed_at": "2026-11-18T11:06:41Z", "steps": [step]});
        let full: Vec<Value> = vec![job; 100];
        let answers = [token("t1"), ok(200, told), ok(200, json!({"total_count": 100, "jobs": full}))];
        let stage = stage("", answers).await;
        let run = stage.app.run_state(&target(Some(77)), REPOSITORY, 5).await.unwrap();
        let expected = RunState { status: "completed".into(), conclusion: Some("failure".into()), attempt: 2 };
        assert_eq!(run, expected);
        let (jobs, more) = stage.app.run_jobs(&target(Some(77)), REPOSITORY, 5, 1).await.unwrap();
        assert_eq!((jobs.len(), more, jobs[0].runner_name.as_deref()), (100, true, None));
        assert_eq!(
            (jobs[0].completed_at, jobs[0].steps[0].completed_at),
            (Some(1_795_000_001_000), Some(1_795_000_000_000))
        );
        assert_eq!(
            stage.asked()[2],
            "GET /repos/octo-org/octo-repo/actions/runs/5/jobs?filter=latest&per_page=100&page=1"
        );
    }

    #[tokio::test]
    async fn a_job_or_all_that_failed_is_run_again() {
        let stage = stage("", [token("t1"), ok(201, json!({})), ok(201, json!({}))]).await;
        for what in [Again::Job(7), Again::Failed] {
            assert_eq!(stage.app.run_again(&target(Some(77)), REPOSITORY, 5, what).await.unwrap(), Asked::Accepted);
        }
        let expected = [
            "POST /repos/octo-org/octo-repo/actions/jobs/7/rerun",
            "POST /repos/octo-org/octo-repo/actions/runs/5/rerun-failed-jobs",
        ];
        assert_eq!(stage.asked()[1..], expected);
    }

    #[tokio::test]
    async fn refusals_are_errors_and_a_run_that_runs_is_none() {
        for (text, expected) in [
            ("This workflow run is already running", Some(Asked::Running)),
            ("Resource not accessible by integration", None),
        ] {
            let answers = [token("t1"), ok(403, json!({"message": text})), ok(200, json!({"id": 77}))];
            let stage = stage("", answers).await;
            let came = stage.app.run_again(&target(Some(77)), REPOSITORY, 5, Again::Failed).await;
            match expected {
                Some(expected) => assert_eq!(came.unwrap(), expected),
                None => assert!(matches!(came, Err(GitHubError::Permanent(_))), "{came:?}"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_told_of_a_repository_is_taken_for_the_worse() {
        let runs = json!({"total_count": 3, "workflow_runs": [
            {"id": 1, "repository": {"full_name": REPOSITORY, "private": true, "owner": {"type": "User"}},
             "head_repository": {"full_name": "mallory/x"}},
            {"id": 2, "repository": {"full_name": REPOSITORY, "private": false, "visibility": "internal"}},
            {"id": 3},
        ]});
        let stage = stage("", [token("t1"), ok(200, runs)]).await;
        let (runs, more) = stage.app.open_runs(&target(Some(77)), REPOSITORY, "queued", 2).await.unwrap();
        let run = |id, public, of_person, head: Option<&str>| OpenRun {
            id,
            public,
            of_person,
            head_repository: head.map(str::to_owned),
        };
        assert_eq!(
            runs,
            [run(1, false, true, Some("mallory/x")), run(2, false, false, None), run(3, true, false, None)]
        );
        assert!(!more);
        assert_eq!(stage.asked()[1], "GET /repos/octo-org/octo-repo/actions/runs?status=queued&per_page=100&page=2");
    }
}
