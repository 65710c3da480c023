//! The ledger in DynamoDB.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{Delete, Put, TransactWriteItem, Update},
};

use super::{
    Committed, Job, LastError, LastPlan, Ledger, LedgerError, Marker, Meta, Notes, Offers, Runner, View, Write,
    buckets,
    items::{self, Item},
};
use crate::{
    decide::bucket::{Bucket, Take, Taken},
    report::BoxError,
};

/// A table of DynamoDB with keys `pk` and `sk` (text) and the TTL attribute `expires`.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    pub(super) client: Client,
    pub(super) table: String,
}

impl DynamoLedger {
    /// The ledger in `table`.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn get(&self, pk: String, sk: String, what: &str) -> Result<Option<Item>, LedgerError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(items::key(pk, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| LedgerError::new(format!("reading {what} from {}", self.table), error))?;
        Ok(answer.item)
    }

    /// Items of `fleet` whose sort keys begin with `prefix`, in order, page by page up to `limit`.
    pub(super) async fn query(&self, fleet: &str, prefix: &str, limit: Option<u32>) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let mut request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()))
                .set_exclusive_start_key(start)
                .expression_attribute_values(":pk", items::text(items::fleet_pk(fleet)));
            request = if prefix.is_empty() {
                request.key_condition_expression("pk = :pk")
            } else {
                request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", items::text(prefix))
            };
            let page = request.send().await.map_err(|error| {
                LedgerError::new(format!("reading the level of {fleet} from {}", self.table), error)
            })?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || limit.is_some_and(|limit| found.len() >= limit as usize) {
                return Ok(found);
            }
        }
    }
}

impl Ledger for DynamoLedger {
    async fn job(&self, id: u64) -> Result<Option<Job>, LedgerError> {
        let what = format!("job {id}");
        let item = self.get(items::job_pk(id), items::JOB.to_owned(), &what).await?;
        item.map(|item| items::to_job(&item))
            .transpose()
            .map_err(|bad| LedgerError::new(format!("reading {what}"), bad))
    }

    async fn runner(&self, fleet: &str, instance: &str) -> Result<Option<Runner>, LedgerError> {
        let what = format!("runner {instance}");
        let item = self.get(items::fleet_pk(fleet), format!("{}{instance}", items::RUNNER), &what).await?;
        item.map(|item| items::to_runner(&item))
            .transpose()
            .map_err(|bad| LedgerError::new(format!("reading {what}"), bad))
    }

    async fn view(&self, fleet: &str) -> Result<View, LedgerError> {
        let mut view = View { offers: Offers { fleet: fleet.to_owned(), ..Offers::default() }, ..View::default() };
        let bad = |bad| LedgerError::new(format!("reading the level of {fleet}"), bad);
        for item in self.query(fleet, "", None).await? {
            match items::sort_key(&item) {
                items::META => view.meta = items::to_meta(&item),
                items::OFFERS => view.offers = items::to_offers(&item).map_err(bad)?,
                sk if sk.starts_with(items::QUEUED) => view.queued.push(items::to_marker(&item).map_err(bad)?),
                sk if sk.starts_with(items::DOUBT) => view.doubts.push(items::to_doubt(&item).map_err(bad)?),
                sk if sk.starts_with(items::MANUAL) => view.manual.push(items::to_manual(&item).map_err(bad)?),
                sk if sk.starts_with(items::RESERVATION) => {
                    view.reservations.push(items::to_reservation(&item).map_err(bad)?);
                }
                sk if sk.starts_with(items::RUNNER) => view.runners.push(items::to_runner(&item).map_err(bad)?),
                // An item of a newer version.
                _ => {}
            }
        }
        Ok(view)
    }

