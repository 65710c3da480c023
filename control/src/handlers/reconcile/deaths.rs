//! Runners whose agents are silent: EC2 and GitHub are asked, and who is certainly dead is taken out of the ledger.

use std::collections::BTreeMap;

use tracing::{error, info, warn};

use super::{Ports, Run, memory::Memory};
use crate::{
    clock::Millis,
    compute::{Compute, instances::Instances},
    decide::{
        breaker, events, failures,
        jobs::JobState,
        lives, pool,
        reconcile::deaths::{
            AtEc2, AtGitHub, ItsJob, Sighting, Verdict, is_dark, is_silent, jobs_of, may_have_another, verdict,
        },
        reconcile::voices::{Voices, is_spared},
        runners::RunnerState,
    },
    fleets::Target,
    github::{GitHub, watch::Watch},
    handlers::scale_up::start,
    handover::Handover,
    ledger::{Committed, Heard, Ledger, Offers, Runner},
    report::Chain,
};

/// The most silent runners that EC2 is asked about at a time: one call.
const MOST_ASKED: usize = 200;
/// The most that GitHub is asked about in one run: one call each, or a few.
const MOST_AT_GITHUB: usize = 10;
/// An instance whose registration was taken away may have claimed it just before. Then it is heard of within this time.
const AFTER_TAKING: Millis = 120_000;

/// Looks at the silent runners of `fleet`; answers how many were buried. `voices`: of all fleets.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>, fleet: &str, memory: &mut Memory, voices: Voices) -> usize {
    let now = run.now();
    let mut silent: Vec<Runner> = {
        let levels = run.levels.borrow();
        let Some(level) = levels.get(fleet) else { return 0 };
        let heard = |it: &Runner| level.heard.get(&it.instance).copied();
        level.view.runners.iter().filter(|it| is_silent(it, heard(it), run.deps.silence, now)).cloned().collect()
    };
    let is_silent = |instance: &str| silent.iter().any(|it| it.instance == instance);
    memory.unseen.retain(is_silent);
    memory.taken.retain(is_silent);
    if silent.is_empty() {
        return 0;
    }
    // Of many, others each minute.
    let minute = usize::try_from(now / 60_000).unwrap_or_default();
    let turn = minute.wrapping_mul(MOST_AT_GITHUB) % silent.len();
    silent.rotate_left(turn);
    silent.truncate(MOST_ASKED);
    let ids: Vec<String> = silent.iter().map(|it| it.instance.clone()).collect();
    let states = match run.deps.compute.states(&ids).await {
        Ok(states) => states,
        Err(error) => {
            warn!(fleet.name = fleet, "{}", Chain(&error));
            BTreeMap::new()
        }
    };
    let heard = run.levels.borrow().get(fleet).map(|level| level.heard.clone()).unwrap_or_default();
    let quiet = voices.is_quiet(run.deps.silence, now);
    if quiet {
        warn!(fleet.name = fleet, agents.silent = voices.silent, "No agent is heard of: what stands by is left alone");
    }
    let (mut buried, mut asked) = (0, 0);
    for runner in silent {
        let ec2 = states.get(&runner.instance).copied().unwrap_or(AtEc2::Unasked);
        let is_there = matches!(ec2, AtEc2::Running | AtEc2::Stopped);
        if !run.has_time() || (is_there && asked >= MOST_AT_GITHUB) {
            continue;
        }
        asked += usize::from(is_there);
        let mut it = sight(run, &runner, ec2, memory).await;
        it.spared = quiet && is_spared(&runner, heard.get(&runner.instance).copied(), run.deps.silence, now);
        let verdict = verdict(&it);
        info!(fleet.name = fleet, instance.id = runner.instance, sighting = ?it, verdict = ?verdict,
            "{} is silent", runner.instance);
        if verdict != Verdict::Keep && bury(run, runner, verdict).await {
            buried += 1;
        }
    }
    buried
}

