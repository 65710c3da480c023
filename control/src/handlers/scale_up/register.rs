//! One runner gets its registration, handed over to its instance: a JIT config from GitHub, or a token by which a
//! reusable one registers itself ([`grant`]). One of a pool that is stopped is started then ([`super::start`]).

mod grant;

use std::time::Duration;

use dayfly_contract::{Registration, VERSION, names};
use grant::{Granted, by_jit_config, by_token};
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::Task,
    pace::{self, TIME_NEEDED, Turn},
    refusals, start,
};
use crate::{
    clock::{Clock, Millis},
    compute::{Compute, PowerError},
    decide::{
        errors::Class,
        events, lives, plan,
        pool::{self, is_unstarted},
        refusals::{Said, What},
        runners::RunnerState,
    },
    fleets::{self, Target},
    github::{GitHub, GitHubError},
    handover::{Handover, HandoverError},
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Runner, Write},
    metrics::Metric,
    report::Chain,
    wake::Wake,
};

/// How long a runner may take from claiming its registration to being online: on a cold disk, .NET alone takes 20 s.
const START_TIME: Duration = Duration::from_mins(1);
/// So often a registration that nobody needs is tried to be taken back: nobody else knows of it.
const TAKE_BACK_ATTEMPTS: u32 = 3;

/// Why a registration was not made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Start(#[from] PowerError),
    #[error("it is not its turn")]
    Paced(Millis),
    #[error("the invocation ends too soon")]
    OutOfTime,
    #[error("runner {0} was registered by a killed invocation and may be starting")]
    Starting(u64),
}

/// Registers `runner` when its turn comes. What fails here is this runner's alone; the others go on.
pub(super) async fn register<P: Ports>(deps: &Deps<P>, task: &Task<'_>, runner: Runner, turn: Turn) -> Outcome {
    let fresh = is_fresh(&runner);
    let is_stopped = runner.stops.at.is_some();
    let mut runner = Runner { untouched: false, ..runner };
    let Some(scope) = runner.scope.clone() else { return Outcome::DONE };
    let given_up = async |runner, failed: &Failed| {
        give_up(deps, task, runner, fresh, failed).await.unwrap_or_else(|error| {
            error!(fleet.name = task.fleet.name, "{}", Chain(&error));
            Outcome::AGAIN
        })
    };
    match turn {
        Turn::At(at) => pace::wait(deps, at).await,
        Turn::NotBefore(until) => return given_up(runner, &Failed::Paced(until)).await,
    }
    // The semaphore is never closed; without a permit there would only be more at a time.
    let _permit = task.permits.acquire().await;
    let target = task.fleet.target(scope, runner.installation);
    if is_stopped && let Err(until) = pace::start(deps, task).await {
        return given_up(runner, &Failed::Paced(until)).await;
    }
    let runner_id = match hand_over(deps, task, &target, &runner, fresh).await {
        Ok(runner_id) => runner_id,
        Err(failed) => return given_up(runner, &failed).await,
    };
    // After its registration is there: its agent finds that as soon as it has booted.
    if is_stopped {
        runner = match start::write_down(deps, runner.clone()).await {
            Ok(Some(runner)) => runner,
            Ok(None) => return start::lost(deps, &target, runner, runner_id).await,
            Err(error) => return given_up(runner, &Failed::Ledger(error)).await,
        };
        if let Err(error) = start::start(deps, task, &runner).await {
            return match error.class {
                Class::Transient => given_up(runner, &Failed::Start(error)).await,
                _ => start::refused(deps, task, runner, (target, runner_id), fresh, &error).await,
            };
        }
    }
    let said = Said { scope: target.scope.clone(), asks: runner.asks.clone(), what: What::Worked };
    task.said.borrow_mut().push(said);
    match note(deps, task, &target, runner, runner_id).await {
        Ok(()) => Outcome::DONE,
        Err(failed) => {
            warn!(fleet.name = task.fleet.name, "{}", Chain(&failed));
            Outcome::AGAIN
        }
    }
}

