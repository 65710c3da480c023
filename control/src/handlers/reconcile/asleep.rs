//! Instances of pools that are to be stopped, or are: EC2 is asked, since no agent tells of them.

use tracing::{info, warn};

use super::{Ports, Run, deaths::give_up};
use crate::{
    compute::instances::Instances,
    decide::{
        pool,
        reconcile::{
            asleep::{Fate, fate},
            deaths::{AtEc2, Verdict},
        },
    },
    ledger::{Committed, Ledger, Runner, View, Write},
    report::Chain,
};

/// The most that EC2 is asked about in one run: one call.
const MOST_ASKED: usize = 200;

/// Looks at those of `fleet`, whose level is `view`; answers how many were taken out of the ledger.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>, fleet: &str, view: &View) -> usize {
    let mut asleep: Vec<&Runner> = view.runners.iter().filter(|it| it.state.is_asleep()).collect();
    if asleep.is_empty() {
        return 0;
    }
    // Of many, others each minute.
    let minute = usize::try_from(run.now() / 60_000).unwrap_or_default();
    let turn = minute.wrapping_mul(MOST_ASKED) % asleep.len();
    asleep.rotate_left(turn);
    asleep.truncate(MOST_ASKED);
    let ids: Vec<String> = asleep.iter().map(|it| it.instance.clone()).collect();
    let states = match run.deps.compute.states(&ids).await {
        Ok(states) => states,
        Err(error) => {
            warn!(fleet.name = fleet, "{}", Chain(&error));
            return 0;
        }
    };
    let mut gone = 0;
    for runner in asleep {
        if !run.has_time() {
            break;
        }
        let ec2 = states.get(&runner.instance).copied().unwrap_or(AtEc2::Unasked);
        gone += usize::from(match fate(runner, ec2, run.now()) {
            Fate::Keep => false,
            Fate::Note => {
                note(run, runner).await;
                false
            }
            Fate::Forget => give_up(run, runner.clone(), Verdict::Forget, "stopped").await,
            Fate::End => give_up(run, runner.clone(), Verdict::End, "stopped").await,
        });
    }
    gone
}

/// Notes that EC2 has stopped it. Where that fails, or it has changed meanwhile, the next run sees it.
async fn note<P: Ports>(run: &Run<'_, P>, runner: &Runner) {
    let (fleet, instance) = (&runner.fleet, &runner.instance);
    match run.deps.ledger.commit(vec![Write::PutRunner(pool::stopped(runner.clone(), run.now()))]).await {
        Ok(Committed::Yes) => info!(fleet.name = fleet, instance.id = instance, "{instance} is stopped, for the pool"),
        Ok(Committed::Conflict) => {}
        Err(error) => warn!(fleet.name = fleet, instance.id = instance, "{}", Chain(&error)),
    }
}
