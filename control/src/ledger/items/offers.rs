//! A fleet's breakers as an item.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{BadItem, Builder, Fields, Item, OFFERS, fleet_pk, number, text};
use crate::{
    decide::breaker::{Breaker, Breakers},
    ledger::Offers,
};

pub(in crate::ledger) fn from_offers(it: &Offers) -> Item {
    let breaker = |it: &Breaker| {
        let why = (!it.why.is_empty()).then(|| ("why", text(&it.why)));
        let fields = [("failures", number(it.failures)), ("until", number(it.until))].into_iter().chain(why);
        AttributeValue::M(fields.map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let breakers = it.breakers.0.iter().map(|(key, it)| (key.clone(), breaker(it))).collect();
    let builder = Builder::new(fleet_pk(&it.fleet), OFFERS.to_owned(), it.version);
    let mut item = builder.number("expires", it.breakers.expires()).0;
    item.insert("offers".to_owned(), AttributeValue::M(breakers));
    item
}

/// A breaker that is not understood counts as closed: what it stands for is asked for, and EC2 or GitHub says what it
/// thinks. So does an item without any.
pub(in crate::ledger) fn to_offers(item: &Item) -> Result<Offers, BadItem> {
    let fields = Fields(item);
    let breaker = |(key, it): (&String, &AttributeValue)| {
        let fields = Fields(it.as_m().ok()?);
        let (failures, until) = (fields.maybe_number("failures")?, fields.maybe_number("until")?);
        Some((key.clone(), Breaker { failures, until, why: fields.text("why").unwrap_or_default() }))
    };
    let breakers = item.get("offers").and_then(|it| it.as_m().ok());
    Ok(Offers {
        fleet: fields.after("pk", "fleet#")?,
        breakers: Breakers(breakers.map(|it| it.iter().filter_map(breaker).collect()).unwrap_or_default()),
        version: fields.number("v")?,
    })
}
