//! Why a job has a runner, or none.

use super::{
    breaker::Breaker,
    doubt::{self, Why},
    jobs::JobState,
    offers, refusals,
    runners::RunnerState,
};
use crate::{
    clock::{Millis, seconds},
    ledger::{Job, Marker, View},
    report::counted,
};

/// What can be said of `job`, whose fleet's level is `view`: a sentence each, the most telling first. GitHub gives a
/// job to any runner that fits, so of a queued job only its fleet as a whole can be told.
#[must_use]
pub fn explain(job: &Job, view: &View, now: Millis) -> Vec<String> {
    match (job.state, &job.runner_name) {
        (JobState::Waiting, _) => {
            drained(&job.fleet, view, now).into_iter().chain([waiting(job, view).to_owned()]).collect()
        }
        (JobState::Queued, _) => queued(job, view, now),
        (state, Some(runner)) => {
            let has = if state == JobState::Done { "had" } else { "has" };
            let mut said = vec![format!("It {has} the runner {runner}.")];
            if !runner.starts_with(&format!("{}-i-", job.fleet)) {
                said.push(format!("That is none of fleet {}: GitHub gives a job to any runner that fits.", job.fleet));
            }
            said
        }
        (JobState::Done, None) => {
            vec!["It ended without a runner: it was cancelled, or nobody took it in time.".to_owned()]
        }
        (JobState::Running, None) => vec!["It runs, and GitHub did not say on which runner.".to_owned()],
    }
}

fn waiting(job: &Job, view: &View) -> &'static str {
    match view.doubts.iter().find(|it| it.job == job.id).map(|it| &it.why) {
        Some(Why::Fork { .. }) => {
            "GitHub has not told yet whether it runs a fork's code: it is asked again from time to time."
        }
        Some(Why::Held) => {
            "It waits at GitHub for an approval or a concurrency group: no runner is wanted yet. GitHub is asked from time \
             to time, since no event will tell of its release."
        }
        None if job.history.has(doubt::NO_FLEET) => "It runs a fork's code, and no fleet takes that.",
        None => "It waits at GitHub for an approval or a concurrency group: no runner is wanted yet.",
    }
}

fn queued(job: &Job, view: &View, now: Millis) -> Vec<String> {
    let fleet = &job.fleet;
    let mut said = Vec::new();
    let Some(marker) = view.queued.iter().find(|it| it.job == job.id) else {
        let over =
            format!("It is not among the queued jobs of fleet {fleet} any more: GitHub gives up a job after a day.");
        return vec![over];
    };
    if marker.expires <= seconds(now) {
        said.push("It counts no longer: GitHub gives up a job that no runner took within a day.".to_owned());
    }
    let on_the_way =
        view.runners.iter().filter(|it| it.state == RunnerState::Launched && it.boot_deadline > now).count();
    let reserved: u64 = view.reservations.iter().map(|it| u64::from(it.count)).sum();
    let listening =
        view.runners.iter().filter(|it| it.state == RunnerState::Registered && it.boot_deadline > now).count();
    let ahead = view.queued.iter().filter(|it| (it.queued_at, it.job) < (marker.queued_at, marker.job)).count();
    let (reserved, were) = (counted(reserved, "instance"), if ahead == 1 { "was" } else { "were" });
    said.push(format!(
        "Fleet {fleet} has {reserved} reserved, {on_the_way} launched, and {listening} registered that may take it; \
         {ahead} of its jobs {were} queued before."
    ));
    if view.meta.paused_until > now {
        let failures = match view.meta.failures {
            0 => String::new(),
            1 => " after a failure".to_owned(),
            n => format!(" after {n} failures one after the other"),
        };
        let wait = (view.meta.paused_until - now).div_ceil(1000);
        said.insert(0, format!("Fleet {fleet} is left alone for another {wait} s{failures}."));
    } else if let Some(cool) = view.meta.last_plan.map(|plan| plan.paused_until).filter(|until| *until > now) {
        let wait = (cool - now).div_ceil(1000);
        said.insert(0, format!("Fleet {fleet} launches nothing for another {wait} s: its cooldown after a launch."));
    }
    let open = || view.offers.breakers.0.iter().filter(|(_, it)| it.until > now);
    let dry: Vec<&str> = open().map(|(key, _)| key.as_str()).filter(|key| is_offer(key)).collect();
    if !dry.is_empty() {
        said.push(format!("Not asked of EC2 at present, since it has none of these: {}.", dry.join(", ")));
    }
    said.splice(0..0, open().filter_map(|(key, it)| refused(key, it, marker, now)));
    match &view.meta.last_plan {
        // A drained fleet is told of below.
        Some(plan) if plan.held_back > 0 && plan.max > 0 && plan.at >= marker.queued_at => {
            let (alive, max) = (view.meta.alive, plan.max);
            let are = if alive == 1 { "is" } else { "are" };
            let alive = counted(alive, "instance");
            said.insert(0, format!("Fleet {fleet} is full: {alive} {are} alive and its max is {max}."));
        }
        Some(_) => {}
        None => said.push(format!("Nothing was ever launched for fleet {fleet}: is scale-up woken?")),
    }
    said.splice(0..0, drained(fleet, view, now));
    if let Some(error) = &view.meta.last_error {
        let (code, message, times) = (&error.code, &error.message, counted(error.count, "time"));
        said.insert(0, format!("Fleet {fleet} was refused for good, {times} in a row: {code}: {message}"));
    }
    said
}

