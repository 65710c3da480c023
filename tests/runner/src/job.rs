//! A job as the server hands it out, what the listener passes on to the worker, and how a job ends.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A job of the private protocol.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The job's id at the server: a number or a GUID, passed on as text.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// The run it belongs to.
    #[serde(deserialize_with = "text", default)]
    pub run_id: String,
    /// 1, or more for a re-run.
    #[serde(deserialize_with = "text", default = "one")]
    pub run_attempt: String,
    /// The display name: any text.
    pub name: String,
    /// The key in the workflow file, which is `GITHUB_JOB`.
    #[serde(default)]
    pub job_key: String,
    /// `owner/name`.
    pub repository: String,
    /// The workflow's name.
    #[serde(default)]
    pub workflow: String,
    /// Who started the run.
    #[serde(default)]
    pub actor: String,
    /// What to run, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Variables for all steps.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// One step of a job.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Step {
    /// Shown in the log.
    #[serde(default)]
    pub name: String,
    /// A bash script.
    pub run: String,
}

/// What the worker reads as one line of JSON on its standard input.
#[derive(Debug, Deserialize, Serialize)]
pub struct Assignment {
    /// The job.
    pub job: Job,
    /// Base address of the private protocol.
    pub server: String,
    /// For the job's log only. It travels by pipe, never by environment or argument, so that no step can read it.
    #[serde(serialize_with = "exposed")]
    pub token: SecretString,
    /// `RUNNER_NAME`.
    pub runner_name: String,
    /// `https://github.com/<owner>`.
    pub github_url: String,
    /// Work folder, relative to the root folder.
    pub work: String,
    /// Marks the job's processes: `github_<guid>`.
    pub tracking_id: String,
}

/// How a job ended, the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobResult {
    /// All steps did.
    Succeeded,
    /// A step or hook failed, or the worker died.
    Failed,
    /// Stopped from outside.
    Canceled,
}

impl JobResult {
    /// As printed and as sent to the server.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }

    /// Exit code of the worker, and of a listener for hosted machines: 100 and the result's number. Source:
    /// `TaskResultUtil.TranslateToReturnCode`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 100,
            Self::Failed => 102,
            Self::Canceled => 103,
        }
    }

    /// What a worker's exit code says; a worker that died otherwise has failed its job.
    #[must_use]
    pub fn of_worker(code: Option<i32>) -> Self {
        match code {
            Some(100) => Self::Succeeded,
            Some(103) => Self::Canceled,
            _ => Self::Failed,
        }
    }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn one() -> String {
    "1".to_owned()
}

/// Ids come as numbers or as text.
pub(crate) fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_or_text() {
        let job: Job =
            serde_json::from_str(r#"{"id":7,"runId":"8","runAttempt":2,"name":"n","repository":"o/r"}"#).unwrap();
        assert_eq!((job.id.as_str(), job.run_id.as_str(), job.run_attempt.as_str()), ("7", "8", "2"));
    }

    #[test]
    fn results_survive_the_workers_exit_code() {
        for result in [JobResult::Succeeded, JobResult::Failed, JobResult::Canceled] {
            assert_eq!(JobResult::of_worker(Some(i32::from(result.exit_code()))), result);
        }
        assert_eq!(JobResult::of_worker(None), JobResult::Failed);
        assert_eq!(JobResult::of_worker(Some(0)), JobResult::Failed);
    }

    #[test]
    fn an_assignment_shows_no_token_in_debug() {
        let job = serde_json::from_str(r#"{"id":7,"name":"n","repository":"o/r"}"#).unwrap();
        let assignment = Assignment {
            job,
            server: "http://x/".into(),
            token: SecretString::from("hush-hush"),
            runner_name: "r".into(),
            github_url: String::new(),
            work: "_work".into(),
            tracking_id: "github_x".into(),
        };
        assert!(!format!("{assignment:?}").contains("hush"));
        assert!(serde_json::to_string(&assignment).unwrap().contains("hush-hush"));
    }
}
