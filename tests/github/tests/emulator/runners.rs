//! Runners at the API and in the private protocol: list, get, delete, sessions, silence.

use std::time::Duration;

use laptop_github::{Group, JobSpec, JobState, Quirks};
use serde_json::Value;

use crate::support::{As, Lab, ORG, REPO, wait_for};

fn base() -> String {
    format!("/orgs/{ORG}/actions/runners")
}

async fn shown(lab: &Lab, id: u64) -> Value {
    lab.get(&format!("{}/{id}", base())).await.unwrap().body
}

#[tokio::test]
async fn the_list_has_pages_and_a_filter_by_name() {
    let lab = Lab::start().await.unwrap();
    for n in 0..5 {
        lab.jit(&format!("runner-{n}"), &["a"]).await.unwrap();
    }
    let names = |body: &Value| -> Vec<String> {
        let runners = body["runners"].as_array().unwrap();
        runners.iter().map(|runner| runner["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut path = format!("{}?per_page=2", base());
    let mut found = Vec::new();
    loop {
        let reply = lab.get(&path).await.unwrap();
        assert_eq!(reply.body["total_count"], 5);
        found.extend(names(&reply.body));
        let links: Vec<&str> = reply.header("link").split(", ").collect();
        let Some(next) = links.iter().find(|link| link.ends_with("rel=\"next\"")) else { break };
        let url = next.trim_start_matches('<').split('>').next().unwrap();
        path = url.strip_prefix(lab.github.url()).unwrap().to_owned();
    }
    assert_eq!(found, ["runner-0", "runner-1", "runner-2", "runner-3", "runner-4"]);
    let one = lab.get(&format!("{}?name=runner-3", base())).await.unwrap();
    assert_eq!((names(&one.body), &one.body["total_count"]), (vec!["runner-3".to_owned()], &1.into()));
    assert_eq!(names(&lab.get(&format!("{}?name=runner", base())).await.unwrap().body), [""; 0]);
    // Each owner has its own.
    assert_eq!(lab.get(&format!("/repos/{REPO}/actions/runners")).await.unwrap().body["total_count"], 0);
}

#[tokio::test]
async fn delete_answers_204_404_and_422_while_busy() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let path = format!("{}/{}", base(), runner.id);
    let delete = || lab.call("DELETE", &path, As::Installation, None);
    let job = lab.queue(&["a"]).unwrap();
    runner.job().await.unwrap().unwrap();
    assert_eq!(delete().await.unwrap().status, 422);
    assert_eq!(shown(&lab, runner.id).await["busy"], true);
    // The repository has no such runner, though there is one of that id.
    let elsewhere = format!("/repos/{REPO}/actions/runners/{}", runner.id);
    assert_eq!(lab.call("DELETE", &elsewhere, As::Installation, None).await.unwrap().status, 404);
    runner.complete(job, "Succeeded").await.unwrap();
    assert_eq!(delete().await.unwrap().status, 404, "an ephemeral runner goes with its job");

    let idle = lab.jit("two", &["a"]).await.unwrap();
    let path = format!("{}/{}", base(), idle.id);
    assert_eq!(lab.call("DELETE", &path, As::Installation, None).await.unwrap().status, 204);
    assert_eq!(lab.call("DELETE", &path, As::Installation, None).await.unwrap().status, 404);
    assert_eq!(lab.call("DELETE", &format!("{}/x", base()), As::Installation, None).await.unwrap().status, 404);
}

#[tokio::test]
async fn busy_lags_and_a_busy_runner_goes_when_githubs_oddities_are_on() {
    let lab = Lab::start().await.unwrap();
    lab.github.set_quirks(Quirks { busy_lag_ms: 5000, delete_busy: true, ..Quirks::default() });
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let job = lab.queue(&["a"]).unwrap();
    runner.job().await.unwrap().unwrap();
    assert_eq!(shown(&lab, runner.id).await["busy"], false);
    lab.clock.advance(Duration::from_secs(5));
    assert_eq!(shown(&lab, runner.id).await["busy"], true);
    let path = format!("{}/{}", base(), runner.id);
    assert_eq!(lab.call("DELETE", &path, As::Installation, None).await.unwrap().status, 204);
    let job = lab.github.job(job).unwrap();
    assert_eq!(job.conclusion, Some(laptop_github::Conclusion::Failure));
    assert_eq!(runner.call("GET", &format!("jobs/{}/state", job.id), None).await.unwrap().0, 404);
}

#[tokio::test]
async fn one_session_at_a_time_and_only_with_the_right_secret() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    assert_eq!(shown(&lab, runner.id).await["status"], "offline");
    runner.connect().await.unwrap();
    let online = shown(&lab, runner.id).await;
    assert_eq!(
        (&online["status"], &online["os"], &online["version"]),
        (&"online".into(), &"Linux".into(), &"2.336.0".into())
    );
    assert_eq!(runner.open().await.unwrap(), 409);
    assert_eq!(runner.close().await.unwrap(), 204);
    assert_eq!(shown(&lab, runner.id).await["status"], "offline");
    assert_eq!(runner.message().await.unwrap().0, 409, "its session is closed");
    runner.connect().await.unwrap();

    for path in ["/_runner/message?session=x", "/_runner/jobs/1/state"] {
        for who in [As::Nobody, As::Shown("Bearer wrong".to_owned())] {
            assert_eq!(lab.call_anyhow("GET", path, who, None).await.unwrap().status, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn an_idle_runner_that_is_deleted_is_told_at_once() {
    let lab = Lab::with(|config| config.poll_wait = Duration::from_mins(1)).await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let path = format!("{}/{}", base(), runner.id);
    let (message, deleted) =
        tokio::join!(runner.message(), async { lab.call("DELETE", &path, As::Installation, None).await });
    assert_eq!(deleted.unwrap().status, 204);
    assert_eq!(message.unwrap().0, 404);
    assert_eq!(runner.open().await.unwrap(), 404);
    assert_eq!(runner.close().await.unwrap(), 204);
}

#[tokio::test]
async fn a_runner_gets_only_a_job_whose_labels_and_group_fit() {
    let lab = Lab::with(|config| {
        config.repositories.push("octo-org/other".to_owned());
        let repositories = Some(vec!["octo-org/other".to_owned()]);
        config.groups.push(Group { id: 2, name: "Closed".to_owned(), repositories });
    })
    .await
    .unwrap();
    let mut small = lab.jit("small", &["self-hosted", "Linux"]).await.unwrap();
    let mut closed = lab.jit_in(&format!("/orgs/{ORG}"), "closed", 2, &["self-hosted", "linux", "big"]).await.unwrap();
    small.connect().await.unwrap();
    closed.connect().await.unwrap();

    let big = lab.queue(&["self-hosted", "big"]).unwrap();
    assert!(small.job().await.unwrap().is_none(), "it lacks a label");
    assert!(closed.job().await.unwrap().is_none(), "its group does not know the repository");
    let spec = JobSpec {
        repository: Some("octo-org/other".to_owned()),
        labels: vec!["LINUX".to_owned()],
        group: Some("closed".to_owned()),
        ..JobSpec::default()
    };
    let other = lab.github.queue_job(spec).unwrap();
    assert!(small.job().await.unwrap().is_none(), "it is in another group");
    let got = closed.job().await.unwrap().unwrap();
    assert_eq!(got["id"], other.id);
    assert_eq!(lab.github.job(other.id).unwrap().runner.unwrap().group_name, "Closed");
    assert_eq!(lab.github.job(big).unwrap().state, JobState::Queued);
}

#[tokio::test]
async fn a_job_whose_runner_falls_silent_fails_after_the_limit() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let job = lab.queue(&["a"]).unwrap();
    runner.job().await.unwrap().unwrap();
    lab.clock.advance(Duration::from_secs(29));
    // Any word of it counts.
    assert_eq!(runner.call("GET", &format!("jobs/{job}/state"), None).await.unwrap().0, 200);
    lab.clock.advance(Duration::from_secs(30));
    lab.github.sweep();
    assert_eq!(lab.github.job(job).unwrap().state, JobState::InProgress);
    lab.clock.advance(Duration::from_secs(1));
    // Now it does so by itself, within a moment.
    let ended = wait_for("the job's end", || {
        let job = lab.github.job(job).unwrap();
        if job.state == JobState::Completed { Ok(job) } else { Err(format!("{:?}", job.state)) }
    })
    .await
    .unwrap();
    assert_eq!(ended.conclusion, Some(laptop_github::Conclusion::Failure));
    assert_eq!(ended.history.last().unwrap().what, "its runner was not heard of for too long");
    assert!(lab.github.runners().is_empty());
    assert_eq!(runner.message().await.unwrap().0, 404);
}

#[tokio::test]
async fn a_silent_session_gives_way_to_a_new_one_and_a_lost_job_message_is_sent_again() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    lab.clock.advance(Duration::from_secs(31));
    runner.connect().await.unwrap();

    let job = lab.queue(&["a"]).unwrap();
    assert_eq!(runner.job().await.unwrap().unwrap()["id"], job);
    assert!(runner.job().await.unwrap().is_none());
    lab.clock.advance(Duration::from_secs(15));
    assert_eq!(runner.job().await.unwrap().unwrap()["id"], job, "it said nothing of it: the answer may be lost");
    assert_eq!(runner.call("GET", &format!("jobs/{job}/state"), None).await.unwrap().0, 200);
    lab.clock.advance(Duration::from_secs(15));
    assert!(runner.job().await.unwrap().is_none());
    assert_eq!(lab.github.job(job).unwrap().handed_out, 1);
}

#[tokio::test]
async fn a_runner_that_goes_away_in_the_middle_fails_its_job() {
    let lab = Lab::start().await.unwrap();
    let mut runner = lab.jit("one", &["a"]).await.unwrap();
    runner.connect().await.unwrap();
    let job = lab.queue(&["a"]).unwrap();
    runner.job().await.unwrap().unwrap();
    assert_eq!(runner.close().await.unwrap(), 204);
    let job = lab.github.job(job).unwrap();
    assert_eq!((job.state, job.conclusion), (JobState::Completed, Some(laptop_github::Conclusion::Failure)));
    assert!(lab.github.runners().is_empty());
}
