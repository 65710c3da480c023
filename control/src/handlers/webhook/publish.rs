//! GitHub's events onto the user's bus. Whatever happens here, the job goes on.

use std::time::Duration;

use serde_json::Value;
use tracing::error;

use super::{Deps, Ports};
use crate::{
    bus::{Bus, BusError, detail::detail},
    handlers::asking::within,
    report::Chain,
};

/// The user's rules can wait; GitHub's delivery can't for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Puts an event of the kind `event`, `workflow_job` or `check_run`, on the bus, where there is one.
pub(super) async fn publish<P: Ports>(deps: &Deps<P>, delivery: &str, event: &str, payload: &Value) {
    let Some(bus) = &deps.bus else { return };
    let put = within(&deps.clock, PATIENCE, Box::pin(bus.put(event, detail(payload)))).await.unwrap_or_else(|| {
        let source = format!("it was not done within {} s", PATIENCE.as_secs()).into();
        Err(BusError { detail_type: event.to_owned(), source })
    });
    if let Err(error) = put {
        deps.metrics.refused("not_published");
        // A metric counts these lines by their message (terraform/bus.tf).
        error!(delivery.id = delivery, error = %Chain(&error), "An event did not get to the bus");
    }
}
