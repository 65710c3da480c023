//! `dayfly explain`: why a job has a runner, or none.

use anyhow::{Result, bail};
use clap::Args;
use dayfly_control::{
    clock::{Clock, SystemClock},
    decide::explain::explain,
    ledger::{Job, LastPlan, Ledger, history::Entry},
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
    /// The job's id at GitHub: the last number of its page's address.
    job: u64,
    #[command(flatten)]
    place: Place,
    /// JSON in place of text.
    #[arg(long)]
    json: bool,
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
        say(&if asked.json { to_json(&job, &said, plan) } else { text(&job, &said, plan) })
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

fn to_json(job: &Job, said: &[String], plan: Option<LastPlan>) -> String {
    let plan = plan.map(|plan| {
        json!({"at": plan.at, "demand": plan.demand, "supply": plan.supply, "launched": plan.launched,
               "held_back": plan.held_back, "max": plan.max, "paused_until": plan.paused_until, "reason": plan.reason()})
    });
    let history: Vec<Value> = job.history.entries().iter().map(entry).collect();
    let whole = json!({"job": jobs::to_json(job), "why": said, "history": history, "last_plan": plan});
    format!("{whole:#}\n")
}

/// A thing that happened, as JSON.
pub(crate) fn entry(entry: &Entry) -> Value {
    json!({"at": entry.at, "what": entry.what, "detail": entry.detail})
}

#[cfg(test)]
mod tests {
    use dayfly_control::{decide::jobs::JobState, ledger::LastPlan};

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
        let json: serde_json::Value = serde_json::from_str(&super::to_json(&it, &said, Some(plan))).unwrap();
        assert_eq!((&json["why"][0], &json["last_plan"]["reason"]), (&said[0].as_str().into(), &"max".into()));
        assert_eq!(json["history"][0]["what"], "queued");
    }
}
