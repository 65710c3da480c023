//! What reconcile needs of the ledger beyond what every handler does: notes of any text, a walk over the jobs, and the
//! mending of a count.

use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::AttributeValue};

use super::{
    Committed, Job, LedgerError,
    dynamo::DynamoLedger,
    items::{self, Item},
};

/// One page of a walk over the jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// Those that are not done.
    pub jobs: Vec<Job>,
    /// Those that are not understood: the key of each, and what is wrong with it.
    pub unread: Vec<String>,
    /// Where the next page begins; nowhere after the last.
    pub next: Option<String>,
}

/// The ledger as reconcile sees it.
pub trait Census {
    /// The text that is noted under `key`.
    fn text(&self, key: &str) -> impl Future<Output = Result<Option<String>, LedgerError>>;
    /// Notes `text` under `key`, until `expires` (seconds since 1970). What was noted there before is gone.
    fn note_text(&self, key: &str, text: &str, expires: u64) -> impl Future<Output = Result<(), LedgerError>>;
    /// Jobs that are not done, among the next items after `from`; about 1 MB of the table. Eventually consistent.
    fn open_jobs(&self, from: Option<&str>) -> impl Future<Output = Result<JobPage, LedgerError>>;
    /// Sets the count of `fleet` to `alive`, if it still is `seen` and nothing was reserved since `rev`.
    fn mend(
        &self,
        fleet: &str,
        seen: u64,
        rev: u64,
        alive: u64,
    ) -> impl Future<Output = Result<Committed, LedgerError>>;
}

impl Census for DynamoLedger {
    async fn text(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let sent = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::note_pk(key), items::NOTE.to_owned())))
            .consistent_read(true)
            .send()
            .await;
        let item = sent.map_err(|error| LedgerError::new(format!("reading note {key}"), error))?.item;
        Ok(item.and_then(|item| item.get("text").and_then(|it| it.as_s().ok()).cloned()))
    }

    async fn note_text(&self, key: &str, text: &str, expires: u64) -> Result<(), LedgerError> {
        let mut item = items::key(items::note_pk(key), items::NOTE.to_owned());
        item.extend([("text".to_owned(), items::text(text)), ("expires".to_owned(), items::number(expires))]);
        let sent = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|error| LedgerError::new(format!("writing note {key}"), error))
    }

    async fn open_jobs(&self, from: Option<&str>) -> Result<JobPage, LedgerError> {
        let doing = || format!("reading the jobs in {}", self.table);
        let start = from.and_then(|key| key.split_once('|')).map(|(pk, sk)| items::key(pk.to_owned(), sk.to_owned()));
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .set_exclusive_start_key(start)
            .filter_expression("sk = :job AND #state <> :done")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":job", items::text(items::JOB))
            .expression_attribute_values(":done", items::text("done"))
            .send()
            .await
            .map_err(|error| LedgerError::new(doing(), error))?;
        let (mut jobs, mut unread) = (Vec::new(), Vec::new());
        for item in page.items() {
            match items::to_job(item) {
                Ok(job) => jobs.push(job),
                // The walk would never get beyond it.
                Err(bad) => unread.push(bad.to_string()),
            }
        }
        let text = |item: &Item, name: &str| item.get(name).and_then(|it: &AttributeValue| it.as_s().ok()).cloned();
        let next = page.last_evaluated_key.as_ref().and_then(|key| Some((text(key, "pk")?, text(key, "sk")?)));
        Ok(JobPage { jobs, unread, next: next.map(|(pk, sk)| format!("{pk}|{sk}")) })
    }

    async fn mend(&self, fleet: &str, seen: u64, rev: u64, alive: u64) -> Result<Committed, LedgerError> {
        // A count and a revision that were never written are read as 0.
        let is = |name: &str| format!("({name} = :{name} OR (attribute_not_exists({name}) AND :{name} = :none))");
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::fleet_pk(fleet), items::META.to_owned())))
            .update_expression("SET alive = :counted")
            .condition_expression(format!("{} AND {}", is("alive"), is("rev")))
            .expression_attribute_values(":alive", items::number(seen))
            .expression_attribute_values(":rev", items::number(rev))
            .expression_attribute_values(":none", items::number(0_u64))
            .expression_attribute_values(":counted", items::number(alive))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Committed::Yes),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(Committed::Conflict)
            }
            Err(error) => Err(LedgerError::new(format!("mending the count of {fleet}"), error)),
        }
    }
}
