//! The part of a `workflow_job` payload that is used.

use dayfly_contract::{Fields, Problems};
use serde_json::Value;

use crate::decide::{events::JobEvent, jobs::JobState};

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

/// Reads the body of a `workflow_job` delivery.
pub fn read(body: &[u8]) -> Result<JobEvent, BadPayload> {
    let value: Value = serde_json::from_slice(body).map_err(BadPayload::NotJson)?;
    let mut problems = Problems::default();
    let mut root = Fields::of(&value, "", &mut problems);
    let action = root.text("action", "a text", |action| !action.is_empty());
    let repository = root.object("repository").text("full_name", "\"owner/repo\"", is_full_name);
    // Missing, null or 0 where the webhook is not the App's own.
    let installation = root.object("installation").get("id").and_then(Value::as_u64).filter(|id| *id > 0);
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
    problems.or(()).map_err(BadPayload::BadFields)?;
    let state = JobState::of_action(&action).ok_or(BadPayload::UnknownAction(action))?;
    Ok(JobEvent { state, id, labels, repository, run_id, run_attempt, installation, runner_name })
}

fn is_full_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
}
