//! Many at once: each job to exactly one runner, each webhook exactly as often as told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use laptop_github::{Chaos, JobState};
use tokio::task::JoinSet;

use crate::support::{Lab, Receiver};

const MANY: usize = 20;

/// Queues `MANY` jobs while `MANY` runners ask for them, and sees all to their end.
async fn run_many(lab: &Lab) -> BTreeMap<u64, u64> {
    let mut tasks = JoinSet::new();
    for n in 0..MANY {
        let mut runner = lab.jit(&format!("runner-{n}"), &["self-hosted", "big"]).await.unwrap();
        tasks.spawn(async move {
            runner.connect().await.unwrap();
            let job = loop {
                if let Some(job) = runner.job().await.unwrap() {
                    break job["id"].as_u64().unwrap();
                }
            };
            assert_eq!(runner.call("GET", &format!("jobs/{job}/state"), None).await.unwrap().0, 200);
            runner.complete(job, "Succeeded").await.unwrap();
            (job, runner.id)
        });
    }
    for _ in 0..MANY {
        lab.queue(&["big"]).unwrap();
        tokio::task::yield_now().await;
    }
    let taken = tokio::time::timeout(Duration::from_mins(1), tasks.join_all()).await.unwrap();
    let by_job: BTreeMap<u64, u64> = taken.iter().copied().collect();
    assert_eq!(by_job.len(), MANY, "a job was handed out twice: {taken:?}");
    by_job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_runners_take_twenty_jobs_each_exactly_one() {
    let lab = Lab::with(|config| config.poll_wait = Duration::from_secs(5)).await.unwrap();
    let by_job = run_many(&lab).await;
    let runners: BTreeSet<u64> = by_job.values().copied().collect();
    assert_eq!(runners.len(), MANY);
    for job in lab.github.jobs() {
        assert_eq!((job.state, job.handed_out), (JobState::Completed, 1), "{job:?}");
        assert_eq!(job.runner.unwrap().id, by_job[&job.id]);
    }
    assert!(lab.github.runners().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shuffled_and_tripled_webhooks_all_arrive_and_none_more() {
    let lab = Lab::with(|config| config.poll_wait = Duration::from_secs(5)).await.unwrap();
    let receiver = Receiver::of(&lab.github).await.unwrap();
    lab.github.set_chaos(Chaos { copies: 3, shuffle_ms: 150, seed: 4, ..Chaos::default() }).unwrap();
    run_many(&lab).await;
    let arrived = receiver.wait(&lab.github, MANY * 3 * 3).await.unwrap();
    let mut counts: BTreeMap<(u64, String), BTreeSet<String>> = BTreeMap::new();
    let mut guids: BTreeMap<String, usize> = BTreeMap::new();
    for one in &arrived {
        let job = one.body["workflow_job"]["id"].as_u64().unwrap();
        let guid = one.header("x-github-delivery").to_owned();
        *guids.entry(guid.clone()).or_default() += 1;
        counts.entry((job, one.action().to_owned())).or_default().insert(guid);
    }
    assert_eq!(arrived.len(), MANY * 3 * 3);
    assert_eq!(counts.len(), MANY * 3, "queued, in_progress and completed of each");
    assert!(counts.values().all(|guids| guids.len() == 1), "one GUID for each event");
    assert!(guids.values().all(|count| *count == 3), "{guids:?}");
    let in_order = arrived.windows(2).all(|pair| {
        let id = |one: &crate::support::Arrived| one.body["workflow_job"]["id"].as_u64();
        id(&pair[0]) <= id(&pair[1])
    });
    assert!(!in_order, "nothing was shuffled");
}
