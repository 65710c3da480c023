//! A stopped instance of a pool is started for the job that it was given to.
//!
//! EC2 keeps no capacity for what is stopped, so that a start may be refused as a launch may be. It says so at once: then
//! the instance is ended, and the job planned again, without the pool's stopped instances for a while.

use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::Task,
    register::{end, take_back},
};
use crate::{
    clock::{Clock, Millis},
    compute::{Compute, PowerError},
    decide::{
        breaker::Heard,
        errors::Class,
        pool::{self, START},
    },
    fleets::Target,
    github::GitHub,
    handover::Handover,
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Offers, Runner, Write},
    metrics::Metric,
    report::Chain,
};

/// Writes down that the instance of `runner` is about to be started; answers it as the ledger has it then. None where it has
/// changed: whoever took it over is to find it as it was.
pub(super) async fn write_down<P: Ports>(deps: &Deps<P>, runner: Runner) -> Result<Option<Runner>, LedgerError> {
    let it = pool::starting(runner, deps.clock.now());
    let committed = deps.ledger.commit(vec![Write::PutRunner(it.clone())]).await?;
    Ok((committed == Committed::Yes).then(|| Runner { version: it.next_version(), ..it }))
}

/// What to do after `runner`, which was about to be started, has changed: it has ended, and its registration is taken back; or
/// somebody else has it, since this invocation took too long, and will start it.
pub(super) async fn lost<P: Ports>(deps: &Deps<P>, target: &Target, runner: Runner, runner_id: Option<u64>) -> Outcome {
    let (fleet, instance) = (runner.fleet, runner.instance);
    let has_ended = match deps.ledger.runner(&fleet, &instance).await {
        Ok(now_is) => now_is.is_none_or(|it| !it.state.is_alive()),
        Err(error) => return failed(&fleet, &error),
    };
    warn!(fleet.name = fleet, instance.id = instance, has_ended, "{instance} is not started: it has changed");
    if has_ended {
        if let Err(error) = take_back(deps, &instance).await {
            warn!(instance.id = instance, "{}", Chain(&error));
        }
        forget(deps, target, &fleet, runner_id).await;
    }
    again(deps, None)
}

/// Deletes a runner at GitHub that nobody will be. Where that fails it is left to GitHub.
pub(super) async fn forget<P: Ports>(deps: &Deps<P>, target: &Target, fleet: &str, runner_id: Option<u64>) {
    if let Some(id) = runner_id
        && let Err(error) = deps.github.delete_runner(target, id).await
    {
        warn!(fleet.name = fleet, runner.id = id, "Runner {id} is left to GitHub: {}", Chain(&error));
    }
}

/// Has EC2 start the instance of `runner`. One that an earlier try has started is as good.
pub(super) async fn start<P: Ports>(deps: &Deps<P>, task: &Task<'_>, runner: &Runner) -> Result<(), PowerError> {
    let (fleet, instance) = (&task.fleet.name, &runner.instance);
    let began = deps.clock.now();
    deps.compute.start(instance).await?;
    let stopped_ms = runner.stops.total(began);
    let duration_ms = deps.clock.now().saturating_sub(began);
    info!(fleet.name = fleet, instance.id = instance, stopped_ms, duration_ms, "Starts {instance} of the pool");
    if task.offers.breakers.0.contains_key(START) {
        note((&deps.ledger, &deps.clock), task.offers.clone(), Heard::Worked, String::new()).await;
    }
    Ok(())
}

/// What to do after EC2 refused to start the instance of `runner`, which is `registered` and was handed that over: both are
/// taken back, the instance is ended, and the job planned again.
///
/// For want of capacity, or in another state than stopped, it does not run: it is ended whoever began with it. What is
/// refused for another reason may run, if somebody before has started it (`fresh`: nobody has); then it is left to its boot
/// deadline.
pub(super) async fn refused<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    runner: Runner,
    (target, runner_id): (Target, Option<u64>),
    fresh: bool,
    why: &PowerError,
) -> Outcome {
    let (fleet, instance) = (task.fleet.name.clone(), runner.instance.clone());
    deps.metrics.add(
        Metric::LaunchErrors,
        1,
        &[("Fleet", &fleet), ("Reason", why.code.as_deref().unwrap_or("unknown"))],
    );
    if why.class == Class::Permanent {
        deps.metrics.refused("start");
        error!(fleet.name = fleet, instance.id = instance, "{}", Chain(why));
    } else {
        warn!(fleet.name = fleet, instance.id = instance, "{}", Chain(why));
    }
    // That this one is gone, or is not stopped any more, says nothing of the others.
    let is_its_own = matches!(why.code.as_deref(), Some("InvalidInstanceID.NotFound" | "IncorrectInstanceState"));
    let until = if is_its_own {
        None
    } else {
        note((&deps.ledger, &deps.clock), task.offers.clone(), Heard::Failed, Chain(why).to_string()).await
    };
    if why.class == Class::Permanent && !fresh {
        let left = Write::PutRunner(Runner { lease_until: runner.boot_deadline, ..runner });
        return match deps.ledger.commit(vec![left]).await {
            Ok(_) => again(deps, until),
            Err(error) => failed(&fleet, &error),
        };
    }
    match end(deps, runner).await {
        Ok(true) => {}
        // It has ended, or somebody else has it.
        Ok(false) => return Outcome::at(deps.clock.now()),
        Err(error) => return failed(&fleet, &error),
    }
    if let Err(error) = deps.handover.delete(&instance).await {
        deps.metrics.refused("not_taken_back");
        warn!(instance.id = instance, "{}", Chain(&error));
    }
    forget(deps, &target, &fleet, runner_id).await;
    again(deps, until)
}

/// The job is planned at once, and the pool looked at when EC2 may be asked again.
fn again<P: Ports>(deps: &Deps<P>, until: Option<Millis>) -> Outcome {
    let now = Outcome::at(deps.clock.now());
    until.map_or(now, |until| now.and(Outcome::at(until)))
}

fn failed(fleet: &str, error: &LedgerError) -> Outcome {
    error!(fleet.name = fleet, "{}", Chain(error));
    Outcome::AGAIN
}

/// Notes what came of starting the stopped instances of the fleet of `offers`; answers until when EC2 is not asked again.
/// Where that fails the next start finds out.
pub(in crate::handlers) async fn note<L: Ledger, C: Clock>(
    (ledger, clock): (&L, &C),
    mut offers: Offers,
    heard: Heard,
    why: String,
) -> Option<Millis> {
    let chance = u64::try_from(clock.random() % u128::from(u64::MAX)).unwrap_or_default();
    let fleet = offers.fleet.clone();
    let news = [(START.to_owned(), heard, why)];
    for attempt in 1..=ATTEMPTS {
        let now = clock.now();
        if !offers.breakers.take_in(&news, now, chance) {
            return offers.breakers.open(START, now);
        }
        let read = match ledger.commit(vec![Write::PutOffers(offers.clone())]).await {
            Ok(Committed::Yes) => return offers.breakers.open(START, now),
            Ok(Committed::Conflict) => {
                clock.sleep(clock.jitter(attempt)).await;
                ledger.offers(&fleet).await
            }
            Err(error) => Err(error),
        };
        match read {
            Ok(read) => offers = read,
            Err(error) => {
                warn!(fleet.name = fleet, "{}", Chain(&error));
                return None;
            }
        }
    }
    warn!(fleet.name = fleet, "What EC2 said of a start is not noted: others were faster");
    None
}
