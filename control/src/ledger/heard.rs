//! When each instance's agent was last heard of.
//!
//! Items of their own, in a partition of their own: a heartbeat a minute from each instance must neither conflict with
//! what others write about its runner, nor be read by each look at its fleet.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{operation::update_item::UpdateItemError, types::AttributeValue};

use super::{LedgerError, dynamo::DynamoLedger, items};
use crate::clock::{Millis, seconds};

/// How long the last word of an agent is remembered: longer than any instance without one is.
const KEPT_SECONDS: u64 = 8 * 24 * 3600;

/// The agents' signs of life.
pub trait Heard {
    /// Notes that the agent of `instance` spoke at `at`. What is older than what is known changes nothing.
    fn hear(&self, fleet: &str, instance: &str, at: Millis) -> impl Future<Output = Result<(), LedgerError>>;
    /// When each agent of `fleet` spoke last, by instance.
    fn heard(&self, fleet: &str) -> impl Future<Output = Result<BTreeMap<String, Millis>, LedgerError>>;
}

impl Heard for DynamoLedger {
    async fn hear(&self, fleet: &str, instance: &str, at: Millis) -> Result<(), LedgerError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(items::heard_pk(fleet), instance.to_owned())))
            .update_expression("SET #at = :at, expires = :expires")
            .condition_expression("attribute_not_exists(#at) OR #at < :at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":at", items::number(at))
            .expression_attribute_values(":expires", items::number(seconds(at) + KEPT_SECONDS))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(LedgerError::new(format!("noting a word of {instance}"), error)),
        }
    }

    async fn heard(&self, fleet: &str) -> Result<BTreeMap<String, Millis>, LedgerError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", items::text(items::heard_pk(fleet)))
            .into_paginator()
            .items()
            .send();
        let mut heard = BTreeMap::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| LedgerError::new(format!("reading who was heard of {fleet}"), error))?;
            let text = |name| item.get(name).and_then(|it: &AttributeValue| it.as_s().ok()).cloned();
            let at = item.get("at").and_then(|it| it.as_n().ok()).and_then(|digits| digits.parse().ok());
            heard.extend(text("sk").zip(at));
        }
        Ok(heard)
    }
}
