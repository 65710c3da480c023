//! What the pool gives to jobs, and what it has no use for.
//!
//! Both are written down before anything else happens: an instance that is claimed is then registered as one that has just
//! been launched, and whoever is killed in between leaves a runner whose lease runs out. One that is withdrawn is told so
//! where it looks for its registration, and its agent ends it; one that is stopped has no agent, and is ended here. What
//! is to be stopped is so by EC2 alone: `reconcile` sees when it is.

use std::time::Duration;

use dayfly_contract::{Grant, Registration, VERSION, names};
use tracing::{error, info, warn};

use super::{
    Deps, Outcome, Ports,
    look::{Task, Work, admit, still_queued},
    refusals,
};
use crate::{
    clock::Clock,
    compute::{Compute, PowerError},
    decide::{
        errors::Class,
        events, lives,
        plan::{Claim, Plan},
        pool::{self, MOST_AT_ONCE},
    },
    fleets::Scope,
    handover::{Handover, HandoverError},
    ledger::{Committed, Ledger, LedgerError, Runner, View, Write},
    metrics::Metric,
    report::Chain,
    trace,
};

/// So many are withdrawn in one look, and the next is so much later: SSM takes 3 writes a second by default, and jobs
/// want them too.
const MOST_WITHDRAWN: usize = 5;
const NEXT_WITHDRAWAL: Duration = Duration::from_secs(4);

/// Writes down what of the pool the jobs of `planned` get, and what is to go, on the level that is `view`. Answers the
/// fleet's `rev` then; none where somebody else has changed the level meanwhile, or a job has got its runner.
pub(super) async fn settle<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    view: &View,
    planned: &Plan,
    work: &mut Work,
) -> Result<Option<u64>, LedgerError> {
    let (fleet, mut rev) = (task.fleet, view.meta.rev);
    let checks = still_queued(fleet, planned);
    let admitted = admitted(deps, task, &planned.claims, work).await;
    let trace = trace::current().map(|trace| trace.to_string());
    let now = deps.clock.now();
    let claimed: Vec<Runner> = admitted
        .map(|Claim { runner, target, asks }| {
            let trace = trace.clone();
            pool::claimed(runner, &target, &asks, trace, fleet.boot_seconds, task.lease_until, now)
        })
        .collect();
    for part in claimed.chunks(MOST_AT_ONCE) {
        let mut writes = vec![Write::Advance { fleet: fleet.name.clone(), rev }];
        writes.extend(part.iter().cloned().map(Write::PutRunner));
        writes.extend(checks.iter().cloned());
        if deps.ledger.commit(writes).await? == Committed::Conflict {
            return Ok(None);
        }
        rev += 1;
        for it in part {
            info!(
                fleet.name = fleet.name,
                instance.id = it.instance,
                stood_by_ms = now.saturating_sub(it.launched_at),
                "{} of the pool is given to a job",
                it.instance
            );
        }
        deps.metrics.add(Metric::PoolClaims, part.len() as u64, &[("Fleet", &fleet.name)]);
        // Nobody has asked GitHub for it before.
        work.runners.extend(part.iter().map(|it| Runner { version: it.next_version(), untouched: true, ..it.clone() }));
    }
    let stopping: Vec<Runner> =
        planned.stops.iter().map(|it| pool::stopping(it.clone(), task.lease_until, now)).collect();
    for part in stopping.chunks(MOST_AT_ONCE) {
        let mut writes = vec![Write::Advance { fleet: fleet.name.clone(), rev }];
        writes.extend(part.iter().cloned().map(Write::PutRunner));
        if deps.ledger.commit(writes).await? == Committed::Conflict {
            return Ok(None);
        }
        rev += 1;
        work.stopping.extend(part.iter().cloned().map(next_version));
    }
    let surplus = &planned.surplus[..planned.surplus.len().min(MOST_WITHDRAWN)];
    if surplus.is_empty() {
        return Ok(Some(rev));
    }
    let leave = |it: &Runner| pool::withdrawn(it.clone(), task.lease_until, now);
    let leaving: Vec<Runner> = surplus.iter().map(leave).collect();
    let mut writes = vec![Write::Advance { fleet: fleet.name.clone(), rev }];
    writes.extend(leaving.iter().cloned().map(Write::PutRunner));
    if deps.ledger.commit(writes).await? == Committed::Conflict {
        return Ok(None);
    }
    work.withdrawn.extend(leaving.into_iter().map(next_version));
    if planned.surplus.len() > MOST_WITHDRAWN {
        let wait = u64::try_from(NEXT_WITHDRAWAL.as_millis()).unwrap_or_default();
        work.and(Outcome::at(now + wait));
    }
    Ok(Some(rev + 1))
}

/// `it`, as the ledger has it once it was put.
fn next_version(it: Runner) -> Runner {
    Runner { version: it.next_version(), ..it }
}

/// Those whose owner GitHub gives runners, as far as that can be known beforehand.
async fn admitted<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    claims: &[Claim],
    work: &mut Work,
) -> impl Iterator<Item = Claim> {
    let (mut asked, mut refused): (Vec<Scope>, Vec<Scope>) = (Vec::new(), Vec::new());
    for Claim { target, .. } in claims {
        if asked.contains(&target.scope) {
            continue;
        }
        asked.push(target.scope.clone());
        if let Err(error) = admit(deps, task.fleet, target).await {
            work.and(refusals::hear(deps, task, &target.scope, &[], &error));
            refused.push(target.scope.clone());
        }
    }
    let claims: Vec<Claim> = claims.to_vec();
    claims.into_iter().filter(move |it| !refused.contains(&it.target.scope))
}

