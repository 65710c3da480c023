//! The parts of GitHub's payloads that are used.

use dayfly_contract::{Fields, Problems};
use serde_json::Value;

use crate::{
    decide::{events::JobEvent, jobs::JobState},
    fleets::{Owner, Scope, Target},
};

/// Why a payload can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPayload {
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A field is missing or wrong.
    #[error("{0}")]
    BadFields(Problems),
    /// An action that GitHub did not have when this was written.
    #[error("unknown action \"{0}\"")]
    UnknownAction(String),
}

/// Where an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// `owner/repo`.
    pub(super) repository: String,
    /// Whether anybody can see the repository, and so fork it and open a pull request.
    pub(super) public: bool,
    /// What is told of its owner.
    pub(super) owner: Owner,
    /// Whose token to ask GitHub about it with: the organization's, or the repository's where a person owns it. Hooks of
    /// enterprises and organizations name both.
    pub(super) target: Target,
}

/// The body as JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, BadPayload> {
    serde_json::from_slice(body).map_err(BadPayload::NotJson)
}

/// Reads the body of a `workflow_job` delivery.
pub fn read(body: &[u8]) -> Result<JobEvent, BadPayload> {
    job_event(&parse(body)?)
}

/// Reads the payload of a `workflow_job` delivery. Whether the job is a fork's is not in it.
pub(super) fn job_event(value: &Value) -> Result<JobEvent, BadPayload> {
    let mut problems = Problems::default();
    let mut root = Fields::of(value, "", &mut problems);
    let action = root.text("action", "a text", |action| !action.is_empty());
    let repository = root.object("repository").text("full_name", "\"owner/repo\"", is_full_name);
    let installation = installation(value);
    let mut job = root.object("workflow_job");
    let (id, run_id) = (job.number("id", 1..=u64::MAX), job.number("run_id", 1..=u64::MAX));
    // Older GHES has no attempts.
    let run_attempt = job.number_or("run_attempt", 1, 1..=u64::MAX);
    if job.get("labels").is_none() {
        job.refuse("labels", "a list of texts");
    }
    let labels = job.texts("labels", "a list of texts", |_| true);
    let runner_name = job.get("runner_name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let runner_name = runner_name.map(str::to_owned);
    let runner_id = job.get("runner_id").and_then(Value::as_u64).filter(|id| *id > 0);
    let waited_ms = (action == "in_progress").then(|| waited_ms(&job)).flatten();
    let conclusion = job.get("conclusion").and_then(Value::as_str).map(str::to_owned);
    problems.or(()).map_err(BadPayload::BadFields)?;
    let state = JobState::of_action(&action).ok_or(BadPayload::UnknownAction(action))?;
    Ok(JobEvent {
        state,
        id,
        labels,
        asks: Vec::new(),
        repository,
        public_fork: false,
        run_id,
        run_attempt,
        installation,
        runner_name,
        runner_id,
        conclusion,
        waited_ms,
    })
}

/// From GitHub's `created_at` to its `started_at`. Neither is worth refusing a job for.
fn waited_ms(job: &Fields<'_>) -> Option<u64> {
    let time = |name: &str| job.get(name)?.as_str()?.parse::<jiff::Timestamp>().ok();
    let (created, started) = (time("created_at")?, time("started_at")?);
    u64::try_from(started.as_millisecond() - created.as_millisecond()).ok()
}

/// Missing, null or 0 where the webhook is not the App's own.
pub(super) fn installation(value: &Value) -> Option<u64> {
    value["installation"]["id"].as_u64().filter(|id| *id > 0)
}

/// Where `value`, the payload of an event of `repository`, comes from.
pub(super) fn origin(value: &Value, repository: &str) -> Origin {
    let there = &value["repository"];
    let public = match there["visibility"].as_str() {
        Some(visibility) => visibility == "public",
        // GHES of before 3.3 has no `visibility`.
        None => there["private"] == false,
    };
    let owner = there["owner"]["login"].as_str().filter(|_| there["owner"]["type"] == "Organization");
    let scope = match value["organization"]["login"].as_str().or(owner) {
        Some(login) => Scope::Organization(login.to_owned()),
        None => Scope::Repository(repository.to_owned()),
    };
    let enterprise = value["enterprise"]["slug"].as_str().map(str::to_owned);
    Origin {
        repository: repository.to_owned(),
        public,
        owner: Owner { is_person: there["owner"]["type"] == "User", enterprise },
        target: Target { scope, installation: installation(value) },
    }
}

pub(super) fn is_full_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
}