/// What keeps the jobs of a drained fleet waiting, whatever else does.
fn drained(fleet: &str, view: &View, now: Millis) -> Option<String> {
    let minutes = now.saturating_sub(view.meta.drained_at?) / 60_000;
    Some(format!(
        "Fleet {fleet} was drained {minutes} min ago and launches nothing: the job waits, unless a runner that is left takes \
         it, until somebody says: dayfly drain {fleet} --undo"
    ))
}

/// Whether a breaker is that of an offer of EC2's.
fn is_offer(key: &str) -> bool {
    refusals::whose(key).is_none() && !key.starts_with("asks/")
}

/// What an open breaker keeps the job of `marker` from, where it is one of the job's own.
fn refused(key: &str, it: &Breaker, marker: &Marker, now: Millis) -> Option<String> {
    let wait = (it.until - now).div_ceil(1000);
    let why = &it.why;
    if offers::asks_key(&marker.asks).as_deref() == Some(key) {
        let (asks, times) = (marker.asks.join(", "), counted(it.failures, "time"));
        return Some(format!(
            "EC2 refused what the job asks for ({asks}), {times} in a row; asked again in {wait} s: {why}"
        ));
    }
    let (scope, asks) = refusals::whose(key)?;
    let own = asks.is_none_or(|asks| asks == marker.asks.join(",")) && scope.holds(&marker.repository);
    own.then(|| match it.failures {
        0 => format!("GitHub is not asked for runners of {scope} for another {wait} s: {why}"),
        times => {
            let times = counted(times, "time");
            format!("GitHub refused runners of {scope}, {times} in a row; asked again in {wait} s: {why}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{JobState, RunnerState, Why, doubt, explain};
    use crate::{
        decide::breaker::{Breaker, Breakers},
        ledger::{
            Doubt, Job, LastError, LastPlan, Meta, Runner, View,
            tests::{job, marker, reservation, runner},
        },
    };

    const NOW: u64 = 1_020_000;

    #[test]
    fn a_drained_fleet_is_told_and_what_undoes_it() {
        let meta = Meta {
            drained_at: Some(NOW - 600_000),
            last_plan: Some(LastPlan { max: 0, ..last(1) }),
            ..Meta::default()
        };
        let said = explain(&job(7, "linux-x64"), &View { meta, ..view() }, NOW);
        assert!(
            said[0].contains("was drained 10 min ago") && said[0].contains("dayfly drain linux-x64 --undo"),
            "{said:?}"
        );
        assert!(said.iter().all(|it| !it.contains("is full")), "{said:?}");
        assert_eq!(LastPlan { max: 0, ..last(1) }.reason(), "drained");
        // One that is held at GitHub would wait then.
        let held = Job { state: JobState::Waiting, ..job(7, "linux-x64") };
        let meta = Meta { drained_at: Some(NOW), ..Meta::default() };
        let said = explain(&held, &View { meta, ..View::default() }, NOW);
        assert!(said.len() == 2 && said[0].contains("was drained 0 min ago"), "{said:?}");
    }

    fn view() -> View {
        View { queued: vec![marker("linux-x64", 3), marker("linux-x64", 7)], ..View::default() }
    }

    fn last(held_back: u64) -> LastPlan {
        let (demand, supply, launched) = (9, 0, 9 - held_back);
        LastPlan { at: NOW, demand, supply, launched, held_back, max: 4, paused_until: 0 }
    }

    #[test]
    fn a_queued_job_is_told_by_its_fleet() {
        let level = View {
            reservations: vec![reservation("linux-x64", "r", 2)],
            runners: vec![
                Runner { state: RunnerState::Registered, ..runner("linux-x64", 1) },
                runner("linux-x64", 2),
                Runner { boot_deadline: NOW, ..runner("linux-x64", 3) },
            ],
            meta: Meta { last_plan: Some(last(0)), ..Meta::default() },
            ..view()
        };
        let one = "Fleet linux-x64 has 2 instances reserved, 1 launched, and 1 registered that may take it; \
                   1 of its jobs was queued before.";
        assert_eq!(explain(&job(7, "linux-x64"), &level, NOW), [one]);
    }

    #[test]
    fn what_holds_a_job_up_comes_first() {
        let first = |view: &View| explain(&job(7, "linux-x64"), view, NOW).remove(0);
        let full = View { meta: Meta { alive: 4, last_plan: Some(last(5)), ..Meta::default() }, ..view() };
        assert_eq!(first(&full), "Fleet linux-x64 is full: 4 instances are alive and its max is 4.");
        let one = View {
            meta: Meta { alive: 1, last_plan: Some(LastPlan { max: 1, ..last(5) }), ..Meta::default() },
            ..view()
        };
        assert_eq!(first(&one), "Fleet linux-x64 is full: 1 instance is alive and its max is 1.");
        let meta = Meta { paused_until: NOW + 4500, failures: 2, last_plan: Some(last(0)), ..Meta::default() };
        let paused = View { meta, ..view() };
        assert_eq!(
            first(&paused),
            "Fleet linux-x64 is left alone for another 5 s after 2 failures one after the other."
        );
        let meta = Meta { failures: 1, ..paused.meta.clone() };
        assert_eq!(first(&View { meta, ..view() }), "Fleet linux-x64 is left alone for another 5 s after a failure.");
        let cooling = LastPlan { paused_until: NOW + 1500, ..last(0) };
        let cools = View { meta: Meta { last_plan: Some(cooling), ..Meta::default() }, ..view() };
        assert_eq!(first(&cools), "Fleet linux-x64 launches nothing for another 2 s: its cooldown after a launch.");
        let error = LastError { code: "InvalidAMIID.NotFound".into(), message: "no ami-0".into(), at: NOW, count: 3 };
        let refused = View { meta: Meta { last_error: Some(error), ..paused.meta }, ..view() };
        assert_eq!(
            first(&refused),
            "Fleet linux-x64 was refused for good, 3 times in a row: InvalidAMIID.NotFound: no ami-0"
        );
        let mut dry = view();
        let breaker = |until| Breaker { failures: 1, until, ..Breaker::default() };
        let breakers = [("spot/subnet-1/a".to_owned(), breaker(NOW + 1)), ("spot/subnet-1/b".to_owned(), breaker(NOW))];
        dry.offers.breakers = Breakers(breakers.into());
        let said = explain(&job(7, "linux-x64"), &dry, NOW);
        assert!(said[1].ends_with("it has none of these: spot/subnet-1/a."), "{said:?}");
        let never = explain(&job(7, "linux-x64"), &view(), NOW);
        assert!(never[1].ends_with("is scale-up woken?"), "{never:?}");
        assert!(first(&View::default()).contains("not among the queued jobs"));
        let mut old = view();
        old.queued[1].expires = NOW / 1000;
        assert!(first(&old).starts_with("It counts no longer"));
    }

    #[test]
    fn a_waiting_job_is_told_by_its_doubt() {
        let held = Job { state: JobState::Waiting, ..job(7, "linux-x64") };
        let said = |job: &Job, why: Option<Why>| {
            let doubt = |why| Doubt { fleet: "linux-x64".into(), job: 7, why, since: 0, ask_at: NOW, expires: NOW };
            explain(job, &View { doubts: why.map(doubt).into_iter().collect(), ..View::default() }, NOW).join(" ")
        };
        assert!(said(&held, None).ends_with("no runner is wanted yet."));
        assert!(said(&held, Some(Why::Held)).ends_with("no event will tell of its release."));
        assert!(said(&held, Some(Why::Fork { otherwise: None })).starts_with("GitHub has not told yet whether"));
        let mut refused = held;
        refused.history.add(NOW, doubt::NO_FLEET, "");
        assert_eq!(said(&refused, None), "It runs a fork's code, and no fleet takes that.");
    }

    #[test]
    fn a_refusal_is_told_to_those_whom_it_keeps_waiting() {
        let mut level = view();
        level.queued[1].asks = vec!["dayfly-cpu=64".into(), "dayfly-pin=a".into()];
        level.meta.last_plan = Some(last(0));
        let breaker = |failures, why: &str| Breaker { failures, until: NOW + 9001, why: why.into() };
        let open = [
            ("asks/dayfly-cpu=64", breaker(2, "no such size")),
            ("asks/dayfly-cpu=8", breaker(2, "another's")),
            ("github/orgs/octo-org", breaker(3, "not installed")),
            ("github/orgs/octo-org?dayfly-cpu=64,dayfly-pin=a", breaker(1, "bad label")),
            ("github/orgs/octo-org?gpu", breaker(1, "another's")),
            ("github/orgs/octo", breaker(1, "another's")),
        ];
        level.offers.breakers = Breakers(open.map(|(key, it)| (key.to_owned(), it)).into());
        let said = explain(&job(7, "linux-x64"), &level, NOW);
        let expected = [
            "EC2 refused what the job asks for (dayfly-cpu=64, dayfly-pin=a), 2 times in a row; asked again in 10 s: no such size",
            "GitHub refused runners of orgs/octo-org, 3 times in a row; asked again in 10 s: not installed",
            "GitHub refused runners of orgs/octo-org, 1 time in a row; asked again in 10 s: bad label",
        ];
        assert_eq!(said[..3], expected, "{said:?}");
        assert!(!said.join(" ").contains("another's"), "{said:?}");
        let said = explain(&job(3, "linux-x64"), &level, NOW);
        assert_eq!(said.iter().filter(|it| it.starts_with("GitHub") || it.starts_with("EC2")).count(), 1, "{said:?}");
        level.offers.breakers = Breakers([("github/orgs/octo-org".to_owned(), breaker(0, "rate limit"))].into());
        let said = explain(&job(3, "linux-x64"), &level, NOW);
        assert_eq!(said[0], "GitHub is not asked for runners of orgs/octo-org for another 10 s: rate limit");
    }

    #[test]
    fn other_jobs_are_told_by_their_state() {
        let said = |state, runner: Option<&str>| {
            let job = Job { state, runner_name: runner.map(str::to_owned), ..job(7, "linux-x64") };
            explain(&job, &View::default(), NOW).join(" ")
        };
        assert!(said(JobState::Waiting, None).contains("approval"));
        assert_eq!(said(JobState::Running, Some("linux-x64-i-1")), "It has the runner linux-x64-i-1.");
        assert!(said(JobState::Done, Some("big-i-1")).contains("none of fleet linux-x64"));
        assert!(said(JobState::Done, None).contains("without a runner"));
        assert!(said(JobState::Running, None).contains("did not say"));
    }
}
