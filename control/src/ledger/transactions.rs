//! The ledger's writes as parts of a transaction.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{ConditionCheck, Delete, Put, TransactWriteItem, Update, builders::UpdateBuilder},
};

use super::{
    Failure, Write,
    items::{self, Item},
};
use crate::clock::Millis;

/// Whether a transaction was refused because something had changed or is being changed: then all that can be done is
/// to read and decide again. Throttling and faults are not conflicts.
pub(super) fn is_conflict(error: &SdkError<TransactWriteItemsError>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
            .cancellation_reasons()
            .iter()
            .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))),
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => true,
        _ => false,
    }
}

/// The part of a transaction that makes `write` in `table`, on its condition.
pub(super) fn to_transaction(
    table: &str,
    write: &Write,
) -> Result<TransactWriteItem, aws_smithy_types::error::operation::BuildError> {
    let whole = TransactWriteItem::builder();
    let put = |item: Item| Put::builder().table_name(table).set_item(Some(item));
    let delete = |pk, sk| Delete::builder().table_name(table).set_key(Some(items::key(pk, sk)));
    let versioned = |item: Item, version: u64| {
        if version == 0 {
            put(item).condition_expression("attribute_not_exists(pk)")
        } else {
            put(item).condition_expression("v = :seen").expression_attribute_values(":seen", items::number(version))
        }
    };
    let dropped = |item: Item, version: u64| {
        let key = item.into_iter().filter(|(name, _)| name == "pk" || name == "sk").collect();
        Delete::builder()
            .table_name(table)
            .set_key(Some(key))
            .condition_expression("v = :seen")
            .expression_attribute_values(":seen", items::number(version))
    };
    let whole = match write {
        Write::PutJob(job) => whole.put(versioned(items::from_job(job), job.version).build()?),
        Write::PutMarker(marker) => whole.put(put(items::from_marker(marker)).build()?),
        Write::TakeMarker { fleet, job } => {
            whole.delete(delete(items::fleet_pk(fleet), format!("{}{job}", items::QUEUED)).build()?)
        }
        Write::PutDoubt(doubt) => whole.put(put(items::from_doubt(doubt)).build()?),
        Write::DropDoubt { fleet, job } => whole.delete(delete(items::fleet_pk(fleet), items::doubt_sk(*job)).build()?),
        Write::Reserve { fleet, rev, count, max, at, plan } => {
            let update = reserve(table, fleet, *rev, *count, *max, *at, plan.is_some());
            let plan = plan.as_ref().map(items::from_last_plan);
            let update = plan.into_iter().fold(update, |it, plan| it.expression_attribute_values(":plan", plan));
            whole.update(update.build()?)
        }
        Write::Advance { fleet, rev } => whole.update(advance(table, fleet, *rev).build()?),
        Write::Recover { fleet } => whole.update(meta(table, fleet).update_expression("REMOVE last_error").build()?),
        Write::PutOffers(it) => whole.put(versioned(items::from_offers(it), it.version).build()?),
        Write::StillQueued { fleet, job } => whole.condition_check(
            ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(items::key(items::fleet_pk(fleet), format!("{}{job}", items::QUEUED))))
                .condition_expression("attribute_exists(pk)")
                .build()?,
        ),
        Write::Free { fleet, count, ran_job, failure } => {
            whole.update(free(table, fleet, *count, *ran_job, failure.as_ref()).build()?)
        }
        Write::PutReservation(it) => whole.put(versioned(items::from_reservation(it), it.version).build()?),
        Write::DropReservation(it) => whole.delete(dropped(items::from_reservation(it), it.version).build()?),
        Write::PutRunner(it) => whole.put(versioned(items::from_runner(it), it.version).build()?),
        Write::PutLife(it) => whole.put(put(items::from_life(it)).build()?),
        Write::DropRunner(it) => whole.delete(dropped(items::from_runner(it), it.version).build()?),
    };
    Ok(whole.build())
}

fn meta(table: &str, fleet: &str) -> UpdateBuilder {
    let key = items::key(items::fleet_pk(fleet), items::META.to_owned());
    Update::builder().table_name(table).set_key(Some(key))
}

/// A fleet that never launched anything has no `rev` and no `alive`; 0 was read then.
fn reserve(table: &str, fleet: &str, rev: u64, count: u32, max: u64, at: Millis, tells_plan: bool) -> UpdateBuilder {
    let update = meta(table, fleet)
        .update_expression(if tells_plan {
            "SET rev = :next, reserved_at = :at, last_plan = :plan ADD alive :count"
        } else {
            "SET rev = :next, reserved_at = :at ADD alive :count"
        })
        .expression_attribute_values(":at", items::number(at))
        .expression_attribute_values(":next", items::number(rev + 1))
        .expression_attribute_values(":count", items::number(count));
    // The plan never asks for more than fits; a fleet without `alive` has room for all of `max`.
    if rev == 0 {
        return update.condition_expression("attribute_not_exists(rev)");
    }
    update
        .condition_expression("rev = :rev AND alive <= :room")
        .expression_attribute_values(":rev", items::number(rev))
        .expression_attribute_values(":room", items::number(max.saturating_sub(u64::from(count))))
}

/// Whatever is counted: `max` may have been lowered.
fn advance(table: &str, fleet: &str, rev: u64) -> UpdateBuilder {
    let update = meta(table, fleet)
        .update_expression("SET rev = :next")
        .expression_attribute_values(":next", items::number(rev + 1));
    if rev == 0 {
        return update.condition_expression("attribute_not_exists(rev)");
    }
    update.condition_expression("rev = :rev").expression_attribute_values(":rev", items::number(rev))
}

/// A count of 0 is of a fleet that may have no `alive` yet; any other was added before.
fn free(table: &str, fleet: &str, count: u32, ran_job: bool, failure: Option<&Failure>) -> UpdateBuilder {
    let mut update = meta(table, fleet);
    let mut sets = Vec::new();
    if count > 0 {
        sets.push("alive = alive - :count");
        update = update.expression_attribute_values(":count", items::number(count));
    }
    if let Some(it) = failure {
        sets.extend(["failures = :failures", "paused_until = :until"]);
        let unpaused = "(attribute_not_exists(paused_until) OR paused_until <= :at)";
        update = if it.seen == 0 {
            update.condition_expression(format!("{unpaused} AND attribute_not_exists(failures)"))
        } else {
            update
                .condition_expression(format!("{unpaused} AND failures = :seen"))
                .expression_attribute_values(":seen", items::number(it.seen))
        };
        update = update
            .expression_attribute_values(":failures", items::number(it.count))
            .expression_attribute_values(":until", items::number(it.until))
            .expression_attribute_values(":at", items::number(it.at));
    }
    let forget = if ran_job && failure.is_none() { " REMOVE failures" } else { "" };
    update.update_expression(format!("SET {}{forget}", sets.join(", ")))
}
