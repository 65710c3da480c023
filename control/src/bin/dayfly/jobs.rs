//! `dayfly jobs`: the jobs of the ledger.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock},
    decide::jobs::JobState,
    ledger::{Job, Meta},
};
use serde_json::{Value, json};

use crate::{
    drain,
    output::{Cell, Light, List, Show, show, span},
    place::{Place, block},
};

/// Lists the jobs of the last week, the latest first.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(flatten)]
    place: Place,
    /// Of this fleet alone.
    #[arg(long)]
    fleet: Option<String>,
    /// In this state alone.
    #[arg(long, value_parser = ["waiting", "queued", "running", "done"])]
    state: Option<String>,
    #[command(flatten)]
    show: Show,
}

pub(crate) fn run(jobs: &Jobs) -> Result<()> {
    block(async {
        let place = jobs.place.connect().await?;
        show(&jobs.show, async || {
            let mut found = place.ledger.jobs().await.map_err(|error| place.explained(error))?;
            found.retain(|job| jobs.fleet.as_ref().is_none_or(|it| *it == job.fleet));
            found.retain(|job| jobs.state.as_ref().is_none_or(|it| it == job.state.name()));
            let fleets = place.metas(jobs.fleet.as_deref()).await?;
            Ok(list(&found, &fleets, SystemClock.now()))
        })
        .await
    })
}

fn list(jobs: &[Job], fleets: &BTreeMap<String, Meta>, now: Millis) -> List {
    let drained_at = |job: &Job| fleets.get(&job.fleet).and_then(|meta| meta.drained_at);
    List {
        headings: vec!["JOB", "STATE", "FLEET", "REPOSITORY", "WAITED", "RAN", "RUNNER"],
        rows: jobs.iter().map(|job| row(job, now)).collect(),
        json: jobs
            .iter()
            .map(|job| {
                let mut json = to_json(job);
                json["fleet_drained_at"] = json!(drained_at(job));
                json
            })
            .collect(),
        remarks: fleets.iter().filter_map(|(name, meta)| drain::remark(name, meta)).collect(),
    }
}

fn row(job: &Job, now: Millis) -> Vec<Cell> {
    let light = match job.state {
        JobState::Waiting => Light::Plain,
        JobState::Queued => Light::Waiting,
        JobState::Running => Light::Busy,
        JobState::Done => Light::Over,
    };
    let waited = job.queued_at.map(|from| span(from, job.running_at.or(job.done_at).unwrap_or(now)));
    let ran = job.running_at.map(|from| span(from, job.done_at.unwrap_or(now)));
    vec![
        Cell::plain(&job.id),
        Cell::lit(job.state.name(), light),
        Cell::plain(&job.fleet),
        Cell::plain(&job.repository),
        Cell::maybe(waited),
        Cell::maybe(ran),
        Cell::maybe(job.runner_name.as_ref()),
    ]
}

/// A job as JSON, in the ledger's own names.
pub(crate) fn to_json(job: &Job) -> Value {
    json!({
        "id": job.id,
        "state": job.state.name(),
        "fleet": job.fleet,
        "labels": job.labels,
        "repository": job.repository,
        "run_id": job.run_id,
        "run_attempt": job.run_attempt,
        "runner_name": job.runner_name,
        "queued_at": job.queued_at,
        "running_at": job.running_at,
        "done_at": job.done_at,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use dayfly_control::{
        decide::jobs::JobState,
        ledger::{Job, Meta, history::History},
    };

    pub(crate) fn job(id: u64, state: JobState) -> Job {
        Job {
            id,
            state,
            fleet: "linux-x64".into(),
            labels: vec!["self-hosted".into()],
            repository: "octo-org/octo-repo".into(),
            run_id: 5,
            run_attempt: 1,
            installation: None,
            runner_name: None,
            queued_at: Some(1_000),
            running_at: None,
            done_at: None,
            history: History::default(),
            expires: 0,
            version: 1,
        }
    }

    #[test]
    fn a_job_waits_until_it_runs_or_ends() {
        let text = |job: &Job| format!("{:?}", super::row(job, 31_000));
        assert!(text(&job(7, JobState::Queued)).contains("\"30s\""));
        let ran = Job { running_at: Some(11_000), done_at: Some(13_000), ..job(7, JobState::Done) };
        assert!(text(&ran).contains("\"10s\"") && text(&ran).contains("\"2s\""), "{}", text(&ran));
        let cancelled = Job { done_at: Some(6_000), ..job(7, JobState::Done) };
        assert!(text(&cancelled).contains("\"5s\""), "{}", text(&cancelled));
        let drained = BTreeMap::from([("linux-x64".to_owned(), Meta { drained_at: Some(5), ..Meta::default() })]);
        let list = super::list(&[ran], &drained, 31_000);
        assert_eq!((&list.json[0]["id"], &list.json[0]["state"]), (&7.into(), &"done".into()));
        assert_eq!((&list.json[0]["fleet_drained_at"], list.remarks.len()), (&5.into(), 1));
    }
}
