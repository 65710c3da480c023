//! `dayfly explain`: why a job has a runner, or none.

use anyhow::{Result, bail};
use clap::Args;
use dayfly_control::{
    clock::{Clock, SystemClock},
    decide::explain::explain,
    ledger::{Job, LastPlan, Ledger, Meta, history::Entry},
};
use serde_json::{Value, json};

use crate::{
    jobs,
    output::{say, time},
    place::{Place, block},
};

/// Tells why a job has a runner, or none, by the ledger's history of it.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The job's id at GitHub, or the address of its page there, which ends with it.
    #[arg(value_parser = job_id)]
    job: u64,
    #[command(flatten)]
    place: Place,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// The id of a job, or the one in an address: `…/actions/runs/1/job/2`, or the API's `…/actions/jobs/2`.
fn job_id(text: &str) -> Result<u64, String> {
    let path = text.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let id = match parts[..] {
        [id] | [.., "job" | "jobs", id] => id.parse::<u64>().ok().filter(|id| *id > 0),
        _ => None,
    };
    let is_run = matches!(parts[..], [.., "runs", _] | [.., "runs", _, "attempts", _]);
    let run = if is_run { "that is a run, which has several jobs: open one of them. " } else { "" };
    id.ok_or_else(|| {
        format!(
            "{run}Expected a job's id, which is a number such as 57012345678, or the address of the job's page at GitHub, \
             which ends with it: https://github.com/octo-org/octo-repo/actions/runs/20012345678/job/57012345678. \
             `dayfly jobs` lists the ids of the last week"
        )
    })
}

pub(crate) fn run(asked: &Explain) -> Result<()> {
    block(async {
        let place = asked.place.connect().await?;
        let Some(job) = place.ledger.job(asked.job).await.map_err(|error| place.explained(error))? else {
            bail!(
                "there is no job {}: no fleet took it, its webhook never came, or it is more than a week old",
                asked.job
            );
        };
        let view = place.ledger.view(&job.fleet).await.map_err(|error| place.explained(error))?;
        let said = explain(&job, &view, SystemClock.now());
        let plan = view.meta.last_plan;
        say(&if asked.json { to_json(&job, &said, &view.meta) } else { text(&job, &said, plan) })
    })
}

fn text(job: &Job, said: &[String], plan: Option<LastPlan>) -> String {
    let Job { id, repository, fleet, .. } = job;
    let (state, labels) = (job.state.name(), job.labels.join(", "));
    let mut lines = vec![format!("Job {id} of {repository} is {state}. Fleet {fleet}, labels {labels}.")];
    lines.extend_from_slice(said);
    let history = job.history.entries();
    if !history.is_empty() {
        lines.extend([String::new(), "What happened:".to_owned()]);
    }
    lines.extend(history.iter().map(|Entry { at, what, detail }| format!("  {}  {what:<10}  {detail}", time(*at))));
    if let Some(plan) = plan {
        let LastPlan { at, demand, supply, launched, held_back, max, .. } = plan;
        lines.push(format!(
            "\nThe last plan of fleet {fleet} that launched or held back, {}: {demand} wanted, {supply} on hand, \
             {launched} launched, {held_back} held back, max {max} ({}).",
            time(at),
            plan.reason()
        ));
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    format!("{}\n", lines.join("\n"))
}

fn to_json(job: &Job, said: &[String], fleet: &Meta) -> String {
    let plan = fleet.last_plan.map(|plan| {
        json!({"at": plan.at, "demand": plan.demand, "supply": plan.supply, "launched": plan.launched,
               "held_back": plan.held_back, "max": plan.max, "paused_until": plan.paused_until, "reason": plan.reason()})
    });
    let history: Vec<Value> = job.history.entries().iter().map(entry).collect();
    let mut its = jobs::to_json(job);
    its["fleet_drained_at"] = json!(fleet.drained_at);
    let whole = json!({"job": its, "why": said, "history": history, "last_plan": plan});
    format!("{whole:#}\n")
}

/// A thing that happened, as JSON.
pub(crate) fn entry(entry: &Entry) -> Value {
    json!({"at": entry.at, "what": entry.what, "detail": entry.detail})
}

#[cfg(test)]
mod tests {
    use dayfly_control::{
        decide::jobs::JobState,
        ledger::{LastPlan, Meta},
    };

    use super::job_id;
    use crate::jobs::tests::job;

    #[test]
    fn an_explanation_has_the_reasons_the_history_and_the_plan() {
        let mut it = job(7, JobState::Queued);
        it.history.add(1_795_000_000_000, "queued", "routed to fleet linux-x64");
        let plan = LastPlan {
            at: 1_795_000_001_000,
            demand: 3,
            supply: 1,
            launched: 1,
            held_back: 1,
            max: 2,
            paused_until: 0,
        };
        let said = vec!["Fleet linux-x64 is full.".to_owned()];
        let text = super::text(&it, &said, Some(plan));
        let expected = "Job 7 of octo-org/octo-repo is queued. Fleet linux-x64, labels self-hosted.\n\
                        Fleet linux-x64 is full.\n\n\
                        What happened:\n  2026-11-18T11:06:40Z  queued      routed to fleet linux-x64\n\n\
                        The last plan of fleet linux-x64 that launched or held back, 2026-11-18T11:06:41Z: 3 wanted, 1 on hand, \
                        1 launched, 1 held back, max 2 (max).\n";
        assert_eq!(text, expected);
        let meta = Meta { last_plan: Some(plan), drained_at: Some(5), ..Meta::default() };
        let json: serde_json::Value = serde_json::from_str(&super::to_json(&it, &said, &meta)).unwrap();
        assert_eq!((&json["why"][0], &json["last_plan"]["reason"]), (&said[0].as_str().into(), &"max".into()));
        assert_eq!((&json["history"][0]["what"], &json["job"]["fleet_drained_at"]), (&"queued".into(), &5.into()));
    }

    #[test]
    fn a_job_is_named_by_its_id_or_its_address() {
        let page = "https://github.com/octo-org/octo-repo/actions/runs/16000000000";
        for text in [
            "57012345678".to_owned(),
            format!("{page}/job/57012345678"),
            format!("{page}/job/57012345678/"),
            format!("{page}/job/57012345678?pr=7#step:3:1"),
            format!("{page}/attempts/2/job/57012345678"),
            "https://ghe.example.com/api/v3/repos/o/r/actions/jobs/57012345678".to_owned(),
        ] {
            assert_eq!(job_id(&text), Ok(57_012_345_678), "{text}");
        }
        let page_of_run = [page.to_owned(), format!("{page}/attempts/2")];
        for text in
            ["abc", "", "0", "-1", "12a", "https://github.com/o/r/pull/7", "7/8", &page_of_run[0], &page_of_run[1]]
        {
            let said = job_id(text).unwrap_err();
            assert!(said.contains("Expected a job's id") && said.contains("`dayfly jobs`"), "{text}: {said}");
            assert_eq!(said.starts_with("that is a run"), text.contains("/runs/"), "{text}: {said}");
        }
    }
}