/// All that is to be known of a silent runner.
async fn sight<P: Ports>(run: &Run<'_, P>, runner: &Runner, ec2: AtEc2, memory: &mut Memory) -> Sighting {
    let mut it = Sighting {
        state: runner.state,
        silent: true,
        spared: false,
        ec2,
        github: AtGitHub::Unasked,
        unclaimed: false,
        dark: false,
        job: ItsJob::MayRun,
    };
    if !matches!(ec2, AtEc2::Running | AtEc2::Stopped) {
        return it;
    }
    if runner.state != RunnerState::Busy {
        // Where none was ever made, none was claimed.
        it.unclaimed = runner.state.is_unregistered() || is_unclaimed(run, runner, memory).await;
    }
    // After the registration was taken away: who had claimed it by then is online, or will be.
    it.github = match &runner.scope {
        Some(scope) => {
            let target = Target { scope: scope.clone(), installation: runner.installation };
            let name = dayfly_contract::names::runner_name(&runner.fleet, &runner.instance);
            standing(run, std::slice::from_ref(&target), &name).await
        }
        None => AtGitHub::Unasked,
    };
    if !matches!(it.github, AtGitHub::Offline | AtGitHub::Absent) {
        memory.unseen.0.remove(&runner.instance);
        return it;
    }
    it.dark = is_dark(&mut memory.unseen, &runner.instance, run.now());
    let another = may_have_another(runner, ec2, it.dark);
    if runner.state == RunnerState::Busy && !another && jobs_are_over(run, runner).await {
        it.job = ItsJob::Over;
    }
    it
}

/// How a runner stands at whoever of `targets` has it. Where one does not answer, nothing is known.
pub(super) async fn standing<P: Ports>(run: &Run<'_, P>, targets: &[Target], name: &str) -> AtGitHub {
    let mut found = if targets.is_empty() { AtGitHub::Unasked } else { AtGitHub::Absent };
    for target in targets {
        if !run.has_time() {
            return AtGitHub::Unasked;
        }
        match run.deps.github.standing(target, name).await {
            Ok(AtGitHub::Absent) => {}
            Ok(AtGitHub::Offline) => found = AtGitHub::Offline,
            Ok(other) => return other,
            Err(error) => {
                warn!(github.scope = %target.scope, runner.name = name, "{}", Chain(&error));
                return AtGitHub::Unasked;
            }
        }
    }
    found
}

/// Whether it is certain that the runner never claimed its registration: it was still there, was taken away, and for a
/// while nobody was heard of who had claimed it just before.
async fn is_unclaimed<P: Ports>(run: &Run<'_, P>, runner: &Runner, memory: &mut Memory) -> bool {
    if let Some(taken_at) = memory.taken.0.get(&runner.instance) {
        return taken_at + AFTER_TAKING <= run.now();
    }
    let Some(fleet) = run.deps.fleets.get(&runner.fleet) else { return false };
    let there = run.deps.handover.exists(fleet.handover, &runner.instance).await;
    match there {
        Ok(true) => {
            if let Err(error) = run.deps.handover.delete(&runner.instance).await {
                warn!(instance.id = runner.instance, "{}", Chain(&error));
                return false;
            }
            warn!(
                fleet.name = runner.fleet,
                instance.id = runner.instance,
                "{} has not claimed its registration in time, and can't any more",
                runner.instance
            );
            memory.taken.see(&runner.instance, run.now());
        }
        Ok(false) => {}
        Err(error) => warn!(instance.id = runner.instance, "{}", Chain(&error)),
    }
    false
}

/// Whether all jobs that the runner was heard to have are over, by the ledger or by GitHub.
async fn jobs_are_over<P: Ports>(run: &Run<'_, P>, runner: &Runner) -> bool {
    let ids = jobs_of(runner);
    for id in &ids {
        let job = match run.deps.ledger.job(*id).await {
            Ok(Some(job)) => job,
            Ok(None) => return false,
            Err(error) => {
                warn!(job.id = id, "{}", Chain(&error));
                return false;
            }
        };
        if job.state == JobState::Done {
            continue;
        }
        let target = super::jobs::target(run, &job);
        match run.deps.github.known_job(&target, &job.repository, *id).await {
            Ok(Some(told)) if told.state() == Some(JobState::Done) => {}
            Ok(_) => return false,
            Err(error) => {
                warn!(job.id = id, "{}", Chain(&error));
                return false;
            }
        }
    }
    !ids.is_empty()
}

