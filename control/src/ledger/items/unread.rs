//! What is left of an item that is not understood.

use super::{BadItem, Fields, Item, RESERVATION, RUNNER, sort_key};
use crate::ledger::{Unread, UnreadSupply};

/// What can be said of `item`, which is `bad`.
pub(in crate::ledger) fn unread(item: &Item, bad: &BadItem) -> Unread {
    Unread { why: bad.to_string(), supply: supply(item) }
}

/// What it gives, where that much can be read: a runner until its boot deadline, and a reservation for as long as an
/// invocation works on it.
fn supply(item: &Item) -> Option<UnreadSupply> {
    let fields = Fields(item);
    let scope = fields.text("scope").ok()?.parse().ok()?;
    let asks = fields.texts("asks");
    let (count, until) = match sort_key(item) {
        key if key.starts_with(RUNNER) => (1, fields.maybe_number("boot_deadline")?),
        key if key.starts_with(RESERVATION) => {
            (u32::try_from(fields.maybe_number("count")?).ok()?, fields.maybe_number("lease_until")?)
        }
        _ => return None,
    };
    Some(UnreadSupply { scope, asks, count, until })
}