/// Registers at GitHub and hands over; answers GitHub's id of the runner, where it has one already.
async fn hand_over<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    target: &Target,
    runner: &Runner,
    fresh: bool,
) -> Result<Option<u64>, Failed> {
    let fleet = task.fleet;
    if deps.clock.now() + TIME_NEEDED > task.deadline {
        return Err(Failed::OutOfTime);
    }
    let started = deps.clock.now();
    let granted = if runner.reuse.is_some() {
        by_token(deps, fleet, target, runner, fresh).await?
    } else {
        by_jit_config(deps, fleet, target, runner).await?
    };
    let grant = match granted {
        Granted::Now(grant) => grant,
        Granted::Before(runner_id) => return Ok(runner_id),
    };
    let runner_name = names::runner_name(&fleet.name, &runner.instance);
    let (reservation, trace) = (runner.reservation.clone(), runner.trace.clone());
    let registration = Registration { version: VERSION, reservation, runner_name, trace, grant };
    let runner_id = registration.runner_id();
    if let Err(error) = put(deps, task, runner, &registration).await {
        // Nobody will be this runner: what is stopped is not started for it, and gets another registration.
        if matches!(error, HandoverError::Permanent(_)) || is_unstarted(runner) {
            start::forget(deps, target, &fleet.name, runner_id).await;
        }
        return Err(error.into());
    }
    deps.metrics.add(Metric::Registrations, 1, &[("Fleet", &fleet.name)]);
    info!(
        fleet.name = fleet.name,
        instance.id = runner.instance,
        runner.id = runner_id,
        runner.name = registration.runner_name,
        runner.reusable = runner.reuse.is_some(),
        duration_ms = deps.clock.now().saturating_sub(started),
        since_reserved_ms = deps.clock.now().saturating_sub(runner.launched_at),
        "Registered {}",
        registration.runner_name
    );
    Ok(runner_id)
}

/// Whether nobody has begun to register `runner` before: it was written down as version 1, and again by whoever took it
/// over; and those are known to have asked GitHub for nothing. What is still stopped has used nothing of what they asked for.
fn is_fresh(runner: &Runner) -> bool {
    if runner.stops.at.is_some() { is_unstarted(runner) } else { runner.version <= 1 || runner.untouched }
}

/// Puts `registration` in place of any that is there.
async fn put<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    runner: &Runner,
    registration: &Registration,
) -> Result<(), HandoverError> {
    let by = task.fleet.handover;
    let mut tried = false;
    loop {
        let error = match deps.handover.put(by, &runner.instance, registration).await {
            // Its first answer got lost.
            Err(HandoverError::Exists { .. }) if tried => return Ok(()),
            // Of a registration that GitHub no longer knows.
            Err(HandoverError::Exists { .. }) => {
                deps.handover.delete(&runner.instance).await?;
                return deps.handover.put(by, &runner.instance, registration).await;
            }
            Err(error @ HandoverError::Transient(_)) => error,
            other => return other,
        };
        // Others of the account may write too: then it takes another turn, as long as there is time.
        if by != fleets::Handover::Ssm || !pace::once_more(deps, task).await {
            return Err(error);
        }
        tried = true;
    }
}

/// Notes in the ledger that the runner is registered. Where its instance has no use for that any more, it is taken
/// back.
async fn note<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    target: &Target,
    runner: Runner,
    runner_id: Option<u64>,
) -> Result<(), Failed> {
    let (fleet, instance) = (runner.fleet.clone(), runner.instance.clone());
    let mut now_is = Some(runner);
    for attempt in 1..=ATTEMPTS {
        let unwanted = match now_is.as_ref().map(|runner| runner.state) {
            // The instance has ended.
            None | Some(RunnerState::Gone | RunnerState::Spent) => true,
            // It has a job: by this registration, or by an earlier one that a killed invocation handed over, and then
            // nobody claims this one.
            Some(RunnerState::Busy) => deps.handover.exists(task.fleet.handover, &instance).await?,
            Some(
                RunnerState::Launched
                | RunnerState::Registered
                | RunnerState::Warming
                | RunnerState::Standby
                | RunnerState::Stopping
                | RunnerState::Stopped
                | RunnerState::Withdrawn
                | RunnerState::Retiring,
            ) => false,
        };
        if unwanted {
            warn!(fleet.name = fleet, instance.id = instance, "Took back a registration that {instance} does not need");
            take_back(deps, &instance).await?;
            // A reusable one without an id has not registered; who has a job did so by an earlier token.
            if let Some(id) = runner_id.filter(|_| !is_busy_reusable(now_is.as_ref())) {
                deps.github.delete_runner(target, id).await?;
            }
            return Ok(());
        }
        let Some(write) = now_is.and_then(|runner| events::registered(runner, runner_id, deps.clock.now())) else {
            return Ok(());
        };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        now_is = deps.ledger.runner(&fleet, &instance).await?;
    }
    // It is registered all the same; the next look finds it online, or the webhook of its job does.
    Ok(())
}

