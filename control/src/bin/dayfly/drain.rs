//! `dayfly drain`: a fleet launches nothing more, until a person says so.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use dayfly_contract::names;
use dayfly_control::{
    clock::{Clock, Millis, SystemClock},
    decide::{runners::RunnerState, words},
    ledger::{Ledger, Meta, View},
    report::Chain,
    wake::Wake,
};

use crate::{
    output::{say, time},
    place::{Connected, Place, block},
};

/// Drains a fleet: it launches nothing more, its jobs run to their end, its idle runners retire, and jobs queued for it
/// wait. It stays so, over deployments too, until --undo. What is reserved already still comes, and retires if it gets no
/// job. To have its jobs taken by others, take the fleet out of the fleets document or change its labels.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The fleet.
    fleet: String,
    /// Lets it launch again, and wakes it for the jobs that wait.
    #[arg(long)]
    undo: bool,
    /// The fleet has never launched anything, so that the ledger can't tell a new name from a misspelled one.
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    place: Place,
    /// The queue that wakes scale-up, where it is not `dayfly-<deployment>-wake`.
    #[arg(long, env = "DAYFLY_WAKE_QUEUE_URL")]
    wake_queue_url: Option<String>,
}

pub(crate) fn run(asked: &Drain) -> Result<()> {
    let fleet = &asked.fleet;
    if !names::is_name(fleet) {
        bail!("FLEET: found \"{fleet}\", expected 1 to 40 of a-z, 0-9 and -, starting with a letter");
    }
    block(async {
        let place = asked.place.connect().await?;
        let known = place.ledger.fleets().await.map_err(|error| place.explained(error))?;
        if !known.contains_key(fleet) && !asked.new {
            bail!("{}", unknown(fleet, known.keys().map(String::as_str)));
        }
        let since = (!asked.undo).then(|| SystemClock.now());
        place.ledger.drain(fleet, since).await.map_err(|error| place.explained(error))?;
        let view = place.ledger.view(fleet).await.map_err(|error| place.explained(error))?;
        if asked.undo {
            let woken = wake(asked, &place).await;
            return say(&undone(fleet, &view, woken));
        }
        say(&drained(fleet, &view))
    })
}

/// Wakes the fleet; where that fails, reconcile does it within a minute.
async fn wake(asked: &Drain, place: &Connected) -> Result<(), String> {
    let told = |error: anyhow::Error| Chain(error.as_ref()).to_string();
    let queue = place.wake(asked.wake_queue_url.as_deref(), asked.place.deployment.as_deref()).await.map_err(told)?;
    queue.wake(&asked.fleet, Duration::ZERO).await.map_err(|error| Chain(&error).to_string())
}

/// Why a fleet is not drained that the ledger does not know: the person may have misspelled it, or it is new.
fn unknown<'a>(fleet: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "no fleet yet".to_owned() } else { known.join(", ") };
    format!(
        "FLEET: found \"{fleet}\", which has never launched anything; the ledger knows {known}. If the fleets document has a \
         fleet of that name, drain it before its first launch: dayfly drain {fleet} --new"
    )
}

/// What is still there of a drained fleet.
fn drained(fleet: &str, view: &View) -> String {
    let of = |state| view.runners.iter().filter(|it| it.state == state).count();
    let working = view.runners.iter().filter(|it| words::is_working(it)).count();
    let (busy, idle) = (of(RunnerState::Busy) + working, of(RunnerState::Registered) - working);
    let reserved: usize = view.reservations.iter().map(|it| it.count as usize).sum();
    let (coming, queued) = (of(RunnerState::Launched) + reserved, view.queued.len());
    let since = view.meta.drained_at.map_or_else(|| "now".to_owned(), time);
    let lines = [
        match busy {
            1 => "1 runner has a job, which runs to its end".to_owned(),
            n => format!("{n} runners have a job, which runs to its end"),
        },
        match idle {
            1 => "1 is idle: reconcile retires it within a minute or two".to_owned(),
            n => format!("{n} are idle: reconcile retires them within a minute or two"),
        },
        match coming {
            1 => "1 is on its way, and retires if it gets no job".to_owned(),
            n => format!("{n} are on their way, and retire if they get no job"),
        },
        match queued {
            1 => "1 job is queued for it and waits; GitHub gives a job up after a day".to_owned(),
            n => format!("{n} jobs are queued for it and wait; GitHub gives a job up after a day"),
        },
    ];
    format!(
        "Fleet {fleet} is drained since {since}: it launches nothing more, over deployments too.\n  {}\n\
         Let it launch again: dayfly drain {fleet} --undo. See: dayfly runners --fleet {fleet} --watch\n",
        lines.join("\n  ")
    )
}

