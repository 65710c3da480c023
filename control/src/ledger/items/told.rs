//! What the ledger tells people and is told by them, as items and parts of items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{BadItem, Builder, Fields, Item, MANUAL, fleet_pk, number, text};
use crate::ledger::{
    LastPlan, Manual,
    history::{Entry, History},
};

pub(super) fn from_entry(entry: &Entry) -> AttributeValue {
    let mut map = HashMap::from([("at".to_owned(), number(entry.at)), ("what".to_owned(), text(&entry.what))]);
    if !entry.detail.is_empty() {
        map.insert("detail".to_owned(), text(&entry.detail));
    }
    AttributeValue::M(map)
}

/// The history in an item. One that is not there or not understood is no reason to do without the rest.
pub(super) fn to_history(item: &Item) -> History {
    let entries = item.get("history").and_then(|list| list.as_l().ok()).map(Vec::as_slice).unwrap_or_default();
    let read = |entry: &AttributeValue| {
        let entry = Fields(entry.as_m().ok()?);
        let detail = entry.text("detail").unwrap_or_default();
        Some(Entry { at: entry.maybe_number("at")?, what: entry.text("what").ok()?, detail })
    };
    entries.iter().filter_map(read).collect()
}

/// A plan as an attribute of the meta item.
pub(in crate::ledger) fn from_last_plan(plan: &LastPlan) -> AttributeValue {
    let LastPlan { at, demand, supply, launched, held_back, max, paused_until } = *plan;
    let fields = [
        ("at", at),
        ("demand", demand),
        ("supply", supply),
        ("launched", launched),
        ("held_back", held_back),
        ("max", max),
        ("paused_until", paused_until),
    ];
    let mut map: Item = fields.into_iter().map(|(name, value)| (name.to_owned(), number(value))).collect();
    map.insert("reason".to_owned(), text(plan.reason()));
    AttributeValue::M(map)
}

pub(super) fn to_last_plan(map: &Item) -> Option<LastPlan> {
    let number = |name| Fields(map).maybe_number(name);
    Some(LastPlan {
        at: number("at")?,
        demand: number("demand")?,
        supply: number("supply")?,
        launched: number("launched")?,
        held_back: number("held_back")?,
        max: number("max")?,
        paused_until: number("paused_until")?,
    })
}

pub(in crate::ledger) fn from_manual(it: &Manual) -> Item {
    Builder::new(fleet_pk(&it.fleet), format!("{MANUAL}{}", it.id), 0)
        .number("count", u64::from(it.count))
        .text("repository", &it.repository)
        .number("installation_id", it.installation)
        .number("created_at", it.created_at)
        .number("expires", it.expires)
        .0
}

pub(in crate::ledger) fn to_manual(item: &Item) -> Result<Manual, BadItem> {
    let fields = Fields(item);
    Ok(Manual {
        fleet: fields.after("pk", "fleet#")?,
        id: fields.after("sk", MANUAL)?,
        count: u32::try_from(fields.number("count")?).map_err(|_| fields.bad("count"))?,
        repository: fields.text("repository")?,
        installation: fields.maybe_number("installation_id"),
        created_at: fields.number("created_at")?,
        expires: fields.number("expires")?,
    })
}
