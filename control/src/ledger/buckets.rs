//! Buckets of tokens in DynamoDB: one item, with a number for each, so that one update takes from several.
//!
//! [`crate::decide::bucket::take`] in conditional updates: one where nobody has asked for a while, else two. Others that
//! ask at the same time are no reason to repeat it, as the second adds to whatever is there.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    ATTEMPTS, LedgerError,
    items::{self, Item},
};
use crate::decide::bucket::{self, Bucket, Fulls, Taken, Takes};

/// How long the item is kept when nobody asks: without it all buckets are full.
const KEPT_SECONDS: u64 = 24 * 3600;

/// Takes tokens, all or none.
pub(super) async fn take(client: &Client, table: &str, takes: &Takes) -> Result<Taken, LedgerError> {
    let mut known = Fulls::default();
    // More than ever fits: the conditions below would not see that.
    if let no @ Taken::No(_) = bucket::take(&known, takes) {
        return Ok(no);
    }
    for _ in 0..ATTEMPTS {
        let Expression { update, condition, names, values } = Expression::new(takes, &known);
        let sent = client
            .update_item()
            .table_name(table)
            .set_key(Some(items::key(items::BUCKETS.to_owned(), items::BUCKET.to_owned())))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match answer(sent.send().await)? {
            Found::Changed(full) => return Ok(Taken::Yes(full)),
            Found::Unchanged(full) => known = full,
        }
        if let no @ Taken::No(_) = bucket::take(&known, takes) {
            return Ok(no);
        }
    }
    Err(LedgerError::new("taking turns", format!("the buckets changed under {ATTEMPTS} attempts")))
}

/// The update that takes what is asked for out of buckets that are as they are `known`: on condition that those that are
/// full by then still are, and count from now on, and that the others are not and have room.
struct Expression {
    update: String,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Expression {
    fn new(takes: &Takes, known: &Fulls) -> Self {
        let mut values = Item::new();
        let mut value = |name: String, number: u64| {
            values.insert(name.clone(), items::number(number));
            name
        };
        let expires = value(":expires".to_owned(), takes.now / 1_000_000 + KEPT_SECONDS);
        let (mut sets, mut conditions, mut names) = (vec![format!("expires = {expires}")], Vec::new(), HashMap::new());
        for it in &takes.of {
            let name = it.bucket.name();
            let attribute = format!("#{name}");
            names.insert(attribute.clone(), name.to_owned());
            let is_full = known.get(&it.bucket).is_none_or(|full| *full <= takes.now);
            if it.cost == 0 {
                let latest = value(format!(":latest_{name}"), it.latest);
                conditions.push(format!("(attribute_not_exists({attribute}) OR {attribute} <= {latest})"));
            } else if is_full {
                let (now, until) =
                    (value(":now".to_owned(), takes.now), value(format!(":until_{name}"), takes.now + it.cost));
                conditions.push(format!("(attribute_not_exists({attribute}) OR {attribute} <= {now})"));
                sets.push(format!("{attribute} = {until}"));
            } else {
                let (now, latest) = (value(":now".to_owned(), takes.now), value(format!(":latest_{name}"), it.latest));
                let cost = value(format!(":cost_{name}"), it.cost);
                conditions.push(format!("({attribute} > {now} AND {attribute} <= {latest})"));
                sets.push(format!("{attribute} = {attribute} + {cost}"));
            }
        }
        Self { update: format!("SET {}", sets.join(", ")), condition: conditions.join(" AND "), names, values }
    }
}

enum Found {
    Changed(Fulls),
    Unchanged(Fulls),
}

fn answer<R>(sent: Result<UpdateItemOutput, SdkError<UpdateItemError, R>>) -> Result<Found, LedgerError>
where
    SdkError<UpdateItemError, R>: std::error::Error + Send + Sync + 'static,
{
    match sent {
        Ok(answer) => Ok(Found::Changed(fulls(answer.attributes()))),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Found::Unchanged(fulls(failed.item())))
            }
            _ => Err(LedgerError::new("taking turns", error)),
        },
    }
}

fn fulls(item: Option<&Item>) -> Fulls {
    let full = |bucket: &Bucket| item?.get(bucket.name()).and_then(|it: &AttributeValue| it.as_n().ok())?.parse().ok();
    Bucket::ALL.iter().filter_map(|bucket| Some((*bucket, full(bucket)?))).collect()
}