/// Takes a registration back that nobody will claim. It would lie there until `reconcile` finds it.
pub(super) async fn take_back<P: Ports>(deps: &Deps<P>, instance: &str) -> Result<(), HandoverError> {
    for attempt in 1..TAKE_BACK_ATTEMPTS {
        if deps.handover.delete(instance).await.is_ok() {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
    }
    let last = deps.handover.delete(instance).await;
    if last.is_err() {
        deps.metrics.refused("not_taken_back");
        error!(instance.id = instance, "The registration of {instance}, which has ended, is left in the store");
    }
    last
}

fn is_busy_reusable(runner: Option<&Runner>) -> bool {
    runner.is_some_and(|it| it.state == RunnerState::Busy && it.reuse.is_some())
}

/// Ends the instance of a runner that can't be registered, and gives its place in the fleet back. The ledger comes first:
/// whoever is killed in between leaves an instance that ends itself at its claim deadline, and nothing that is counted;
/// and where the runner has changed meanwhile, its instance is not ended. Answers whether it was given up.
pub(super) async fn end<P: Ports>(deps: &Deps<P>, runner: Runner) -> Result<bool, LedgerError> {
    let (fleet, instance) = (runner.fleet.clone(), runner.instance.clone());
    let writes = lives::kept(events::given_up(runner.clone()), Some(&runner), deps.clock.now());
    if deps.ledger.commit(writes).await? == Committed::Conflict {
        return Ok(false);
    }
    match deps.compute.terminate(std::slice::from_ref(&instance)).await {
        Ok(()) => warn!(fleet.name = fleet, instance.id = instance, "Ended {instance}, which can't be registered"),
        Err(error) => {
            error!(fleet.name = fleet, instance.id = instance, error = %Chain(&error), "{instance} is left to itself");
        }
    }
    Ok(true)
}

/// Leaves the runner to the next look, gives it back to its pool where it is stopped, or ends its instance. What may pass
/// is tried until the runner's boot deadline.
/// `fresh`: nobody had begun to register it before this invocation.
async fn give_up<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    runner: Runner,
    fresh: bool,
    failed: &Failed,
) -> Result<Outcome, LedgerError> {
    let fleet = task.fleet;
    let (instance, scope, asks) = (runner.instance.clone(), runner.scope.clone(), runner.asks.clone());
    if let Failed::Starting(id) = failed {
        info!(fleet.name = fleet.name, instance.id = instance, "{failed}");
        let lease_until = deps.clock.now() + u64::try_from(START_TIME.as_millis()).unwrap_or_default();
        let left = Write::PutRunner(Runner { lease_until, runner_id: Some(*id), ..runner });
        // Where it changed meanwhile, it has gone further.
        let _: Committed = deps.ledger.commit(vec![left]).await?;
        // By a wake-up of its own: a look before then does not know what this lease is for.
        let woken = deps.wake.wake(&fleet.name, START_TIME).await;
        return Ok(woken.map_or(Outcome::AGAIN, |()| Outcome::DONE));
    }
    let for_good =
        matches!(failed, Failed::GitHub(GitHubError::Permanent(_)) | Failed::Handover(HandoverError::Permanent(_)));
    if for_good {
        deps.metrics.refused("registration");
        error!(fleet.name = fleet.name, instance.id = instance, "{}", Chain(failed));
    }
    if is_unstarted(&runner) {
        // It costs nothing as it is, and is as good as before for whoever can be registered. Where it changed meanwhile, it
        // has ended or somebody else has it.
        let back = pool::given_back(runner, "it could not be registered", deps.clock.now());
        let _: Committed = deps.ledger.commit(vec![Write::PutRunner(back)]).await?;
    } else if for_good && fresh {
        end(deps, runner).await?;
    } else {
        // What was begun by a killed invocation may have come further than can be seen from here, and have a job. It is
        // not ended; if it has no registration it gives up at its claim deadline, so nobody is to try again.
        let lease_until = if for_good { runner.boot_deadline } else { 0 };
        let untouched = fresh && matches!(failed, Failed::Paced(_) | Failed::OutOfTime);
        let left = Write::PutRunner(Runner { lease_until, untouched, ..runner });
        // Where it changed meanwhile, it has ended or somebody else has it.
        let _: Committed = deps.ledger.commit(vec![left]).await?;
    }
    match (failed, scope) {
        (Failed::GitHub(GitHubError::Permanent(_)), Some(scope)) => {
            let said = Said { scope, asks, what: What::Refused(Chain(failed).to_string()) };
            task.said.borrow_mut().push(said);
            Ok(Outcome::DONE)
        }
        // SSM or S3 refuse it to every owner alike.
        (Failed::Handover(HandoverError::Permanent(_)), _) => {
            task.refused.replace(Some((plan::UNREGISTERED, Chain(failed).to_string())));
            Ok(Outcome::DONE)
        }
        (Failed::GitHub(error), Some(scope)) => Ok(refusals::hear(deps, task, &scope, &asks, error)),
        (Failed::Paced(until), _) => Ok(Outcome::at(*until)),
        (
            Failed::GitHub(_)
            | Failed::Handover(_)
            | Failed::Ledger(_)
            | Failed::OutOfTime
            | Failed::Start(_)
            | Failed::Starting(_),
            _,
        ) => {
            warn!(fleet.name = fleet.name, instance.id = instance, "{}", Chain(failed));
            Ok(Outcome::AGAIN)
        }
    }
}