/// Takes the runner out of the ledger, then away what it leaves, then its instance. Who is killed in between leaves a
/// stray and leftovers, which other steps find. Answers whether it was buried.
async fn bury<P: Ports>(run: &Run<'_, P>, runner: Runner, verdict: Verdict) -> bool {
    let (fleet, instance) = (runner.fleet.clone(), runner.instance.clone());
    // GitHub took its time to answer.
    match run.deps.ledger.heard(&fleet).await {
        Ok(heard) if is_silent(&runner, heard.get(&instance).copied(), run.deps.silence, run.now()) => {}
        Ok(_) => return false,
        Err(error) => {
            warn!(fleet.name = fleet, "{}", Chain(&error));
            return false;
        }
    }
    give_up(run, runner, verdict, "dead_runner").await
}

/// The same, of one that is known to be no use. `why`: as the metric has it.
pub(super) async fn give_up<P: Ports>(run: &Run<'_, P>, runner: Runner, verdict: Verdict, why: &'static str) -> bool {
    let (fleet, instance) = (runner.fleet.clone(), runner.instance.clone());
    let registered = runner.scope.clone().map(|scope| Target { scope, installation: runner.installation });
    let registered = registered.zip(runner.runner_id);
    let mut writes = lives::kept(events::given_up(runner.clone()), Some(&runner), run.now());
    // As one that tells that it has failed: a pool whose instances die in silence is filled up ever more slowly.
    if run.deps.fleets.get(&fleet).is_some_and(|fleet| pool::is_of_pool(fleet, &runner)) {
        match run.deps.ledger.meta(&fleet).await {
            Ok(meta) => {
                let (_, failure) = failures::failed(&meta, false, run.now());
                writes = events::counted(writes, &fleet, failure);
            }
            Err(error) => {
                warn!(fleet.name = fleet, "{}", Chain(&error));
                return false;
            }
        }
    }
    match run.deps.ledger.commit(writes).await {
        Ok(Committed::Yes) => {}
        // A webhook or a message has moved it: it is not as dead as it looked.
        Ok(Committed::Conflict) => return false,
        Err(error) => {
            error!(fleet.name = fleet, instance.id = instance, "{}", Chain(&error));
            return false;
        }
    }
    run.deps.metrics.mended(why);
    warn!(fleet.name = fleet, instance.id = instance, verdict = ?verdict,
        "{instance} is dead, and nobody told of it; its place in fleet {fleet} is free");
    // EC2 took the start, and the instance never came up, as with a volume whose key is gone: the next jobs get fresh ones.
    if runner.stops.started_at.is_some() && matches!(runner.state, RunnerState::Launched | RunnerState::Registered) {
        let offers = run.deps.ledger.offers(&fleet).await.unwrap_or_else(|error| {
            warn!(fleet.name = fleet, "{}", Chain(&error));
            Offers { fleet: fleet.clone(), ..Offers::default() }
        });
        let why = format!("{instance} was started, and died without a job");
        start::note((&run.deps.ledger, &run.deps.clock), offers, breaker::Heard::Failed, why).await;
    }
    if let Err(error) = run.deps.handover.delete(&instance).await {
        warn!(instance.id = instance, "{}", Chain(&error));
    }
    if let Some((target, id)) = registered
        && let Err(error) = run.deps.github.delete_runner(&target, id).await
    {
        warn!(instance.id = instance, runner.id = id, "{}", Chain(&error));
    }
    if verdict == Verdict::End {
        match run.deps.compute.terminate(std::slice::from_ref(&instance)).await {
            Ok(()) => warn!(fleet.name = fleet, instance.id = instance, "Ended {instance}, whose agent is dead"),
            Err(error) => error!(instance.id = instance, error = %Chain(&error), "{instance} is left as a stray"),
        }
    }
    true
}
