//! Queued jobs that make up for interrupted ones are launched for on-demand.

use crate::{
    clock::Millis,
    decide::{events::JobEvent, jobs::JobState, rerun},
    fleets::Fleets,
    ledger::{LedgerError, Reruns, Write},
};

/// Raises the job among `writes`, which follow from `event` for `fleet`, where it makes up for an interrupted one. Only
/// of runs that were made again the ledger is asked.
pub(super) async fn raise<L: Reruns>(
    (ledger, fleets): (&L, &Fleets),
    writes: &mut [Write],
    event: &JobEvent,
    fleet: &str,
    now: Millis,
) -> Result<(), LedgerError> {
    if event.state != JobState::Queued || event.run_attempt < 2 || writes.is_empty() {
        return Ok(());
    }
    if let Some(note) = ledger.rerun(event.run_id).await? {
        rerun::raise(writes, &note, fleets.get(fleet), event.run_attempt, now);
    }
    Ok(())
}