/// Takes over from whoever withdrew an instance and was killed before it was told, or before EC2 was asked to stop it. What
/// was claimed and not started goes back to the pool, also in `view`: the plan is to find it there.
pub(super) async fn take_over<P: Ports>(
    deps: &Deps<P>,
    task: &Task<'_>,
    view: &mut View,
    work: &mut Work,
) -> Result<(), LedgerError> {
    for left in pool::unstarted(view, deps.clock.now()) {
        let back = pool::given_back(left, "whoever was to start it is gone", deps.clock.now());
        if deps.ledger.commit(vec![Write::PutRunner(back.clone())]).await? == Committed::Yes {
            warn!(
                fleet.name = back.fleet,
                instance.id = back.instance,
                "{} was claimed and not started",
                back.instance
            );
            if let Some(of_view) = view.runners.iter_mut().find(|it| it.instance == back.instance) {
                *of_view = next_version(back);
            }
        }
    }
    for left in pool::untold(view, deps.clock.now()).into_iter().take(MOST_WITHDRAWN) {
        let it = Runner { lease_until: task.lease_until, ..left };
        if deps.ledger.commit(vec![Write::PutRunner(it.clone())]).await? == Committed::Yes {
            work.withdrawn.push(next_version(it));
        }
    }
    for left in pool::unstopped(view, deps.clock.now()).into_iter().take(MOST_AT_ONCE) {
        let it = Runner { lease_until: task.lease_until, ..left };
        if deps.ledger.commit(vec![Write::PutRunner(it.clone())]).await? == Committed::Yes {
            work.stopping.push(next_version(it));
        }
    }
    Ok(())
}

/// Has EC2 stop those that are written down as such. What EC2 does not take stands by as before; where it can't be asked,
/// the lease runs out, and the next look asks again.
pub(super) async fn stop<P: Ports>(deps: &Deps<P>, task: &Task<'_>, stopping: Vec<Runner>) -> Outcome {
    let mut outcome = Outcome::DONE;
    for part in stopping.chunks(MOST_AT_ONCE) {
        let ids: Vec<String> = part.iter().map(|it| it.instance.clone()).collect();
        match deps.compute.stop(&ids).await {
            Ok(()) => info!(fleet.name = task.fleet.name, instances = ids.join(" "), "Stops {} of the pool", ids.len()),
            Err(error) if error.class == Class::Transient => {
                warn!(fleet.name = task.fleet.name, "{}", Chain(&error));
                outcome = outcome.and(Outcome::AGAIN);
            }
            // Of several one may be refused, and EC2 stops all of them or none.
            Err(_) if part.len() > 1 => {
                for it in part {
                    outcome = outcome.and(Box::pin(stop(deps, task, vec![it.clone()])).await);
                }
            }
            Err(error) => {
                for it in part {
                    outcome = outcome.and(not_stopped(deps, it, &error).await);
                }
            }
        }
    }
    outcome
}

async fn not_stopped<P: Ports>(deps: &Deps<P>, it: &Runner, why: &PowerError) -> Outcome {
    deps.metrics.refused("stop");
    error!(fleet.name = it.fleet, instance.id = it.instance, "{} runs on: {}", it.instance, Chain(why));
    let back = Write::PutRunner(pool::not_stopped(it.clone(), deps.clock.now()));
    match deps.ledger.commit(vec![back]).await {
        // Where it changed meanwhile it has ended.
        Ok(Committed::Yes | Committed::Conflict) => Outcome::DONE,
        Err(error) => {
            warn!(fleet.name = it.fleet, instance.id = it.instance, "{}", Chain(&error));
            Outcome::AGAIN
        }
    }
}

/// Ends a stopped instance that the pool has no use for, and frees its place. EC2 comes first: whoever is killed in between
/// leaves a place that is taken, and the next look ends it again.
async fn end<P: Ports>(deps: &Deps<P>, it: Runner) {
    let (fleet, instance) = (it.fleet.clone(), it.instance.clone());
    if let Err(error) = deps.compute.terminate(std::slice::from_ref(&instance)).await {
        warn!(fleet.name = fleet, instance.id = instance, "{}", Chain(&error));
        return;
    }
    let writes = lives::kept(events::given_up(it.clone()), Some(&it), deps.clock.now());
    match deps.ledger.commit(writes).await {
        Ok(Committed::Yes) => info!(fleet.name = fleet, instance.id = instance, "Ended {instance}, which was stopped"),
        Ok(Committed::Conflict) => {}
        Err(error) => warn!(fleet.name = fleet, instance.id = instance, "{}", Chain(&error)),
    }
}

/// Tells those that were withdrawn, where they look for their registration. Where that fails, another look does it when
/// the lease is over; and each ends itself at its lifetime.
pub(super) async fn tell<P: Ports>(deps: &Deps<P>, task: &Task<'_>, withdrawn: Vec<Runner>) {
    for it in withdrawn {
        if it.stops.is_asleep() {
            end(deps, it).await;
            continue;
        }
        let registration = Registration {
            version: VERSION,
            reservation: it.reservation,
            runner_name: names::runner_name(&it.fleet, &it.instance),
            trace: it.trace,
            grant: Grant::Leave { leave: "surplus".to_owned() },
        };
        match deps.handover.put(task.fleet.handover, &it.instance, &registration).await {
            // Told before.
            Ok(()) | Err(HandoverError::Exists { .. }) => {
                info!(fleet.name = it.fleet, instance.id = it.instance, "{} leaves the pool", it.instance);
            }
            Err(error) => warn!(fleet.name = it.fleet, instance.id = it.instance, "{}", Chain(&error)),
        }
    }
}
