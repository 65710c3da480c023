//! One runner gets its registration: a JIT config from GitHub, handed over to its instance.

use std::time::Duration;

use dayfly_contract::{Grant, Registration, VERSION, names};
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::{Task, pause, refused},
};
use crate::{
    clock::{Clock, Millis},
    decide::{events, runners::RunnerState},
    fleets::Target,
    github::{GitHub, GitHubError, Jit, NewRunner},
    handover::{Handover, HandoverError},
    ledger::{ATTEMPTS, Committed, Ledger, LedgerError, Runner, Write},
    report::Chain,
};

/// No registration is begun when less time is left; it is two calls.
const TIME_NEEDED: Millis = 3000;
/// How long a fleet is left alone when GitHub refuses its runners for good: their instances give up by themselves, and
/// launching others at once would only repeat it.
const REFUSED_WAIT: Duration = Duration::from_mins(5);
/// How long a runner may take from claiming its registration to being online: on a cold disk, .NET alone takes 20 s.
const START_TIME: Duration = Duration::from_mins(1);

/// Why a registration was not made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the invocation ends too soon")]
    OutOfTime,
    #[error("runner {0} was registered by a killed invocation and may be starting")]
    Starting(u64),
}

/// Registers `runner`. What fails here is this runner's alone; the others go on.
pub(super) async fn register<P: Ports>(deps: &Deps<P>, task: &Task<'_>, runner: Runner) -> Outcome {
    // The semaphore is never closed; without a permit there would only be more at a time.
    let _permit = task.permits.acquire().await;
    let Some(scope) = runner.scope.clone() else { return Outcome::Done };
    let target = task.fleet.target(scope, runner.installation);
    match hand_over(deps, task, &target, &runner).await {
        Ok(runner_id) => match note(deps, &target, runner, runner_id).await {
            Ok(()) => Outcome::Done,
            Err(failed) => {
                warn!(fleet.name = task.fleet.name, "{}", Chain(&failed));
                Outcome::Again
            }
        },
        Err(failed) => give_up(deps, task, runner, &failed).await.unwrap_or_else(|error| {
            error!(fleet.name = task.fleet.name, "{}", Chain(&error));
            Outcome::Again
        }),
    }
}

/// Registers at GitHub and hands over; answers GitHub's id of the runner.
async fn hand_over<P: Ports>(deps: &Deps<P>, task: &Task<'_>, target: &Target, runner: &Runner) -> Result<u64, Failed> {
    let fleet = task.fleet;
    if deps.clock.now() + TIME_NEEDED > task.deadline {
        return Err(Failed::OutOfTime);
    }
    let name = names::runner_name(&fleet.name, &runner.instance);
    let new = NewRunner { name, labels: fleet.labels.clone(), group: fleet.github.runner_group_id };
    let started = deps.clock.now();
    let Jit { runner_id, config } = match deps.github.jit_config(target, &new).await {
        Err(GitHubError::NameTaken { name }) => {
            // Only after a crash. Whoever registered it got further or did not.
            let Some(found) = deps.github.find_runner(target, &name).await? else {
                return Err(GitHubError::NameTaken { name }.into());
            };
            if found.online || deps.handover.exists(&runner.instance).await? {
                return Ok(found.id);
            }
            // Offline, and its registration is not there: it was never handed over, or it was claimed and the runner
            // is starting just now. Only one that is found so twice is the former.
            if runner.runner_id != Some(found.id) {
                return Err(Failed::Starting(found.id));
            }
            deps.github.delete_runner(target, found.id).await?;
            deps.github.jit_config(target, &new).await?
        }
        other => other?,
    };
    let registration = Registration {
        version: VERSION,
        reservation: runner.reservation.clone(),
        runner_name: new.name,
        grant: Grant::Jit { runner_id, jit_config: config },
    };
    match deps.handover.put(&runner.instance, &registration).await {
        // Of a registration that GitHub no longer knows.
        Err(HandoverError::Exists { .. }) => {
            deps.handover.delete(&runner.instance).await?;
            deps.handover.put(&runner.instance, &registration).await?;
        }
        other => other?,
    }
    info!(
        fleet.name = fleet.name,
        instance.id = runner.instance,
        runner.id = runner_id,
        runner.name = registration.runner_name,
        duration_ms = deps.clock.now().saturating_sub(started),
        since_reserved_ms = deps.clock.now().saturating_sub(runner.launched_at),
        "Registered {}",
        registration.runner_name
    );
    Ok(runner_id)
}

