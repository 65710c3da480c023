//! Buckets of tokens in DynamoDB: one item each, of one number.
//!
//! [`crate::decide::bucket::take`] in conditional updates: one where nobody has asked for a while, else two. Neither has
//! to be repeated because of others that ask at the same time, as the second adds to whatever is there.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    ATTEMPTS, LedgerError,
    items::{self, Item},
};
use crate::decide::bucket::{Bucket, Micros, Take, Taken};

/// How long the item of a bucket that is full again is kept: none counts as a full one too.
const KEPT_SECONDS: u64 = 24 * 3600;

/// Takes tokens, all or none.
pub(super) async fn take(client: &Client, table: &str, bucket: Bucket, take: Take) -> Result<Taken, LedgerError> {
    let key = items::key(items::bucket_pk(bucket.name()), items::BUCKET.to_owned());
    let update = || {
        client
            .update_item()
            .table_name(table)
            .set_key(Some(key.clone()))
            .expression_attribute_names("#full", "full")
            .expression_attribute_values(":now", items::number(take.now))
            .expression_attribute_values(":expires", items::number(take.now / 1_000_000 + KEPT_SECONDS))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    };
    for _ in 0..ATTEMPTS {
        // Full by now: it counts from now on.
        let idle = update()
            .update_expression("SET #full = :until, expires = :expires")
            .condition_expression("attribute_not_exists(#full) OR #full <= :now")
            .expression_attribute_values(":until", items::number(take.now + take.cost));
        match answer(bucket, idle.send().await)? {
            Found::Changed(_) => return Ok(Taken::Yes(take.now + take.cost)),
            Found::Unchanged(Some(full)) if full > take.latest => return Ok(Taken::No(full)),
            Found::Unchanged(_) => {}
        }
        let busy = update()
            .update_expression("SET #full = #full + :cost, expires = :expires")
            .condition_expression("#full > :now AND #full <= :latest")
            .expression_attribute_values(":cost", items::number(take.cost))
            .expression_attribute_values(":latest", items::number(take.latest));
        match answer(bucket, busy.send().await)? {
            Found::Changed(full) => return Ok(Taken::Yes(full.unwrap_or(take.latest + take.cost))),
            Found::Unchanged(Some(full)) if full > take.latest => return Ok(Taken::No(full)),
            // TTL took the item between the two.
            Found::Unchanged(_) => {}
        }
    }
    Err(LedgerError::new(
        format!("taking from bucket {}", bucket.name()),
        format!("it changed under {ATTEMPTS} attempts"),
    ))
}

enum Found {
    Changed(Option<Micros>),
    Unchanged(Option<Micros>),
}

fn answer<R>(bucket: Bucket, sent: Result<UpdateItemOutput, SdkError<UpdateItemError, R>>) -> Result<Found, LedgerError>
where
    SdkError<UpdateItemError, R>: std::error::Error + Send + Sync + 'static,
{
    let full = |item: Option<&Item>| item?.get("full")?.as_n().ok()?.parse().ok();
    match sent {
        Ok(answer) => Ok(Found::Changed(full(answer.attributes()))),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(Found::Unchanged(full(failed.item()))),
            _ => Err(LedgerError::new(format!("taking from bucket {}", bucket.name()), error)),
        },
    }
}