    async fn queued(&self, fleet: &str, limit: u32) -> Result<Vec<Marker>, LedgerError> {
        let found = self.query(fleet, items::QUEUED, Some(limit)).await?;
        let markers: Result<_, _> = found.iter().map(items::to_marker).collect();
        markers.map_err(|bad| LedgerError::new(format!("reading the queued jobs of {fleet}"), bad))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Committed, LedgerError> {
        let failed = |error: BoxError| LedgerError::new(format!("writing to {}", self.table), error);
        let transaction: Result<Vec<_>, _> = writes.iter().map(|write| to_transaction(&self.table, write)).collect();
        let transaction = transaction.map_err(|error| failed(error.into()))?;
        let sent = self.client.transact_write_items().set_transact_items(Some(transaction)).send().await;
        match sent {
            Ok(_) => Ok(Committed::Yes),
            Err(error) if is_conflict(&error) => Ok(Committed::Conflict),
            Err(error) => Err(failed(error.into())),
        }
    }

    async fn pause(&self, fleet: &str, until: u64) -> Result<(), LedgerError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::fleet_pk(fleet), items::META.to_owned())))
            .update_expression("SET paused_until = :until")
            .condition_expression("attribute_not_exists(paused_until) OR paused_until < :until")
            .expression_attribute_values(":until", items::number(until))
            .send()
            .await;
        // Otherwise somebody paused it for longer.
        unless_refused(sent, fleet)
    }

    async fn tell(&self, fleet: &str, plan: LastPlan) -> Result<(), LedgerError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::fleet_pk(fleet), items::META.to_owned())))
            .update_expression("SET last_plan = :plan")
            .expression_attribute_values(":plan", items::from_last_plan(&plan))
            .send()
            .await
            .map_err(|error| LedgerError::new(format!("noting the plan of {fleet}"), error))?;
        Ok(())
    }

    async fn meta(&self, fleet: &str) -> Result<Meta, LedgerError> {
        let item = self.get(items::fleet_pk(fleet), items::META.to_owned(), &format!("fleet {fleet}")).await?;
        Ok(item.as_ref().map(items::to_meta).unwrap_or_default())
    }

    async fn failed(&self, fleet: &str, seen: u64, now: u64, until: u64) -> Result<(), LedgerError> {
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::fleet_pk(fleet), items::META.to_owned())))
            .update_expression("SET failures = :next, paused_until = :until")
            .expression_attribute_values(":next", items::number(seen + 1))
            .expression_attribute_values(":until", items::number(until))
            .expression_attribute_values(":now", items::number(now));
        let unpaused = "(attribute_not_exists(paused_until) OR paused_until <= :now)";
        request = if seen == 0 {
            request.condition_expression(format!("{unpaused} AND attribute_not_exists(failures)"))
        } else {
            request
                .condition_expression(format!("{unpaused} AND failures = :seen"))
                .expression_attribute_values(":seen", items::number(seen))
        };
        unless_refused(request.send().await, fleet)
    }

    async fn refuse(&self, fleet: &str, error: &LastError, until: u64) -> Result<(), LedgerError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::fleet_pk(fleet), items::META.to_owned())))
            .update_expression("SET last_error = :error, paused_until = :until")
            .condition_expression("attribute_not_exists(paused_until) OR paused_until <= :now")
            .expression_attribute_values(":error", items::from_last_error(error))
            .expression_attribute_values(":until", items::number(until))
            .expression_attribute_values(":now", items::number(error.at))
            .send()
            .await;
        unless_refused(sent, fleet)
    }

    async fn offers(&self, fleet: &str) -> Result<Offers, LedgerError> {
        let what = format!("the offers of {fleet}");
        let item = self.get(items::fleet_pk(fleet), items::OFFERS.to_owned(), &what).await?;
        let none = Offers { fleet: fleet.to_owned(), ..Offers::default() };
        let read = item.map(|item| items::to_offers(&item)).transpose();
        Ok(read.map_err(|bad| LedgerError::new(format!("reading {what}"), bad))?.unwrap_or(none))
    }

    async fn take(&self, bucket: Bucket, take: Take) -> Result<Taken, LedgerError> {
        buckets::take(&self.client, &self.table, bucket, take).await
    }
}

impl Notes for DynamoLedger {
    async fn recall(&self, key: &str) -> Result<Option<u64>, LedgerError> {
        let item = self.get(items::note_pk(key), items::NOTE.to_owned(), &format!("note {key}")).await?;
        Ok(item.as_ref().and_then(items::to_note))
    }

    async fn remember(&self, key: &str, value: u64, expires: u64) -> Result<(), LedgerError> {
        let item = items::from_note(key, value, expires);
        let sent = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|error| LedgerError::new(format!("writing note {key} to {}", self.table), error))
    }

    async fn claim(&self, key: &str, now: u64, expires: u64) -> Result<bool, LedgerError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::from_note(key, 1, expires)))
            // DynamoDB deletes what has expired days later.
            .condition_expression("attribute_not_exists(pk) OR expires <= :now")
            .expression_attribute_values(":now", items::number(now))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(false)
            }
            Err(error) => Err(LedgerError::new(format!("claiming note {key} in {}", self.table), error)),
        }
    }
}

/// An update of the meta item whose condition did not hold is none that is wanted any more.
fn unless_refused<T, R>(sent: Result<T, SdkError<UpdateItemError, R>>, fleet: &str) -> Result<(), LedgerError>
where
    SdkError<UpdateItemError, R>: std::error::Error + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {
            Ok(())
        }
        Err(error) => Err(LedgerError::new(format!("pausing fleet {fleet}"), error)),
    }
}

/// Whether a transaction was refused because something had changed or is being changed: then all that can be done is
/// to read and decide again. Throttling and faults are not conflicts.
fn is_conflict(error: &SdkError<TransactWriteItemsError>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled
            .cancellation_reasons()
            .iter()
            .any(|reason| matches!(reason.code(), Some("ConditionalCheckFailed" | "TransactionConflict"))),
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => true,
        _ => false,
    }
}

fn to_transaction(
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
        Write::Recover { fleet } => whole.update(meta(table, fleet).update_expression("REMOVE last_error").build()?),
        Write::PutOffers(it) => whole.put(versioned(items::from_offers(it), it.version).build()?),
        Write::Free { fleet, count, ran_job } => whole.update(
            meta(table, fleet)
                .update_expression(if *ran_job {
                    "SET alive = alive - :count REMOVE failures"
                } else {
                    "SET alive = alive - :count"
                })
                .expression_attribute_values(":count", items::number(*count))
                .build()?,
        ),
        Write::PutReservation(it) => whole.put(versioned(items::from_reservation(it), it.version).build()?),
        Write::DropReservation(it) => whole.delete(dropped(items::from_reservation(it), it.version).build()?),
        Write::PutRunner(it) => whole.put(versioned(items::from_runner(it), it.version).build()?),
        Write::DropRunner(it) => whole.delete(dropped(items::from_runner(it), it.version).build()?),
    };
    Ok(whole.build())
}

fn meta(table: &str, fleet: &str) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
    let key = items::key(items::fleet_pk(fleet), items::META.to_owned());
    Update::builder().table_name(table).set_key(Some(key))
}

/// A fleet that never launched anything has no `rev` and no `alive`; 0 was read then.
fn reserve(
    table: &str,
    fleet: &str,
    rev: u64,
    count: u32,
    max: u64,
    at: u64,
    tells_plan: bool,
) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
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