/// Notes in the ledger that the runner is registered. Where its instance has no use for that any more, it is taken
/// back.
async fn note<P: Ports>(deps: &Deps<P>, target: &Target, runner: Runner, runner_id: u64) -> Result<(), Failed> {
    let (fleet, instance) = (runner.fleet.clone(), runner.instance.clone());
    let mut now_is = Some(runner);
    for attempt in 1..=ATTEMPTS {
        let unwanted = match now_is.as_ref().map(|runner| runner.state) {
            // The instance has ended.
            None | Some(RunnerState::Gone | RunnerState::Spent) => true,
            // It has a job: by this registration, or by an earlier one that a killed invocation handed over, and then
            // nobody claims this one.
            Some(RunnerState::Busy) => deps.handover.exists(&instance).await?,
            Some(RunnerState::Launched | RunnerState::Registered) => false,
        };
        if unwanted {
            warn!(fleet.name = fleet, instance.id = instance, "Took back a registration that {instance} does not need");
            deps.handover.delete(&instance).await?;
            deps.github.delete_runner(target, runner_id).await?;
            return Ok(());
        }
        let Some(write) = now_is.and_then(|runner| events::registered(runner, runner_id)) else { return Ok(()) };
        if deps.ledger.commit(vec![write]).await? == Committed::Yes {
            return Ok(());
        }
        deps.clock.sleep(deps.clock.jitter(attempt)).await;
        now_is = deps.ledger.runner(&fleet, &instance).await?;
    }
    // It is registered all the same; the next look finds it online, or the webhook of its job does.
    Ok(())
}

/// Leaves the runner to the next look, or to itself.
async fn give_up<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    runner: Runner,
    failed: &Failed,
) -> Result<Outcome, LedgerError> {
    let fleet = task.fleet;
    let instance = runner.instance.clone();
    if let Failed::Starting(id) = failed {
        info!(fleet.name = fleet.name, instance.id = instance, "{failed}");
        let lease_until = deps.clock.now() + u64::try_from(START_TIME.as_millis()).unwrap_or_default();
        let left = Write::PutRunner(Runner { lease_until, runner_id: Some(*id), ..runner });
        // Where it changed meanwhile, it has gone further.
        let _: Committed = deps.ledger.commit(vec![left]).await?;
        return Ok(Outcome::Later(START_TIME));
    }
    let for_good =
        matches!(failed, Failed::GitHub(GitHubError::Permanent(_)) | Failed::Handover(HandoverError::Permanent(_)));
    // For good: the instance gives up at its claim deadline, so nobody is to try again before its boot deadline.
    let lease_until = if for_good { runner.boot_deadline } else { 0 };
    let left = Write::PutRunner(Runner { lease_until, ..runner });
    // Where it changed meanwhile, it has ended or somebody else has it.
    let _: Committed = deps.ledger.commit(vec![left]).await?;
    if for_good {
        error!(fleet.name = fleet.name, instance.id = instance, "{}", Chain(failed));
        return pause(deps, fleet, REFUSED_WAIT).await;
    }
    match failed {
        Failed::GitHub(error) => refused(deps, fleet, error).await,
        Failed::Handover(_) | Failed::Ledger(_) | Failed::OutOfTime | Failed::Starting(_) => {
            warn!(fleet.name = fleet.name, instance.id = instance, "{}", Chain(failed));
            Ok(Outcome::Again)
        }
    }
}
