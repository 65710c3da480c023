//! Bodies: real payloads with their ids, names, times and runner fields replaced.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::config::{Config, WebhookInstallation};
use crate::job_state::Conclusion;
use crate::model::Job;

/// Where GitHub's API is, in URLs that nobody follows.
pub(crate) const API: &str = "https://api.github.com";

/// The organization's id in the fixtures; kept, since nothing depends on it.
pub(crate) const ORG_ID: u64 = 38_302_899;

/// The fixtures, parsed once.
#[derive(Debug)]
pub(crate) struct Payloads {
    by_action: BTreeMap<&'static str, Value>,
    ping: Value,
    org: String,
    installation_id: u64,
    app_id: u64,
}

/// What a payload needs to know besides the job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) repository_id: u64,
    pub(crate) installation: WebhookInstallation,
}

impl Payloads {
    pub(crate) fn new(config: &Config) -> serde_json::Result<Self> {
        let parse = |text: &str| serde_json::from_str::<Value>(text);
        let by_action = BTreeMap::from([
            ("queued", parse(include_str!("../../fixtures/webhooks/workflow_job.queued.5.json"))?),
            ("waiting", parse(include_str!("../../fixtures/webhooks/workflow_job.waiting.7.json"))?),
            ("in_progress", parse(include_str!("../../fixtures/webhooks/workflow_job.in_progress.3.json"))?),
            ("completed", parse(include_str!("../../fixtures/webhooks/workflow_job.completed.1.json"))?),
        ]);
        let ping = parse(include_str!("../../fixtures/webhooks/ping.ping.0.json"))?;
        let (org, installation_id, app_id) = (config.org.clone(), config.installation_id, config.app_id);
        Ok(Self { by_action, ping, org, installation_id, app_id })
    }

    /// The body of a `workflow_job` webhook.
    pub(crate) fn workflow_job(&self, action: &str, job: &Job, around: Around) -> Value {
        let mut body = self.by_action.get(action).cloned().unwrap_or_else(|| json!({ "workflow_job": {} }));
        body["action"] = json!(action);
        for (name, value) in facts_of(job, API) {
            // Only what the real payload has: `run_attempt` is missing in some.
            if let Some(place) = body["workflow_job"].get_mut(&name) {
                *place = value;
            }
        }
        body["repository"] = repository(&body["repository"], &job.repository, around.repository_id);
        body["organization"] = self.organization();
        body["sender"] = renamed(&body["sender"], &[(&login_of(&body["sender"]), &job.actor)]);
        match around.installation {
            WebhookInstallation::Right => body["installation"] = installation(self.installation_id),
            WebhookInstallation::Wrong(id) => body["installation"] = installation(id),
            WebhookInstallation::Missing => {
                if let Some(object) = body.as_object_mut() {
                    object.remove("installation");
                }
            }
        }
        body
    }

    /// The body of a `ping` webhook.
    pub(crate) fn ping(&self, hook_id: u64, url: &str, repository: &str, repository_id: u64) -> Value {
        let mut body = self.ping.clone();
        body["hook_id"] = json!(hook_id);
        body["hook"]["id"] = json!(hook_id);
        body["hook"]["type"] = json!("App");
        body["hook"]["app_id"] = json!(self.app_id);
        body["hook"]["config"]["url"] = json!(url);
        body["repository"] = self::repository(&body["repository"], repository, repository_id);
        body
    }

    /// A repository, as the API shows it.
    pub(crate) fn repository(&self, full_name: &str, id: u64) -> Value {
        repository(&self.example("queued")["repository"], full_name, id)
    }

    /// The organization as an account (`simple-user`).
    pub(crate) fn account(&self) -> Value {
        let account = &self.example("queued")["repository"]["owner"];
        renamed(account, &[(&login_of(account), &self.org)])
    }

    /// A person as an account (`simple-user`).
    pub(crate) fn person(&self, login: &str) -> Value {
        let person = &self.example("queued")["sender"];
        renamed(person, &[(&login_of(person), login)])
    }

    fn organization(&self) -> Value {
        let organization = &self.example("completed")["organization"];
        renamed(organization, &[(&login_of(organization), &self.org)])
    }

    fn example(&self, action: &str) -> &Value {
        self.by_action.get(action).unwrap_or(&Value::Null)
    }
}

