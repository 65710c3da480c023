//! Doubts as items.

use super::{BadItem, Builder, Fields, Item, fleet_pk};
use crate::{decide::doubt::Why, ledger::Doubt};

/// Sort key prefix of the doubts.
pub(in crate::ledger) const DOUBT: &str = "doubt#";

/// Sort key of the doubt about `job`.
pub(in crate::ledger) fn doubt_sk(job: u64) -> String {
    format!("{DOUBT}{job}")
}

/// It is put with its job, whose version counts.
pub(in crate::ledger) fn from_doubt(it: &Doubt) -> Item {
    let otherwise = match &it.why {
        Why::Fork { otherwise } => otherwise.clone(),
        Why::Held => None,
    };
    Builder::new(fleet_pk(&it.fleet), doubt_sk(it.job), 0)
        .text("why", it.why.name())
        .maybe("otherwise", otherwise)
        .number("since", it.since)
        .number("ask_at", it.ask_at)
        .number("expires", it.expires)
        .0
}

pub(in crate::ledger) fn to_doubt(item: &Item) -> Result<Doubt, BadItem> {
    let fields = Fields(item);
    let why = match fields.text("why")? {
        why if why == Why::Held.name() => Why::Held,
        why if why == crate::decide::doubt::FORK => Why::Fork { otherwise: fields.text("otherwise").ok() },
        _ => return Err(fields.bad("why")),
    };
    Ok(Doubt {
        fleet: fields.after("pk", "fleet#")?,
        job: fields.after("sk", DOUBT)?.parse().map_err(|_| fields.bad("sk"))?,
        why,
        since: fields.number("since")?,
        ask_at: fields.number("ask_at")?,
        expires: fields.number("expires")?,
    })
}
