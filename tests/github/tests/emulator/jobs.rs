//! The life of a job: queued, taken, cancelled, ended, run again.

use std::collections::BTreeMap;

use laptop_github::{Conclusion, JobSpec, JobState, Step};
use serde_json::{Value, json};

use crate::support::{As, Lab, REPO};

fn actions(path: &str) -> String {
    format!("/repos/{REPO}/actions/{path}")
}

#[tokio::test]
async fn a_job_goes_from_queue_to_end_and_its_history_tells() {
    let lab = Lab::start().await.unwrap();
    let steps = vec![Step { name: "Say".to_owned(), run: "echo hi".to_owned() }];
    let spec = JobSpec {
        name: Some("Build & test".to_owned()),
        workflow: Some("Nightly".to_owned()),
        labels: vec!["self-hosted".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        steps: steps.clone(),
        ..JobSpec::default()
    };
    let job = lab.github.queue_job(spec).unwrap();
    let mut runner = lab.jit("big-i-1", &["self-hosted"]).await.unwrap();
    runner.connect().await.unwrap();
    let got = runner.job().await.unwrap().unwrap();
    let expected = json!({
        "id": job.id, "runId": job.run_id, "runAttempt": 1, "name": "Build & test", "jobKey": "build---test",
        "repository": REPO, "workflow": "Nightly", "actor": "octocat", "steps": steps, "env": { "A": "1" },
    });
    assert_eq!(got, expected);
    let log = lab.client.post(format!("{}/_runner/jobs/{}/log", lab.github.url(), job.id)).body("no token");
    assert_eq!(log.send().await.unwrap().status(), 401);
    for line in ["one\n", "two\n"] {
        let status = runner.call("POST", &format!("jobs/{}/log", job.id), Some(json!(line))).await.unwrap().0;
        assert_eq!(status, 200);
    }
    assert_eq!(runner.call("POST", &format!("jobs/{}/completed", job.id), Some(json!({}))).await.unwrap().0, 400);
    runner.complete(job.id, "Succeeded").await.unwrap();
    runner.complete(job.id, "Succeeded").await.unwrap();
    assert_eq!(runner.close().await.unwrap(), 204);

    let job = lab.github.job(job.id).unwrap();
    assert_eq!((job.state, job.conclusion), (JobState::Completed, Some(Conclusion::Success)));
    assert_eq!((job.handed_out, job.result.as_deref()), (1, Some("Succeeded")));
    assert_eq!(job.runner.unwrap().name, "big-i-1");
    assert_eq!(job.log, "\"one\\n\"\"two\\n\"");
    let told: Vec<&str> = job.history.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(told, ["created", "handed to big-i-1", "reported Succeeded", "reported again: Succeeded"]);
    assert!(lab.github.runners().is_empty(), "an ephemeral runner goes with its job");
}

#[tokio::test]
async fn the_api_tells_each_state_of_a_job_and_its_run() {
    let lab = Lab::start().await.unwrap();
    let job = lab.queue(&["a"]).unwrap();
    let run = lab.github.job(job).unwrap().run_id;
    let look = async || {
        let one = lab.get(&actions(&format!("jobs/{job}"))).await.unwrap().body;
        let all = lab.get(&actions(&format!("runs/{run}"))).await.unwrap().body;
        [&one["status"], &one["conclusion"], &all["status"], &all["conclusion"], &one["runner_name"]]
            .map(Value::to_string)
    };
    assert_eq!(look().await, ["\"queued\"", "null", "\"queued\"", "null", "null"]);
    let mut runner = lab.jit("r", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    runner.job().await.unwrap().unwrap();
    assert_eq!(look().await, ["\"in_progress\"", "null", "\"in_progress\"", "null", "\"r\""]);
    runner.complete(job, "Failed").await.unwrap();
    assert_eq!(look().await, ["\"completed\"", "\"failure\"", "\"completed\"", "\"failure\"", "\"r\""]);
    // A job of one repository is not one of another.
    lab.github
        .queue_job(JobSpec {
            repository: Some("octo-org/new".to_owned()),
            labels: vec!["a".to_owned()],
            ..JobSpec::default()
        })
        .unwrap();
    let elsewhere = format!("/repos/octo-org/new/actions/jobs/{job}");
    assert_eq!(lab.get(&elsewhere).await.unwrap().status, 404);
    let runs = lab.get("/repos/octo-org/new/actions/runs?status=queued").await.unwrap().body;
    assert_eq!(runs["total_count"], 1);
}

#[tokio::test]
async fn cancelling_ends_a_queued_job_and_asks_a_running_one_to_stop() {
    let lab = Lab::start().await.unwrap();
    let queued = lab.queue(&["a"]).unwrap();
    let cancel = async |job: u64| {
        let run = lab.github.job(job).unwrap().run_id;
        lab.post(&actions(&format!("runs/{run}/cancel")), None).await.unwrap().status
    };
    assert_eq!(cancel(queued).await, 202);
    let ended = lab.github.job(queued).unwrap();
    assert_eq!((ended.state, ended.conclusion), (JobState::Completed, Some(Conclusion::Cancelled)));
    assert_eq!(cancel(queued).await, 409);

    let mut runner = lab.jit("r", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let running = lab.queue(&["a"]).unwrap();
    runner.job().await.unwrap().unwrap();
    let state = format!("jobs/{running}/state");
    assert_eq!(runner.call("GET", &state, None).await.unwrap().1, json!({ "cancelled": false }));
    assert_eq!(cancel(running).await, 202);
    assert_eq!(runner.call("GET", &state, None).await.unwrap().1, json!({ "cancelled": true }));
    assert_eq!(lab.get(&actions(&format!("jobs/{running}"))).await.unwrap().body["status"], "in_progress");
    runner.complete(running, "Canceled").await.unwrap();
    assert_eq!(lab.github.job(running).unwrap().conclusion, Some(Conclusion::Cancelled));
}

#[tokio::test]
async fn only_a_completed_run_is_run_again_and_only_what_failed_of_it() {
    let lab = Lab::start().await.unwrap();
    let labels = |label: &str| vec![label.to_owned()];
    let good = lab
        .github
        .queue_job(JobSpec { name: Some("good".to_owned()), labels: labels("a"), ..JobSpec::default() })
        .unwrap();
    let run = good.run_id;
    let spec = JobSpec { name: Some("bad".to_owned()), run_id: Some(run), labels: labels("a"), ..JobSpec::default() };
    let bad = lab.github.queue_job(spec).unwrap();
    let work = async |job: u64, result: &str| {
        let mut runner = lab.jit(&format!("for-{job}"), &["a"]).await.unwrap();
        runner.connect().await.unwrap();
        assert_eq!(runner.job().await.unwrap().unwrap()["id"], job);
        runner.complete(job, result).await.unwrap();
    };
    work(good.id, "Succeeded").await;
    let again = actions(&format!("runs/{run}/rerun-failed-jobs"));
    let early = lab.post(&again, None).await.unwrap();
    assert_eq!(early.status, 403);
    assert_eq!(early.message(), "The workflow run containing this job is already running");
    work(bad.id, "Failed").await;
    assert_eq!(lab.post(&again, None).await.unwrap().status, 201);

    let jobs = lab.github.jobs();
    let second = jobs.last().unwrap();
    assert_eq!((jobs.len(), second.name.as_str(), second.run_attempt), (3, "bad", 2));
    assert_eq!((second.state, second.run_id), (JobState::Queued, run));
    assert!(second.id > bad.id);
    let list = |filter: &str| actions(&format!("runs/{run}/jobs?filter={filter}"));
    let ids = |body: &Value| -> Vec<u64> {
        body["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(&lab.get(&list("latest")).await.unwrap().body), [good.id, second.id]);
    assert_eq!(ids(&lab.get(&list("all")).await.unwrap().body), [good.id, bad.id, second.id]);
    assert_eq!(lab.get(&list("some")).await.unwrap().status, 422);

    work(second.id, "Succeeded").await;
    let shown = lab.get(&actions(&format!("runs/{run}"))).await.unwrap().body;
    assert_eq!((&shown["run_attempt"], &shown["conclusion"]), (&json!(2), &json!("success")));
    assert_eq!(lab.post(&again, None).await.unwrap().status, 403, "nothing has failed");
    let one = actions(&format!("jobs/{}/rerun", good.id));
    assert_eq!(lab.call("POST", &one, As::Installation, Some(json!({}))).await.unwrap().status, 201);
    assert_eq!(lab.github.jobs().last().unwrap().run_attempt, 3);
    assert_eq!(lab.post(&actions("jobs/5/rerun"), None).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_waiting_job_is_handed_to_nobody_until_it_is_approved() {
    let lab = Lab::start().await.unwrap();
    let spec = JobSpec { labels: vec!["a".to_owned()], waiting: true, ..JobSpec::default() };
    let job = lab.github.queue_job(spec).unwrap();
    let mut runner = lab.jit("r", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    assert!(runner.job().await.unwrap().is_none());
    assert_eq!(lab.get(&actions(&format!("jobs/{}", job.id))).await.unwrap().body["status"], "waiting");
    lab.github.approve_job(job.id).unwrap();
    assert_eq!(runner.job().await.unwrap().unwrap()["id"], job.id);
    let twice = lab.github.approve_job(job.id).unwrap_err();
    assert_eq!(twice.to_string(), "its state does not allow that");
}
