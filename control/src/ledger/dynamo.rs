//! The ledger in DynamoDB.

use aws_sdk_dynamodb::{
    Client,
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    error::SdkError,
    operation::{put_item::PutItemError, update_item::UpdateItemError},
};

use super::{
    Committed, Job, LastError, LastPlan, Ledger, LedgerError, Marker, Meta, Notes, Offers, Runner, View, Write,
    buckets,
    items::{self, BadItem, Item},
    transactions::{is_conflict, to_transaction},
};
use crate::{
    aws::reads_only::ReadsOnly,
    clock::{Millis, seconds},
    decide::bucket::{Taken, Takes},
    report::BoxError,
};

/// A table of DynamoDB with keys `pk` and `sk` (text) and the TTL attribute `expires`.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    pub(super) client: Client,
    pub(super) table: String,
    reads_only: bool,
}

impl DynamoLedger {
    /// The ledger in `table`, by a client like this one.
    #[must_use]
    pub fn new(client: &Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder().retry_classifier(MetByTransaction).build();
        Self { client: Client::from_conf(config), table: table.into(), reads_only: false }
    }

    /// The same ledger, of which nothing can be changed: what is to be written is refused before it is sent. Notes that
    /// only save a question are left out without a word.
    #[must_use]
    pub fn reading_only(self) -> Self {
        let config = self.client.config().to_builder().interceptor(ReadsOnly).build();
        Self { client: Client::from_conf(config), reads_only: true, ..self }
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

    /// The items of that `part` of `fleet`, in order, page by page until there are `limit`.
    pub(super) async fn query(
        &self,
        fleet: &str,
        part: Part<'_>,
        limit: Option<u32>,
    ) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let mut request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .set_limit(limit.and_then(|limit| i32::try_from(limit.max(part.page())).ok()))
                .set_exclusive_start_key(start)
                .expression_attribute_values(":pk", items::text(items::fleet_pk(fleet)));
            request = match part {
                Part::All => request.key_condition_expression("pk = :pk"),
                Part::Of(prefix) => request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":prefix", items::text(prefix)),
                Part::Demand(now) => request
                    .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                    .filter_expression("expires > :now")
                    .expression_attribute_values(":first", items::text(items::MANUAL))
                    .expression_attribute_values(":last", items::text(format!("{}~", items::QUEUED)))
                    .expression_attribute_values(":now", items::number(now)),
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

/// A single update that meets a transaction on the same item is refused, and the SDK does not try that again by itself:
/// the pauses of a fleet lie in the item that all its reservations and ends change.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>
#[derive(Debug)]
struct MetByTransaction;

impl ClassifyRetry for MetByTransaction {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err).and_then(|error| error.as_operation_error());
        let error = error.and_then(|error| error.downcast_ref::<UpdateItemError>());
        if error.is_some_and(UpdateItemError::is_transaction_conflict_exception) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "an update that met a transaction"
    }
}

/// Which of a fleet's items.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// All of them.
    All,
    /// Those whose sort keys begin like this.
    Of(&'a str),
    /// What is wanted and has not expired by then, in seconds: markers, and what people asked for, which comes first.
    Demand(u64),
}

impl Part<'_> {
    /// How many to read at once at least. Of what has expired something may lie before the first that has not.
    const fn page(self) -> u32 {
        match self {
            Self::Demand(_) => 25,
            Self::All | Self::Of(_) => 1,
        }
    }
}

/// Puts `item` where it belongs.
fn take_in(view: &mut View, item: &Item) -> Result<(), BadItem> {
    match items::sort_key(item) {
        items::META => view.meta = items::to_meta(item),
        items::OFFERS => view.offers = items::to_offers(item)?,
        sk if sk.starts_with(items::QUEUED) => view.queued.push(items::to_marker(item)?),
        sk if sk.starts_with(items::DOUBT) => view.doubts.push(items::to_doubt(item)?),
        sk if sk.starts_with(items::MANUAL) => view.manual.push(items::to_manual(item)?),
        sk if sk.starts_with(items::RESERVATION) => view.reservations.push(items::to_reservation(item)?),
        sk if sk.starts_with(items::RUNNER) => view.runners.push(items::to_runner(item)?),
        // An item of a newer version.
        _ => {}
    }
    Ok(())
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
        for item in self.query(fleet, Part::All, None).await? {
            // One that is not understood must not keep the others from getting their runners.
            if let Err(bad) = take_in(&mut view, &item) {
                view.unread.push(items::unread(&item, &bad));
            }
        }
        Ok(view)
    }

    async fn queued(&self, fleet: &str, limit: u32) -> Result<Vec<Marker>, LedgerError> {
        let found = self.query(fleet, Part::Of(items::QUEUED), Some(limit)).await?;
        Ok(found.iter().filter_map(|item| items::to_marker(item).ok()).collect())
    }

    async fn is_wanted(&self, fleet: &str, now: Millis) -> Result<bool, LedgerError> {
        let found = self.query(fleet, Part::Demand(seconds(now)), Some(1)).await?;
        Ok(!found.is_empty())
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

    async fn take(&self, takes: &Takes) -> Result<Taken, LedgerError> {
        buckets::take(&self.client, &self.table, takes).await
    }
}

impl Notes for DynamoLedger {
    async fn recall(&self, key: &str) -> Result<Option<u64>, LedgerError> {
        let item = self.get(items::note_pk(key), items::NOTE.to_owned(), &format!("note {key}")).await?;
        Ok(item.as_ref().and_then(items::to_note))
    }

    async fn remember(&self, key: &str, value: u64, expires: u64) -> Result<(), LedgerError> {
        if self.reads_only {
            return Ok(());
        }
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

#[cfg(test)]
mod tests;
