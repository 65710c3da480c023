//! What is noted of runs with interrupted jobs: an item for each run, of which only the versions that were read are changed.

use aws_sdk_dynamodb::operation::put_item::PutItemError;

use super::{
    Committed, LedgerError,
    dynamo::DynamoLedger,
    items::{self, Item},
};
use crate::{clock::Millis, decide::rerun::Note};

/// The notes of runs with interrupted jobs.
pub trait Reruns {
    /// What is noted of the run `id`.
    fn rerun(&self, id: u64) -> impl Future<Output = Result<Option<Note>, LedgerError>>;
    /// Notes it, if what is noted of the run has its version still.
    fn put_rerun(&self, note: &Note, now: Millis) -> impl Future<Output = Result<Committed, LedgerError>>;
}

impl Reruns for DynamoLedger {
    async fn rerun(&self, id: u64) -> Result<Option<Note>, LedgerError> {
        let doing = || format!("reading what is noted of run {id}");
        let sent =
            self.client.get_item().table_name(&self.table).set_key(Some(key(id))).consistent_read(true).send().await;
        let Some(item) = sent.map_err(|error| LedgerError::new(doing(), error))?.item else { return Ok(None) };
        let text = item.get("text").and_then(|it| it.as_s().ok()).map_or("", String::as_str);
        let version = item.get("v").and_then(|it| it.as_n().ok()).and_then(|digits| digits.parse().ok());
        let note: Note = serde_json::from_str(text).map_err(|error| LedgerError::new(doing(), error))?;
        Ok(Some(Note { version: version.unwrap_or(0), ..note }))
    }

    async fn put_rerun(&self, note: &Note, now: Millis) -> Result<Committed, LedgerError> {
        let doing = || format!("noting what becomes of run {}", note.run);
        let text = serde_json::to_string(note).map_err(|error| LedgerError::new(doing(), error))?;
        let mut item = key(note.run);
        item.extend([
            ("text".to_owned(), items::text(text)),
            ("expires".to_owned(), items::number(note.expires(now))),
            ("v".to_owned(), items::number(note.version + 1)),
        ]);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = if note.version == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("v = :seen").expression_attribute_values(":seen", items::number(note.version))
        };
        match put.send().await {
            Ok(_) => Ok(Committed::Yes),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(Committed::Conflict)
            }
            Err(error) => Err(LedgerError::new(doing(), error)),
        }
    }
}

fn key(run: u64) -> Item {
    items::key(format!("rerun#{run}"), "rerun".to_owned())
}