/// An example's repository under another name.
fn repository(example: &Value, full_name: &str, id: u64) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    let old_name = example["full_name"].as_str().unwrap_or_default();
    let old_owner = login_of(&example["owner"]);
    // The example's owner and the first half of its full name differ in some, and both occur in URLs.
    let mut repository = renamed(example, &[(old_name, full_name), (&old_owner, owner)]);
    repository["id"] = json!(id);
    repository["name"] = json!(name);
    repository["full_name"] = json!(full_name);
    repository["owner"]["login"] = json!(owner);
    repository["owner"]["id"] = json!(ORG_ID);
    repository["owner"]["type"] = json!("Organization");
    repository["private"] = json!(true);
    repository["visibility"] = json!("private");
    repository["default_branch"] = json!("main");
    repository
}

/// The fields of a job that webhooks and the API share.
pub(crate) fn facts_of(job: &Job, api: &str) -> Vec<(String, Value)> {
    let (id, run, repository) = (job.id, job.run_id, &job.repository);
    // A job that has not begun shows its creation as `started_at`, as the real payloads do.
    let started = job.started_at.unwrap_or(job.created_at);
    let taken = job.runner.as_ref();
    let facts = json!({
        "id": id,
        "run_id": run,
        "run_url": format!("{api}/repos/{repository}/actions/runs/{run}"),
        "run_attempt": job.run_attempt,
        "node_id": format!("CR_kw{id}"),
        "head_sha": format!("{run:040x}"),
        "head_branch": job.head_branch,
        "url": format!("{api}/repos/{repository}/actions/jobs/{id}"),
        "html_url": format!("https://github.com/{repository}/actions/runs/{run}/job/{id}"),
        "status": job.state.status(),
        "conclusion": job.conclusion.map(Conclusion::name),
        "created_at": seconds(job.created_at),
        "started_at": seconds(started),
        "completed_at": job.completed_at.map(seconds),
        "name": job.name,
        "steps": steps_of(job),
        "check_run_url": format!("{api}/repos/{repository}/check-runs/{id}"),
        "labels": job.labels,
        "runner_id": taken.map(|runner| runner.id),
        "runner_name": taken.map(|runner| &runner.name),
        "runner_group_id": taken.map(|runner| runner.group_id),
        "runner_group_name": taken.map(|runner| &runner.group_name),
        "workflow_name": job.workflow,
    });
    facts.as_object().map(|object| object.clone().into_iter().collect()).unwrap_or_default()
}

/// The steps, as far as they are known: the runner reports on the whole job only, so a failure shows at the last step.
fn steps_of(job: &Job) -> Value {
    let (Some(started), true) = (job.started_at, job.runner.is_some()) else { return json!([]) };
    let ended = job.completed_at.map(seconds);
    let mut steps = vec![json!({
        "name": "Set up job",
        "status": if ended.is_some() { "completed" } else { "in_progress" },
        "conclusion": ended.as_ref().map(|_| "success"),
        "number": 1,
        "started_at": seconds(started),
        "completed_at": ended,
    })];
    if job.state.is_over() {
        let last = job.steps.len();
        steps.extend(job.steps.iter().zip(1..).map(|(step, place)| {
            let conclusion = if place == last { job.conclusion } else { Some(Conclusion::Success) };
            json!({
                "name": step.name,
                "status": "completed",
                "conclusion": conclusion.map(Conclusion::name),
                "number": place + 1,
                "started_at": seconds(started),
                "completed_at": ended,
            })
        }));
    }
    Value::Array(steps)
}

/// `2026-11-20T14:00:00Z`: GitHub tells whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn installation(id: u64) -> Value {
    json!({ "id": id, "node_id": format!("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u{id}") })
}

fn login_of(account: &Value) -> String {
    account["login"].as_str().unwrap_or_default().to_owned()
}

/// The example with words replaced, in names and URLs alike.
fn renamed(example: &Value, words: &[(&str, &str)]) -> Value {
    match example {
        Value::String(text) => {
            let swap = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
            Value::String(words.iter().filter(|(from, _)| !from.is_empty()).fold(text.clone(), swap))
        }
        Value::Array(items) => items.iter().map(|item| renamed(item, words)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), renamed(value, words))).collect())
        }
        other => other.clone(),
    }
}