fn undone(fleet: &str, view: &View, woken: Result<(), String>) -> String {
    let queued = match view.queued.len() {
        1 => "1 job is".to_owned(),
        n => format!("{n} jobs are"),
    };
    let when = match woken {
        Ok(()) => "It was woken.".to_owned(),
        Err(why) => format!("It could not be woken, which reconcile does within a minute: {why}"),
    };
    format!("Fleet {fleet} launches again; {queued} queued for it. {when}\n")
}

/// What lists say of a fleet that is drained.
pub(crate) fn remark(fleet: &str, meta: &Meta) -> Option<String> {
    let since: Millis = meta.drained_at?;
    Some(format!("Fleet {fleet} is drained since {}: it launches nothing (dayfly drain {fleet} --undo).", time(since)))
}

#[cfg(test)]
mod tests {
    use dayfly_control::{
        decide::runners::RunnerState,
        ledger::{Marker, Meta, View},
    };

    use super::{drained, remark, undone, unknown};
    use crate::runners::tests::runner;

    #[test]
    fn what_is_left_of_a_drained_fleet_is_counted() {
        let mut working = runner(RunnerState::Registered);
        working.history.add(5, "working", "by its agent's word");
        let runners = vec![
            runner(RunnerState::Busy),
            working,
            runner(RunnerState::Registered),
            runner(RunnerState::Launched),
            runner(RunnerState::Spent),
        ];
        let meta = Meta { drained_at: Some(1_795_000_000_000), ..Meta::default() };
        let said = drained("linux-x64", &View { meta: meta.clone(), runners, ..View::default() });
        let counts: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
        assert_eq!(counts, ["2", "1", "1", "0"], "{said}");
        assert!(said.contains("\n  1 is idle: reconcile retires it within"), "{said}");
        assert!(said.contains("\n  1 is on its way, and retires if it gets no job\n  0 jobs are queued"), "{said}");
        assert!(said.starts_with("Fleet linux-x64 is drained since 2026-11-18T11:06:40Z: "), "{said}");
        assert!(remark("linux-x64", &meta).unwrap().contains("--undo"));
        assert_eq!(remark("linux-x64", &Meta::default()), None);
        let said = undone("linux-x64", &View::default(), Err("no queue".into()));
        let marker = Marker {
            fleet: "linux-x64".into(),
            job: 7,
            asks: vec![],
            repository: "octo-org/octo-repo".into(),
            installation: None,
            on_demand: false,
            queued_at: 0,
            expires: 0,
        };
        let one = View { queued: vec![marker], ..View::default() };
        assert!(drained("linux-x64", &one).contains("\n  1 job is queued for it and waits; "));
        assert!(undone("linux-x64", &one, Ok(())).contains("; 1 job is queued for it. It was woken."));
        assert!(said.contains("launches again; 0 jobs") && said.contains("within a minute: no queue"), "{said}");
    }

    #[test]
    fn a_fleet_that_is_not_known_is_misspelled_or_new() {
        let said = unknown("linux-x46", ["big", "linux-x64"].into_iter());
        assert!(said.contains("the ledger knows big, linux-x64. If the fleets document has"), "{said}");
        assert!(said.ends_with(": dayfly drain linux-x46 --new"), "{said}");
        assert!(unknown("a", std::iter::empty()).contains("the ledger knows no fleet yet"));
    }
}
