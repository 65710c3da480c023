//! Idle runners of a drained fleet are retired.

use tracing::{info, warn};

use super::{Ports, Run};
use crate::{
    decide::reconcile::drained::to_retire,
    handlers::retire::{Retired, retire},
    ledger::{Ledger, View},
    report::Chain,
};

/// The most that are retired in one run: two calls to GitHub for each.
const MOST_AT_GITHUB: usize = 10;

/// Retires idle runners of `fleet`, whose level was read in this run.
pub(super) async fn look<P: Ports>(run: &Run<'_, P>, fleet: &str, view: &View) {
    for runner in to_retire(view, run.now(), MOST_AT_GITHUB) {
        if !run.has_time() {
            return;
        }
        let instance = &runner.instance;
        // The others took their time, and a job may have come.
        let now = match run.deps.ledger.runner(fleet, instance).await {
            Ok(Some(now)) => now,
            Ok(None) => continue,
            Err(error) => {
                warn!(fleet.name = fleet, "{}", Chain(&error));
                return;
            }
        };
        match retire(&run.deps.github, &now).await {
            Ok(Retired::Deleted) => {
                info!(fleet.name = fleet, instance.id = instance, "{instance} retires, since fleet {fleet} is drained");
            }
            Ok(other) => info!(fleet.name = fleet, instance.id = instance, came = ?other, "{instance} is not retired"),
            Err(error) => warn!(fleet.name = fleet, instance.id = instance, "{}", Chain(&error)),
        }
    }
}
