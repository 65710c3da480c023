//! `dayfly launch`: runners that no job asked for.
//!
//! It launches nothing itself. It puts demand into the ledger, with an end, and wakes scale-up, whose plan counts it
//! like queued jobs: within `max`, and only what idle runners do not meet already.

use anyhow::{Result, bail};
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock, seconds},
    ledger::{Job, Ledger, Manual, Meta},
    report::counted,
    wake::Wake,
};

use crate::{
    output::{say, time},
    place::{Place, block},
};

/// Has so many runners of a fleet ready for a while, whether or not a job waits. One that takes a job is replaced until
/// then; one that stays idle ends itself, as every other.
#[derive(Debug, Args)]
pub(crate) struct Launch {
    /// The fleet.
    fleet: String,
    #[command(flatten)]
    place: Place,
    /// How many.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// For how many minutes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// A repository whose jobs they are for, `owner/repo`; by default that of the fleet's latest job.
    #[arg(long)]
    repository: Option<String>,
    /// The queue that wakes scale-up, where it is not `dayfly-<deployment>-wake`.
    #[arg(long, env = "DAYFLY_WAKE_QUEUE_URL")]
    wake_queue_url: Option<String>,
}

pub(crate) fn run(asked: &Launch) -> Result<()> {
    if !names::is_name(&asked.fleet) {
        bail!("FLEET: found \"{}\", expected 1 to 40 of a-z, 0-9 and -, starting with a letter", asked.fleet);
    }
    block(async {
        let place = asked.place.connect().await?;
        // Before anything is put: demand that nobody is woken for would stay unseen.
        let wake = place.wake(asked.wake_queue_url.as_deref(), asked.place.deployment.as_deref()).await?;
        let jobs = place.ledger.jobs().await.map_err(|error| place.explained(error))?;
        let id = SystemClock.uuid();
        let manual = manual(asked, &jobs, id, SystemClock.now())?;
        let meta = place.ledger.meta(&asked.fleet).await.map_err(|error| place.explained(error))?;
        place.ledger.ask(&manual).await.map_err(|error| place.explained(error))?;
        wake.wake(&asked.fleet, std::time::Duration::ZERO).await?;
        say(&text(&manual, &meta))
    })
}

/// What is put into the ledger.
fn manual(asked: &Launch, jobs: &[Job], id: String, now: Millis) -> Result<Manual> {
    let latest = jobs.iter().find(|job| job.fleet == asked.fleet);
    let Some(repository) = asked.repository.clone().or_else(|| latest.map(|job| job.repository.clone())) else {
        bail!(
            "fleet {} has had no job in the last week: --repository says whose jobs the runners are for",
            asked.fleet
        );
    };
    if repository.split('/').filter(|part| !part.is_empty()).count() != 2 {
        bail!("--repository: found \"{repository}\", expected owner/repo");
    }
    let known = jobs.iter().find(|job| job.fleet == asked.fleet && job.repository == repository);
    Ok(Manual {
        fleet: asked.fleet.clone(),
        id,
        count: asked.count,
        installation: known.and_then(|job| job.installation),
        repository,
        created_at: now,
        expires: seconds(now) + asked.minutes * 60,
    })
}

fn text(it: &Manual, meta: &Meta) -> String {
    let Manual { fleet, count, repository, .. } = it;
    let told = meta.last_plan.filter(|plan| plan.max > 0);
    let max = told.map_or_else(String::new, |plan| format!(" Its max was {} at the last plan.", plan.max));
    let (ready, alive) = (counted(count, "ready runner"), counted(meta.alive, "instance"));
    let drained = crate::drain::remark(fleet, meta).map_or_else(String::new, |remark| format!("{remark}\n"));
    format!(
        "{drained}Asked for {ready} of fleet {fleet} for {repository} until {}.\n\
         The fleet has {alive} now.{max} No more than max are launched, and none that idle\n\
         runners make up for.\n\
         A fleet that the fleets document does not have launches nothing. See: dayfly runners --fleet {fleet} --watch\n",
        time(it.expires * 1000)
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use dayfly_control::{
        decide::jobs::JobState,
        ledger::{Job, LastPlan, Meta},
    };

    use super::{Launch, manual, text};
    use crate::jobs::tests::job;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        launch: Launch,
    }

    fn asked(line: &str) -> Launch {
        Line::parse_from(format!("launch --deployment main {line}").split(' ')).launch
    }

    #[test]
    fn the_fleets_latest_job_says_whose_runners_they_are() {
        let other = Job { fleet: "big".into(), repository: "o/big".into(), ..job(9, JobState::Done) };
        let jobs = [other, Job { installation: Some(77), ..job(7, JobState::Done) }];
        let it = manual(&asked("linux-x64 --count 3 --minutes 10"), &jobs, "m".into(), 5_000).unwrap();
        assert_eq!((it.count, it.repository.as_str(), it.installation), (3, "octo-org/octo-repo", Some(77)));
        assert_eq!(it.expires, 605);
        let it = manual(&asked("linux-x64 --repository o/other"), &jobs, "m".into(), 5_000).unwrap();
        assert_eq!((it.repository.as_str(), it.installation), ("o/other", None));
        let error = |line: &str| manual(&asked(line), &jobs, "m".into(), 0).unwrap_err().to_string();
        assert!(error("new").contains("--repository says whose"), "{}", error("new"));
        assert_eq!(error("new --repository x"), "--repository: found \"x\", expected owner/repo");
    }

    #[test]
    fn the_answer_is_honest_about_max() {
        let it = manual(&asked("linux-x64 --repository o/r --count 9"), &[], "m".into(), 1_795_000_000_000).unwrap();
        let plan = LastPlan { at: 1, demand: 0, supply: 0, launched: 0, held_back: 0, max: 5, paused_until: 0 };
        let said = text(&it, &Meta { alive: 4, last_plan: Some(plan), ..Meta::default() });
        assert!(said.contains("has 4 instances now. Its max was 5 at the last plan. No more than max"), "{said}");
        assert!(text(&it, &Meta::default()).contains("instances now. No more than max"));
        let drained = text(&it, &Meta { drained_at: Some(1), ..Meta::default() });
        assert!(drained.starts_with("Fleet linux-x64 is drained since"), "{drained}");
    }
}
